"""A segmenter without a model: labels that a test can predict from the image."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np

from proxia_segmentation_ros.config import NodeSettings, parse_size
from proxia_segmentation_ros.errors import WeightsError
from proxia_segmentation_ros.labels import load_label_set

CLASS_STEP = 20


MARK = 255


@dataclass(frozen=True)
class FakeSegmentation:
    labels: np.ndarray
    confidence: np.ndarray | None
    network_size_hw: tuple[int, int] = (96, 128)
    tiles_run: int = 3
    tiles_total: int = 8
    scales: tuple[float, ...] = (0.5, 1.0)
    stages_ms: dict[str, float] = field(
        default_factory=lambda: {"pre": 1.0, "infer": 20.0, "post": 3.0}
    )


def expect_labels(image_HWC: np.ndarray) -> np.ndarray:
    """The red channel decides: 0..19 is class 0, 20..39 class 1, up to class 10."""
    labels_HW: np.ndarray = np.minimum(image_HWC[..., 0] // CLASS_STEP, 10).astype(np.uint8)
    return labels_HW


@dataclass
class FakeSegmenter:
    """`gate` blocks labelling while cleared; `calls` records what was asked, `batches` how many.

    `streams` are the cameras of each batch.
    """

    gate: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)
    calls: list[dict[str, Any]] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    streams: list[list[str]] = field(default_factory=list)
    warmed: list[tuple[int, int]] = field(default_factory=list)
    largest_batch: int = 1
    lanes: int = 1
    is_closed: bool = False
    backend: str = "fake"
    precision: str = "f32"
    threads: int = 1

    def __post_init__(self) -> None:
        self.gate.set()
        self.label_set = load_label_set("camvid")
        self.card: Any = SimpleNamespace(
            name="fake", architecture="fake_net", size_hw=(96, 128), terms="free for tests"
        )

    def segment_many(
        self,
        images_HWC: Sequence[np.ndarray],
        with_confidence: Sequence[bool],
        *,
        output_size: str = "input",
        min_confidence: float = 0.0,
        streams: Any = None,
    ) -> list[Any]:
        self.batches.append(len(images_HWC))
        self.streams.append(streams)
        return [
            self.segment(image, wants, output_size=output_size, min_confidence=min_confidence)
            for image, wants in zip(images_HWC, with_confidence, strict=True)
        ]

    def segment(
        self,
        image_HWC: np.ndarray,
        with_confidence: bool = False,
        *,
        output_size: str = "input",
        min_confidence: float = 0.0,
    ) -> Any:
        self.entered.set()
        if not self.gate.wait(30):
            raise TimeoutError("the test left the gate shut")
        self.calls.append(
            {
                "with_confidence": with_confidence,
                "output_size": output_size,
                "min_confidence": min_confidence,
                "size_hw": image_HWC.shape[:2],
            }
        )
        labels = expect_labels(image_HWC)
        size_hw = parse_size(output_size)
        if size_hw is not None:
            rows = np.arange(size_hw[0]) * labels.shape[0] // size_hw[0]
            columns = np.arange(size_hw[1]) * labels.shape[1] // size_hw[1]
            labels = labels[rows[:, None], columns[None, :]]
        confidence = np.full(labels.shape, 200, np.uint8) if with_confidence else None
        return FakeSegmentation(labels, confidence)

    def warm_up(self, size_hw: tuple[int, int], batch: int = 1) -> None:
        self.warmed.append(size_hw)
        self.largest_batch = batch

    def close(self) -> None:
        self.is_closed = True


def refuse_weights(settings: NodeSettings) -> NoReturn:
    """Stand for a factory whose weights are missing."""
    raise WeightsError.from_parts(
        f"weights {settings.model.weights!r} do not exist", "a shipped name", "check the path"
    )


class MarkedSegmenter(FakeSegmenter):
    """Marks the first pixel of its labels."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.backend = "marked"

    def segment(self, *arguments: Any, **options: Any) -> Any:
        found = super().segment(*arguments, **options)
        found.labels[0, 0] = MARK
        return found
