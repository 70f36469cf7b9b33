"""How TensorRT's runtime is spoken to, with a stand-in that knows its names only."""

import contextlib
import importlib
import importlib.util
import types
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from fake_device import FakeDevice

from proxia_segmentation_ros.backends.tensorrt.device import (
    CudaDevice,
    CudaEngine,
    EngineRefused,
    explain_absence,
)
from proxia_segmentation_ros.errors import BackendError

MODES = SimpleNamespace(TensorIOMode=SimpleNamespace(INPUT="in", OUTPUT="out"), __version__="11")
# As torch_tensorrt names them, in no helpful order.
TENSORS = {
    "output1": ("out", "DataType.INT32", (1, 4, 6)),
    "logits_1khw": ("in", "DataType.FLOAT", (1, 3, 2, 3)),
    "output0": ("out", "DataType.HALF", (1, 2)),
    "least_1": ("in", "DataType.FLOAT", (1,)),
}


class Context:
    def __init__(self, starts: bool = True) -> None:
        self.addresses: dict[str, int] = {}
        self.streams: list[int] = []
        self._starts = starts

    def set_tensor_address(self, name: str, address: int) -> None:
        self.addresses[name] = address

    def execute_async_v3(self, stream: int) -> bool:
        self.streams.append(stream)
        return self._starts


class RuntimeEngine:
    num_io_tensors = len(TENSORS)

    def __init__(self, context: Context | None) -> None:
        self._context = context

    def get_tensor_name(self, index: int) -> str:
        return list(TENSORS)[index]

    def get_tensor_mode(self, name: str) -> str:
        return TENSORS[name][0]

    def get_tensor_dtype(self, name: str) -> str:
        return TENSORS[name][1]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return TENSORS[name][2]

    def create_execution_context(self) -> Context | None:
        return self._context


class StreamDevice(FakeDevice):
    stream_handle = 77


def bind(context: Context | None) -> tuple[Any, list[torch.Tensor]]:
    inputs = [torch.zeros(1, 3, 2, 3), torch.zeros(1)]
    engine = CudaEngine(RuntimeEngine(context), StreamDevice(), MODES)  # type: ignore[arg-type]
    return engine.bind(inputs), inputs


def test_every_tensor_gets_its_address_and_outputs_come_in_their_order() -> None:
    context = Context()
    bound, inputs = bind(context)
    first, second = bound.outputs
    assert (first.dtype, first.shape) == (torch.float16, (1, 2))
    assert (second.dtype, second.shape) == (torch.int32, (1, 4, 6))
    assert context.addresses == {
        "logits_1khw": inputs[0].data_ptr(),
        "least_1": inputs[1].data_ptr(),
        "output0": first.data_ptr(),
        "output1": second.data_ptr(),
    }
    bound.enqueue()
    assert context.streams == [77]


def test_run_that_does_not_start_is_an_error() -> None:
    bound, _ = bind(Context(starts=False))
    with pytest.raises(BackendError, match="can't start its engine"):
        bound.enqueue()


def test_context_without_memory_is_an_error() -> None:
    with pytest.raises(BackendError, match="no memory for an execution context"):
        bind(None)


class Stream:
    cuda_stream = 5

    def synchronize(self) -> None:
        pass


class Graph:
    replays = 0

    def replay(self) -> None:
        Graph.replays += 1


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Test GPU")
    return monkeypatch


def test_work_is_run_once_and_then_replayed_from_its_graph(cuda: pytest.MonkeyPatch) -> None:
    @contextlib.contextmanager
    def capture(_graph: Graph, **options: Any) -> Iterator[None]:
        assert options["capture_error_mode"] == "thread_local"
        yield

    cuda.setattr(torch.cuda, "graph", capture)
    runs: list[int] = []
    replay = CudaDevice().record(lambda: runs.append(1))
    # Once for TensorRT to set itself up, once for the capture.
    assert len(runs) == 2
    before = Graph.replays
    replay()
    assert (len(runs), Graph.replays) == (2, before + 1)


def test_capture_that_fails_is_told_and_work_goes_on_without(
    cuda: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    @contextlib.contextmanager
    def capture(_graph: Graph, **_options: Any) -> Iterator[None]:
        raise RuntimeError("operation not permitted when stream is capturing")
        yield

    cuda.setattr(torch.cuda, "graph", capture)
    runs: list[int] = []
    again = CudaDevice().record(lambda: runs.append(1))
    assert "no CUDA graph (operation not permitted" in caplog.text
    again()
    assert len(runs) == 2


def test_engine_that_does_not_start_within_a_capture_runs_without(
    cuda: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cuda.setattr(torch.cuda, "graph", lambda _graph, **_options: contextlib.nullcontext())
    runs: list[int] = []

    def work() -> None:
        runs.append(1)
        if len(runs) == 2:
            raise BackendError("TensorRT can't start its engine")

    again = CudaDevice().record(work)
    assert "no CUDA graph (TensorRT can't start its engine)" in caplog.text
    again()
    assert len(runs) == 3


def test_graph_that_memory_does_not_suffice_for_is_told_and_work_goes_on_without(
    cuda: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def run_out() -> None:
        raise torch.OutOfMemoryError("tried to allocate 2 MiB")

    cuda.setattr(torch.cuda, "CUDAGraph", run_out)
    runs: list[int] = []
    CudaDevice().record(lambda: runs.append(1))()
    assert "no CUDA graph (tried to allocate 2 MiB)" in caplog.text
    assert len(runs) == 2


def test_work_that_fails_outside_a_capture_is_an_error(cuda: pytest.MonkeyPatch) -> None:
    def work() -> None:
        raise BackendError("TensorRT can't start its engine")

    with pytest.raises(BackendError, match="can't start"):
        CudaDevice().record(work)


@pytest.mark.parametrize(
    ("free_bytes", "kind", "sentence"),
    [
        (1 << 30, EngineRefused, r"TensorRT 11\.0\.0 can't read the engine on Test GPU"),
        (7, BackendError, "no memory for an engine of 0 MiB"),
    ],
)
def test_engine_that_tensorrt_can_not_read_is_refused(
    cuda: pytest.MonkeyPatch, free_bytes: int, kind: type[BackendError], sentence: str
) -> None:
    trt = types.SimpleNamespace(
        __version__="11.0.0",
        Logger=type("Logger", (), {"WARNING": 2, "__init__": lambda self, _level: None}),
        Runtime=lambda _logger: SimpleNamespace(deserialize_cuda_engine=lambda _blob: None),
    )
    real = importlib.import_module
    cuda.setattr(
        importlib,
        "import_module",
        lambda name: trt if name == "tensorrt" else real(name),
    )
    cuda.setattr(torch.cuda, "mem_get_info", lambda: (free_bytes, 1 << 33))
    with pytest.raises(BackendError, match=sentence) as caught:
        CudaDevice().load(b"old engine")
    assert type(caught.value) is kind


def test_memory_that_runs_out_is_an_error_that_others_can_answer(
    cuda: pytest.MonkeyPatch,
) -> None:
    def run_out(*_shape: object, **_options: Any) -> None:
        raise torch.OutOfMemoryError("tried to allocate 2 GiB")

    cuda.setattr(torch, "zeros", run_out)
    with pytest.raises(BackendError, match=r"no memory for .* numbers .*2 GiB"):
        CudaDevice().allocate((4, 5), torch.float32)
    with pytest.raises(BackendError, match=r"no pinned memory for .* numbers .*2 GiB"):
        CudaDevice().allocate_host((4, 5), torch.float32)


def test_absence_is_explained_in_the_order_of_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    specs: dict[str, object] = {}
    monkeypatch.setattr(importlib.util, "find_spec", specs.get)
    assert explain_absence() == "torch-tensorrt is not installed"
    specs["torch_tensorrt"] = object()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert explain_absence() == "torch finds no GPU"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)

    def refuse(name: str) -> None:
        raise Exception(f"libnvinfer of {name} is missing")

    monkeypatch.setattr(importlib, "import_module", refuse)
    reason = explain_absence()
    assert reason == "torch-tensorrt can't be imported (libnvinfer of torch_tensorrt is missing)"
    monkeypatch.setattr(importlib, "import_module", lambda name: object())
    assert explain_absence() is None
