"""Build a TensorRT engine from a torch module, without fallback to torch.

torch_tensorrt is imported when an engine is built.
"""

import importlib
import logging
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from proxia_segmentation_ros.backends.graph.tensorrt_graph import export_module
from proxia_segmentation_ros.errors import BackendError

logger = logging.getLogger(__name__)

MIB = 1 << 20
# Bytes. 0 is TensorRT's default: all free memory.
WORKSPACES = (0, 1024 * MIB, 256 * MIB, 64 * MIB)

EngineBuild = Callable[[nn.Module, tuple[Tensor, ...], str], bytes]


class EngineBuilder:
    """Builds engines on the current GPU and keeps TensorRT's timing cache between builds."""

    def __init__(self, folder: Path, facts: Mapping[str, str], precision: str) -> None:
        name = f"kernels_{facts['tensorrt']}_sm{facts['sm']}.timing"
        self._timing_cache = find_writable_folder(folder) / name
        self._precision = precision

    def __call__(self, module: nn.Module, examples: tuple[Tensor, ...], name: str) -> bytes:
        """Return the serialised engine.

        Raises:
            BackendError: an operation has no converter, or there is too little memory.
        """
        logger.info("%s: exporting the graph", name)
        examples = tuple(example.cuda() for example in examples)
        exported = export_module(module.cuda(), examples)
        refuse_partial(find_unconverted(exported), name)
        logger.info("%s: TensorRT tries kernels, which takes minutes", name)
        return build_within_memory(
            lambda workspace: self._convert(exported, examples, workspace), name
        )

    def _convert(
        self, exported: torch.export.ExportedProgram, examples: tuple[Tensor, ...], workspace: int
    ) -> bytes:
        dynamo: Any = importlib.import_module("torch_tensorrt.dynamo")
        engine = dynamo.convert_exported_program_to_serialized_trt_engine(
            exported,
            inputs=list(examples),
            require_full_compilation=True,
            immutable_weights=True,
            # TF32, TensorRT's default, rounds inputs of float32 products to 10 bits of mantissa.
            disable_tf32=self._precision == "f32",
            workspace_size=workspace,
            timing_cache_path=str(self._timing_cache),
        )
        return bytes(engine)


def find_writable_folder(folder: Path) -> Path:
    """Return the folder, created if necessary; a temporary one if it is not writable.

    torch_tensorrt writes its timing cache after the build, which must not fail because of that.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.mkdtemp(prefix="proxia_kernels_"))
    if os.access(folder, os.W_OK):
        return folder
    return Path(tempfile.mkdtemp(prefix="proxia_kernels_"))


def find_unconverted(exported: torch.export.ExportedProgram) -> list[str]:
    """Return the operations that have no TensorRT converter for their arguments.

    The graph is first lowered as torch_tensorrt does: the same decompositions and passes.
    """
    lowering: Any = importlib.import_module("torch_tensorrt.dynamo.lowering")
    settings: Any = importlib.import_module("torch_tensorrt.dynamo").CompilationSettings()
    registry: Any = importlib.import_module(
        "torch_tensorrt.dynamo.conversion._ConverterRegistry"
    ).DYNAMO_CONVERTERS
    registry.set_compilation_settings(settings)
    exported = lowering.pre_export_lowering(exported, settings)
    exported = exported.run_decompositions(lowering.get_decompositions())
    graph = lowering.post_lowering(exported.module(), settings).graph
    return sorted(
        {str(n.target) for n in graph.nodes if n.op == "call_function" and n not in registry}
    )


def refuse_partial(unconverted: list[str], name: str) -> None:
    """Raise BackendError if an operation would have to run outside the engine."""
    if unconverted:
        raise BackendError.from_parts(
            f"{name} would leave TensorRT for {', '.join(unconverted)}",
            "a network that it runs as a whole",
            "set inference.backend to openvino, and report it",
        )


def build_within_memory(build: Callable[[int], bytes], name: str) -> bytes:
    """Build, with smaller and smaller workspaces if the GPU runs out of memory.

    Raises:
        BackendError: no workspace is small enough, or the build fails otherwise.
    """
    for workspace, smaller in zip(WORKSPACES, (*WORKSPACES[1:], None), strict=True):
        try:
            return build(workspace)
        except (RuntimeError, AssertionError, ValueError) as error:
            if not is_out_of_memory(error):
                raise BackendError.from_parts(
                    f"TensorRT can't build {name} ({find_first_cause(error)})",
                    "a network that it supports",
                    "set inference.backend to openvino, and report it",
                ) from error
            if smaller is None:
                raise BackendError.from_parts(
                    f"TensorRT can't build {name} ({find_first_cause(error)}), not even with a "
                    f"workspace of {workspace // MIB} MiB",
                    "enough free memory on the GPU",
                    "end what else runs there, take a smaller inference.size, or set "
                    "inference.backend to openvino",
                ) from error
            logger.warning(
                "%s: memory may not suffice (%s); trying a workspace of %d MiB",
                name,
                find_first_cause(error),
                smaller // MIB,
            )
        torch.cuda.empty_cache()
    raise AssertionError("unreachable")


def find_first_cause(error: BaseException) -> str:
    """Return the message of the first cause; later ones contain the printed graph."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error) or "no engine came of it: TensorRT's own messages say why"


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether a build probably failed for lack of memory.

    TensorRT only logs why it returns no engine, and torch_tensorrt then fails an assertion without
    a message.
    """
    while error is not None:
        if isinstance(error, torch.cuda.OutOfMemoryError) or "out of memory" in str(error).lower():
            return True
        if isinstance(error, AssertionError) and not str(error):
            return True
        error = error.__cause__
    return False
