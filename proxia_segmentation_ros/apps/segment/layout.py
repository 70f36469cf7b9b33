"""Where the outputs of each image go: one name for each image, and no file for two of them."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path

from proxia_segmentation_ros.atomic_file import write_file_atomically
from proxia_segmentation_ros.errors import ConfigError, InputError
from proxia_segmentation_ros.sources.image_files import InputFile

PICTURES = ("overlay", "colored", "labels", "composite", "errors", "confidence", "confidence16")
PROBABILITIES, ATTENTION = "probabilities", "attention"
SUBMISSION, AUTOLABELS = "submission", "autolabels"
KINDS = (*PICTURES, PROBABILITIES, ATTENTION, SUBMISSION, AUTOLABELS)
MAX_NAME_BYTES = 180


@dataclass(frozen=True)
class Layout:
    """Which outputs each image has.

    `pairs` names a multi-scale network's choices: (scale, the next larger one).
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
    """An image and the files that are made of it, below the output folder."""

    file: InputFile
    outputs: Mapping[str, Sequence[Path]] = field(default_factory=dict)

    def is_done(self, out: Path) -> bool:
        """Whether every output is there."""
        return all((out / path).is_file() for paths in self.outputs.values() for path in paths)


def parse_kinds(text: str) -> tuple[str, ...]:
    """Read `overlay,labels`.

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
    """Give each image its outputs, in the order of the files.

    A name is the file's stem, with the suffix (`a_png`) where stems clash and a number where
    that clashes too. Names that differ in nothing but capitals count as one: some disks think so.
    """
    stems = Counter(_name_stem(file) for file in files)
    taken: set[str] = set()
    tasks: dict[int, Task] = {}
    # Those that need no other name choose first, so that nobody takes theirs.
    for index in sorted(range(len(files)), key=lambda one: stems[_name_stem(files[one])] > 1):
        file = files[index]
        names = [_shorten(file.path.stem)] if stems[_name_stem(file)] == 1 else []
        tasks[index] = Task(file, _choose_name(file, names, layout, taken))
    return [tasks[index] for index in range(len(files))]


def _choose_name(
    file: InputFile, names: list[str], layout: Layout, taken: set[str]
) -> dict[str, list[Path]]:
    """Return the outputs of the first name whose paths nobody has, and take them."""
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
    """Leave room for what is appended: disks take no longer names than 255 bytes."""
    encoded = os.fsencode(name)
    return (
        name if len(encoded) <= MAX_NAME_BYTES else encoded[:MAX_NAME_BYTES].decode(errors="ignore")
    )


def _name_stem(file: InputFile) -> str:
    return str(file.folder / file.path.stem).casefold()


def write_whole(path: Path, content: bytes, remedy: str = "choose another --out") -> None:
    """Leave either the old file or the new one, whatever happens.

    Raises:
        InputError: it can't be written.
    """
    try:
        write_file_atomically(path, content)
    except OSError as error:
        raise InputError.from_parts(
            f"{str(path)!r} can't be written ({error.strerror})",
            "a folder with room that is writable",
            remedy,
        ) from error
