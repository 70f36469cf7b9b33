"""Too little shared memory is told; what killed processes left is removed, and nothing else."""

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from proxia_segmentation_ros.ros import shared_memory
from proxia_segmentation_ros.ros.shared_memory import (
    find_problem,
    remove_leftovers,
    uses_fast_dds,
)

MIB = 2**20
SEGMENT = "fastdds_0123456789abcdef"


def make_segment(folder: Path, name: str = SEGMENT, age_s: float = 3600.0) -> Path:
    """Make a segment of 64 kB with its lock file, last changed a while ago."""
    segment, lock = folder / name, folder / f"{name}_el"
    segment.write_bytes(bytes(65_536))
    lock.touch()
    then_s = time.time() - age_s
    os.utime(lock, (then_s, then_s))
    return segment


def test_segment_of_a_dead_process_is_removed_with_its_lock(tmp_path: Path) -> None:
    make_segment(tmp_path)
    assert remove_leftovers(tmp_path) >= 65_536
    assert list(tmp_path.iterdir()) == []


def test_segment_of_a_living_process_stays(tmp_path: Path) -> None:
    segment = make_segment(tmp_path)
    descriptor = os.open(f"{segment}_el", os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    assert remove_leftovers(tmp_path) == 0
    assert segment.exists()
    os.close(descriptor)
    assert remove_leftovers(tmp_path) > 0


def test_segment_of_a_process_that_is_just_starting_stays(tmp_path: Path) -> None:
    segment = make_segment(tmp_path, age_s=1.0)
    assert remove_leftovers(tmp_path) == 0
    assert segment.exists()


@pytest.mark.parametrize("name", ["fastdds_port7411", "fastdds_mine", "sem.fastdds_port7411_mutex"])
def test_other_files_stay(tmp_path: Path, name: str) -> None:
    segment = make_segment(tmp_path, name)
    assert remove_leftovers(tmp_path) == 0
    assert segment.exists()


def test_link_in_the_place_of_a_lock_is_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.touch()
    os.utime(other, (0, 0))
    (tmp_path / f"{SEGMENT}_el").symlink_to(other)
    assert remove_leftovers(tmp_path) == 0
    assert other.exists()


@pytest.mark.slow
def test_what_fast_dds_leaves_when_killed_is_recognised(ros_domain: int) -> None:
    """The names and locks of the real thing, while it lives and after."""
    code = (
        "import rclpy; rclpy.init(); n = rclpy.create_node('x'); print('up', flush=True); input()"
    )
    before = set(os.listdir(shared_memory.FOLDER))
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        made = {
            match[1]
            for name in set(os.listdir(shared_memory.FOLDER)) - before
            if (match := shared_memory.LOCK_NAME.fullmatch(name))
        }
        held = {name for name in made if is_held(name)}
        assert held
    finally:
        process.kill()
        process.wait()
    assert not any(is_held(name) for name in held)


def is_held(segment: str) -> bool:
    descriptor = os.open(shared_memory.FOLDER / f"{segment}_el", os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


@pytest.mark.parametrize(
    ("total", "free", "words"),
    [
        (1024 * MIB, 900 * MIB, None),
        (64 * MIB, 64 * MIB, "holds 64 MiB in all; expected at least 256"),
        (1024 * MIB, 10 * MIB, "has 10 MiB left of 1024; expected at least 64"),
    ],
)
def test_too_little_is_told_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch, total: int, free: int, words: str | None
) -> None:
    facts = SimpleNamespace(f_blocks=total // 4096, f_bavail=free // 4096, f_frsize=4096)
    monkeypatch.setattr(os, "statvfs", lambda folder: facts)
    problem = find_problem()
    assert (problem is None) if words is None else (words in str(problem))


def test_missing_folder_is_told(tmp_path: Path) -> None:
    assert "can't be used (No such file or directory)" in str(find_problem(tmp_path / "shm"))


def test_other_middleware_has_no_segments() -> None:
    assert uses_fast_dds({})
    assert not uses_fast_dds({"RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"})
