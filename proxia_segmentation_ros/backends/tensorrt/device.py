"""The GPU that engines run on: memory, a stream, CUDA graphs.

Only this file and `build.py` use CUDA; tests replace the device by a fake on the CPU.
torch_tensorrt is imported when it is needed.
"""

import contextlib
import importlib.metadata
import importlib.util
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from proxia_segmentation_ros.errors import BackendError

logger = logging.getLogger(__name__)

TYPES = {
    "FLOAT": torch.float32,
    "HALF": torch.float16,
    "INT32": torch.int32,
    "UINT8": torch.uint8,
}


# Memory needed to load an engine, in sizes of its blob: its weights and its activations.
ROOM_FOR_ENGINE = 2


class EngineRefused(BackendError):  # noqa: N818 - not a fault
    """A stored engine can't be loaded: built for another GPU or version, or corrupt."""


class BoundEngine(Protocol):
    """An engine with memory for its inputs and outputs; `enqueue` starts one run."""

    @property
    def outputs(self) -> Sequence[Tensor]: ...

    def enqueue(self) -> None: ...


class Engine(Protocol):
    """A loaded engine; each binding has its own memory and execution context."""

    def bind(self, inputs: Sequence[Tensor]) -> BoundEngine: ...


class Device(Protocol):
    """A device that engines run on, in a single stream."""

    @property
    def name(self) -> str: ...

    @property
    def facts(self) -> dict[str, str]:
        """What an engine depends on: versions, GPU and compute capability."""

    def use_stream(self) -> contextlib.AbstractContextManager[None]:
        """Make the owned stream the current one."""

    def allocate(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor: ...

    def allocate_host(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Return pinned memory, for asynchronous copies."""

    def load(self, blob: bytes) -> Engine:
        """Load an engine.

        Raises:
            EngineRefused: it was built for another device or version.
        """

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Run `work` once; return a function that repeats it with little launch overhead."""

    def mark(self) -> Callable[[], None]:
        """Return a function that waits for all that was started before this call."""


def explain_absence() -> str | None:
    """Return why TensorRT can't run on this machine; None if it can."""
    if importlib.util.find_spec("torch_tensorrt") is None:
        return "torch-tensorrt is not installed"
    if not torch.cuda.is_available():
        return "torch finds no GPU"
    try:
        importlib.import_module("torch_tensorrt")
        importlib.import_module("tensorrt")
    except Exception as error:  # noqa: BLE001 - torch_tensorrt raises bare Exception
        return f"torch-tensorrt can't be imported ({error})"
    return None


class CudaDevice:
    """The current GPU; all engines of a backend share its stream."""

    def __init__(self) -> None:
        self._stream = torch.cuda.Stream()
        self._runtime: Any = None

    @property
    def name(self) -> str:
        """The GPU's name."""
        return torch.cuda.get_device_name()

    @property
    def facts(self) -> dict[str, str]:
        """What an engine depends on."""
        major, minor = torch.cuda.get_device_capability()
        return {
            "torch_tensorrt": importlib.metadata.version("torch-tensorrt"),
            "tensorrt": str(importlib.import_module("tensorrt").__version__),
            "torch": torch.__version__,
            "cuda": str(torch.version.cuda),
            "gpu": self.name,
            "sm": f"{major}.{minor}",
        }

    @contextlib.contextmanager
    def use_stream(self) -> Iterator[None]:
        """Make the owned stream the current one."""
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            yield

    def allocate(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Return zeroed memory of the GPU.

        Raises:
            BackendError: there is not enough.
        """
        try:
            return torch.zeros(tuple(shape), dtype=dtype, device="cuda")
        except torch.OutOfMemoryError as error:
            raise _make_memory_error(f"{list(shape)} numbers ({error})") from error

    def allocate_host(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Return pinned memory.

        Raises:
            BackendError: there is not enough.
        """
        try:
            return torch.zeros(tuple(shape), dtype=dtype, pin_memory=True)
        except RuntimeError as error:
            raise BackendError.from_parts(
                f"there is no pinned memory for {list(shape)} numbers ({error})",
                "enough of it",
                "end what else runs on this machine, or take a smaller inference.size",
            ) from error

    def load(self, blob: bytes) -> Engine:
        """Read an engine.

        Raises:
            EngineRefused: TensorRT can't read it.
            BackendError: there is too little memory.
        """
        trt: Any = importlib.import_module("tensorrt")
        if self._runtime is None:
            self._runtime = trt.Runtime(trt.Logger(trt.Logger.WARNING))
        engine = self._runtime.deserialize_cuda_engine(blob)
        if engine is None:
            # TensorRT only logs the reason. If it is memory, building again would not help.
            if torch.cuda.mem_get_info()[0] < ROOM_FOR_ENGINE * len(blob):
                raise _make_memory_error(f"an engine of {len(blob) >> 20} MiB")
            raise EngineRefused.from_parts(
                f"TensorRT {trt.__version__} can't read the engine on {self.name}",
                "one that was built here",
                "build it anew",
            )
        return CudaEngine(engine, self, trt)

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Run once, then capture as a CUDA graph; if that fails, warn and return `work` itself."""
        # The first run of TensorRT allocates, which is not allowed during capture.
        work()
        self._stream.synchronize()
        try:
            graph = torch.cuda.CUDAGraph()
            # Calls of other threads, such as loading a model, must not invalidate the capture.
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                work()
        except (RuntimeError, BackendError) as error:
            logger.warning("no CUDA graph (%s): every kernel is launched one by one", error)
            return work
        return graph.replay

    def mark(self) -> Callable[[], None]:
        """Return a function that waits for all that was started before this call."""
        event = torch.cuda.Event()
        event.record(self._stream)
        return event.synchronize

    @property
    def stream_handle(self) -> int:
        """The stream's handle for TensorRT."""
        return int(self._stream.cuda_stream)


class CudaEngine:
    """An engine in TensorRT's runtime."""

    def __init__(self, engine: Any, device: CudaDevice, trt: Any) -> None:
        self._engine = engine
        self._device = device
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        modes = {name: engine.get_tensor_mode(name) for name in names}
        self._inputs = [name for name in names if modes[name] == trt.TensorIOMode.INPUT]
        # torch_tensorrt names outputs output0, output1 and so on.
        self._outputs = sorted(set(names) - set(self._inputs))

    def bind(self, inputs: Sequence[Tensor]) -> BoundEngine:
        """Return the engine with a context that reads `inputs`."""
        outputs = [self._allocate(name) for name in self._outputs]
        context = self._engine.create_execution_context()
        if context is None:
            raise _make_memory_error("an execution context of TensorRT")
        names = (*self._inputs, *self._outputs)
        for name, tensor in zip(names, (*inputs, *outputs), strict=True):
            context.set_tensor_address(name, tensor.data_ptr())
        return BoundCudaEngine(context, self._device.stream_handle, tuple(inputs), outputs)

    def _allocate(self, name: str) -> Tensor:
        dtype = TYPES[str(self._engine.get_tensor_dtype(name)).rsplit(".", 1)[-1]]
        return self._device.allocate(tuple(self._engine.get_tensor_shape(name)), dtype)


class BoundCudaEngine:
    """An execution context, and the tensors whose addresses it holds, kept alive."""

    def __init__(
        self, context: Any, stream: int, inputs: tuple[Tensor, ...], outputs: Sequence[Tensor]
    ) -> None:
        self._context = context
        self._stream = stream
        self._inputs = inputs
        self.outputs = outputs

    def enqueue(self) -> None:
        """Enqueue a run in the device's stream."""
        if not self._context.execute_async_v3(self._stream):
            raise BackendError.from_parts(
                "TensorRT can't start its engine",
                "a GPU that works",
                "see the log, or set inference.backend to openvino",
            )


def _make_memory_error(what: str) -> BackendError:
    return BackendError.from_parts(
        f"the GPU has no memory for {what}",
        "enough of it",
        "end what else runs there, or take a smaller inference.size",
    )
