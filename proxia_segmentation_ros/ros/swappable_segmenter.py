"""A segmenter that can be changed for a better one between two frames."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from proxia_segmentation_ros.config import SizeHW
from proxia_segmentation_ros.errors import BackendError
from proxia_segmentation_ros.labels import LabelSet
from proxia_segmentation_ros.ros.segmenting import FrameSegmenter

if TYPE_CHECKING:
    # Importing the segmenter imports torch.
    from proxia_segmentation_ros.inference.segmenter import Segmentation
    from proxia_segmentation_ros.model.card import ModelCard

# Another arithmetic moves borders by a pixel; what is wrong with an engine moves more.
LEAST_AGREEMENT = 0.9
KEPT_SIZES = 8


class _Facts(NamedTuple):
    """What other threads ask, who may come while the model before is closed."""

    backend: str
    precision: str
    threads: int


class SwappableSegmenter:
    """Hands every call on; the thread that owns the model alone labels and swaps."""

    def __init__(self, first: FrameSegmenter) -> None:
        self._current = first
        self._facts = _read_facts(first)
        self._newest_HWC: np.ndarray | None = None
        self._sizes_hw: list[SizeHW] = []

    @property
    def label_set(self) -> LabelSet:
        """What the ids mean."""
        return self._current.label_set

    @property
    def card(self) -> "ModelCard":
        """The network's card."""
        return self._current.card

    @property
    def backend(self) -> str:
        """Name of the backend that serves now."""
        return self._facts.backend

    @property
    def precision(self) -> str:
        """Its arithmetic."""
        return self._facts.precision

    @property
    def threads(self) -> int:
        """Its CPU threads."""
        return self._facts.threads

    @property
    def largest_batch(self) -> int:
        """Images that may share one of its passes."""
        return self._current.largest_batch

    @property
    def sizes_hw(self) -> tuple[SizeHW, ...]:
        """Sizes of the images seen so far."""
        return tuple(self._sizes_hw)

    def segment(
        self,
        image_HWC: np.ndarray,
        with_confidence: bool = False,
        *,
        output_size: str = "input",
        min_confidence: float = 0.0,
    ) -> "Segmentation":
        """Label one RGB image."""
        self._note(image_HWC)
        return self._current.segment(
            image_HWC, with_confidence, output_size=output_size, min_confidence=min_confidence
        )

    def segment_many(
        self,
        images_HWC: Sequence[np.ndarray],
        with_confidence: Sequence[bool],
        *,
        output_size: str = "input",
        min_confidence: float = 0.0,
        streams: Sequence[str] | None = None,
    ) -> "list[Segmentation]":
        """Label several RGB images, each the next frame of its stream."""
        for image_HWC in images_HWC:
            self._note(image_HWC)
        return self._current.segment_many(
            images_HWC,
            with_confidence,
            output_size=output_size,
            min_confidence=min_confidence,
            streams=streams,
        )

    def warm_up(self, size_hw: SizeHW, batch: int = 1) -> None:
        """Get the first frame's slow work done."""
        self._current.warm_up(size_hw, batch)

    def close(self) -> None:
        """Free the model that serves now."""
        self._current.close()

    def swap(self, better: FrameSegmenter) -> None:
        """Serve with `better` from now on, and free what served before.

        Raises:
            BackendError: the two label the newest frame differently; all stays as it was.
        """
        agreement = self._compare(better)
        if agreement < LEAST_AGREEMENT:
            raise BackendError.from_parts(
                f"{better.backend} labels only {100 * agreement:.1f} % of a frame's pixels as "
                f"{self.backend} does",
                f"at least {100 * LEAST_AGREEMENT:.0f} %",
                "report it; `proxia engines prune --all` has the engine built anew",
            )
        before, self._current = self._current, better
        self._facts = _read_facts(better)
        before.close()

    def _compare(self, better: FrameSegmenter) -> float:
        image_HWC = self._newest_HWC
        if image_HWC is None:
            image_HWC = _draw_ramps(self.card.size_hw)
        old = self._current.segment(image_HWC).labels
        new = better.segment(image_HWC).labels
        return float((old == new).mean()) if old.shape == new.shape else 0.0

    def _note(self, image_HWC: np.ndarray) -> None:
        self._newest_HWC = image_HWC
        height, width = image_HWC.shape[:2]
        if (height, width) not in self._sizes_hw and len(self._sizes_hw) < KEPT_SIZES:
            self._sizes_hw.append((height, width))


def _read_facts(segmenter: FrameSegmenter) -> _Facts:
    return _Facts(segmenter.backend, segmenter.precision, segmenter.threads)


def _draw_ramps(size_hw: SizeHW) -> np.ndarray:
    """Return a picture with every brightness in it."""
    height, width = size_hw
    rows = np.linspace(0, 255, height)[:, None]
    columns = np.linspace(0, 255, width)[None, :]
    ramps = np.broadcast_arrays(rows, columns, (rows + columns) / 2)
    return np.stack(ramps, axis=-1).astype(np.uint8)
