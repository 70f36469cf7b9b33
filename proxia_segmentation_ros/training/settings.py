"""Settings of a training run: names, defaults, ranges, and which of them can be combined.

Does not import torch, so that a recipe can be read and explained at once.
"""

from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import Self

from proxia_segmentation_ros.config import SizeHW
from proxia_segmentation_ros.data.augmentation.augment import AugmentationSettings
from proxia_segmentation_ros.data.sampling.class_uniform import ClassUniformSettings
from proxia_segmentation_ros.errors import ConfigError

FOLDER = "folder"
# NVIDIA/semantic-segmentation (https://github.com/NVIDIA/semantic-segmentation, 2020) doubles the
# power at epoch 110 of 180.
POLY2_FROM = 110 / 180
ScheduleName: TypeAlias = Literal["poly", "poly2", "cosine"]
LossName: TypeAlias = Literal["cross_entropy", "image_weighted", "relaxed", "rmi"]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class ModelSettings(_Settings):
    """Which network is trained."""

    name: str = Field(default="camvid", description="name in the card")
    architecture: str = Field(default="hrnet_w18_small_v1_ocr", description="see build_model")
    ocr_mid: int = Field(default=128, ge=1, description="channels of the OCR head")
    ocr_key: int = Field(default=64, ge=1, description="channels of its attention keys")
    attention_mid: int = Field(default=64, ge=1, description="channels of the scale attention")
    initial_weights: str = Field(
        default="", description="shipped name or path of weights to start from; empty is random"
    )
    initial_partial: bool = Field(
        default=False,
        description="load the initial weights whose shapes match, start the rest at random",
    )
    size_hw: SizeHW = Field(default=(240, 320), description="input size written to the card")
    training_data: str = Field(default="", description="training data, for the card")
    terms: str = Field(default="", description="terms of use, for the card")

    @property
    def is_multi_scale(self) -> bool:
        """Whether the network fuses several scales by attention."""
        return self.architecture.endswith("_mscale")


class DataSettings(_Settings):
    """The training and validation data; folders are relative to `root`."""

    root: str = Field(default=".", description="folder of the data set")
    dataset: str = Field(
        default=FOLDER, description="folder (images beside masks) or a data set's name"
    )
    train_split: str = Field(default="train", description="split of a named data set")
    train_limit: int = Field(
        default=0,
        ge=0,
        description="use this many training pairs, and as many coarse pairs; 0 is all",
    )
    val_split: str = Field(default="val", description="split of a named data set")
    options: dict[str, Any] = Field(
        default_factory=dict, description="further options of a named data set"
    )
    class_uniform: ClassUniformSettings | None = Field(
        default=None,
        description="class-uniform sampling: draw all classes equally often; none draws images",
    )
    coarse_dataset: str = Field(
        default="", description="data set of coarse labels for class_uniform; empty is none"
    )
    coarse_root: str = Field(default="", description="its folder; empty is root")
    coarse_split: str = Field(default="train_extra", description="its split")
    coarse_options: dict[str, Any] = Field(default_factory=dict, description="its options")
    long_side: int = Field(
        default=0, ge=0, description="resize the longer side of images to this; 0 leaves them"
    )
    label_set: str = Field(default="camvid", description="shipped name or YAML path")
    images: str = Field(default="train", description="training images")
    masks: str = Field(default="trainannot", description="training masks")
    val_images: str = Field(default="val", description="validation images")
    val_masks: str = Field(default="valannot", description="validation masks")
    keep_decoded: bool = Field(
        default=True, description="keep decoded training pairs of a folder in memory"
    )
    folder_weight: float = Field(default=1.0, ge=0, description="share of pairs from the folder")
    synthetic_weight: float = Field(default=0.0, ge=0, description="share of synthetic pairs")
    synthetic_size_hw: SizeHW = Field(default=(360, 480), description="size of synthetic frames")
    synthetic_frames: int = Field(
        default=1500, ge=1, description="number of distinct synthetic frames, kept in memory"
    )


class OptimiserSettings(_Settings):
    """Loss, optimiser and schedule."""

    name: Literal["sgd", "adamw", "radam"] = Field(default="adamw", description="optimiser")
    learning_rate: float = Field(default=2e-3, gt=0, description="peak learning rate")
    weight_decay: float = Field(default=1e-2, ge=0, description="decay of convolution weights")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="momentum of SGD")
    warmup_steps: int = Field(default=100, ge=0, description="steps of linear warm-up")
    schedule: ScheduleName = Field(
        default="poly", description="decay of the learning rate to 0 at the end of the run"
    )
    poly_power: float = Field(default=0.9, gt=0, description="power of poly and poly2")
    poly2_from: float = Field(
        default=POLY2_FROM, ge=0, le=1, description="share of the run where poly2 doubles its power"
    )
    decay_all: bool = Field(
        default=False,
        description="also decay batch norms and biases, as NVIDIA/semantic-segmentation does",
    )
    loss: LossName = Field(
        default="cross_entropy",
        description="loss of the main logits; the other maps use BCE with rmi, and plain "
        "cross-entropy with relaxed; class weights apply to cross_entropy only",
    )
    aux_weight: float = Field(default=0.4, ge=0, description="weight of the auxiliary loss")
    scale_weight: float = Field(
        default=0.0, ge=0, description="weight of the loss of every scale of a multi-scale network"
    )
    jaccard_weight: float = Field(
        default=0.0, ge=0, description="weight of 1 - mean soft IoU of the batch's classes"
    )
    class_balance: float = Field(
        default=0.5, ge=0, le=1, description="class weight is (median share / share) ** this"
    )
    average_decay: float = Field(
        default=0.99,
        ge=0,
        lt=1,
        description="decay of the EMA of the weights, which is validated and saved",
    )
    class_boost: dict[str, float] = Field(
        default_factory=dict, description="extra factor of the class weight, by class name"
    )


class Recipe(_Settings):
    """One training run."""

    model: ModelSettings = ModelSettings()
    data: DataSettings = DataSettings()
    augmentation: AugmentationSettings = AugmentationSettings()
    optimiser: OptimiserSettings = OptimiserSettings()
    steps: int = Field(default=5000, ge=1, description="optimiser steps of the whole run")
    batch_size: int = Field(
        default=8,
        ge=1,
        description="crops per process and forward pass; several processes and accumulate "
        "multiply it",
    )
    accumulate: int = Field(
        default=1, ge=1, description="batches whose gradients are averaged for one step"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="auto is CUDA where torch finds a GPU"
    )
    precision: Literal["auto", "f32", "bf16", "f16"] = Field(
        default="auto",
        description="auto is bf16 where the device supports it, else f32; f16 uses loss scaling",
    )
    threads: int = Field(default=0, ge=0, description="CPU threads; 0 is torch's choice")
    seed: int = Field(default=0, ge=0, description="seed of weights and pairs")
    validate_every: int = Field(default=500, ge=1, description="steps between validations")
    validate_stride: int = Field(default=1, ge=1, description="take every n-th validation pair")
    validate_limit: int = Field(
        default=0, ge=0, description="largest number of validation pairs of each kind; 0 is all"
    )
    class_share_pairs: int = Field(
        default=256, ge=1, description="number of pairs from which class frequencies are estimated"
    )
    save_every: int = Field(default=100, ge=1, description="steps between checkpoints")
    tensorboard: bool = Field(default=False, description="also write TensorBoard event files")

    @model_validator(mode="after")
    def _refuse_idle_settings(self) -> Self:
        """Refuse settings that were given but would have no effect.

        Raises:
            ConfigError: a setting belongs to another loss, network or kind of data.
        """
        chosen = self.optimiser
        if not self.uses_class_weights:
            self._refuse("optimiser.class_balance", 0.0, "optimiser.loss", chosen.loss)
            self._refuse("optimiser.class_boost", {}, "optimiser.loss", chosen.loss)
        if chosen.name != "sgd":
            self._refuse("optimiser.momentum", 0.9, "optimiser.name", chosen.name)
        if chosen.schedule == "cosine":
            self._refuse("optimiser.poly_power", 0.9, "optimiser.schedule", chosen.schedule)
        if chosen.schedule != "poly2":
            self._refuse("optimiser.poly2_from", POLY2_FROM, "optimiser.schedule", chosen.schedule)
        if not self.model.initial_weights:
            self._refuse("model.initial_partial", False, "model.initial_weights", "")
        self._refuse_idle_data()
        if not self.model.is_multi_scale:
            architecture = self.model.architecture
            self._refuse("optimiser.scale_weight", 0.0, "model.architecture", architecture)
        return self

    def _refuse_idle_data(self) -> None:
        data = self.data
        if data.folder_weight == 0:
            for name in _OF_FILES:
                self._refuse_unless_default(name, "data.folder_weight", data.folder_weight)
        if data.class_uniform is None:
            self._refuse("data.coarse_dataset", "", "data.class_uniform", "none")
        if not data.coarse_dataset:
            for name in _OF_COARSE:
                self._refuse_unless_default(name, "data.coarse_dataset", "")
        for name in _OF_NAMED if data.dataset == FOLDER else _OF_FOLDER:
            self._refuse_unless_default(name, "data.dataset", data.dataset)

    def _refuse_unless_default(self, name: str, owner: str, choice: object) -> None:
        default = DataSettings.model_fields[name].get_default(call_default_factory=True)
        self._refuse(f"data.{name}", default, owner, choice)

    def _refuse(self, name: str, neutral: object, owner: str, choice: object) -> None:
        part, leaf = name.split(".")
        settings = getattr(self, part)
        value = getattr(settings, leaf)
        if leaf not in settings.model_fields_set or value == neutral:
            return
        shown = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
        raise ConfigError.from_parts(
            f"recipe setting {name} is {shown!r}, which {owner} {choice!r} does not use",
            f"{neutral!r} or no such line with it ({_ACTS[name]})",
            f"remove {name} from the recipe or change {owner}",
        )

    @property
    def uses_class_weights(self) -> bool:
        """Whether the loss weights classes by their frequency in the data."""
        chosen = self.optimiser
        is_plain = chosen.class_balance == 0 and not chosen.class_boost
        return chosen.loss == "cross_entropy" and not is_plain


_OF_FILES = ("train_limit", "class_uniform", "long_side")
_OF_COARSE = ("coarse_root", "coarse_split", "coarse_options")
_OF_NAMED = ("train_split", "val_split", "options")
_OF_FOLDER = ("images", "masks", "val_images", "val_masks", "keep_decoded")
_ACTS = {
    "model.initial_partial": "it acts with initial weights",
    "data.coarse_dataset": "it acts with class_uniform",
    **{f"data.{name}": "it acts with a folder_weight above 0" for name in _OF_FILES},
    **{f"data.{name}": "it acts with a coarse data set" for name in _OF_COARSE},
    **{f"data.{name}": "it acts with a named data set" for name in _OF_NAMED},
    **{f"data.{name}": "it acts with data set folder" for name in _OF_FOLDER},
    "optimiser.class_balance": "it acts with loss cross_entropy",
    "optimiser.class_boost": "it acts with loss cross_entropy",
    "optimiser.momentum": "it acts with sgd",
    "optimiser.poly_power": "it acts with poly and poly2",
    "optimiser.poly2_from": "it acts with poly2",
    "optimiser.scale_weight": "it acts with architectures that end in _mscale",
}


def flatten_settings(settings: BaseModel, prefix: str = "") -> dict[str, Any]:
    """Return every setting by its dotted name, as plain YAML values."""
    flat: dict[str, Any] = {}
    for name, plain in settings.model_dump(mode="json").items():
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            flat.update(flatten_settings(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = plain
    return flat
