"""Compile networks into the cache ahead of time; run as a module, it is a process that reports.

`python -m proxia_segmentation_ros.inference.engine_build REQUEST` takes an `EngineBuildRequest`
as JSON and writes one JSON object a line: `{"step": TEXT}` as it goes, at last `{"done": ...}` or
`{"error": SENTENCE}`. What it is done with is in the cache. It ends when its standard input does:
whoever started it died or has no more use for it.
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

# Whoever serves meanwhile goes first.
NICENESS = 10
ABANDONED = 6


@dataclass(frozen=True, kw_only=True)
class EngineBuildRequest:
    """What to build; the options mean what they mean for `Segmenter`.

    `image_sizes_hw` are those of the cameras; none stands for the network's own.
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
        """Return the request as the process takes it."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "EngineBuildRequest":
        """Return the request of a text that `to_json` made."""
        values: dict[str, Any] = json.loads(text)
        values["scales"] = tuple(values["scales"])
        height_first = values["image_sizes_hw"]
        values["image_sizes_hw"] = tuple((height, width) for height, width in height_first)
        return cls(**values)


@dataclass(frozen=True)
class Built:
    """What a build made; `batch` images may go through the network together."""

    backend: str
    precision: str
    device_name: str
    batch: int
    elapsed_s: float


def find_missing_batches(request: EngineBuildRequest) -> list[int]:
    """Return for how many images together the cache holds no engine of TensorRT.

    Raises:
        BackendError: TensorRT can't run here, or not in this precision.
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
    """Compile into the cache what a node with these settings would need.

    `on_step` is called with what is done next.

    Raises:
        ProxiaError: as `Segmenter.from_weights`.
        BackendError: what takes minutes could not be kept.
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
            _refuse_lost(find_missing_batches(dataclasses.replace(request, batch=batch)))
    finally:
        package_logger.removeHandler(forwarder)
        package_logger.setLevel(level_before)
    return Built(*built, time.monotonic() - started_s)


def _refuse_lost(batches: Sequence[int]) -> None:
    """Raise BackendError where engines were built and could not be kept."""
    if batches:
        raise BackendError.from_parts(
            f"engines for {' and '.join(map(str, batches))} images together were built, but "
            "are not in the cache",
            "room for them there",
            "make room, or set PROXIA_CACHE_DIR to another folder",
        )


class _LogForwarder(logging.Handler):
    """Pass what the backends log on, as text."""

    def __init__(self, on_step: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self._on_step = on_step

    def emit(self, record: logging.LogRecord) -> None:
        self._on_step(record.getMessage())


def main(arguments: Sequence[str]) -> int:
    """Build what the one argument orders; return the exit code."""
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
    # The descriptor, not sys.stdin: its lock would be held when the interpreter ends.
    while os.read(0, 1024):
        pass
    # A compiler in native code hears nothing else.
    os._exit(ABANDONED)


def _report(line: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
