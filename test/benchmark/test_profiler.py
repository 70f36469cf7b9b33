"""Profiles by py-spy: its arguments, errors for its refusals, and real runs."""

import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from proxia_segmentation_ros.benchmark import profiler
from proxia_segmentation_ros.benchmark.profiler import Profiler
from proxia_segmentation_ros.errors import ConfigError, ProxiaError

# Writes its arguments beside itself, and a profile to where --output says.
WRITES_PROFILE = """printf '%s\\n' "$@" > "$0.arguments"
while [ "$1" != --output ]; do shift; done
echo "the profile" > "$2"
"""
BUSY = """
import threading
def stay_busy():
    while True:
        sum(range(1000))
threading.Thread(target=stay_busy, name="busy one", daemon=True).start()
print("started", flush=True)
input()
"""


@pytest.fixture
def fake_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Return a function that puts a py-spy with this shell code on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)

    def make(code: str) -> Path:
        program = folder / "py-spy"
        program.write_text(f"#!/bin/sh\n{code}")
        program.chmod(0o755)
        return program

    return make


def record(path: Path, pid: int = 7, seconds: float = 10.0) -> None:
    with Profiler().recording(pid, seconds, path) as is_over:
        while not is_over():
            pass


@pytest.mark.parametrize(
    ("name", "kind"),
    [("flame.svg", "flamegraph"), ("a.SVG", "flamegraph"), ("b.json", "speedscope")],
)
def test_a_process_is_sampled_without_pausing_it(fake_program, tmp_path, name, kind) -> None:
    program = fake_program(WRITES_PROFILE)
    record(tmp_path / name)
    assert (tmp_path / name).read_text() == "the profile\n"
    arguments = program.with_name("py-spy.arguments").read_text().split()
    assert arguments[0] == "record"
    assert {"--nonblocking", "--threads", "--nolineno"} <= set(arguments)
    options = dict(itertools.pairwise(arguments))
    assert (options["--pid"], options["--duration"], options["--format"]) == ("7", "10", kind)
    assert not {"--idle", "--native"} & set(arguments)


def test_missing_program_is_an_error_that_names_the_extra(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(ConfigError, match=r"'py-spy' is not installed; .*_ros\[profile\]'"):
        Profiler()


def test_program_of_an_environment_that_is_not_on_path_is_found(
    fake_program, tmp_path, monkeypatch
) -> None:
    program = fake_program(WRITES_PROFILE)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(shutil, "which", lambda name: str(name) if "/" in str(name) else None)
    monkeypatch.setattr(sys, "executable", str(program.with_name("python")))
    record(tmp_path / "flame.svg")
    assert program.with_name("py-spy.arguments").is_file()


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (
            "echo 'Permission Denied: Try running again with elevated permissions' >&2; exit 1",
            r"may not look into .*: Permission Denied: .*kernel\.yama\.ptrace_scope=0.*SYS_PTRACE",
        ),
        (
            "echo 'Error: Failed to suspend: Operation not permitted (os error 1)' >&2; exit 1",
            r"may not look into .*ptrace_scope=0",
        ),
        ("echo 'Error: No such process' >&2; exit 1", "wrote no profile: Error: No such process"),
        ("exit 0", "wrote no profile: it printed nothing"),
    ],
)
def test_error_tells_why_there_is_no_profile(fake_program, tmp_path, code, sentence) -> None:
    fake_program(code)
    with pytest.raises(ProxiaError, match=sentence):
        record(tmp_path / "flame.svg")
    assert not (tmp_path / "flame.svg").exists()


def test_program_that_does_not_end_is_ended(fake_program, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(profiler, "OVERHEAD_TIMEOUT_S", 0.0)
    fake_program("echo still looking; exec sleep 60")
    began_s = time.monotonic()
    with pytest.raises(ProxiaError, match="wrote no profile: still looking"):
        record(tmp_path / "flame.svg", seconds=0.5)
    assert time.monotonic() - began_s < 30


def test_program_is_ended_with_an_interrupted_benchmark(fake_program, tmp_path) -> None:
    fake_program("exec sleep 60")
    kept = []

    def interrupt() -> None:
        with Profiler().recording(7, 50.0, tmp_path / "flame.svg") as is_over:
            kept.append((is_over, is_over()))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    ((is_over, was_over_before),) = kept
    assert (was_over_before, is_over()) == (False, True)


@pytest.fixture
def busy_pid() -> Iterator[int]:
    """Yield the process of a program with a busy thread."""
    with subprocess.Popen(
        [sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as busy:
        assert busy.stdout is not None
        busy.stdout.readline()
        yield busy.pid
        busy.kill()


@pytest.mark.skipif(shutil.which("py-spy") is None, reason="py-spy is not installed")
@pytest.mark.parametrize("name", ["flame.svg", "flame.json"])
def test_real_program_sees_a_thread_and_its_function(busy_pid, tmp_path, name) -> None:
    try:
        record(tmp_path / name, busy_pid, seconds=1.0)
    except ProxiaError as error:
        if "may not look" not in str(error):
            raise
        pytest.skip(str(error))
    profile = (tmp_path / name).read_text()
    assert "busy one" in profile
    assert "stay_busy" in profile
    if name == "flame.json":
        assert json.loads(profile)["profiles"][0]["type"] == "sampled"
