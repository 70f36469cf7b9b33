"""One variant of a comparison, as written on a command line: `eager`, `backend=torch,threads=1`."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import yaml

from proxia_segmentation_ros.errors import ConfigError

Kind = Literal["model", "pipeline", "eager"]
KINDS: tuple[Kind, ...] = get_args(Kind)
EAGER_OPTIONS = ("weights", "size", "threads")
PIPELINE_OPTIONS = ("objects",)


@dataclass(frozen=True, kw_only=True)
class Variant:
    """What runs (the bare model, the core pipeline or plain PyTorch), and with which options.

    `loading` goes to `Segmenter.from_weights` with `weights`, `calling` to `Segmenter.segment`.
    """

    name: str
    kind: Kind
    weights: str
    loading: Mapping[str, Any] = field(default_factory=dict)
    calling: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the fields, for the worker process."""
        return {
            "name": self.name,
            "kind": self.kind,
            "weights": self.weights,
            "loading": dict(self.loading),
            "calling": dict(self.calling),
        }


def parse_variant(text: str, *, kind: Kind, defaults: Mapping[str, Any]) -> Variant:
    """Read `[model|pipeline|eager][,option=value]...`; values are YAML.

    Options are the keyword arguments of `Segmenter.from_weights` and of `Segmenter.segment`,
    `weights`, and for a pipeline `objects` (whether it finds them). Defaults that plain PyTorch
    does not have are left out for it.

    Raises:
        ConfigError: an option is unknown or has no value.
    """
    parts = split_outside_brackets(text)
    for known_kind in KINDS:
        if parts[:1] == [known_kind]:
            kind, parts = known_kind, parts[1:]
            break
    loading, calling = list_options()
    calling = (*calling, *PIPELINE_OPTIONS) if kind == "pipeline" else calling
    known = EAGER_OPTIONS if kind == "eager" else ("weights", *loading, *calling)
    values = {name: value for name, value in defaults.items() if name in known}
    for part in parts:
        name, value = _read_option(part, known, kind)
        values[name] = value
    return Variant(
        name=text or kind,
        kind=kind,
        weights=str(values.pop("weights", "default")),
        loading={name: value for name, value in values.items() if name in loading},
        calling={name: value for name, value in values.items() if name in calling},
    )


def list_options() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the options of loading a model, and those of each call."""
    from proxia_segmentation_ros.inference import Segmenter

    skipped = {"self", "path_or_name", "image_HWC"}
    loading, calling = (
        tuple(name for name in inspect.signature(function).parameters if name not in skipped)
        for function in (Segmenter.from_weights, Segmenter.segment)
    )
    return loading, calling


def split_outside_brackets(text: str) -> list[str]:
    """Split at commas outside brackets: `a=[1,2],b=3` has two parts."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "[{") - (letter in "]}")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def _read_option(part: str, known: tuple[str, ...], kind: Kind) -> tuple[str, Any]:
    name, equals, value = part.partition("=")
    if not equals or name not in known:
        raise ConfigError.from_parts(
            f"{part!r} is no option of {kind!r}",
            f"name=value with one of {', '.join(known)}, after {' or '.join(KINDS)}",
            "correct it",
        )
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError.from_parts(
            f"{part!r} holds no YAML value", "name=value", "quote the value"
        ) from error
