"""Arithmetic that this machine's CPU does well, and what to say when asked for another."""

import platform
from functools import lru_cache
from pathlib import Path

from proxia_segmentation_ros.errors import BackendError

CPUINFO = Path("/proc/cpuinfo")
# Either makes bf16 faster than f32. `avx512_bf16` alone has the dot products; AMX has tiles.
BF16_FLAGS = frozenset({"amx_bf16", "avx512_bf16"})


@lru_cache(maxsize=1)
def read_cpu_flags() -> frozenset[str]:
    """Return the feature flags of the first CPU; empty where Linux does not list them."""
    return frozenset(_read_cpuinfo_field("flags").split())


@lru_cache(maxsize=1)
def describe_cpu() -> str:
    """Return the CPU's model name."""
    return _read_cpuinfo_field("model name") or platform.machine()


def choose_precision(requested: str, backend: str, flags: frozenset[str]) -> str:
    """Return `f32` or `bf16`: what `auto` means on a CPU with these flags, or the request.

    torch computes bf16 on every CPU, if slowly. OpenVINO silently runs f32 where the CPU has
    no bf16, so asking it for bf16 there is refused.

    Raises:
        BackendError: the backend can't compute that precision on this CPU.
    """
    has_bf16 = bool(flags & BF16_FLAGS)
    if requested == "auto":
        return "bf16" if has_bf16 else "f32"
    if requested == "f32" or (requested == "bf16" and (has_bf16 or backend == "torch")):
        return requested
    possible = ["auto", "f32"]
    if has_bf16 or backend == "torch":
        possible.append("bf16")
    if requested == "bf16":
        reason = f"the CPU {describe_cpu()} has neither AMX nor AVX512-BF16"
    else:
        reason = f"{backend} on the CPU runs no {requested} network"
    raise BackendError.from_parts(
        f"precision is {requested!r} for backend {backend!r} but {reason}",
        f"one of {', '.join(possible)}",
        "set inference.precision to auto",
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
