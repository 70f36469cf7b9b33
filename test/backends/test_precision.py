"""Which precision a CPU gets."""

from pathlib import Path

import pytest

from proxia_segmentation_ros.backends import precision
from proxia_segmentation_ros.backends.precision import choose_precision
from proxia_segmentation_ros.errors import BackendError
from proxia_segmentation_ros.model.quantisation import Quantisation

NO_PRUNING = frozenset({"avx2", "fma"})
AVX512 = frozenset({"avx512f", "avx512_bf16"})
AMX = frozenset({"avx512f", "amx_tile", "amx_bf16"})
VNNI = frozenset({"avx512f", "avx512_vnni"})


@pytest.mark.parametrize("backend", ["openvino", "torch"])
@pytest.mark.parametrize(
    ("flags", "wanted"), [(NO_PRUNING, "f32"), (AVX512, "bf16"), (AMX, "bf16")]
)
def test_auto_takes_bf16_where_the_cpu_has_it(
    backend: str, flags: frozenset[str], wanted: str
) -> None:
    assert choose_precision("auto", backend, flags) == wanted


@pytest.mark.parametrize("flags", [NO_PRUNING, AMX])
def test_f32_is_always_possible(flags: frozenset[str]) -> None:
    assert choose_precision("f32", "openvino", flags) == "f32"


def test_forced_bf16_needs_a_cpu_or_backend_that_computes_it() -> None:
    assert choose_precision("bf16", "openvino", AMX) == "bf16"
    assert choose_precision("bf16", "torch", NO_PRUNING) == "bf16"
    with pytest.raises(
        BackendError, match="neither AMX nor AVX512-BF16; expected one of auto, f32"
    ):
        choose_precision("bf16", "openvino", NO_PRUNING)


@pytest.mark.parametrize("requested", ["f16", "int8", "f64"])
def test_other_precisions_are_refused_on_the_cpu(requested: str) -> None:
    with pytest.raises(BackendError, match=f"'{requested}'"):
        choose_precision(requested, "openvino", AMX)


def quantise(
    speedup: float = 1.5, compared_with: str = "f32", cpu: str = "some CPU"
) -> Quantisation:
    return Quantisation(
        ranges={"backbone.conv1": (0, 1)},
        images=1,
        miou=0.7,
        lost_points=0.1,
        gate_points=0.5,
        agreement=0.99,
        speedup=speedup,
        compared_with=compared_with,
        cpu=cpu,
    )


@pytest.mark.parametrize(
    ("flags", "speedup", "wanted"),
    [
        (VNNI, 1.5, "int8"),
        (VNNI, 1.1, "f32"),
        (NO_PRUNING, 1.5, "f32"),
        # Nobody has measured it against bf16 there.
        (VNNI | AMX, 1.5, "bf16"),
    ],
)
def test_auto_takes_int8_where_it_was_found_to_pay(
    flags: frozenset[str], speedup: float, wanted: str
) -> None:
    assert choose_precision("auto", "openvino", flags, quantise(speedup)) == wanted


@pytest.mark.parametrize(
    ("speedup", "cpu", "flags", "wanted"),
    [
        (1.5, "this CPU", VNNI | AMX, "int8"),
        (1.1, "this CPU", VNNI | AMX, "bf16"),
        (1.5, "another CPU", VNNI | AMX, "bf16"),
        (1.5, "this CPU", VNNI, "f32"),
    ],
)
def test_speed_against_bf16_counts_on_the_cpu_that_it_was_measured_on(
    speedup: float,
    cpu: str,
    flags: frozenset[str],
    wanted: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(precision, "describe_cpu", lambda: "this CPU")
    assert choose_precision("auto", "openvino", flags, quantise(speedup, "bf16", cpu)) == wanted


def test_auto_takes_no_int8_without_ranges_or_openvino() -> None:
    assert choose_precision("auto", "openvino", VNNI, None) == "f32"
    assert choose_precision("auto", "torch", VNNI, quantise()) == "f32"


def test_int8_may_be_asked_for_wherever_there_are_ranges() -> None:
    assert choose_precision("int8", "openvino", NO_PRUNING, quantise(0.9)) == "int8"


def test_flags_and_name_come_from_cpuinfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor : 0\nmodel name\t: Test CPU 9\nflags\t\t: avx2 amx_bf16\n")
    monkeypatch.setattr(precision, "CPUINFO", cpuinfo)
    assert precision.read_cpu_flags.__wrapped__() == {"avx2", "amx_bf16"}
    assert precision.describe_cpu.__wrapped__() == "Test CPU 9"


def test_cpu_without_cpuinfo_gets_f32(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "CPUINFO", tmp_path / "none")
    flags = precision.read_cpu_flags.__wrapped__()
    assert choose_precision("auto", "openvino", flags) == "f32"
    assert precision.describe_cpu.__wrapped__()


def test_gpu_gets_half_precision_unless_told_otherwise() -> None:
    assert choose_precision("auto", "tensorrt", AMX) == "f16"
    assert choose_precision("f16", "tensorrt", NO_PRUNING) == "f16"
    assert choose_precision("f32", "tensorrt", NO_PRUNING) == "f32"
    with pytest.raises(BackendError, match=r"activation ranges.*; expected one of auto, f16, f32"):
        choose_precision("int8", "tensorrt", NO_PRUNING)
    with pytest.raises(BackendError, match="'bf16'"):
        choose_precision("bf16", "tensorrt", AMX)
