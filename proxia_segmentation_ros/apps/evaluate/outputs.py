"""Files that an evaluation writes: an HTML page, and weights with the fitted temperature."""

import os
from pathlib import Path
from typing import Any, TypeVar

from proxia_segmentation_ros.apps.evaluate.run import Evaluation
from proxia_segmentation_ros.apps.evaluate.settings import FOLDERS, EvaluationSettings
from proxia_segmentation_ros.apps.output_file import write_output
from proxia_segmentation_ros.errors import ConfigError, InputError
from proxia_segmentation_ros.evaluation.boundary import BoundaryScore
from proxia_segmentation_ros.evaluation.calibration import Calibration
from proxia_segmentation_ros.evaluation.page import Page
from proxia_segmentation_ros.evaluation.temperature import LogitSample
from proxia_segmentation_ros.evaluation.worst_images import WorstImages
from proxia_segmentation_ros.model.card import ModelCard
from proxia_segmentation_ros.model.card_file import read_card
from proxia_segmentation_ros.model.weight_file import check_copy, copy_with_temperature

Kind = TypeVar("Kind")
# Settings that the page describes in its own words; others are listed if not at their default.
DESCRIBED_SETTINGS = {
    "data", "weights", "backend", "precision", "size", "scales", "boundary", "calibration",
    "fit_temperature", "save_calibrated", "page", "worst",
}  # fmt: skip


def check_outputs(settings: EvaluationSettings, out: Path | None = None) -> None:
    """Check before the evaluation that its files, including `out` for JSON, can be written.

    Raises:
        InputError: a path is a folder or inside a file, or two files have the same path.
        WeightsError: the weights have another file format, or the path of the calibrated weights
            has another suffix or is among the shipped weights.
    """
    paths = {"page": settings.page, "save_calibrated": settings.save_calibrated, "out": out or ""}
    taken: dict[Path, str] = {}
    for name, path in ((name, Path(path)) for name, path in paths.items() if path):
        _check_place(name, path)
        other = taken.setdefault(path.resolve(), name)
        if other != name:
            raise InputError.from_parts(
                f"{other} and {name} are both {str(path)!r}", "a file for each", f"rename {name}"
            )
    if settings.save_calibrated:
        check_copy(settings.weights_path, settings.save_calibrated)


def write_outputs(evaluation: Evaluation) -> list[str]:
    """Write the files that the settings ask for; return a line about each.

    Raises:
        InputError: the page can't be written.
        ConfigError: the fitted temperature is at a limit of its range.
        WeightsError: the calibrated weights can't be written.
    """
    settings, lines = evaluation.settings, []
    if settings.page:
        # File names can contain bytes that are not UTF-8.
        content = make_page(evaluation).to_html().encode("utf-8", "replace")
        write_output(Path(settings.page), content, "choose another page")
        lines.append(f"{settings.page}: the page")
    sample = _find(evaluation, LogitSample)
    if settings.save_calibrated and sample is not None:
        temperature = _get_temperature(sample)
        copy_with_temperature(settings.weights_path, settings.save_calibrated, temperature)
        lines.append(
            f"{settings.save_calibrated}: {settings.weights} with temperature {temperature:.4f}"
        )
    return lines


def make_page(evaluation: Evaluation) -> Page:
    """Collect the content of the page."""
    sample, worst = _find(evaluation, LogitSample), _find(evaluation, WorstImages)
    return Page(
        title=f"{_name_weights(evaluation.settings)} on {_name_data(evaluation.settings)}",
        run=describe_run(evaluation, read_card(evaluation.settings.weights_path)),
        report=evaluation.report,
        label_set=evaluation.label_set,
        boundary=_find(evaluation, BoundaryScore),
        calibration=_find(evaluation, Calibration),
        fit=None if sample is None else sample.fit(),
        worst=() if worst is None else worst.kept,
    )


def describe_run(evaluation: Evaluation, card: ModelCard) -> list[tuple[str, str]]:
    """Return the settings of the run as names and values; the same for equal runs."""
    settings = evaluation.settings
    scales = settings.scales or card.scales
    height, width = card.size_hw
    described = [
        ("weights", settings.weights),
        ("network", card.architecture),
        ("backend, precision", f"{evaluation.backend}, {evaluation.precision}"),
        ("network input", f"{width}x{height}" if settings.size == "card" else settings.size),
        ("in-model scales", ", ".join(f"{scale:g}" for scale in scales)),
        ("temperature", f"{card.temperature:g}"),
        ("images", f"{evaluation.report.images:,} of {_place_data(settings)}"),
        ("label set", f"{evaluation.report.label_set}, {len(evaluation.label_set)} classes"),
        ("pixels with a truth", f"{evaluation.report.pixels:,}"),
    ]
    others = [
        (name.replace("_", " "), _show(getattr(settings, name)))
        for name, field in type(settings).model_fields.items()
        if name not in DESCRIBED_SETTINGS and getattr(settings, name) != field.default
    ]
    data = settings.data
    others += [(f"data, {name}", _show(value)) for name, value in data.options.items()]
    if data.long_side:
        others.append(("longer side of images and masks", f"{data.long_side} pixels"))
    return described + others


def _check_place(name: str, path: Path) -> None:
    if path.is_dir():
        raise InputError.from_parts(
            f"{name} {str(path)!r} is a folder", "a file", "add the file's name to it"
        )
    if path.exists() and not path.is_file():
        # Files are written by renaming, which would replace /dev/null.
        raise InputError.from_parts(
            f"{name} {str(path)!r} is a device or a pipe", "a file", f"choose another {name}"
        )
    in_the_way = next(
        (parent for parent in path.parents if parent.exists() and not parent.is_dir()), None
    )
    if in_the_way is not None:
        raise InputError.from_parts(
            f"{name} {str(path)!r} lies in {str(in_the_way)!r}, which is no folder",
            "a path through folders",
            f"choose another {name}",
        )


def _find(evaluation: Evaluation, kind: type[Kind]) -> Kind | None:
    return next((observer for observer in evaluation.observers if isinstance(observer, kind)), None)


def _get_temperature(sample: LogitSample) -> float:
    fit = sample.fit()
    if fit.is_at_limit:
        raise ConfigError.from_parts(
            f"the fitted temperature is {fit.temperature:.4f}, an end of the range",
            "one at which the loss is least",
            "fit it on more images, some pixels of which the weights label wrongly",
        )
    return fit.temperature


def _name_weights(settings: EvaluationSettings) -> str:
    return Path(settings.weights).name


def _name_data(settings: EvaluationSettings) -> str:
    data = settings.data
    if data.dataset != FOLDERS:
        return f"{data.dataset} {data.split}"
    # The last two folders, because the first of them is often the name of the data set.
    return "/".join(Path(os.path.abspath(data.images)).parts[-2:])


def _place_data(settings: EvaluationSettings) -> str:
    data = settings.data
    return data.images if data.dataset == FOLDERS else f"{data.dataset} {data.split}, {data.root}"


def _show(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple | list):
        return ", ".join(_show(item) for item in value)
    return str(value)
