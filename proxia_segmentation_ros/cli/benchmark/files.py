"""Files that `proxia benchmark` writes, checked before it measures."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from proxia_segmentation_ros.errors import ConfigError

INDENT = 2


def check_out(path: Path | None) -> Path | None:
    """Return the path of a file, after checking that it can be written.

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
        ConfigError: it does not end in .png or .svg, it can't be written, or matplotlib is not
            installed.
    """
    if path is not None:
        from proxia_segmentation_ros.benchmark.optional_dependencies import import_extra
        from proxia_segmentation_ros.benchmark.plot import SUFFIXES

        _check_suffix("--plot", path, SUFFIXES)
        import_extra("matplotlib")
    return check_out(path)


def check_flame(path: Path | None) -> Path | None:
    """Return the path of --flame, checked like `check_out`.

    Raises:
        ConfigError: it does not end in .svg or .json, or can't be written.
    """
    if path is not None:
        from proxia_segmentation_ros.benchmark.profiler import FORMATS

        _check_suffix("--flame", path, FORMATS)
    return check_out(path)


def _check_suffix(option: str, path: Path, suffixes: Iterable[str]) -> None:
    if path.suffix.lower() not in suffixes:
        raise ConfigError.from_parts(
            f"{option} is {str(path)!r}",
            f"a file that ends in {' or '.join(suffixes)}",
            "rename it",
        )


def print_json(figures: Mapping[str, Any]) -> None:
    """Print a report in the format of its file."""
    print(json.dumps(figures, indent=INDENT))


def write_json(figures: Mapping[str, Any], out: Path | None) -> None:
    """Write a report, if a path is given; print it first, since the disk may be full by now.

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
