"""Choose the precision of a network for this CPU or GPU, or explain why it is impossible."""

import platform
from functools import lru_cache
from pathlib import Path

from proxia_segmentation_ros.errors import BackendError
from proxia_segmentation_ros.model.quantisation import Quantisation

CPUINFO = Path("/proc/cpuinfo")
# With either, bf16 is faster than f32: `avx512_bf16` has dot products, AMX matrix products.
BF16_FLAGS = frozenset({"amx_bf16", "avx512_bf16"})
# VNNI multiplies and adds bytes in one instruction; int8 was only measured on such CPUs.
INT8_FLAG = "avx512_vnni"


@lru_cache(maxsize=1)
def read_cpu_flags() -> frozenset[str]:
    """Return the feature flags of the first CPU; empty if /proc/cpuinfo lists none."""
    return frozenset(_read_cpuinfo_field("flags").split())


@lru_cache(maxsize=1)
def describe_cpu() -> str:
    """Return the CPU's model name."""
    return _read_cpuinfo_field("model name") or platform.machine()


def choose_precision(
    requested: str,
    backend: str,
    flags: frozenset[str],
    quantisation: Quantisation | None = None,
) -> str:
    """Return the requested precision, `auto` resolved for this CPU or for a GPU.

    torch computes bf16 on every CPU, if slowly. OpenVINO silently runs f32 on a CPU without
    bf16, so bf16 is refused there. `auto` chooses int8 where it was measured to be worthwhile
    (docs/decisions/006-int8-on-the-cpu.md).

    Raises:
        BackendError: the backend can't run that precision on this CPU or with these weights.
    """
    if backend == "tensorrt":
        return _choose_gpu_precision(requested)
    has_bf16 = bool(flags & BF16_FLAGS)
    if requested == "auto":
        return _choose_auto(backend, flags, quantisation)
    possible = {
        "auto": True,
        "f32": True,
        "bf16": has_bf16 or backend == "torch",
        "int8": backend == "openvino" and quantisation is not None,
    }
    if possible.get(requested):
        return requested
    reason, remedy = f"{backend} on the CPU runs no {requested} network", "set it to auto"
    if requested == "bf16":
        reason = f"the CPU {describe_cpu()} has neither AMX nor AVX512-BF16"
    elif requested == "int8" and backend == "openvino":
        reason = "the weights hold no ranges for it"
        remedy = "run `proxia quantise` on them, or set it to auto"
    raise BackendError.from_parts(
        f"inference.precision is {requested!r} for backend {backend!r} but {reason}",
        f"one of {', '.join(name for name, can in possible.items() if can)}",
        remedy,
    )


def _choose_auto(backend: str, flags: frozenset[str], quantisation: Quantisation | None) -> str:
    otherwise = "bf16" if flags & BF16_FLAGS else "f32"
    if quantisation is None or backend != "openvino" or INT8_FLAG not in flags:
        return otherwise
    # CPUs with bf16 differ too much (with or without AMX) to trust a speedup from another one.
    is_alike = otherwise == "f32" or quantisation.cpu == describe_cpu()
    pays = quantisation.is_worthwhile and quantisation.compared_with == otherwise
    return "int8" if pays and is_alike else otherwise


def _choose_gpu_precision(requested: str) -> str:
    if requested in ("auto", "f16"):
        return "f16"
    if requested == "f32":
        return requested
    reason = "which this backend has no engines for"
    if requested == "int8":
        reason = "which needs activation ranges in the weights that tensorrt can't use yet"
    raise BackendError.from_parts(
        f"inference.precision is {requested!r} for backend 'tensorrt', {reason}",
        "one of auto, f16, f32",
        "set inference.precision to f16; int8 on the CPU is `proxia quantise`",
    )


def _read_cpuinfo_field(name: str) -> str:
    try:
        lines = CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""
