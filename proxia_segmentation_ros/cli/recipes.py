"""Settings of a command: those of a recipe, of `--set`, and of the options that were typed."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import typer

if TYPE_CHECKING:
    from pydantic import BaseModel

    from proxia_segmentation_ros.training.recipe import ResolvedSetting

TYPED = "COMMANDLINE"
ORIGIN = "command line"
# Parameters that say where settings come from, or what to do with them.
NO_SETTINGS = ("recipe", "assignments", "dry_run")
Settings = TypeVar("Settings", bound="BaseModel")


def read_typed(context: typer.Context, names: Mapping[str, str]) -> dict[str, Any]:
    """Return setting and value of every option and argument that was typed.

    `names` gives settings whose names differ from their parameters'; "" is no setting.
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
    """Return a command's settings; with --dry-run print them and return none.

    Over the recipe lies `--set`, and over that what was typed by its own name.

    Raises:
        ConfigError: recipe or settings are wrong.
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
    """Whether this is the process that speaks, of those that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


def show_settings(settings: "Sequence[ResolvedSetting]") -> None:
    """Print every setting, its value as YAML and where that comes from."""
    import yaml

    for one in settings:
        value = yaml.safe_dump(one.value, default_flow_style=True, width=10_000)
        shown = value.removesuffix("\n").removesuffix("\n...")
        print(f"{one.name}: {shown}  # {one.origin}")
