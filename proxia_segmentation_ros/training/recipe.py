"""Recipes: every setting of a training run, read from YAML and overridden by `--set`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ValidationError

from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.training.settings import DataSettings as DataSettings
from proxia_segmentation_ros.training.settings import ModelSettings as ModelSettings
from proxia_segmentation_ros.training.settings import OptimiserSettings as OptimiserSettings
from proxia_segmentation_ros.training.settings import Recipe as Recipe
from proxia_segmentation_ros.training.settings import flatten_settings


def load_recipe(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a shipped recipe by name or a YAML file, then apply `key.sub=value` overrides.

    Raises:
        ConfigError: no such recipe, unknown key, or value out of range.
    """
    raw = _read_raw(str(name_or_path))
    for override in overrides:
        _apply_override(raw, override)
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        problem = error.errors()[0]
        name = ".".join(str(part) for part in problem["loc"])
        raise ConfigError.from_parts(
            f"recipe setting {name} is {problem['input']!r}",
            problem["msg"].removeprefix("Input should be "),
            "correct the recipe or the --set option",
        ) from error


def list_recipes() -> list[str]:
    """Return the names of the shipped recipes."""
    folder = resources.files("proxia_segmentation_ros") / "recipes"
    return sorted(one.name.removesuffix(".yaml") for one in folder.iterdir())


@dataclass(frozen=True)
class ResolvedSetting:
    """One setting of a run and where its value comes from."""

    name: str
    value: Any
    origin: Literal["default", "recipe", "--set", "--smoke"]


def explain_recipe(
    name_or_path: str | Path, overrides: Sequence[str] = (), smoke_overrides: Sequence[str] = ()
) -> list[ResolvedSetting]:
    """Return every setting that `load_recipe` resolves, in the order of their definition.

    Raises:
        ConfigError: as `load_recipe`.
    """
    recipe = load_recipe(name_or_path, [*overrides, *smoke_overrides])
    raw = _read_raw(str(name_or_path))
    origins = (
        ("--smoke", [one.partition("=")[0].strip() for one in smoke_overrides]),
        ("--set", [one.partition("=")[0].strip() for one in overrides]),
        ("recipe", list(_list_names(raw))),
    )

    def find_origin(name: str) -> Any:
        for origin, names in origins:
            if any(f"{name}.".startswith(f"{one}.") or one.startswith(f"{name}.") for one in names):
                return origin
        return "default"

    flat = flatten_settings(recipe)
    return [ResolvedSetting(name, value, find_origin(name)) for name, value in flat.items()]


def _list_names(raw: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in raw.items():
        if isinstance(value, dict):
            yield from _list_names(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def _read_raw(name_or_path: str) -> dict[str, Any]:
    try:
        raw = yaml.safe_load(_read_text(name_or_path)) or {}
    except yaml.YAMLError as error:
        raise ConfigError.from_parts(
            f"recipe {name_or_path!r} is no YAML ({error})".replace("\n", " "),
            "settings as `name: value`",
            "correct the file",
        ) from error
    if not isinstance(raw, dict):
        raise ConfigError.from_parts(
            f"recipe {name_or_path!r} holds {raw!r}",
            "settings as `name: value`",
            "correct the file",
        )
    return raw


def _read_text(name_or_path: str) -> str:
    if name_or_path.endswith((".yaml", ".yml")):
        path = Path(name_or_path)
        if not path.is_file():
            raise ConfigError.from_parts(
                f"recipe {name_or_path!r} does not exist", "a YAML file", "check the path"
            )
        return path.read_text(encoding="utf-8")
    folder = resources.files("proxia_segmentation_ros") / "recipes"
    entry = folder / f"{name_or_path}.yaml"
    if not entry.is_file():
        known = list_recipes()
        raise ConfigError.from_parts(
            f"recipe {name_or_path!r} is not shipped",
            f"one of {', '.join(known)} or a path that ends in .yaml",
            "pick one",
        )
    return entry.read_text(encoding="utf-8")


def _apply_override(raw: dict[str, Any], override: str) -> None:
    name, separator, value = override.partition("=")
    if not separator:
        raise ConfigError.from_parts(
            f"override {override!r} has no value", "key=value", "write --set steps=1000"
        )
    place = raw
    *parents, leaf = name.strip().split(".")
    for parent in parents:
        if place.get(parent) is None:
            place[parent] = {}
        place = place[parent]
        if not isinstance(place, dict):
            raise ConfigError.from_parts(
                f"override {override!r} sets a part of {parent}, which is {place!r}",
                "a group of settings there",
                "correct the name before =",
            )
    try:
        place[leaf] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError.from_parts(
            f"override {override!r} is no YAML ({error})".replace("\n", " "),
            "key=value",
            "correct the value",
        ) from error
