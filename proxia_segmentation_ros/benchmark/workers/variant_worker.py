"""A process that runs one variant of a comparison: one JSON line in, one JSON line out.

The first request holds the variant, and source, size and count of the images; its response tells
backend, precision and threads. Each further request is a run, and its response a trace.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from proxia_segmentation_ros.benchmark.images import load_images
from proxia_segmentation_ros.benchmark.process_load import LoadWatch
from proxia_segmentation_ros.benchmark.run import FrameMetrics, Run, run_calls
from proxia_segmentation_ros.benchmark.trace import Trace
from proxia_segmentation_ros.benchmark.variant import Variant
from proxia_segmentation_ros.benchmark.workers.json_process import (
    JsonProcess,
    read_requests,
    reporting_errors,
    respond,
)
from proxia_segmentation_ros.config import SizeHW

MODULE = "proxia_segmentation_ros.benchmark.workers.variant_worker"
WARM_UP = Run(seconds=0.5)

Runner = Callable[[Run], Trace]


@dataclass(frozen=True, kw_only=True)
class BenchmarkImages:
    """The images that every variant labels, in a loop."""

    source: str = "synthetic"
    size_hw: SizeHW = (360, 480)
    count: int = 8

    def load(self) -> list[np.ndarray]:
        """Return the images; errors as `load_images`."""
        return load_images(self.source, self.size_hw, self.count)


class VariantWorker(JsonProcess):
    """The client end of that process."""

    def __init__(self, variant: Variant, images: BenchmarkImages, env: Mapping[str, str]) -> None:
        """Load the variant's model and warm it up.

        Raises:
            BackendError: the process has ended.
        """
        super().__init__(MODULE, variant.name, env)
        self.variant = variant
        try:
            self.description = self.request(
                {"variant": variant.to_json(), "images": asdict(images)}
            )
            self.run(WARM_UP)
        except BaseException:
            # No `with` block has begun that would close it.
            self.close()
            raise

    def run(self, run: Run) -> Trace:
        """Measure a run, and the load that it puts on the machine.

        Raises:
            BackendError: the process has ended.
        """
        with LoadWatch([self.pid]) as watch:
            content = self.request(asdict(run))
        return Trace.from_json(content).with_load(watch.describe())


def open_variant(
    variant: Variant, images: Sequence[np.ndarray], stack: ExitStack
) -> tuple[Runner, dict[str, Any]]:
    """Return a function that measures runs, and what it runs on; the stack closes it."""
    if variant.kind == "eager":
        return _open_eager(variant, images)
    from proxia_segmentation_ros.benchmark.pipeline import PipelineRunner, note_segmentation
    from proxia_segmentation_ros.inference import Segmenter

    segmenter = Segmenter.from_weights(variant.weights, **variant.loading)
    stack.callback(segmenter.close)
    segmenter.warm_up((images[0].shape[0], images[0].shape[1]))
    description = {
        "backend": segmenter.backend,
        "precision": segmenter.precision,
        "threads": segmenter.threads,
    }
    if variant.kind == "pipeline":
        pipeline = PipelineRunner(segmenter, images, variant.calling)
        stack.callback(pipeline.close)
        return pipeline.run, description

    def label(image_HWC: np.ndarray) -> FrameMetrics:
        return note_segmentation(segmenter.segment(image_HWC, **variant.calling))

    return lambda run: run_calls(label, images, run), description


def _open_eager(variant: Variant, images: Sequence[np.ndarray]) -> tuple[Runner, dict[str, Any]]:
    from proxia_segmentation_ros.benchmark.workers.eager_model import EagerModel

    model = EagerModel(variant.weights, **variant.loading)

    def label(image_HWC: np.ndarray) -> FrameMetrics:
        return FrameMetrics(stages_ms=model.label(image_HWC)[1])

    description = {"backend": model.backend, "precision": model.precision, "threads": model.threads}
    return lambda run: run_calls(label, images, run), description


def main() -> None:
    """Serve the requests on stdin until it closes."""
    with reporting_errors():
        _serve()


def _serve() -> None:
    requests = read_requests()
    first = next(requests)
    size_hw = tuple(first["images"].pop("size_hw"))
    images = BenchmarkImages(size_hw=size_hw, **first["images"]).load()
    with ExitStack() as stack:
        run, description = open_variant(Variant(**first["variant"]), images, stack)
        respond(description)
        for request in requests:
            respond(run(Run(**request)).to_json())


if __name__ == "__main__":
    main()
