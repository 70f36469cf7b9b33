"""Which number type a training computes in."""

from pathlib import Path

import pytest
import torch

from proxia_segmentation_ros.training.precision import choose_dtype, has_native_bf16


@pytest.fixture
def flags(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the flags of the CPU that the code under test finds."""
    found = ["avx2"]
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: f"flags : {' '.join(found)}")
    return found


def test_named_types_are_taken_as_they_are() -> None:
    names = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
    assert {name: choose_dtype(name) for name in names} == names


@pytest.mark.parametrize("flag", ["avx512_bf16", "amx_bf16"])
def test_auto_is_bf16_only_where_the_cpu_multiplies_it_itself(flags: list[str], flag: str) -> None:
    assert choose_dtype("auto") == torch.float32
    flags.append(flag)
    assert choose_dtype("auto") == torch.bfloat16


def test_other_machines_are_not_believed_to_have_it(
    flags: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    flags.append("avx512_bf16")
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert not has_native_bf16()


def test_auto_asks_the_gpu_and_not_the_cpu(
    flags: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = torch.device("cuda")
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda: True)
    assert choose_dtype("auto", gpu) == torch.bfloat16
    flags.append("avx512_bf16")
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda: False)
    assert choose_dtype("auto", gpu) == torch.float32
