"""Find the files of a data set, and report what is missing."""

from collections.abc import Callable, Sequence
from pathlib import Path

from proxia_segmentation_ros.data.dataset import PathPair
from proxia_segmentation_ros.data.pair_files import IMAGE_SUFFIXES, index_by_stem, list_files
from proxia_segmentation_ros.errors import InputError


def find_folder(dataset: str, places: Sequence[Path]) -> Path:
    """Return the first folder that exists.

    Raises:
        InputError: none of the places is a folder.
    """
    return _find(dataset, "folder", places, Path.is_dir)


def find_file(dataset: str, places: Sequence[Path]) -> Path:
    """Return the first file that exists.

    Raises:
        InputError: none of the places is a file.
    """
    return _find(dataset, "file", places, Path.is_file)


def _find(
    dataset: str, kind: str, places: Sequence[Path], is_there: Callable[[Path], bool]
) -> Path:
    for place in places:
        if is_there(place):
            return place
    others = "".join(f", nor does {str(place)!r}" for place in places[1:])
    raise InputError.from_parts(
        f"{kind} {str(places[0])!r} does not exist{others}",
        f"the layout of {dataset} as it is published",
        "check the root, or unpack the archive that holds it",
    )


def list_images(folder: Path, ending: str = "") -> list[Path]:
    """Return the images of a folder whose names have this ending, sorted by name."""
    return [path for path in list_files(folder, IMAGE_SUFFIXES) if path.name.endswith(ending)]


def pair_by_stem(dataset: str, images: Path, masks: Path) -> list[PathPair]:
    """Return the images of a folder, each with the PNG mask of the same stem.

    Raises:
        InputError: there is no image, two have one name, or a mask is missing.
    """
    found = index_by_stem(images, list_images(images), "image")
    pairs = [(path, masks / f"{stem}.png") for stem, path in found.items()]
    check_found(dataset, images, pairs)
    check_files(dataset, "mask", [mask for _, mask in pairs])
    return pairs


def check_found(dataset: str, folder: Path, found: Sequence[object]) -> None:
    """Check that images were found.

    Raises:
        InputError: none was found.
    """
    if not found:
        raise InputError.from_parts(
            f"folder {str(folder)!r} holds no image of {dataset}",
            "images under their published names",
            "check the root, or unpack the archive of images",
        )


def check_files(dataset: str, kind: str, paths: Sequence[Path]) -> None:
    """Check that every file exists.

    Raises:
        InputError: a file is missing.
    """
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise InputError.from_parts(
            f"{len(missing)} of {len(paths)} images have no {kind}, first {str(missing[0])!r}",
            f"a {kind} for every image of {dataset}",
            "unpack the whole archive, or remove those images",
        )
