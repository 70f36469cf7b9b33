"""Label sets: ids, names and colours of classes, and the mapping from a data set's ids."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from typing_extensions import Self

from proxia_segmentation_ros import parsing
from proxia_segmentation_ros.errors import ConfigError

UNLABELED_8 = 255
UNLABELED_16 = 65535
MAX_CLASSES_8 = 255
SOURCE_IDS = 65536
_SET_KEYS = ("name", "source_ignore", "classes")
_CLASS_KEYS = ("id", "name", "rgb", "source_ids")


@dataclass(frozen=True, kw_only=True)
class LabelClass:
    """A class; `source_ids` are its pixel values in the masks of a data set, by default its id."""

    id: int
    name: str
    rgb: tuple[int, int, int]
    source_ids: tuple[int, ...] = ()

    @property
    def mask_ids(self) -> tuple[int, ...]:
        """Return the pixel values that mean this class: `source_ids`, or its own id."""
        return self.source_ids or (self.id,)


@dataclass(frozen=True, kw_only=True)
class LabelSet:
    """Classes with ids 0..K-1, in order; source ids in `source_ignore` become unlabeled."""

    name: str
    classes: tuple[LabelClass, ...]
    source_ignore: tuple[int, ...] = field(default=())

    def __post_init__(self) -> None:
        ids = [label_class.id for label_class in self.classes]
        if not ids or ids != list(range(len(ids))):
            raise ConfigError.from_parts(
                f"label set {self.name!r} has the class ids {ids}",
                "0, 1, 2, ... without gaps",
                "renumber the classes",
            )
        names = [label_class.name for label_class in self.classes]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError.from_parts(
                    f"label set {self.name!r} names {name!r} twice",
                    "a different name for each class",
                    "rename one of them",
                )
        for label_class in self.classes:
            if len(label_class.rgb) != 3 or any(not 0 <= value <= 255 for value in label_class.rgb):
                raise ConfigError.from_parts(
                    f"class {label_class.name!r} has the colour {list(label_class.rgb)}",
                    "three numbers from 0 to 255",
                    "correct rgb",
                )
        self._check_source_ids()

    def _check_source_ids(self) -> None:
        owners: dict[int, str] = dict.fromkeys(self.source_ignore, "source_ignore")
        for label_class in self.classes:
            owner = f"{label_class.name!r}{'' if label_class.source_ids else ', as its id,'}"
            for value in label_class.mask_ids:
                if value in owners:
                    raise ConfigError.from_parts(
                        f"label set {self.name!r} gives the source id {value} to {owners[value]} "
                        f"and to {owner}",
                        "one class for each source id; without source_ids a class has its own id",
                        "take it from one of them",
                    )
                owners[value] = owner
        for value in owners:
            if not 0 <= value < SOURCE_IDS:
                raise ConfigError.from_parts(
                    f"label set {self.name!r} has the source id {value}",
                    f"0 to {SOURCE_IDS - 1}",
                    "correct source_ids and source_ignore",
                )

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """Class names in the order of their ids."""
        return tuple(label_class.name for label_class in self.classes)

    @property
    def unlabeled_id(self) -> int:
        """Id of a pixel without a class: 255, or 65535 above 255 classes."""
        return UNLABELED_8 if len(self) <= MAX_CLASSES_8 else UNLABELED_16

    @property
    def label_dtype(self) -> type[np.unsignedinteger[Any]]:
        """Pixel type of label images: uint8, or uint16 above 255 classes."""
        return np.uint8 if len(self) <= MAX_CLASSES_8 else np.uint16

    @cached_property
    def palette(self) -> np.ndarray:
        """Colours by id as uint8 (256 or 65536, 3); ids without a class are black."""
        table = np.zeros((self.unlabeled_id + 1, 3), np.uint8)
        for label_class in self.classes:
            table[label_class.id] = label_class.rgb
        return table

    @cached_property
    def source_table(self) -> np.ndarray:
        """Class id by source id (65536 entries); unknown source ids are unlabeled."""
        table = np.full(SOURCE_IDS, self.unlabeled_id, self.label_dtype)
        for label_class in self.classes:
            table[list(label_class.mask_ids)] = label_class.id
        table[list(self.source_ignore)] = self.unlabeled_id
        return table

    @cached_property
    def is_known(self) -> np.ndarray:
        """Whether a source id is of a class or to be ignored, bool (65536,); 255 may be void."""
        known: np.ndarray = self.source_table != self.unlabeled_id
        known[[*self.source_ignore, self.unlabeled_id]] = True
        return known

    def map_source(self, mask_HW: np.ndarray) -> np.ndarray:
        """Map a data set's mask of unsigned source ids to class ids."""
        mapped: np.ndarray = self.source_table[mask_HW]
        return mapped

    def to_dict(self) -> dict[str, Any]:
        """Return the label set as a model card holds it, with the source ids of every class."""
        return {
            "name": self.name,
            "source_ignore": list(self.source_ignore),
            "classes": [
                {
                    "id": label_class.id,
                    "name": label_class.name,
                    "rgb": list(label_class.rgb),
                    "source_ids": list(label_class.mask_ids),
                }
                for label_class in self.classes
            ],
        }

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Self:
        """Build a label set from parsed YAML or JSON.

        Raises:
            ConfigError: a key is missing or a value has the wrong form.
        """
        try:
            _check_keys(raw, _SET_KEYS)
            return cls(
                name=_as_text(raw["name"]),
                classes=tuple(_read_class(entry) for entry in raw["classes"]),
                source_ignore=_as_ids(raw.get("source_ignore", ())),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError.from_parts(
                f"label set can't be read ({type(error).__name__}: {error})",
                "name, source_ignore and classes of id, name, rgb, source_ids",
                "compare it with label_sets/camvid.yaml",
            ) from error


def _read_class(raw: Mapping[str, Any]) -> LabelClass:
    _check_keys(raw, _CLASS_KEYS)
    red, green, blue = _as_ids(raw["rgb"])
    source_ids = _as_ids(raw.get("source_ids", (raw["id"],)))
    if not source_ids:
        raise ValueError(f"source_ids of {raw['name']!r} is empty")
    return LabelClass(
        id=_as_id(raw["id"]),
        name=_as_text(raw["name"]),
        rgb=(red, green, blue),
        source_ids=source_ids if "source_ids" in raw else (),
    )


def _check_keys(raw: Mapping[str, Any], known: Sequence[str]) -> None:
    for key in raw.keys():  # noqa: SIM118  a list has no keys and is refused here
        if key not in known:
            raise ValueError(f"key {key!r} is unknown, known are {', '.join(known)}")


def _as_text(value: object) -> str:
    # YAML reads no, on and 1 as other types, whose text would be another name.
    if not isinstance(value, str) or not value.strip():
        raise TypeError(f"name is {value!r}, write it in quotes")
    return value


def _as_ids(values: Sequence[object]) -> tuple[int, ...]:
    return tuple(_as_id(value) for value in values)


def _as_id(value: object) -> int:
    # True is an int in Python, and YAML reads `yes` so.
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r} is no whole number")
    return value


class _StrictLoader(yaml.SafeLoader):  # type: ignore[misc]
    """Refuses a key that is there twice, of which YAML would take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        # Before the keys of merged mappings (<<) join, which these may override.
        names = [key.value for key, _ in node.value]
        for name in names:
            if names.count(name) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {name!r} is there twice", node.start_mark
                )
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return mapping


def parse_yaml(text: str) -> Any:
    """Parse YAML, as `yaml.safe_load` does, and refuse a key that is there twice.

    Raises:
        yaml.YAMLError: the text is no YAML, is nested too deeply, or repeats a key.
    """
    return parsing.parse_yaml(text, _StrictLoader)


def load_label_set(name_or_path: str | Path) -> LabelSet:
    """Read a shipped label set by name, or any YAML file by path.

    Raises:
        ConfigError: no such name or file, or its content is wrong.
    """
    shipped = resources.files("proxia_segmentation_ros") / "label_sets"
    path = Path(name_or_path)
    if path.suffix in {".yaml", ".yml"}:
        if not path.is_file():
            raise ConfigError.from_parts(
                f"label set file {str(path)!r} does not exist", "a YAML file", "check the path"
            )
        text = path.read_text(encoding="utf-8")
    else:
        entry = shipped / f"{name_or_path}.yaml"
        if not entry.is_file():
            known = sorted(file.name.removesuffix(".yaml") for file in shipped.iterdir())
            raise ConfigError.from_parts(
                f"label set {str(name_or_path)!r} is not shipped",
                f"one of {', '.join(known)} or a path that ends in .yaml",
                "pick one",
            )
        text = entry.read_text(encoding="utf-8")
    try:
        raw = parse_yaml(text)
    except yaml.YAMLError as error:
        raise ConfigError.from_parts(
            f"label set {str(name_or_path)!r} is not YAML ({error})", "a YAML file", "correct it"
        ) from error
    return LabelSet.from_dict(raw if isinstance(raw, dict) else {})
