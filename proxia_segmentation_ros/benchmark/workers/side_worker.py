"""A process that runs one side of a comparison: one JSON line in, one JSON line out.

First line in: the side, the images' source, size and count; the answer tells what runs. Each
further line is a stretch, and its answer a trace.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from proxia_segmentation_ros.benchmark.images import load_images
from proxia_segmentation_ros.benchmark.process_load import LoadWatch
from proxia_segmentation_ros.benchmark.run import FrameNotes, Stretch, run_calls
from proxia_segmentation_ros.benchmark.side import Side
from proxia_segmentation_ros.benchmark.trace import Trace
from proxia_segmentation_ros.benchmark.workers.json_process import (
    AnsweringProcess,
    answer,
    read_questions,
    telling_errors,
)
from proxia_segmentation_ros.config import SizeHW

MODULE = "proxia_segmentation_ros.benchmark.workers.side_worker"
WARM_UP = Stretch(seconds=0.5)

RunStretch = Callable[[Stretch], Trace]


@dataclass(frozen=True, kw_only=True)
class BenchmarkImages:
    """Which images every side labels, over and over."""

    source: str = "synthetic"
    size_hw: SizeHW = (360, 480)
    count: int = 8

    def load(self) -> list[np.ndarray]:
        """Return the images; errors as `load_images`."""
        return load_images(self.source, self.size_hw, self.count)


class BenchmarkWorker(AnsweringProcess):
    """The other end of that process, for who starts it."""

    def __init__(self, side: Side, images: BenchmarkImages, env: Mapping[str, str]) -> None:
        """Load the side's model and warm it up.

        Raises:
            BackendError: the process has ended.
        """
        super().__init__(MODULE, side.name, env)
        self.side = side
        try:
            self.description = self.ask({"side": side.to_json(), "images": asdict(images)})
            self.run(WARM_UP)
        except BaseException:
            # There is no block yet whose end would close it.
            self.close()
            raise

    def run(self, stretch: Stretch) -> Trace:
        """Run a stretch, and watch what it takes of the machine.

        Raises:
            BackendError: the process has ended.
        """
        with LoadWatch([self.pid]) as watch:
            content = self.ask(asdict(stretch))
        return Trace.from_json(content).with_load(watch.describe())


def open_side(
    side: Side, images: Sequence[np.ndarray], stack: ExitStack
) -> tuple[RunStretch, dict[str, Any]]:
    """Return what runs a stretch of this side, and what it runs on; the stack closes it."""
    if side.kind == "eager":
        return _open_eager(side, images)
    from proxia_segmentation_ros.benchmark.pipeline import PipelineRunner, note_segmentation
    from proxia_segmentation_ros.inference import Segmenter

    segmenter = Segmenter.from_weights(side.weights, **side.loading)
    stack.callback(segmenter.close)
    segmenter.warm_up((images[0].shape[0], images[0].shape[1]))
    described = {
        "backend": segmenter.backend,
        "precision": segmenter.precision,
        "threads": segmenter.threads,
    }
    if side.kind == "pipeline":
        pipeline = PipelineRunner(segmenter, images, side.calling)
        stack.callback(pipeline.close)
        return pipeline.run, described

    def label(image_HWC: np.ndarray) -> FrameNotes:
        return note_segmentation(segmenter.segment(image_HWC, **side.calling))

    return lambda stretch: run_calls(label, images, stretch), described


def _open_eager(side: Side, images: Sequence[np.ndarray]) -> tuple[RunStretch, dict[str, Any]]:
    from proxia_segmentation_ros.benchmark.workers.eager_model import EagerModel

    model = EagerModel(side.weights, **side.loading)

    def label(image_HWC: np.ndarray) -> FrameNotes:
        return FrameNotes(stages_ms=model.label(image_HWC)[1])

    described = {"backend": model.backend, "precision": model.precision, "threads": model.threads}
    return lambda stretch: run_calls(label, images, stretch), described


def main() -> None:
    """Answer the questions on stdin until it closes."""
    with telling_errors():
        _answer_all()


def _answer_all() -> None:
    questions = read_questions()
    first = next(questions)
    size_hw = tuple(first["images"].pop("size_hw"))
    images = BenchmarkImages(size_hw=size_hw, **first["images"]).load()
    with ExitStack() as stack:
        run, described = open_side(Side(**first["side"]), images, stack)
        answer(described)
        for question in questions:
            answer(run(Stretch(**question)).to_json())


if __name__ == "__main__":
    main()
