"""Files that `proxia benchmark` writes, tried before it measures."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from proxia_segmentation_ros.errors import ConfigError

INDENT = 2


def check_out(path: Path | None) -> Path | None:
    """Return the path of a file, tried before minutes are spent on what it is to hold.

    Raises:
        ConfigError: it can't be written.
    """
    if path is not None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            was_there = path.exists()
            with path.open("a"):
                pass
            if not was_there:
                path.unlink()
        except OSError as error:
            raise _explain_unwritable(path, error) from error
    return path


def check_plot(path: Path | None) -> Path | None:
    """Return the path of --plot, checked like `check_out`.

    Raises:
        ConfigError: it does not end in .png, or can't be written.
    """
    return _check_kind("--plot", path, ".png")


def check_flame(path: Path | None) -> Path | None:
    """Return the path of --flame, checked like `check_out`.

    Raises:
        ConfigError: it does not end in .svg, or can't be written.
    """
    return _check_kind("--flame", path, ".svg")


def _check_kind(option: str, path: Path | None, suffix: str) -> Path | None:
    if path is not None and path.suffix.lower() != suffix:
        raise ConfigError.from_parts(
            f"{option} is {str(path)!r}", f"a file that ends in {suffix}", "rename it"
        )
    return check_out(path)


def print_json(figures: Mapping[str, Any]) -> None:
    """Print figures as they are written."""
    print(json.dumps(figures, indent=INDENT))


def write_json(figures: Mapping[str, Any], out: Path | None) -> None:
    """Write figures where a file is asked for; print them first, it may be full by now.

    Raises:
        ConfigError: it can't be written any more.
    """
    if out is not None:
        try:
            out.write_text(json.dumps(figures, indent=INDENT) + "\n", encoding="utf-8")
        except OSError as error:
            raise _explain_unwritable(out, error) from error


def _explain_unwritable(path: Path, error: OSError) -> ConfigError:
    return ConfigError.from_parts(
        f"{str(path)!r} can't be written: {error.strerror}",
        "a file in a folder that may be written",
        "choose another path",
    )
