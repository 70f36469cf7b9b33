"""Settings of a segmenter, shared by `proxia evaluate` and `proxia segment`.

Torch is loaded only for the exact segmenter.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, FiniteFloat, model_validator
from typing_extensions import Self

from proxia_segmentation_ros.backends.pruned.tile_selection import TILE_BUDGET, TILE_THRESHOLD
from proxia_segmentation_ros.config import Share
from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.model.lookup import find_weights

if TYPE_CHECKING:
    from proxia_segmentation_ros.evaluation.exact_segmenter import ExactSegmenter
    from proxia_segmentation_ros.inference import Segmenter

DEFAULT_OVERLAP = 0.25


def read_scales(value: Any) -> Any:
    """Read `0.5,1.0,2.0`; of nothing there are no scales.

    Raises:
        ConfigError: something in it is no number.
    """
    if not isinstance(value, str):
        return value
    try:
        return tuple(float(part) for part in value.split(",")) if value.strip() else ()
    except ValueError:
        raise ConfigError.from_parts(
            f"scales are {value!r}", "numbers joined by commas", "write for example 0.5,1.0,2.0"
        ) from None


Scales = Annotated[tuple[FiniteFloat, ...], BeforeValidator(read_scales)]


class SegmenterSettings(BaseModel):
    """The network and how it sees an image."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    weights: str = Field(default="default", description="shipped name or path")
    backend: str = Field(default="auto", description="what runs the network")
    precision: str = Field(default="auto", description="precision of the network")
    size: str = Field(default="card", description="network's input: card, input or WxH")
    scales: Scales = Field(
        default=(), description="in-model scales of a multi-scale network; empty is its card's"
    )
    tile_threshold: Share = Field(
        default=TILE_THRESHOLD,
        description="gating score below which a tile of a larger scale is not run; 0 runs all",
    )
    tile_budget: Share = Field(
        default=TILE_BUDGET,
        description="most work for scales but the smallest, as a share of all of it",
    )
    exact: bool = Field(
        default=False, description="label in PyTorch and float32, on a GPU where there is one"
    )
    flip: bool = Field(default=False, description="average with the mirror image")
    average_scales: Scales = Field(
        default=(1.0,), description="average over these sizes of the image"
    )
    window: str = Field(
        default="", description="see images through windows of WxH; empty sees them whole"
    )
    overlap: float = Field(
        default=DEFAULT_OVERLAP, description="least share of a side that two windows have in common"
    )

    @model_validator(mode="after")
    def _refuse_idle_overlap(self) -> Self:
        if "overlap" in self.model_fields_set and not self.window:
            raise ConfigError.from_parts(
                f"overlap is {self.overlap} without windows",
                "a window whose neighbours overlap",
                "add --window WxH, or leave the overlap away",
            )
        return self

    @cached_property
    def weights_path(self) -> Path:
        """The file of `weights`, looked up once.

        Raises:
            WeightsError: there is none.
        """
        return find_weights(self.weights)

    @property
    def is_averaged(self) -> bool:
        """Whether each image is labelled more than once."""
        return self.flip or self.average_scales != (1.0,)

    def list_exact_reasons(self) -> list[str]:
        """Name what robots' backends don't do."""
        reasons = {
            "exact labels": self.exact,
            "averaged copies": self.is_averaged,
            "windows": bool(self.window),
        }
        return [reason for reason, is_there in reasons.items() if is_there]

    def check_exact(self, reasons: Sequence[str]) -> None:
        """Refuse what the exact segmenter can't do where there are reasons for it.

        Raises:
            ConfigError: backend or precision is another, or tiles are to be left out.
        """
        tiles = sorted({"tile_threshold", "tile_budget"} & self.model_fields_set)
        if reasons and tiles:
            raise ConfigError.from_parts(
                f"{tiles[0]} is {getattr(self, tiles[0]):g} with {', '.join(reasons)}",
                "no setting of tiles: all of every scale is run",
                f"leave {' and '.join(tiles)} away",
            )
        if reasons and (
            self.backend not in ("auto", "torch") or self.precision not in ("auto", "f32")
        ):
            raise ConfigError.from_parts(
                f"backend {self.backend}, precision {self.precision} with {', '.join(reasons)}",
                "torch and f32",
                "leave both at auto",
            )

    def open_fast(self, cache_dir: Path | None = None, *, self_test: bool = True) -> "Segmenter":
        """Load what robots run; errors are its own. No `cache_dir` is the user's."""
        from proxia_segmentation_ros.inference import Segmenter

        return Segmenter.from_weights(
            self.weights_path,
            backend=self.backend,
            precision=self.precision,
            size=self.size,
            scales=self.scales,
            cache_dir=cache_dir,
            tile_threshold=self.tile_threshold,
            tile_budget=self.tile_budget,
            self_test=self_test,
        )

    def open_exact(self) -> "ExactSegmenter":
        """Load what takes its time.

        Raises:
            WeightsError: the weights can't be loaded.
            ConfigError: scales, size, window or overlap is out of its range.
        """
        from proxia_segmentation_ros.evaluation.averaging import Averaging
        from proxia_segmentation_ros.evaluation.exact_segmenter import ExactSegmenter
        from proxia_segmentation_ros.evaluation.windows import parse_windows

        return ExactSegmenter(
            self.weights_path,
            Averaging(flip=self.flip, scales=self.average_scales),
            size=self.size,
            scales=self.scales,
            windows=parse_windows(self.window, self.overlap),
        )
