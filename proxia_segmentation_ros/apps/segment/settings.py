"""The settings of `proxia segment`, and whether the weights can do what they ask for."""

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator
from typing_extensions import Self

from proxia_segmentation_ros.apps.defaults import OUTPUT_KINDS, OVERLAY_ALPHA
from proxia_segmentation_ros.apps.segment.layout import (
    ATTENTION,
    AUTOLABELS,
    PROBABILITIES,
    SUBMISSION,
    Layout,
    parse_kinds,
)
from proxia_segmentation_ros.apps.segment.truth import choose_label_set
from proxia_segmentation_ros.apps.segmenter_settings import SegmenterSettings
from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.labels import LabelSet, load_label_set
from proxia_segmentation_ros.model.card import ModelCard
from proxia_segmentation_ros.model.network.names import (
    MULTI_SCALE_SUFFIX,
    SCALES_RULE,
    follow_scales_rule,
)

BENCHMARK = "cityscapes"
# Kinds that need confidences of any segmenter, and kinds that need the exact segmenter.
CONFIDENCE_KINDS = frozenset({"confidence", AUTOLABELS})
EXACT_KINDS = frozenset({"confidence16", PROBABILITIES, ATTENTION})


def _read_kinds(value: Any) -> tuple[str, ...]:
    kinds = value if isinstance(value, list | tuple) else ["" if value is None else value]
    return parse_kinds(",".join(map(str, kinds)))


class SegmentSettings(SegmenterSettings):
    """What to segment and what to write; `path` and `truth` are relative to `root`."""

    root: Path = Field(default=Path("."), description="folder that path and truth lie in")
    path: Path = Field(description="an image or a folder")
    out: Path = Field(description="folder for the files")
    write: Annotated[tuple[str, ...], BeforeValidator(_read_kinds)] = Field(
        default=OUTPUT_KINDS, description="kinds of output"
    )
    recursive: bool = Field(default=False, description="folders below too")
    skip_existing: bool = Field(default=False, description="leave out images that are complete")
    index: bool = Field(default=False, description="a page of all pictures as well")
    truth: Path | None = Field(
        default=None, description="masks of the same names, for errors and composite"
    )
    label_set: str = Field(default="", description="label set of masks and label ids")
    alpha: float = Field(default=OVERLAY_ALPHA, ge=0, le=1, description="weight of the colours")
    boxes: bool = Field(default=False, description="draw the boxes of the objects")

    @model_validator(mode="after")
    def _check_fit(self) -> Self:
        """Refuse settings that can't be combined.

        Raises:
            ConfigError: the settings contradict each other.
        """
        self._check_paths()
        self._check_truth()
        self.check_exact(self.list_exact_reasons())
        return self

    @property
    def images(self) -> Path:
        """Path of the images."""
        return self.root / self.path

    @property
    def masks(self) -> Path | None:
        """Path of the masks."""
        return None if self.truth is None else self.root / self.truth

    @property
    def is_exact(self) -> bool:
        """Whether the exact segmenter is needed, in PyTorch and float32."""
        return bool(self.list_exact_reasons())

    def list_exact_reasons(self) -> list[str]:
        """Return the reasons why the node's backends can't do this."""
        kinds = [kind for kind in self.write if kind in EXACT_KINDS]
        return kinds + super().list_exact_reasons()

    def _check_paths(self) -> None:
        if self.images.is_dir() and self.images.resolve() == self.out.resolve():
            raise ConfigError.from_parts(
                f"--out {str(self.out)!r} is the folder of the images",
                "a folder of its own: the next run would label what this one wrote",
                "choose another --out",
            )

    def _check_truth(self) -> None:
        if "errors" in self.write and self.truth is None:
            raise ConfigError.from_parts(
                "error masks are to be written without --truth",
                "masks to compare with",
                "add --truth FOLDER",
            )
        if self.truth is not None and not {"errors", "composite"} & {*self.write}:
            raise ConfigError.from_parts(
                f"--truth is given but only {', '.join(self.write)} are to be written",
                "errors or composite among them",
                "add one to --write, or leave --truth out",
            )
        if self.masks is not None and self.masks.is_file() and self.images.is_dir():
            raise ConfigError.from_parts(
                f"--truth {str(self.masks)!r} is one mask, and {str(self.images)!r} a folder",
                "a folder of masks for a folder of images",
                "give the folder of the masks, or one image",
            )


def make_layout(settings: SegmentSettings, card: ModelCard) -> Layout:
    """Return the outputs of each image.

    Raises:
        ConfigError: the weights' network has no such scales or no attention.
    """
    is_multi_scale = card.architecture.endswith(MULTI_SCALE_SUFFIX)
    scales = sorted({*(settings.scales or card.scales)})
    if settings.scales and not follow_scales_rule(scales):
        raise ConfigError.from_parts(f"scales are {scales}", SCALES_RULE, "add 1.0")
    if not is_multi_scale and scales != [1.0]:
        raise ConfigError.from_parts(
            f"scales are {scales} for the single-scale network {card.architecture!r}",
            "none",
            f"take weights of an architecture that ends in {MULTI_SCALE_SUFFIX}, "
            "or average copies with --average-scales",
        )
    if ATTENTION in settings.write and not is_multi_scale:
        raise ConfigError.from_parts(
            f"attention of the single-scale network {card.architecture!r} is to be written",
            f"an architecture that ends in {MULTI_SCALE_SUFFIX}",
            "take other weights, or leave attention out of --write",
        )
    if ATTENTION in settings.write and len(scales) == 1:
        raise ConfigError.from_parts(
            "attention is to be written of one scale alone",
            "two scales or more",
            "write for example --scales 0.5,1.0",
        )
    return Layout(settings.write, tuple(pairwise(scales)))


def find_source_set(settings: SegmentSettings, card: ModelCard) -> LabelSet:
    """Return the weights' classes with the source ids of masks and submissions.

    Raises:
        ConfigError: the label set can't be read, or does not fit the weights or the benchmark.
    """
    label_set = choose_label_set(card.to_label_set(), settings.label_set)
    if SUBMISSION in settings.write and label_set.names != load_label_set(BENCHMARK).names:
        raise ConfigError.from_parts(
            f"a submission is to be written with the {len(label_set)} classes of "
            f"{label_set.name!r}",
            f"the {len(load_label_set(BENCHMARK))} classes of {BENCHMARK!r}, the only ones that "
            "the benchmark scores",
            f"take weights of these classes, or write {AUTOLABELS}",
        )
    return label_set
