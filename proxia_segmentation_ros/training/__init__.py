"""Training: from a recipe to a weight file."""

from importlib import import_module
from typing import Any

_HOMES = {
    "Recipe": "recipe",
    "load_recipe": "recipe",
    "Trainer": "trainer",
    "train_from_recipe": "session",
}
__all__ = ["Recipe", "Trainer", "load_recipe", "train_from_recipe"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
