"""Keep freed memory in the process instead of returning it to the system."""

import ctypes

# From glibc's malloc.h.
M_TRIM_THRESHOLD = -1
M_TOP_PAD = -2
M_MMAP_MAX = -4
TOP_PAD_BYTES = 1 << 28


def keep_freed_memory() -> bool:
    """Tell glibc's malloc to keep freed memory; return whether that worked.

    A training step allocates and frees a gigabyte in large arrays. By default malloc returns each
    of them to the system, which then provides it again page by page: a fifth of a step's time on a
    small CPU (docs/training.md). Applies to the whole process; other C libraries ignore it.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    settings = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1), (M_TOP_PAD, TOP_PAD_BYTES))
    return all(mallopt(name, value) == 1 for name, value in settings)
