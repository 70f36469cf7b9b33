"""A CPU in the place of the GPU: an engine is an exported module, its bytes are the export's."""

import contextlib
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from proxia_segmentation_ros.backends.graph.tensorrt_graph import export_module
from proxia_segmentation_ros.backends.tensorrt.device import EngineRefused
from proxia_segmentation_ros.errors import BackendError


class FakeBound:
    def __init__(self, module: nn.Module, inputs: Sequence[Tensor], outputs: list[Tensor]) -> None:
        self._module, self._inputs, self.outputs = module, inputs, outputs

    def enqueue(self) -> None:
        for place, value in zip(self.outputs, _run(self._module, self._inputs), strict=True):
            place.copy_(value)


class FakeEngine:
    def __init__(self, module: nn.Module) -> None:
        self._module = module

    def bind(self, inputs: Sequence[Tensor]) -> FakeBound:
        outputs = [torch.zeros_like(output) for output in _run(self._module, inputs)]
        return FakeBound(self._module, inputs, outputs)


class FakeDevice:
    """`recorded` and `replayed` count graphs; `version` is part of every engine's bytes."""

    name = "fake GPU"

    def __init__(self, version: str = "11.0.0") -> None:
        self.version = version
        self.recorded = 0
        self.replayed = 0

    @property
    def facts(self) -> dict[str, str]:
        return {"tensorrt": self.version, "gpu": self.name, "sm": "9.0"}

    @contextlib.contextmanager
    def use_stream(self) -> Iterator[None]:
        with torch.inference_mode():
            yield

    def allocate(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        return torch.zeros(tuple(shape), dtype=dtype)

    allocate_host = allocate

    def load(self, blob: bytes) -> FakeEngine:
        try:
            exported = torch.export.load(io.BytesIO(blob))
        except Exception as error:
            raise EngineRefused(f"not an engine: {blob[:10]!r}") from error
        return FakeEngine(exported.module())

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        work()
        self.recorded += 1

        def replay() -> None:
            self.replayed += 1
            work()

        return replay

    def mark(self) -> Callable[[], None]:
        return lambda: None


class FakeBuild:
    """Counts what was built; `failure` is raised instead, once it is set.

    Memory does not suffice for what has `refused` in its name. Engines go to `folder`.
    """

    def __init__(self, folder: Path = Path()) -> None:
        self.folder = folder
        self.built: list[str] = []
        self.failure: Exception | None = None
        self.refused = ""

    def __call__(self, module: nn.Module, examples: tuple[Tensor, ...], name: str) -> bytes:
        if self.failure is not None:
            raise self.failure
        if self.refused and self.refused in name:
            raise BackendError("the GPU has no memory")
        self.built.append(name)
        buffer = io.BytesIO()
        torch.export.save(export_module(module, examples), buffer)
        return buffer.getvalue()


def _run(module: nn.Module, inputs: Sequence[Tensor]) -> list[Tensor]:
    found = module(*inputs)
    return [found] if isinstance(found, Tensor) else list(found)
