"""Compare the recipe of a checkpoint with the recipe of the run that resumes it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from proxia_segmentation_ros.errors import ConfigError

# A change of these makes another network, or an optimiser that can't load the saved state.
FIXED = (
    "model.architecture",
    "model.ocr_mid",
    "model.ocr_key",
    "model.attention_mid",
    "data.label_set",
    "optimiser.name",
    "optimiser.decay_all",
)
UNKNOWN_RECIPE = (
    "this checkpoint was written by an older version without its recipe and random state: "
    "the run continues, but changed settings are not listed and dropout masks differ"
)


def describe_changes(
    before: Mapping[str, Any] | None,
    now: Mapping[str, Any],
    defaults: Mapping[str, Any] = MappingProxyType({}),
) -> list[str]:
    """Return a sentence for each setting that changed; `before` is None for old checkpoints.

    A setting that did not exist when the checkpoint was written counts with its default.

    Raises:
        ConfigError: a changed setting needs another network or optimiser.
    """
    if before is None:
        return [UNKNOWN_RECIPE]
    known = {**defaults, **before}
    names = [name for name in [*now, *before] if known.get(name) != now.get(name)]
    changed = {name: f"{known.get(name)!r} -> {now.get(name)!r}" for name in names}
    fixed = [name for name in changed if name in FIXED]
    if fixed:
        raise ConfigError.from_parts(
            f"the run to resume has another {fixed[0]} ({changed[fixed[0]]})",
            f"the same {', '.join(FIXED)}",
            "resume with the run's own recipe, or start another run with --out",
        )
    return [f"recipe changed: {name} {change}" for name, change in changed.items()]
