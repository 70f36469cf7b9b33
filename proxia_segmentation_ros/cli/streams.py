"""Standard output and error of the commands: closed, full, or a terminal that obeys escapes."""

import errno
import os
import sys

from proxia_segmentation_ros.errors import ProxiaError, make_printable

STANDARD_DESCRIPTORS = (0, 1, 2)
WRITE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EPIPE)


def print_line(text: str) -> None:
    """Print one line; what a terminal would obey, as in a hostile file name, becomes escapes."""
    print(make_printable(text).replace("\n", "\\n"))


def open_closed_streams() -> None:
    """Point closed standard descriptors to nothing.

    Otherwise the next file that is opened gets their number, and what is printed ends up in it.
    """
    for descriptor in STANDARD_DESCRIPTORS:
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free number is this one.
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - until the end
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - until the end


def flush_output() -> None:
    """Write what is still in the buffer of standard output.

    Raises:
        OSError: it can't be written.
    """
    sys.stdout.flush()


def explain_output_error(error: OSError) -> ProxiaError | None:
    """Return the error to tell if standard output can't be written, else None.

    What is left in its buffer is then dropped: Python would fail on it again.
    """
    if error.filename is not None or error.errno not in WRITE_ERRORS or _is_writable():
        return None
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)
    return ProxiaError.from_parts(
        f"standard output can't be written ({error.strerror})",
        "a file with room, or a program that reads on",
        "make room, or write elsewhere",
    )


def _is_writable() -> bool:
    """Try it: the error may be that of a file that failed after it was opened."""
    try:
        print()
        flush_output()
    except OSError:
        return False
    return True
