"""Label image files and write what a person wants to see of them."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from proxia_segmentation_ros.apps.sources import read_rgb, sort_naturally
from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.render import colorize, draw_overlay

if TYPE_CHECKING:
    from proxia_segmentation_ros.inference import Scene, Segmenter

CLASSES_NAMED = 4


@dataclass(frozen=True, kw_only=True)
class SegmentSettings:
    """What to label, where to write and how."""

    path: Path
    out: Path
    weights: str = "default"
    backend: str = "auto"
    precision: str = "auto"
    size: str = "card"
    alpha: float = 0.5
    boxes: bool = False


def segment_files(settings: SegmentSettings, say: Callable[[str], None]) -> int:
    """Write `<name>_{overlay,colored,labels}.png` for each image; returns how many were read.

    What is no image costs one line through `say`.

    Raises:
        InputError: the path does not exist or none of its files is an image.
    """
    paths = list_files(settings.path)
    from proxia_segmentation_ros.inference import Segmenter

    segmenter = Segmenter.from_weights(
        settings.weights,
        backend=settings.backend,
        precision=settings.precision,
        size=settings.size,
    )
    settings.out.mkdir(parents=True, exist_ok=True)
    names = name_outputs(paths)
    count = 0
    try:
        for path, name in zip(paths, names, strict=True):
            try:
                image_HWC = read_rgb(path)
            except InputError as error:
                say(f"skipped {path.name}: {error}")
                continue
            scene = _segment_one(segmenter, image_HWC, settings, name)
            say(f"{path.name}: {describe_scene(scene)}")
            count += 1
    finally:
        segmenter.close()
    if not count:
        raise InputError.from_parts(
            f"{str(settings.path)!r} holds no image that can be read",
            "JPEG, PNG or another format that OpenCV reads",
            "check the path",
        )
    return count


def list_files(path: Path) -> list[Path]:
    """Return the file itself, or the files of a folder in natural order.

    Raises:
        InputError: nothing is there.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InputError.from_parts(
            f"{str(path)!r} does not exist", "an image or a folder of images", "check the path"
        )
    files = [one for one in path.iterdir() if one.is_file() and not one.name.startswith(".")]
    if not files:
        raise InputError.from_parts(f"folder {str(path)!r} is empty", "images", "check the path")
    return sorted(files, key=lambda one: sort_naturally(one.name))


def name_outputs(paths: Sequence[Path]) -> list[str]:
    """Return a name for each file: its stem, with the suffix where stems would clash."""
    stems = Counter(path.stem for path in paths)
    return [path.stem if stems[path.stem] == 1 else path.name.replace(".", "_") for path in paths]


def describe_scene(scene: "Scene") -> str:
    """Return the largest classes with their shares of the image."""
    shares = [
        f"{one.class_name} {100 * one.area_fraction:.0f} %" for one in scene.classes[:CLASSES_NAMED]
    ]
    return f"{scene.width}x{scene.height}, {', '.join(shares) or 'nothing known'}"


def _segment_one(
    segmenter: "Segmenter", image_HWC: np.ndarray, settings: SegmentSettings, name: str
) -> "Scene":
    from proxia_segmentation_ros.inference import summarize

    segmentation = segmenter.segment(image_HWC)
    label_set = segmenter.label_set
    scene = summarize(segmentation, label_set)
    boxes = [(*one.box_xywh, found.class_id) for found in scene.classes for one in found.objects]
    overlay_HWC = draw_overlay(
        image_HWC,
        segmentation.labels,
        label_set,
        alpha=settings.alpha,
        boxes=boxes if settings.boxes else (),
    )
    pictures = {
        "overlay": cv2.cvtColor(overlay_HWC, cv2.COLOR_RGB2BGR),
        "colored": cv2.cvtColor(colorize(segmentation.labels, label_set), cv2.COLOR_RGB2BGR),
        "labels": segmentation.labels,
    }
    for kind, picture in pictures.items():
        path = settings.out / f"{name}_{kind}.png"
        if not cv2.imwrite(str(path), picture):
            raise InputError.from_parts(
                f"{str(path)!r} can't be written", "a folder with room", "choose another --out"
            )
    return scene
