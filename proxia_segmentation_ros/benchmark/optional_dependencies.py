"""Packages of the extra `benchmark`, which robots don't need."""

import importlib
from typing import Any

from proxia_segmentation_ros.errors import ConfigError


def import_extra(name: str) -> Any:
    """Return a module of the extra.

    Raises:
        ConfigError: its package is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        package = name.partition(".")[0]
        raise ConfigError.from_parts(
            f"{package!r} is not installed",
            "the packages of the extra 'benchmark'",
            "run `pip install 'proxia_segmentation_ros[benchmark]'`",
        ) from error
