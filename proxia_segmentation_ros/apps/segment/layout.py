"""The paths of the outputs of each image, unique among all images."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path

from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.sources.image_files import InputFile

PICTURES = ("overlay", "colored", "labels", "composite", "errors", "confidence", "confidence16")
PROBABILITIES, ATTENTION = "probabilities", "attention"
SUBMISSION, AUTOLABELS = "submission", "autolabels"
KINDS = (*PICTURES, PROBABILITIES, ATTENTION, SUBMISSION, AUTOLABELS)
MAX_NAME_BYTES = 180


@dataclass(frozen=True)
class Layout:
    """The kinds of output of each image.

    `pairs` are the scales (low, high) between which a multi-scale network's attention chooses.
    """

    kinds: tuple[str, ...]
    pairs: tuple[tuple[float, float], ...] = ()

    def place(self, folder: Path, name: str) -> dict[str, list[Path]]:
        """Return the paths of each kind below the output folder."""
        return {kind: self._place_kind(kind, folder, name) for kind in self.kinds}

    def _place_kind(self, kind: str, folder: Path, name: str) -> list[Path]:
        if kind == SUBMISSION:
            return [Path(kind, folder, f"{name}.png")]
        if kind == AUTOLABELS:
            return [Path(kind, folder, f"{name}{tail}.png") for tail in ("", "_prob")]
        if kind == ATTENTION:
            pairs = [f"{low:g}x_{high:g}x" for low, high in self.pairs]
            return [folder / f"{name}_attention_{pair}.png" for pair in pairs]
        suffix = "npz" if kind == PROBABILITIES else "png"
        return [folder / f"{name}_{kind}.{suffix}"]


@dataclass(frozen=True)
class Task:
    """An image and its output files, relative to the output folder."""

    file: InputFile
    outputs: Mapping[str, Sequence[Path]] = field(default_factory=dict)

    def is_done(self, out: Path) -> bool:
        """Whether every output exists."""
        return all((out / path).is_file() for paths in self.outputs.values() for path in paths)


def parse_kinds(text: str) -> tuple[str, ...]:
    """Parse kinds of output such as `overlay,labels`.

    Raises:
        ConfigError: a kind is unknown, or none is named.
    """
    kinds = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds:
        wrong = f"of unknown kind {unknown[0]!r}" if unknown else "nothing"
        raise ConfigError.from_parts(
            f"what to write is {wrong}", f"some of {', '.join(KINDS)}", "join kinds by commas"
        )
    return kinds


def plan_tasks(files: Sequence[InputFile], layout: Layout) -> list[Task]:
    """Return the outputs of each image, in the order of the files.

    Their name is the stem of the file. If two stems are equal, the suffix is added (`a_png`), and
    a number if that is not unique either. Case is ignored, as by some file systems.
    """
    stems = Counter(_name_stem(file) for file in files)
    taken: set[str] = set()
    tasks: dict[int, Task] = {}
    # Unique stems come first, so that no other image can take their name.
    for index in sorted(range(len(files)), key=lambda i: stems[_name_stem(files[i])] > 1):
        file = files[index]
        names = [_shorten(file.path.stem)] if stems[_name_stem(file)] == 1 else []
        tasks[index] = Task(file, _choose_name(file, names, layout, taken))
    return [tasks[index] for index in range(len(files))]


def _choose_name(
    file: InputFile, names: list[str], layout: Layout, taken: set[str]
) -> dict[str, list[Path]]:
    """Return the outputs of the first name whose paths are not taken, and take them."""
    long_name = _shorten(file.path.name.replace(".", "_"))
    numbered = (f"{long_name}_{number}" for number in count(2))
    for name in chain(names, [long_name], numbered):
        outputs = layout.place(file.folder, name)
        keys = {str(path).casefold() for paths in outputs.values() for path in paths}
        if not keys & taken:
            taken |= keys
            break
    return outputs


def _shorten(name: str) -> str:
    """Shorten a name, so that with its suffixes it is within the 255 bytes of file systems."""
    encoded = os.fsencode(name)
    return (
        name if len(encoded) <= MAX_NAME_BYTES else encoded[:MAX_NAME_BYTES].decode(errors="ignore")
    )


def _name_stem(file: InputFile) -> str:
    return str(file.folder / file.path.stem).casefold()
