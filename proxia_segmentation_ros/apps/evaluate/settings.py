"""The settings of an evaluation: its weights, data and outputs; also those of a recipe."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import Self

from proxia_segmentation_ros.apps.defaults import MAX_WORST_IMAGES, WORST_IMAGES
from proxia_segmentation_ros.apps.segment.truth import choose_label_set
from proxia_segmentation_ros.apps.segmenter_settings import SegmenterSettings
from proxia_segmentation_ros.data.dataset import Dataset
from proxia_segmentation_ros.data.datasets.catalogue import open_dataset
from proxia_segmentation_ros.data.datasets.folder import ImageMaskFolder
from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.labels import LabelSet

FOLDERS = "folders"
# Arguments of `open_dataset` that have settings of their own, and the names of these.
SETTINGS_OF_THEIR_OWN = {"name": "dataset", "root": "root", "split": "split"}


class EvaluationData(BaseModel):
    """Images with ground truth: two folders, or a named data set with its own label set."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    images: str = Field(default="", description="folder of images, of folders")
    labels: str = Field(default="", description="folder of masks of the same names, of folders")
    label_set: str = Field(
        default="",
        description="shipped name or YAML file, of the masks of folders; empty is the weights' own",
    )
    dataset: str = Field(default=FOLDERS, description="folders, or the name of a data set")
    root: str = Field(default=".", description="folder of a named data set")
    split: str = Field(default="val", description="split of a named data set")
    options: dict[str, Any] = Field(
        default_factory=dict, description="further options of a named data set"
    )
    long_side: int = Field(
        default=0,
        ge=0,
        description="resize the longer side of images and masks to this; 0 leaves them",
    )

    @model_validator(mode="after")
    def _check_fit(self) -> Self:
        """Refuse settings that were given but would have no effect.

        Raises:
            ConfigError: a folder is missing, or a setting belongs to the other kind.
        """
        idle = {"root", "split", "options"}
        if self.dataset != FOLDERS:
            idle = {"images", "labels", "label_set"}
        elif not (self.images and self.labels):
            raise ConfigError.from_parts(
                f"images are {self.images!r} and labels {self.labels!r}",
                "a folder of images and one of masks, or a data set by its name",
                "write `proxia evaluate IMAGES LABELS`, or --dataset NAME --root FOLDER",
            )
        for name in sorted(idle & self.model_fields_set):
            raise ConfigError.from_parts(
                f"data.{name} is {getattr(self, name)!r}, which data.dataset {self.dataset!r} "
                "does not use",
                f"no data.{name} with it",
                f"leave {name} away, or change data.dataset",
            )
        self._check_options()
        return self

    def _check_options(self) -> None:
        for option, name in SETTINGS_OF_THEIR_OWN.items():
            if option in self.options:
                raise ConfigError.from_parts(
                    f"data.options.{option} is {self.options[option]!r}",
                    f"no option {option!r} of a data set",
                    f"set data.{name}, or write --{name}",
                )

    def describe(self) -> dict[str, Any]:
        """Return the data for JSON."""
        if self.dataset == FOLDERS:
            return {"images_dir": self.images, "long_side": self.long_side}
        return {
            "images_dir": self.root,
            "dataset": self.dataset,
            "split": self.split,
            "options": self.options,
            "long_side": self.long_side,
        }

    def open(self, own: LabelSet) -> Dataset:
        """Return the pairs; `own` is the weights' label set.

        Raises:
            ConfigError: the data set, an option or the label set is unknown, or has other classes.
            InputError: a folder or file is missing.
        """
        if self.dataset != FOLDERS:
            return open_dataset(self.dataset, self.root, self.split, **self.options)
        label_set = choose_label_set(own, self.label_set)
        return ImageMaskFolder(Path(self.images), Path(self.labels), label_set)


class EvaluationSettings(SegmenterSettings):
    """The settings of an evaluation; the boundary score is computed if `boundary` is not 0."""

    data: EvaluationData = Field(default_factory=EvaluationData)
    boundary: float = Field(
        default=0.0, ge=0, description="tolerance of outlines: pixels, or below 1 diagonals"
    )
    calibration: bool = Field(default=False, description="score confidences too")
    fit_temperature: bool = Field(
        default=False, description="find the best temperature of confidences, in PyTorch"
    )
    save_calibrated: str = Field(
        default="", description="file for a copy of the weights with the fitted temperature"
    )
    page: str = Field(default="", description="HTML file to write, which scores confidences too")
    worst: int = Field(
        default=WORST_IMAGES, ge=0, le=MAX_WORST_IMAGES, description="worst images on the page"
    )

    @model_validator(mode="after")
    def _refuse_idle_worst(self) -> Self:
        if "worst" in self.model_fields_set and not self.page:
            raise ConfigError.from_parts(
                f"worst is {self.worst} without a page",
                "a page that shows the worst images",
                "add --page FILE.html, or leave worst away",
            )
        return self
