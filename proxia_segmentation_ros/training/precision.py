"""Choose the number format of training on this machine."""

import platform
from pathlib import Path

import torch


def has_native_bf16() -> bool:
    """Whether the CPU multiplies bfloat16 in hardware; emulation is slower than float32."""
    if platform.machine() not in {"x86_64", "AMD64"}:
        return False
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def choose_dtype(precision: str, device: torch.device | None = None) -> torch.dtype:
    """Return the autocast type for `auto`, `f32`, `bf16` or `f16`; no device is the CPU."""
    if precision == "auto":
        is_cuda = device is not None and device.type == "cuda"
        has_bf16 = torch.cuda.is_bf16_supported() if is_cuda else has_native_bf16()
        return torch.bfloat16 if has_bf16 else torch.float32
    return {"bf16": torch.bfloat16, "f16": torch.float16}.get(precision, torch.float32)
