"""What is labelled and written, and whether the weights can do it."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from proxia_segmentation_ros.apps.dump_layout import (
    ATTENTION,
    AUTOLABELS,
    DEFAULT_KINDS,
    PROBABILITIES,
    SUBMISSION,
    Layout,
)
from proxia_segmentation_ros.apps.dump_truth import choose_label_set
from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.labels import LabelSet, load_label_set
from proxia_segmentation_ros.model.card import ModelCard

MULTI_SCALE_SUFFIX = "_mscale"
BENCHMARK = "cityscapes"
# What needs more than class ids: of any segmenter, and of the exact one alone.
CONFIDENCE_KINDS = frozenset({"confidence", AUTOLABELS})
EXACT_KINDS = frozenset({"confidence16", PROBABILITIES, ATTENTION})


@dataclass(frozen=True, kw_only=True)
class SegmentSettings:
    """What to label, where to write and how."""

    path: Path
    out: Path
    weights: str = "default"
    backend: str = "auto"
    precision: str = "auto"
    size: str = "card"
    alpha: float = 0.5
    boxes: bool = False
    kinds: tuple[str, ...] = DEFAULT_KINDS
    truth: Path | None = None
    label_set: str = ""
    scales: tuple[float, ...] = ()
    flip: bool = False
    average_scales: tuple[float, ...] = (1.0,)
    recursive: bool = False
    skip_existing: bool = False
    index: bool = False

    def __post_init__(self) -> None:
        self._check_paths()
        self._check_truth()
        if self.is_exact and (
            self.backend not in ("auto", "torch") or self.precision not in ("auto", "f32")
        ):
            reason = ", ".join(self.list_exact_reasons())
            raise ConfigError.from_parts(
                f"backend {self.backend}, precision {self.precision} with {reason}",
                "torch and f32",
                "leave both at auto",
            )

    @property
    def is_exact(self) -> bool:
        """Whether the exact segmenter is needed: PyTorch in float32."""
        return bool(self.list_exact_reasons())

    def list_exact_reasons(self) -> list[str]:
        """Name what robots' backends don't do."""
        is_averaged = self.flip or self.average_scales != (1.0,)
        kinds = [kind for kind in self.kinds if kind in EXACT_KINDS]
        return kinds + ["averaged copies"] * is_averaged

    def _check_paths(self) -> None:
        if self.path.is_dir() and self.path.resolve() == self.out.resolve():
            raise ConfigError.from_parts(
                f"--out {str(self.out)!r} is the folder of the images",
                "a folder of its own: the next run would label what this one wrote",
                "choose another --out",
            )

    def _check_truth(self) -> None:
        if "errors" in self.kinds and self.truth is None:
            raise ConfigError.from_parts(
                "error masks are to be written without --truth",
                "masks to compare with",
                "add --truth FOLDER",
            )
        if self.truth is not None and not {"errors", "composite"} & {*self.kinds}:
            raise ConfigError.from_parts(
                f"--truth is given but only {', '.join(self.kinds)} are to be written",
                "errors or composite among them",
                "add one to --write, or leave --truth out",
            )
        if self.truth is not None and self.truth.is_file() and self.path.is_dir():
            raise ConfigError.from_parts(
                f"--truth {str(self.truth)!r} is one mask, and {str(self.path)!r} a folder",
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
    if settings.scales and (1.0 not in scales or scales[0] <= 0):
        raise ConfigError.from_parts(
            f"scales are {scales}", "positive numbers that hold 1.0", "add 1.0"
        )
    if not is_multi_scale and scales != [1.0]:
        raise ConfigError.from_parts(
            f"scales are {scales} for the single-scale network {card.architecture!r}",
            "none",
            f"take weights of an architecture that ends in {MULTI_SCALE_SUFFIX}, "
            "or average copies with --average-scales",
        )
    if ATTENTION in settings.kinds and not is_multi_scale:
        raise ConfigError.from_parts(
            f"attention of the single-scale network {card.architecture!r} is to be written",
            f"an architecture that ends in {MULTI_SCALE_SUFFIX}",
            "take other weights, or leave attention out of --write",
        )
    if ATTENTION in settings.kinds and len(scales) == 1:
        raise ConfigError.from_parts(
            "attention is to be written of one scale alone",
            "two scales or more",
            "write for example --scales 0.5,1.0",
        )
    return Layout(settings.kinds, tuple(pairwise(scales)))


def find_source_set(settings: SegmentSettings, card: ModelCard) -> LabelSet:
    """Return the weights' classes with the source ids that masks and submissions hold.

    Raises:
        ConfigError: the label set can't be read, or does not fit the weights or the benchmark.
    """
    label_set = choose_label_set(card.to_label_set(), settings.label_set)
    if SUBMISSION in settings.kinds and label_set.names != load_label_set(BENCHMARK).names:
        raise ConfigError.from_parts(
            f"a submission is to be written with the {len(label_set)} classes of "
            f"{label_set.name!r}",
            f"the {len(load_label_set(BENCHMARK))} classes of {BENCHMARK!r}, the only ones that "
            "the benchmark scores",
            f"take weights of these classes, or write {AUTOLABELS}",
        )
    return label_set
