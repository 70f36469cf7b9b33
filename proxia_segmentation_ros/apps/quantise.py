"""Post-training quantisation: find int8 ranges, compare with float, keep them if accurate."""

import logging
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from proxia_segmentation_ros.apps.defaults import CALIBRATION_IMAGES, MAX_LOST_POINTS
from proxia_segmentation_ros.apps.evaluate.run import evaluate_weights, find_notes
from proxia_segmentation_ros.apps.evaluate.settings import EvaluationData, EvaluationSettings
from proxia_segmentation_ros.backends.network_source import WeightFile
from proxia_segmentation_ros.backends.precision import (
    choose_precision,
    describe_cpu,
    read_cpu_flags,
)
from proxia_segmentation_ros.errors import ConfigError, InputError, WeightsError
from proxia_segmentation_ros.inference import Segmenter
from proxia_segmentation_ros.model.quantisation import Quantisation, Range, copy_with_quantisation
from proxia_segmentation_ros.model.weight_file import check_copy
from proxia_segmentation_ros.progress import Progress
from proxia_segmentation_ros.sources.image_files import list_inputs, read_image_file
from proxia_segmentation_ros.training.quantisation import find_ranges

logger = logging.getLogger(__name__)

TIMED_IMAGES = 24
POINTS = 100.0


@dataclass(frozen=True, kw_only=True)
class QuantiseSettings:
    """`images` are for calibration, `truth` is for the evaluation.

    At most `count` calibration images are used, evenly spaced. int8 may lose at most `gate_points`
    of mIoU x 100.
    """

    weights: str
    images: Path
    truth: EvaluationData
    out: Path
    count: int = CALIBRATION_IMAGES
    gate_points: float = MAX_LOST_POINTS


def quantise_weights(settings: QuantiseSettings, progress: Progress) -> Quantisation:
    """Write a copy of the weights that can run in int8; return the results of the evaluation.

    Raises:
        ConfigError: count or gate is out of its range.
        InputError: there are no images or masks, or one can't be read.
        WeightsError: int8 loses more than the gate allows, or the weights can't be read or
            written.
        BackendError: OpenVINO is missing or can't run the network.
    """
    _check_numbers(settings)
    source = WeightFile(settings.weights)
    check_copy(source.path, settings.out)
    # Opened now, so that missing or broken masks are reported before the work.
    pairs = settings.truth.open(source.card.to_label_set())
    for note in find_notes(settings.truth, pairs):
        logger.warning(note)
    pictures = _choose_images(settings.images, settings.count)
    progress.begin("finding ranges", len(pictures))
    ranges = find_ranges(source, _read(pictures, progress))
    with tempfile.TemporaryDirectory(prefix="proxia_quantise_") as folder:
        quantisation = _measure_losses(settings, ranges, len(pictures), Path(folder), progress)
    if quantisation.lost_points > settings.gate_points:
        raise WeightsError.from_parts(
            f"int8 loses {quantisation.lost_points:.2f} points of mIoU "
            f"({quantisation.miou:.4f} against {_get_float_miou(quantisation):.4f})",
            f"at most {settings.gate_points:g}",
            "take other or more images, or a larger --gate; nothing was written",
        )
    copy_with_quantisation(source.path, settings.out, quantisation)
    return quantisation


def _check_numbers(settings: QuantiseSettings) -> None:
    if settings.count < 1:
        raise ConfigError.from_parts(
            f"count is {settings.count}", "1 or more", f"take {CALIBRATION_IMAGES}"
        )
    if not 0 <= settings.gate_points <= POINTS:
        raise ConfigError.from_parts(
            f"gate is {settings.gate_points}",
            f"0 to {POINTS:g} points of mIoU",
            f"take {MAX_LOST_POINTS}",
        )


def _get_float_miou(quantisation: Quantisation) -> float:
    return quantisation.miou + quantisation.lost_points / POINTS


def _choose_images(folder: Path, count: int) -> list[Path]:
    """Return evenly spaced images from the first to the last."""
    pictures = [file.path for file in list_inputs(folder) if not file.skip_reason]
    if not pictures:
        raise InputError.from_parts(
            f"folder {str(folder)!r} holds no images",
            "pictures like those that the camera will send",
            "choose the folder of the training images",
        )
    indices = np.linspace(0, len(pictures) - 1, min(count, len(pictures)))
    return [pictures[index] for index in indices.round().astype(int)]


def _read(pictures: Sequence[Path], progress: Progress) -> Iterator[np.ndarray]:
    for path in pictures:
        yield read_image_file(path)
        progress.advance()


def _measure_losses(
    settings: QuantiseSettings,
    ranges: dict[str, Range],
    images: int,
    folder: Path,
    progress: Progress,
) -> Quantisation:
    """Evaluate float and int8, compare their labels and times; files go to `folder`."""
    trial = folder / "int8.safetensors"
    float_name = choose_precision("auto", "openvino", read_cpu_flags())
    float_miou = _evaluate(settings, settings.weights, float_name, folder, progress)
    unknown = Quantisation(
        ranges=ranges,
        images=images,
        miou=0.0,
        lost_points=0.0,
        gate_points=settings.gate_points,
        agreement=0.0,
        speedup=1.0,
        compared_with=float_name,
        cpu=describe_cpu(),
    )
    copy_with_quantisation(settings.weights, trial, unknown)
    miou = _evaluate(settings, str(trial), "int8", folder, progress)
    agreement, speedup = _compare(settings, trial, float_name, progress)
    return unknown.model_copy(
        update={
            "miou": miou,
            "lost_points": POINTS * (float_miou - miou),
            "agreement": agreement,
            "speedup": speedup,
        }
    )


def _evaluate(
    settings: QuantiseSettings, weights: str, precision: str, cache_dir: Path, progress: Progress
) -> float:
    run = EvaluationSettings(
        weights=weights, backend="openvino", precision=precision, data=settings.truth
    )
    report = evaluate_weights(run, progress, cache_dir, self_test=False).report
    miou = report.mean_iou
    if not np.isfinite(miou):
        raise InputError.from_parts(
            "the masks of the trial hold no class", "pixels with a class", "choose other masks"
        )
    return miou


def _compare(
    settings: QuantiseSettings, trial: Path, float_name: str, progress: Progress
) -> tuple[float, float]:
    """Return the mean share of equal labels and the median speed-up of int8 over the images."""
    pictures = _choose_images(Path(settings.truth.images), TIMED_IMAGES)
    floating, integer = (
        # Untested: what int8 loses is measured here, and judged by the gate.
        Segmenter.from_weights(
            weights,
            backend="openvino",
            precision=precision,
            cache_dir=trial.parent,
            self_test=False,
        )
        for weights, precision in ((settings.weights, float_name), (trial, "int8"))
    )
    progress.begin("comparing", len(pictures))
    equal, ratios = [], []
    for image_HWC in _read(pictures, progress):
        # The first call for an image size compiles, so it is not timed.
        for segmenter in (floating, integer):
            segmenter.segment(image_HWC)
        float_HW, float_s = _time(floating, image_HWC)
        integer_HW, integer_s = _time(integer, image_HWC)
        equal.append(float(np.mean(float_HW == integer_HW)))
        ratios.append(float_s / integer_s)
    for segmenter in (floating, integer):
        segmenter.close()
    return float(np.mean(equal)), float(np.median(ratios))


def _time(segmenter: Segmenter, image_HWC: np.ndarray) -> tuple[np.ndarray, float]:
    began_s = time.perf_counter()
    labels_HW = segmenter.segment(image_HWC).labels
    return labels_HW, time.perf_counter() - began_s
