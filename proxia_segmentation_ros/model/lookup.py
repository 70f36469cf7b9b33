"""Find the file of a weights name: shipped, downloaded, or a path. Does not import torch."""

from importlib import resources
from pathlib import Path

from proxia_segmentation_ros.errors import WeightsError
from proxia_segmentation_ros.model.catalogue import SUFFIX as SUFFIX
from proxia_segmentation_ros.model.catalogue import locate_converted, read_catalogue

FOREIGN_SUFFIXES = (".pth", ".pt", ".tar")


def list_shipped_weights() -> list[str]:
    """Return the names of the weights that the package ships."""
    folder = resources.files("proxia_segmentation_ros") / "weights"
    if not folder.is_dir():
        return []
    names = [entry.name for entry in folder.iterdir()]
    return sorted(name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX))


def find_weights(path_or_name: str | Path) -> Path:
    """Return the path of shipped or downloaded weights, or of a weight file.

    Raises:
        WeightsError: unknown name, missing file, or a file of another kind.
    """
    kinds = (SUFFIX, *FOREIGN_SUFFIXES)
    if isinstance(path_or_name, Path) and path_or_name.suffix in kinds and path_or_name.is_file():
        # What an earlier call returned: a name is looked up once in a start.
        return path_or_name
    text = str(path_or_name)
    shipped = list_shipped_weights()
    if text in shipped:
        folder = resources.files("proxia_segmentation_ros") / "weights"
        return Path(str(folder / f"{text}{SUFFIX}"))
    if text in read_catalogue():
        return _find_converted(text)
    path = Path(text).expanduser()
    if path.is_file() and path.suffix in kinds:
        return path
    if path.exists() or path.suffix in kinds or path.name != text:
        wrong = "is not a weight file" if path.exists() else "does not exist"
        raise WeightsError.from_parts(
            f"weight file {text!r} {wrong}", f"a file that ends in {', '.join(kinds)}",
            "check the path",
        )  # fmt: skip
    raise WeightsError.from_parts(
        f"weights {text!r} are not shipped",
        f"one of {', '.join(shipped)}, a name from `proxia weights list` or the path of a "
        "weight file",
        "pick one",
    )


def _find_converted(name: str) -> Path:
    """Return the converted file of downloaded weights.

    Raises:
        WeightsError: they have not been downloaded yet.
    """
    path = locate_converted(name)
    if not path.is_file():
        raise WeightsError.from_parts(
            f"weights {name!r} are not on this machine yet",
            str(path),
            f"run `proxia weights download {name}`",
        )
    return path
