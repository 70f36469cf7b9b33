"""The rows of the tables on the evaluation page, as text."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from proxia_segmentation_ros.evaluation.boundary import BoundaryScore
from proxia_segmentation_ros.evaluation.report import EvaluationReport, show_score
from proxia_segmentation_ros.labels import LabelSet

NO_CLASS = "none"
MAX_CONFUSIONS = 5
# In darker cells white text is easier to read than black.
DARK_CELL = 0.85


@dataclass(frozen=True)
class ClassRow:
    """A class: `rgb` is a CSS colour, `bar` the IoU in percent of the bar's length."""

    name: str
    rgb: str
    bar: str
    iou: str
    precision: str
    recall: str
    share: str
    boundary: str


@dataclass(frozen=True)
class Cell:
    """A cell of the matrix: `percent` of the true class's pixels, and `depth`, 0 to 1."""

    percent: str
    depth: str
    is_dark: bool
    is_right: bool
    title: str


@dataclass(frozen=True)
class MatrixRow:
    """The predicted classes of the pixels of a true class."""

    name: str
    rgb: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Confusion:
    """A class predicted as another one: the share of the class's pixels and of all errors."""

    truth: str
    predicted: str
    of_truth: str
    of_errors: str


def list_class_rows(
    report: EvaluationReport, label_set: LabelSet, boundary: BoundaryScore | None
) -> list[ClassRow]:
    """Return a row for each class, by id."""
    outlines = boundary.f_score.tolist() if boundary is not None else [math.nan] * len(label_set)
    columns = (report.iou, report.precision, report.recall, report.shares, outlines)
    return [
        ClassRow(
            name=entry.name,
            rgb=_to_css(entry.rgb),
            bar=f"{0 if math.isnan(iou) else 100 * iou:.1f}",
            iou=show_score(iou),
            precision=show_score(precision),
            recall=show_score(recall),
            share="-" if math.isnan(share) else f"{share:.2%}",
            boundary=show_score(outline),
        )
        for entry, iou, precision, recall, share, outline in zip(
            label_set.classes, *columns, strict=True
        )
    ]


def list_predicted_names(report: EvaluationReport) -> list[str]:
    """Return the columns of the matrix: the classes, and `none` if pixels were left unlabeled."""
    return [*report.class_names, *([NO_CLASS] if report.cells[:, -1].any() else [])]


def list_matrix_rows(report: EvaluationReport, label_set: LabelSet) -> list[MatrixRow]:
    """Return a row for each true class, with a cell for each of `list_predicted_names`."""
    columns = list_predicted_names(report)
    totals = report.cells.sum(axis=1)
    return [
        MatrixRow(
            entry.name,
            _to_css(entry.rgb),
            tuple(
                _make_cell(entry.name, name, int(count), int(total), entry.id == column)
                for column, (name, count) in enumerate(zip(columns, counts, strict=False))
            ),
        )
        for entry, counts, total in zip(label_set.classes, report.cells, totals, strict=True)
    ]


def list_confusions(report: EvaluationReport) -> list[Confusion]:
    """Return the most frequent confusions of two classes, largest first."""
    wrong = report.cells.copy()
    np.fill_diagonal(wrong, 0)
    names = [*report.class_names, NO_CLASS]
    # A stable sort, so that equal counts are always in the same order.
    worst = np.argsort(-wrong.reshape(-1), kind="stable")[:MAX_CONFUSIONS]
    pairs = [divmod(int(index), wrong.shape[1]) for index in worst]
    totals = report.cells.sum(axis=1)
    return [
        Confusion(
            names[truth],
            names[predicted],
            f"{wrong[truth, predicted] / totals[truth]:.1%}",
            f"{wrong[truth, predicted] / wrong.sum():.1%}",
        )
        for truth, predicted in pairs
        if wrong[truth, predicted]
    ]


def _make_cell(truth: str, predicted: str, count: int, total: int, is_right: bool) -> Cell:
    share = count / total if total else 0.0
    # The square root makes shares of a few percent visible.
    depth = math.sqrt(share)
    return Cell(
        percent=_show_percent(share, count),
        depth=f"{depth:.2f}",
        is_dark=depth >= DARK_CELL,
        is_right=is_right,
        title=f"{truth} as {predicted}: {count:,} pixels, {share:.2%}" if count else "",
    )


def _show_percent(share: float, count: int) -> str:
    if not count:
        return ""
    return f"{100 * share:.0f}" if share >= 0.005 else "·"


def _to_css(rgb: Sequence[int]) -> str:
    return "rgb({} {} {})".format(*rgb)
