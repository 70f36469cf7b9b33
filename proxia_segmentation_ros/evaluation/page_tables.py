"""What the tables of a score's page hold, as text and shares."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from proxia_segmentation_ros.evaluation.boundary import BoundaryScore
from proxia_segmentation_ros.evaluation.report import EvaluationReport, show_score
from proxia_segmentation_ros.labels import LabelSet

NO_CLASS = "none"
MAX_CONFUSIONS = 5
# From here on white reads better than black.
DARK_CELL = 0.85


@dataclass(frozen=True)
class ClassRow:
    """One class: `rgb` as CSS takes it, `bar` is its IoU in percent of the bar's length."""

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
    """One pair of classes: `percent` of the true class's pixels, and how dark that looks."""

    percent: str
    depth: str
    is_dark: bool
    is_right: bool
    title: str


@dataclass(frozen=True)
class MatrixRow:
    """What the pixels of a true class were taken for."""

    name: str
    rgb: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Confusion:
    """A class that was taken for another: its share of that class's pixels and of all errors."""

    truth: str
    predicted: str
    of_truth: str
    of_errors: str


def list_class_rows(
    report: EvaluationReport, label_set: LabelSet, boundary: BoundaryScore | None
) -> list[ClassRow]:
    """Return a row for each class, in the order of their ids."""
    outlines = boundary.f_score.tolist() if boundary is not None else [math.nan] * len(label_set)
    columns = (report.iou, report.precision, report.recall, report.shares, outlines)
    return [
        ClassRow(
            name=one.name,
            rgb=_to_css(one.rgb),
            bar=f"{0 if math.isnan(iou) else 100 * iou:.1f}",
            iou=show_score(iou),
            precision=show_score(precision),
            recall=show_score(recall),
            share="-" if math.isnan(share) else f"{share:.2%}",
            boundary=show_score(outline),
        )
        for one, iou, precision, recall, share, outline in zip(
            label_set.classes, *columns, strict=True
        )
    ]


def list_predicted_names(report: EvaluationReport) -> list[str]:
    """Return the matrix's columns: the classes, and `none` where pixels were left without."""
    return [*report.class_names, *([NO_CLASS] if report.cells[:, -1].any() else [])]


def list_matrix_rows(report: EvaluationReport, label_set: LabelSet) -> list[MatrixRow]:
    """Return a row for each true class, as long as `list_predicted_names`."""
    columns = list_predicted_names(report)
    totals = report.cells.sum(axis=1)
    return [
        MatrixRow(
            one.name,
            _to_css(one.rgb),
            tuple(
                _make_cell(one.name, name, int(count), int(total), one.id == column)
                for column, (name, count) in enumerate(zip(columns, counts, strict=False))
            ),
        )
        for one, counts, total in zip(label_set.classes, report.cells, totals, strict=True)
    ]


def list_confusions(report: EvaluationReport) -> list[Confusion]:
    """Return the pairs of classes that cost the most pixels, the worst first."""
    wrong = report.cells.copy()
    np.fill_diagonal(wrong, 0)
    names = [*report.class_names, NO_CLASS]
    # A stable order: of equal counts the earlier pair.
    worst = np.argsort(-wrong.reshape(-1), kind="stable")[:MAX_CONFUSIONS]
    pairs = [divmod(int(place), wrong.shape[1]) for place in worst]
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
    # The root makes a few percent visible.
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
