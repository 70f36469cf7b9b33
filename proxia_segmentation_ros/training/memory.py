"""Memory of a training process: freed arrays are kept for the next step."""

import ctypes

# From glibc's malloc.h.
M_TRIM_THRESHOLD = -1
M_TOP_PAD = -2
M_MMAP_MAX = -4
TOP_PAD_BYTES = 1 << 28


def keep_freed_memory() -> bool:
    """Tell the C library not to give freed memory back; return whether it took that.

    A training step allocates and frees a gigabyte in large arrays. By default each goes back
    to the system and comes anew page by page: a fifth of a step on a small CPU
    (docs/training.md). Holds for the whole process; only glibc knows these settings.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    settings = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1), (M_TOP_PAD, TOP_PAD_BYTES))
    return all(mallopt(name, value) == 1 for name, value in settings)
