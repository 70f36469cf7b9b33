"""Looks at the shared memory of Fast DDS, and removes what killed processes left there.

Each process with a participant reserves a segment in `/dev/shm`. Where none is free Fast DDS falls
back to UDP without a word, and most large images get lost.
"""

import fcntl
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path

FOLDER = Path("/dev/shm")
# Segments of 32 MiB (config/fastdds_profile.xml) for the camera, this node, RViz and a few more.
MIN_TOTAL_BYTES = 256 * 2**20
MIN_FREE_BYTES = 64 * 2**20
# A process that is just starting may not have locked its segment yet.
MIN_AGE_S = 60.0
LOCK_NAME = re.compile(r"(fastdds_[0-9a-f]{16})_el")


def uses_fast_dds(environ: Mapping[str, str] | None = None) -> bool:
    """Tell whether the middleware is Fast DDS, which is the default."""
    chosen = os.environ if environ is None else environ
    return "fastrtps" in chosen.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp")


def find_problem(folder: Path = FOLDER) -> str | None:
    """Return a sentence if there is too little shared memory for images, else None."""
    try:
        facts = os.statvfs(folder)
    except OSError as error:
        return (
            f"{folder} can't be used ({error.strerror}); expected shared memory for images; "
            "mount it, or images go over UDP and get lost"
        )
    total, free = facts.f_blocks * facts.f_frsize, facts.f_bavail * facts.f_frsize
    if total < MIN_TOTAL_BYTES:
        return (
            f"{folder} holds {total / 2**20:.0f} MiB in all; expected at least "
            f"{MIN_TOTAL_BYTES / 2**20:.0f}, or images go over UDP and get lost; start the "
            "container with --shm-size=1g or --ipc=host"
        )
    if free < MIN_FREE_BYTES:
        return (
            f"{folder} has {free / 2**20:.0f} MiB left of {total / 2**20:.0f}; expected at least "
            f"{MIN_FREE_BYTES / 2**20:.0f}, or images go over UDP and get lost; end processes "
            "that fill it, or run: fastdds shm clean"
        )
    return None


def remove_leftovers(folder: Path = FOLDER, min_age_s: float = MIN_AGE_S) -> int:
    """Remove our user's Fast DDS segments whose process is gone; return the bytes set free.

    A living process holds a lock on the file beside its segment. Whatever can't be removed stays.
    """
    freed = 0
    for lock in sorted(folder.glob("fastdds_*_el")):
        match = LOCK_NAME.fullmatch(lock.name)
        if match is not None:
            freed += _remove_if_dead(folder / match[1], lock, min_age_s)
    return freed


def _remove_if_dead(segment: Path, lock: Path, min_age_s: float) -> int:
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return 0
    try:
        facts = os.fstat(descriptor)
        if facts.st_uid != os.getuid() or time.time() - facts.st_mtime < min_age_s:
            return 0
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        size = segment.lstat().st_blocks * 512 if segment.exists() else 0
        segment.unlink(missing_ok=True)
        lock.unlink(missing_ok=True)
    except OSError:
        return 0
    else:
        return size
    finally:
        os.close(descriptor)
