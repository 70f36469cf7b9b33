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

from proxia_segmentation_ros.errors import ConfigError

UNLABELED_8 = 255
UNLABELED_16 = 65535
MAX_CLASSES_8 = 255
SOURCE_IDS = 65536


@dataclass(frozen=True, kw_only=True)
class LabelClass:
    """A class; `source_ids` are its pixel values in the masks of a data set."""

    id: int
    name: str
    rgb: tuple[int, int, int]
    source_ids: tuple[int, ...] = ()


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
        named = [value for label_class in self.classes for value in label_class.source_ids]
        for value in (*named, *self.source_ignore):
            if not 0 <= value < SOURCE_IDS:
                raise ConfigError.from_parts(
                    f"label set {self.name!r} has the source id {value}",
                    f"0 to {SOURCE_IDS - 1}",
                    "correct source_ids and source_ignore",
                )
        for value in named:
            if named.count(value) > 1:
                raise ConfigError.from_parts(
                    f"label set {self.name!r} gives the source id {value} to two classes",
                    "one class for each source id",
                    "take it from one of them",
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
            table[list(label_class.source_ids or (label_class.id,))] = label_class.id
        table[list(self.source_ignore)] = self.unlabeled_id
        return table

    def map_source(self, mask_HW: np.ndarray) -> np.ndarray:
        """Map a data set's mask of unsigned source ids to class ids."""
        mapped: np.ndarray = self.source_table[mask_HW]
        return mapped

    def to_dict(self) -> dict[str, Any]:
        """Return `{name, classes: [{id, name, rgb}]}` as a model card holds it."""
        return {
            "name": self.name,
            "classes": [
                {"id": label_class.id, "name": label_class.name, "rgb": list(label_class.rgb)}
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
            classes = tuple(
                LabelClass(
                    id=int(label_class["id"]),
                    name=str(label_class["name"]),
                    rgb=_as_rgb(label_class["rgb"]),
                    source_ids=tuple(int(value) for value in label_class.get("source_ids", ())),
                )
                for label_class in raw["classes"]
            )
            ignored = tuple(int(value) for value in raw.get("source_ignore", ()))
            return cls(name=str(raw["name"]), classes=classes, source_ignore=ignored)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError.from_parts(
                f"label set can't be read ({type(error).__name__}: {error})",
                "name, source_ignore and classes of id, name, rgb, source_ids",
                "compare it with label_sets/camvid.yaml",
            ) from error


def _as_rgb(values: Sequence[int]) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in values)
    return red, green, blue


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
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError.from_parts(
            f"label set {str(name_or_path)!r} is not YAML ({error})", "a YAML file", "correct it"
        ) from error
    return LabelSet.from_dict(raw if isinstance(raw, dict) else {})
