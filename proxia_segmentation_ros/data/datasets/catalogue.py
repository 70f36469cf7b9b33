"""Data sets by the names that recipes and commands use."""

from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError, validate_call

from proxia_segmentation_ros.data.dataset import Dataset
from proxia_segmentation_ros.data.datasets.ade20k import open_ade20k
from proxia_segmentation_ros.data.datasets.cityscapes import open_cityscapes, open_cityscapes_coarse
from proxia_segmentation_ros.data.datasets.cityscapes_auto import open_cityscapes_auto
from proxia_segmentation_ros.data.datasets.folder import ImageMaskFolder
from proxia_segmentation_ros.data.datasets.mapillary import open_mapillary
from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.labels import load_label_set


def open_camvid(
    root: Path, split: Literal["train", "val", "test"], *, keep_decoded: bool = False
) -> ImageMaskFolder:
    """Open a split of CamVid as the SegNet tutorial arranges it: `<split>`, `<split>annot`.

    Raises:
        InputError: a folder or mask is missing.
    """
    label_set = load_label_set("camvid")
    return ImageMaskFolder(
        root / split, root / f"{split}annot", label_set, keep_decoded=keep_decoded
    )


def open_folder(
    root: Path,
    split: str,
    *,
    label_set: str,
    images: str = "{split}",
    masks: str = "{split}annot",
    keep_decoded: bool = False,
) -> ImageMaskFolder:
    """Open a folder of images and one of masks; `{split}` in their names is replaced.

    `label_set` is a shipped name or the path of a YAML file.

    Raises:
        ConfigError: the label set can't be read.
        InputError: a folder or mask is missing.
    """
    return ImageMaskFolder(
        root / images.replace("{split}", split),
        root / masks.replace("{split}", split),
        load_label_set(label_set),
        keep_decoded=keep_decoded,
    )


OPENERS: dict[str, Callable[..., Dataset]] = {
    "ade20k": open_ade20k,
    "camvid": open_camvid,
    "cityscapes": open_cityscapes,
    "cityscapes_auto": open_cityscapes_auto,
    "cityscapes_coarse": open_cityscapes_coarse,
    "folder": open_folder,
    "mapillary": open_mapillary,
}


def open_dataset(name: str, root: str | Path, split: str, **options: Any) -> Dataset:
    """Open a data set by name; options are the keyword arguments of its `open_` function.

    Raises:
        ConfigError: the data set, split or option is unknown, or a value out of its range.
        InputError: a folder or file is missing.
    """
    if name not in OPENERS:
        raise ConfigError.from_parts(
            f"data set {name!r} is not known", f"one of {', '.join(OPENERS)}", "pick one"
        )
    try:
        dataset: Dataset = validate_call(OPENERS[name])(root=Path(root), split=split, **options)
    except ValidationError as error:
        raise _explain(name, error) from error
    return dataset


def _explain(name: str, error: ValidationError) -> ConfigError:
    """Return an error about the first wrong option."""
    problem = error.errors()[0]
    option = ".".join(str(part) for part in problem["loc"])
    known = [key for key in signature(OPENERS[name]).parameters if key not in ("root", "split")]
    if problem["type"] == "unexpected_keyword_argument":
        return ConfigError.from_parts(
            f"data set {name} has no option {option!r}", f"one of {', '.join(known)}", "correct it"
        )
    if problem["type"] == "missing_keyword_only_argument":
        return ConfigError.from_parts(
            f"data set {name} is given no {option}", f"a value for {option}", "add that option"
        )
    return ConfigError.from_parts(
        f"{option} of data set {name} is {problem['input']!r}",
        problem["msg"].removeprefix("Input should be "),
        "correct it",
    )
