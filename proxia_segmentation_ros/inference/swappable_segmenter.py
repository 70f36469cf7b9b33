"""A segmenter that can be replaced by another one between two frames.

While TensorRT engines are built, the node serves with a CPU model; this wrapper then swaps the
models. For that it keeps the newest image and the kinds of recent frames, because the new model is
warmed up for the same kinds, and must agree with the old one on that image before it is used.

A model that failed or hangs is suspended, so that frames fail at once, and replaced.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from proxia_segmentation_ros.config import OUTPUT_DEFAULTS, SizeHW
from proxia_segmentation_ros.errors import BackendError, InputError
from proxia_segmentation_ros.inference.segmenter_factory import FrameSegmenter
from proxia_segmentation_ros.labels import LabelSet

if TYPE_CHECKING:
    # Importing the segmenter imports torch.
    from proxia_segmentation_ros.inference.segmenter import Segmentation
    from proxia_segmentation_ros.model.card import ModelCard

# Another precision shifts class borders by a pixel; a faulty engine changes far more.
MIN_AGREEMENT = 0.9
# Pixels below this are not compared: in dark images both networks merely guess.
SURE_CONFIDENCE = 180  # of 255
KEPT_USES = 8


@dataclass(frozen=True)
class FrameUse:
    """Properties of a segmented frame for which a segmenter can be warmed up."""

    size_hw: SizeHW
    with_confidence: bool
    output_size: str


class _Facts(NamedTuple):
    """Values that other threads read; copied, so that they are valid while a model is closed."""

    backend: str
    precision: str
    threads: int


class SwappableSegmenter:
    """Forwards calls to the current segmenter; `swap` must not run concurrently with calls.

    `keep_frames` prepares for a swap. `on_result` is called after each call of `segment_many`, with
    its error if the model is to blame for it, else with None; `lend` spares frames this detour.
    """

    def __init__(
        self,
        first: FrameSegmenter,
        *,
        keep_frames: bool = True,
        on_result: Callable[[BaseException | None], None] = lambda _error: None,
    ) -> None:
        self._lock = threading.Lock()
        self._on_result = on_result
        self._suspended: BackendError | None = None
        self._current = first
        self._facts = _read_facts(first)
        self._newest_HWC: np.ndarray | None = None
        self._is_watching = keep_frames
        self._uses: tuple[FrameUse, ...] = ()

    @property
    def label_set(self) -> LabelSet:
        """Classes of the labels."""
        return self._current.label_set

    @property
    def card(self) -> "ModelCard":
        """Model card of the network."""
        return self._current.card

    @property
    def backend(self) -> str:
        """Name of the current backend."""
        return self._facts.backend

    @property
    def precision(self) -> str:
        """Precision of the current backend."""
        return self._facts.precision

    @property
    def threads(self) -> int:
        """CPU threads of the current backend."""
        return self._facts.threads

    @property
    def largest_batch(self) -> int:
        """Largest batch of the current segmenter."""
        return self._current.largest_batch

    @property
    def lanes(self) -> int:
        """Concurrent calls of the current segmenter."""
        return self._current.lanes

    @property
    def uses(self) -> tuple[FrameUse, ...]:
        """Kinds of recent frames, the newest last."""
        return self._uses

    def segment(
        self,
        image_HWC: np.ndarray,
        with_confidence: bool = False,
        *,
        output_size: str = OUTPUT_DEFAULTS.size,
        min_confidence: float = OUTPUT_DEFAULTS.min_confidence,
    ) -> "Segmentation":
        """Label one RGB image."""
        self._note(image_HWC, with_confidence or min_confidence > 0, output_size)
        return self._current.segment(
            image_HWC, with_confidence, output_size=output_size, min_confidence=min_confidence
        )

    def segment_many(
        self,
        images_HWC: Sequence[np.ndarray],
        with_confidence: Sequence[bool],
        *,
        output_size: str = OUTPUT_DEFAULTS.size,
        min_confidence: float = OUTPUT_DEFAULTS.min_confidence,
        streams: Sequence[str] | None = None,
    ) -> "list[Segmentation]":
        """Label several RGB images, each the next frame of its stream.

        Raises:
            BackendError: the model is suspended, or failed.
            InputError: an image is broken or too large.
        """
        for image_HWC, wants in zip(images_HWC, with_confidence, strict=True):
            self._note(image_HWC, wants or min_confidence > 0, output_size)
        with self._use() as current:
            return current.segment_many(
                images_HWC,
                with_confidence,
                output_size=output_size,
                min_confidence=min_confidence,
                streams=streams,
            )

    def lend(self) -> AbstractContextManager[FrameSegmenter]:
        """Return the segmenter for one call of `segment_many`: this one while a swap can come.

        Raises:
            BackendError: on entering, if the model is suspended.
        """
        return nullcontext(self) if self._is_watching else self._use()

    @contextmanager
    def _use(self) -> Iterator[FrameSegmenter]:
        if self._suspended is not None:
            raise self._suspended
        try:
            yield self._current
        except InputError:
            raise
        except BaseException as error:
            self._on_result(error)
            raise
        self._on_result(None)

    def warm_up(self, size_hw: SizeHW, batch: int = 1) -> None:
        """Warm up the current segmenter."""
        self._current.warm_up(size_hw, batch)

    def close(self) -> None:
        """Close the current segmenter."""
        self._current.close()

    @property
    def is_suspended(self) -> bool:
        """Tell whether frames fail at once, until the model is replaced."""
        return self._suspended is not None

    def suspend(self, why: str) -> None:
        """Let frames fail at once with this sentence, until the model is replaced."""
        self._suspended = BackendError(why)

    def replace(self, other: FrameSegmenter) -> FrameSegmenter:
        """Use another segmenter from the next frame on; return the old one, which stays open."""
        before, self._current = self._current, other
        self._facts = _read_facts(other)
        self._suspended = None
        return before

    def swap(self, better: FrameSegmenter) -> None:
        """Replace the current segmenter by `better` and close it.

        A suspended one is not asked whether it agrees, and not closed: it may hang.

        Raises:
            BackendError: the two label the newest frame or a synthetic test image differently; the
                current segmenter stays in use.
        """
        if self.is_suspended:
            self.replace(better)
            return
        for name, image_HWC in self._find_pictures().items():
            agreement = self._compare(better, image_HWC)
            if agreement < MIN_AGREEMENT:
                raise BackendError.from_parts(
                    f"of the pixels that {self.backend} is surest of in {name}, {better.backend} "
                    f"labels only {100 * agreement:.1f} % as it does",
                    f"at least {100 * MIN_AGREEMENT:.0f} %",
                    "report it; `proxia engines prune --all` has the engine built anew",
                )
        self.replace(better).close()

    def stop_watching(self) -> None:
        """Keep no image and no use from now on: no other model will come."""
        with self._lock:
            self._is_watching = False
            self._newest_HWC = None

    def _find_pictures(self) -> dict[str, np.ndarray]:
        """Return the test images: a dark or uniform frame alone would not reveal a fault."""
        if self._newest_HWC is None:
            return {"a drawn picture": _draw_ramps(self.card.size_hw)}
        height, width = self._newest_HWC.shape[:2]
        return {"a frame": self._newest_HWC, "a drawn picture": _draw_ramps((height, width))}

    def _compare(self, better: FrameSegmenter, image_HWC: np.ndarray) -> float:
        """Return the share of equal labels among the most confident pixels of the old model."""
        output_size = self._uses[-1].output_size if self._uses else "input"
        old, new = (
            segmenter.segment(image_HWC, True, output_size=output_size)
            for segmenter in (self._current, better)
        )
        if old.confidence is None or old.labels.shape != new.labels.shape:
            return 0.0
        # At least half of the pixels, even if all confidences are low.
        is_sure = old.confidence >= min(SURE_CONFIDENCE, np.median(old.confidence))
        return float((old.labels == new.labels)[is_sure].mean())

    def _note(self, image_HWC: np.ndarray, with_confidence: bool, output_size: str) -> None:
        height, width = image_HWC.shape[:2]
        use = FrameUse((height, width), with_confidence, output_size)
        with self._lock:
            if not self._is_watching:
                return
            self._newest_HWC = image_HWC
            if self._uses[-1:] != (use,):
                earlier = tuple(kept for kept in self._uses if kept != use)
                # The upgrade thread reads the tuple without the lock: replace it, never mutate it.
                self._uses = (*earlier, use)[-KEPT_USES:]


def _read_facts(segmenter: FrameSegmenter) -> _Facts:
    return _Facts(segmenter.backend, segmenter.precision, segmenter.threads)


def _draw_ramps(size_hw: SizeHW) -> np.ndarray:
    """Return an RGB image with gradients over the full range of brightness."""
    height, width = size_hw
    rows = np.linspace(0, 255, height)[:, None]
    columns = np.linspace(0, 255, width)[None, :]
    ramps = np.broadcast_arrays(rows, columns, (rows + columns) / 2)
    return np.stack(ramps, axis=-1).astype(np.uint8)
