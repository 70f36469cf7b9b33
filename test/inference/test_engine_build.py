"""The process that compiles ahead of time, as another process sees it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from proxia_segmentation_ros.inference.engine_build import (
    ABANDONED,
    EngineBuildRequest,
    build_engines,
)

MODULE = "proxia_segmentation_ros.inference.engine_build"


def start(request: EngineBuildRequest, folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", MODULE, request.to_json()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PROXIA_CACHE_DIR": str(folder)},
    )


def test_order_survives_the_command_line() -> None:
    request = EngineBuildRequest(
        weights="mine", scales=(0.5, 1.0), image_sizes_hw=((480, 640),), batch=2
    )
    assert EngineBuildRequest.from_json(request.to_json()) == request


@pytest.mark.slow
def test_process_reports_its_steps_and_leaves_the_result_in_the_cache(
    tiny_weights: Path, tmp_path: Path
) -> None:
    request = EngineBuildRequest(weights=str(tiny_weights), backend="openvino", batch=2)
    process = start(request, tmp_path)
    # Not `communicate`, which would end its input, and it with that.
    lines = [json.loads(line) for line in process.stdout or ()]
    assert process.wait() == 0
    assert [line["step"] for line in lines if "compiled anew" in line.get("step", "")]
    assert lines[-1]["done"]["backend"] == "openvino"
    assert len(list(tmp_path.glob("*.blob"))) == 2


def test_process_reports_what_a_user_can_act_on(tmp_path: Path) -> None:
    process = start(EngineBuildRequest(weights="nothing"), tmp_path)
    (line,) = [json.loads(line) for line in process.stdout or ()]
    assert "nothing" in line["error"]
    assert process.wait() == 4


def test_process_ends_with_whoever_started_it(tiny_weights: Path, tmp_path: Path) -> None:
    process = start(EngineBuildRequest(weights=str(tiny_weights), backend="openvino"), tmp_path)
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(60) == ABANDONED
    assert list(tmp_path.glob("*.json")) == []


@pytest.mark.slow
def test_steps_are_told_and_the_log_is_as_before(
    tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROXIA_CACHE_DIR", str(tmp_path))
    told: list[str] = []
    request = EngineBuildRequest(
        weights=str(tiny_weights), backend="openvino", image_sizes_hw=((60, 80),)
    )
    built = build_engines(request, told.append)
    assert built.backend == "openvino"
    assert any("warmed up for 80x60" in text for text in told)
    told.clear()
    build_engines(request, lambda text: None)
    assert told == []
