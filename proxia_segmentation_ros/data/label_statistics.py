"""Statistics of the class ids in masks, to find problems before a long training."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from proxia_segmentation_ros.data.dataset import Dataset
from proxia_segmentation_ros.data.pair_files import PairFiles, read_ids
from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.labels import SOURCE_IDS, LabelSet

MAX_MASKS = 200
MAX_IDS_LISTED = 8


def list_label_problems(pairs: Dataset, most: int = MAX_MASKS) -> list[str]:
    """Return a sentence for each problem found in up to `most` masks, evenly spread.

    Problems are ids that are in neither `source_ids` nor `source_ignore` of the label set, which
    are ignored in training, and classes without any pixel, which can't be learned.

    Raises:
        InputError: a mask can't be read, or no mask has a pixel with a class.
    """
    indices = range(0, len(pairs), -(-len(pairs) // most))
    counts = _count_all(pairs, indices)
    label_set = pairs.label_set
    checked = f"{len(indices)} of {len(pairs)} masks" if len(indices) < len(pairs) else "the masks"
    problems = _name_unknown(counts, label_set, checked) if _is_plain(pairs) else []
    by_class = _count_classes(counts, pairs)
    if not by_class.any():
        raise InputError.from_parts(
            f"no pixel of {checked} of {pairs.name} has a class" + _add(problems),
            f"ids of the label set {label_set.name}",
            "check the masks and the label set's source_ids",
        )
    absent = [entry.name for entry in label_set.classes if not by_class[entry.id]]
    if absent:
        problems.append(f"{checked} of {pairs.name} hold no pixel of {', '.join(absent)}")
    return problems


class TruthReader:
    """Maps masks to class ids and remembers the ids that the label set doesn't know."""

    def __init__(self, label_set: LabelSet) -> None:
        self._label_set = label_set
        self._unknown: set[int] = set()

    def read(self, path: Path) -> np.ndarray:
        """Read a mask file; return labels_HW.

        Raises:
            InputError: the file is missing, no image, or has colour channels.
        """
        ids_HW = read_ids(path)
        self._unknown |= set(np.unique(ids_HW[~self._label_set.is_known[ids_HW]]).tolist())
        return self._label_set.map_source(ids_HW)

    def list_unknown_ids(self) -> list[str]:
        """Return a sentence if the masks read so far hold such ids."""
        if not self._unknown:
            return []
        unknown = sorted(self._unknown)
        return [
            f"{list_ids(unknown)} in the masks {'is' if len(unknown) == 1 else 'are'} of no class "
            f"of {self._label_set.name!r} and not compared"
        ]


def list_unknown_ids(pairs: Dataset) -> list[str]:
    """Return a sentence if any mask holds ids that the label set doesn't know; reads every mask.

    Raises:
        InputError: a mask can't be read.
    """
    if not _is_plain(pairs):
        return []
    counts = _count_all(pairs, range(len(pairs)))
    return _name_unknown(counts, pairs.label_set, "the masks")


def _count_all(pairs: Dataset, indices: range) -> np.ndarray:
    counts = np.zeros(SOURCE_IDS, int)
    with ThreadPoolExecutor() as pool:
        for part in pool.map(lambda index: _count_ids(pairs, index), indices):
            counts += part
    return counts


def _is_plain(pairs: Dataset) -> bool:
    """Whether labels are the ids of one mask file, mapped by the label set."""
    return isinstance(pairs, PairFiles) and type(pairs).read_labels is PairFiles.read_labels


def _count_ids(pairs: Dataset, index: int) -> np.ndarray:
    """Return pixels by source id, or by class id where a data set computes its labels."""
    is_plain = _is_plain(pairs)
    ids_HW = read_ids(pairs.paths[index][1]) if is_plain else pairs.read_labels(index)
    return np.bincount(ids_HW.ravel(), minlength=SOURCE_IDS)


def _count_classes(counts: np.ndarray, pairs: Dataset) -> np.ndarray:
    classes = len(pairs.label_set)
    if not _is_plain(pairs):
        return counts[:classes]
    ids = pairs.label_set.source_table
    return np.bincount(ids, counts, len(pairs.label_set.palette))[:classes]


def _name_unknown(counts: np.ndarray, label_set: LabelSet, checked: str) -> list[str]:
    unknown = np.flatnonzero((counts > 0) & ~label_set.is_known)
    if not len(unknown):
        return []
    share = 100 * counts[unknown].sum() / counts.sum()
    return [
        f"{list_ids(unknown)} in {checked} {'is' if len(unknown) == 1 else 'are'} of no class and "
        f"ignored, {share:.1f} % of all pixels; source_ids of the label set {label_set.name} say "
        "which ids mean a class, source_ignore which shall be ignored"
    ]


def list_ids(ids: Sequence[int] | np.ndarray) -> str:
    """Return the first ids as words: `ids 3, 7 and 12 more`."""
    more = f" and {len(ids) - MAX_IDS_LISTED} more" if len(ids) > MAX_IDS_LISTED else ""
    return f"{'id' if len(ids) == 1 else 'ids'} {', '.join(map(str, ids[:MAX_IDS_LISTED]))}{more}"


def _add(problems: Sequence[str]) -> str:
    return "".join(f" ({problem})" for problem in problems)
