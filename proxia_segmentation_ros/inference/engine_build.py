"""Compiles networks into the cache ahead of time, in this or in a separate process.

`python -m proxia_segmentation_ros.inference.engine_build REQUEST` takes an `EngineBuildRequest` as
JSON and writes one JSON object per line: `{"step": TEXT}` during the build, finally `{"done": ...}`
or `{"error": SENTENCE}`. The compiled networks are in the cache. The process exits when its
standard input is closed, so that it never outlives its parent.
"""

import dataclasses
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from proxia_segmentation_ros.backends.compiled_cache import CompiledCache, find_cache_folder
from proxia_segmentation_ros.backends.network_source import WeightFile
from proxia_segmentation_ros.config import SizeHW, parse_size
from proxia_segmentation_ros.errors import BackendError, ProxiaError
from proxia_segmentation_ros.inference import backend_choice
from proxia_segmentation_ros.inference.segmenter import Segmenter
from proxia_segmentation_ros.inference.warm_up import warm_up_with_fallback

# The node that serves meanwhile has priority.
NICENESS = 10
ABANDONED = 6


@dataclass(frozen=True, kw_only=True)
class EngineBuildRequest:
    """What to compile; the options are those of `Segmenter`.

    `image_sizes_hw` are the image sizes of the cameras; empty is the size in the model card.
    """

    weights: str = "default"
    backend: str = "auto"
    precision: str = "auto"
    size: str = "card"
    scales: tuple[float, ...] = ()
    threads: int = 0
    batch: int = 1
    image_sizes_hw: tuple[SizeHW, ...] = ()

    def to_json(self) -> str:
        """Return the request as a command-line argument of the process."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "EngineBuildRequest":
        """Parse the output of `to_json`."""
        values: dict[str, Any] = json.loads(text)
        values["scales"] = tuple(values["scales"])
        height_first = values["image_sizes_hw"]
        values["image_sizes_hw"] = tuple((height, width) for height, width in height_first)
        return cls(**values)


@dataclass(frozen=True)
class Built:
    """Result of a build; up to `batch` images can be run together."""

    backend: str
    precision: str
    device_name: str
    batch: int
    elapsed_s: float


def find_missing_batches(request: EngineBuildRequest) -> list[int]:
    """Return the batch sizes for which the cache holds no TensorRT engine.

    Raises:
        BackendError: TensorRT can't run here, or does not support the precision.
        WeightsError: the weights are missing or broken.
    """
    source = WeightFile(request.weights)
    scales = backend_choice.choose_scales(request.scales, source.card)
    backend = backend_choice.make_tensorrt_backend(source, request.precision, scales, None)
    network_hw = parse_size(request.size) or source.card.size_hw
    return [
        batch
        for batch in backend.batch_sizes
        if batch <= request.batch and not backend.has_engine(network_hw, batch)
    ]


def build_engines(request: EngineBuildRequest, on_step: Callable[[str], None]) -> Built:
    """Compile all networks that a node with these settings needs into the cache.

    `on_step` is called with a text about each step.

    Raises:
        ProxiaError: as `Segmenter.from_weights`.
        BackendError: engines could not be written to the cache.
    """
    started_s = time.monotonic()
    if backend_choice.choose_backend(request.backend) == "tensorrt":
        CompiledCache(find_cache_folder("tensorrt")).check_writable()
    package_logger = logging.getLogger("proxia_segmentation_ros")
    forwarder = _LogForwarder(on_step)
    level_before = package_logger.level
    package_logger.addHandler(forwarder)
    package_logger.setLevel(logging.INFO)
    try:
        segmenter = Segmenter.from_weights(
            request.weights,
            backend=request.backend,
            precision=request.precision,
            size=request.size,
            scales=request.scales,
            threads=request.threads,
        )
        batch = request.batch
        for size_hw in request.image_sizes_hw or (segmenter.card.size_hw,):
            batch = warm_up_with_fallback(segmenter, size_hw, batch)
        built = segmenter.backend, segmenter.precision, segmenter.device_name, batch
        segmenter.close()
        if built[0] == "tensorrt":
            _check_saved(find_missing_batches(dataclasses.replace(request, batch=batch)))
    finally:
        package_logger.removeHandler(forwarder)
        package_logger.setLevel(level_before)
    return Built(*built, time.monotonic() - started_s)


def _check_saved(batches: Sequence[int]) -> None:
    """Raise BackendError if built engines are not in the cache."""
    if batches:
        raise BackendError.from_parts(
            f"engines for {' and '.join(map(str, batches))} images together were built, but "
            "are not in the cache",
            "room for them there",
            "make room, or set PROXIA_CACHE_DIR to another folder",
        )


class _LogForwarder(logging.Handler):
    """Passes log messages of the package on to a callback."""

    def __init__(self, on_step: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self._on_step = on_step

    def emit(self, record: logging.LogRecord) -> None:
        self._on_step(record.getMessage())


def main(arguments: Sequence[str]) -> int:
    """Run the build that the argument requests; return the exit code."""
    os.nice(NICENESS)
    threading.Thread(target=_end_with_input, name="watch", daemon=True).start()
    try:
        request = EngineBuildRequest.from_json(arguments[0])
        built = build_engines(request, lambda text: _report({"step": text}))
    except ProxiaError as error:
        _report({"error": str(error)})
        return error.exit_code
    _report({"done": dataclasses.asdict(built)})
    return 0


def _end_with_input() -> None:
    # Read the descriptor, not sys.stdin, whose lock would be held at interpreter exit.
    while os.read(0, 1024):
        pass
    # A compiler in native code can't be interrupted in any other way.
    os._exit(ABANDONED)


def _report(line: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
