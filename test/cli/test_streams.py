"""Standard output that is closed or full, and file names that a terminal would obey."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from proxia_segmentation_ros.cli.streams import print_line

COMMAND = [sys.executable, "-m", "proxia_segmentation_ros.cli"]
# The arguments of the command follow as "$@".
PROXIA = f'"{sys.executable}" -m proxia_segmentation_ros.cli "$@"'


def run_in_shell(redirection: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    script = f"exec {PROXIA} {redirection}"
    return subprocess.run(
        ["bash", "-c", script, "proxia", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("arguments", [("weights", "list"), ("--help",), ("--version",)])
def test_full_output_is_one_sentence(arguments: tuple[str, ...]) -> None:
    ended = run_in_shell(">/dev/full", *arguments)
    assert ended.returncode == 1
    assert ended.stderr.startswith("proxia: standard output can't be written (No space left")
    assert ended.stderr.count("\n") == 1


def test_program_that_reads_no_further_is_no_fault_of_ours() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(
        [*COMMAND, "weights", "list"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert "Traceback" not in ended.stderr
    assert "Exception ignored" not in ended.stderr


@pytest.mark.parametrize("redirection", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_closed_streams_do_not_stop_a_command(tmp_path: Path, redirection: str) -> None:
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((48, 64, 3), 90, np.uint8))
    out = tmp_path / "out"
    ended = run_in_shell(
        redirection, "segment", str(tmp_path / "grey.png"), "--out", str(out), "--backend", "torch"
    )
    assert ended.returncode == 0
    assert ended.stderr == ""
    # Nothing that was printed went into a file that took the number of a closed stream.
    for path in out.iterdir():
        assert cv2.imread(str(path)) is not None


def test_lines_do_not_obey_a_file_name(capsys: pytest.CaptureFixture[str]) -> None:
    print_line("failed b\x1b[31mad\nwrote 3 files.png: no image")
    assert capsys.readouterr().out == "failed b\\x1b[31mad\\nwrote 3 files.png: no image\n"


def test_segment_prints_hostile_names_as_text(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "b\x1b[31mad\nx.png").write_bytes(b"no image")
    cv2.imwrite(str(tmp_path / "a.png"), np.full((48, 64, 3), 90, np.uint8))
    (tmp_path / "a.png").rename(folder / "a\x1b[2J.png")
    ended = run_in_shell(
        "", "segment", str(folder), "--out", str(tmp_path / "out"), "--backend", "torch"
    )
    assert "\x1b" not in ended.stdout + ended.stderr
    assert "a\\x1b[2J.png: 64x48" in ended.stdout
    assert "failed b\\x1b[31mad\\nx.png" in ended.stdout
