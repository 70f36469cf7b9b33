"""Settings of a command: from a recipe, from `--set`, and from the options that were typed."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import typer

if TYPE_CHECKING:
    from pydantic import BaseModel

    from proxia_segmentation_ros.training.recipe import ResolvedSetting

TYPED = "COMMANDLINE"
ORIGIN = "command line"
# Parameters that are not settings themselves.
NO_SETTINGS = ("recipe", "assignments", "dry_run")
Settings = TypeVar("Settings", bound="BaseModel")


def read_typed(context: typer.Context, names: Mapping[str, str]) -> dict[str, Any]:
    """Return name and value of every setting that was typed as an option or argument.

    `names` maps parameters to settings where the names differ; "" is no setting.
    """
    typed: dict[str, Any] = {}
    for parameter, value in context.params.items():
        name = names.get(parameter, "" if parameter in NO_SETTINGS else parameter)
        source = context.get_parameter_source(parameter)
        if name and source is not None and source.name == TYPED:
            typed[name] = value
    return typed


def read_settings(
    context: typer.Context, model: "type[Settings]", command: str, typed: Mapping[str, Any]
) -> "Settings | None":
    """Return a command's settings; with --dry-run print them and return None.

    `--set` overrides the recipe, and an option that was typed overrides both.

    Raises:
        ConfigError: the recipe or a setting is wrong.
    """
    from proxia_segmentation_ros.training.recipe import (
        SettingsLayer,
        explain_settings,
        load_settings,
        read_overrides,
    )

    overrides = read_overrides(context.params["assignments"] or [])
    layers = [overrides, SettingsLayer(ORIGIN, list(typed.items()))]
    recipe = context.params["recipe"] or None
    if context.params["dry_run"]:
        show_settings(explain_settings(model, command, recipe, layers))
        return None
    return load_settings(model, command, recipe, layers)


def is_first_process() -> bool:
    """Whether this process, of those that torchrun started, is the one that prints."""
    return os.environ.get("RANK", "0") == "0"


def show_settings(settings: "Sequence[ResolvedSetting]") -> None:
    """Print every setting with its value as YAML and its origin."""
    import yaml

    for setting in settings:
        value = yaml.safe_dump(setting.value, default_flow_style=True, width=10_000)
        shown = value.removesuffix("\n").removesuffix("\n...")
        print(f"{setting.name}: {shown}  # {setting.origin}")
