"""Recipes: every setting of a training run, read from YAML and overridden by `--set`."""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from proxia_segmentation_ros.data.augmentation import AugmentationSettings
from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.training.objective import LossName

SizeHW = tuple[int, int]


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
    size_hw: SizeHW = Field(default=(240, 320), description="input size written to the card")
    training_data: str = Field(default="", description="what the weights have seen, for the card")
    terms: str = Field(default="", description="terms of use, for the card")


class DataSettings(_Settings):
    """What is trained on; folders are relative to `root`."""

    root: str = Field(default=".", description="folder of the data set")
    label_set: str = Field(default="camvid", description="shipped name or YAML path")
    images: str = Field(default="train", description="training images")
    masks: str = Field(default="trainannot", description="training masks")
    val_images: str = Field(default="val", description="validation images")
    val_masks: str = Field(default="valannot", description="validation masks")
    folder_weight: float = Field(default=1.0, ge=0, description="share of pairs from the folder")
    synthetic_weight: float = Field(default=0.0, ge=0, description="share of synthetic pairs")
    synthetic_size_hw: SizeHW = Field(default=(360, 480), description="size of synthetic frames")
    synthetic_frames: int = Field(
        default=1500, ge=1, description="distinct synthetic frames, kept in memory once drawn"
    )


class OptimiserSettings(_Settings):
    """Loss, optimiser and schedule."""

    name: Literal["sgd", "adamw"] = Field(default="adamw", description="optimiser")
    learning_rate: float = Field(default=2e-3, gt=0, description="peak learning rate")
    weight_decay: float = Field(default=1e-2, ge=0, description="decay of convolution weights")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="momentum of SGD")
    warmup_steps: int = Field(default=100, ge=0, description="steps of linear warm-up")
    poly_power: float = Field(default=0.9, gt=0, description="power of the poly schedule")
    loss: LossName = Field(
        default="cross_entropy",
        description="loss of the main logits; rmi and relaxed are followed by BCE and plain "
        "cross-entropy for the auxiliary ones; class weights belong to cross_entropy",
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
        default=0.99, ge=0, lt=1, description="decay of the moving average of weights that is kept"
    )
    class_boost: dict[str, float] = Field(
        default_factory=dict, description="further factor by class name, for classes missed"
    )


class Recipe(_Settings):
    """One training run."""

    model: ModelSettings = ModelSettings()
    data: DataSettings = DataSettings()
    augmentation: AugmentationSettings = AugmentationSettings()
    optimiser: OptimiserSettings = OptimiserSettings()
    steps: int = Field(default=5000, ge=1, description="optimiser steps of the whole run")
    batch_size: int = Field(default=8, ge=2, description="crops a step")
    precision: Literal["auto", "f32", "bf16"] = Field(
        default="auto", description="auto is bf16 where the CPU has it, else f32"
    )
    threads: int = Field(default=0, ge=0, description="CPU threads; 0 is torch's choice")
    seed: int = Field(default=0, ge=0, description="seed of weights and pairs")
    validate_every: int = Field(default=500, ge=1, description="steps between validations")
    validate_stride: int = Field(default=1, ge=1, description="take every n-th validation pair")
    save_every: int = Field(default=100, ge=1, description="steps between checkpoints")


def load_recipe(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a shipped recipe by name or a YAML file, then apply `key.sub=value` overrides.

    Raises:
        ConfigError: no such recipe, unknown key, or value out of range.
    """
    raw = yaml.safe_load(_read_text(str(name_or_path))) or {}
    for override in overrides:
        _apply_override(raw, override)
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        problem = error.errors()[0]
        name = ".".join(str(part) for part in problem["loc"])
        raise ConfigError.from_parts(
            f"recipe setting {name} is {problem['input']!r}",
            problem["msg"].removeprefix("Input should be "),
            "correct the recipe or the --set option",
        ) from error


def _read_text(name_or_path: str) -> str:
    if name_or_path.endswith((".yaml", ".yml")):
        path = Path(name_or_path)
        if not path.is_file():
            raise ConfigError.from_parts(
                f"recipe {name_or_path!r} does not exist", "a YAML file", "check the path"
            )
        return path.read_text(encoding="utf-8")
    folder = resources.files("proxia_segmentation_ros") / "recipes"
    entry = folder / f"{name_or_path}.yaml"
    if not entry.is_file():
        known = sorted(one.name.removesuffix(".yaml") for one in folder.iterdir())
        raise ConfigError.from_parts(
            f"recipe {name_or_path!r} is not shipped",
            f"one of {', '.join(known)} or a path that ends in .yaml",
            "pick one",
        )
    return entry.read_text(encoding="utf-8")


def _apply_override(raw: dict[str, Any], override: str) -> None:
    name, separator, value = override.partition("=")
    if not separator:
        raise ConfigError.from_parts(
            f"override {override!r} has no value", "key=value", "write --set steps=1000"
        )
    place = raw
    *parents, leaf = name.strip().split(".")
    for parent in parents:
        place = place.setdefault(parent, {})
    place[leaf] = yaml.safe_load(value)
