"""Temperature scaling: find the temperature with the lowest negative log-likelihood.

Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", arXiv 1706.04599.

Shape legend: P pixels, K classes, H rows, W columns.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np

from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.evaluation.calibration import Calibration
from proxia_segmentation_ros.evaluation.observer import EvaluatedImage

# 128 KiB per image, so that thousands of images with 150 classes fit into memory.
MAX_FLOATS_PER_IMAGE = 1 << 15
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0
PRECISION = 1e-5
GOLDEN = (math.sqrt(5) - 1) / 2
CHUNK = 1 << 16

Parts: TypeAlias = dict[int, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class TemperatureLoss:
    """The results of a temperature: mean negative log-likelihood (`loss`), and ECE."""

    temperature: float
    loss: float
    calibration_error: float


@dataclass(frozen=True)
class TemperatureFit:
    """The results of the card's and of the fitted temperature on the same pixels."""

    pixels: int
    before: TemperatureLoss
    after: TemperatureLoss

    @property
    def temperature(self) -> float:
        """The fitted temperature."""
        return self.after.temperature

    @property
    def is_at_limit(self) -> bool:
        """Whether the loss is lowest at a limit, 0.05 or 20, as when every pixel is right."""
        return not MIN_TEMPERATURE * 1.001 < self.temperature < MAX_TEMPERATURE / 1.001

    def to_text(self) -> str:
        """Return the results as lines of text."""
        before, after = self.before, self.after
        lines = [
            f"temperature  {before.temperature:.4f} of the weights, {after.temperature:.4f} fitted",
            f"negative log-likelihood  {before.loss:.4f}, {after.loss:.4f}",
            f"calibration error of the sample  {before.calibration_error:.4f}, "
            f"{after.calibration_error:.4f}",
        ]
        if self.is_at_limit:
            lines.append("the loss is lowest at a limit of the range: this fit means nothing")
        return "\n".join(lines)


class LogitSample:
    """Logits of a sample of pixels of every image.

    The image's index seeds the sample, so that it does not depend on the process that draws it.
    """

    needs_confidence = False
    needs_logits = True

    def __init__(self, card_temperature: float) -> None:
        self._card_temperature = card_temperature
        self.parts: Parts = {}
        self._fit: TemperatureFit | None = None

    def add(self, image: EvaluatedImage) -> None:
        """Sample the pixels of an image that have a true class.

        Raises:
            InputError: the segmenter returned no logits.
        """
        if image.logits_KHW is None:
            raise InputError.from_parts(
                f"{image.name!r} was labelled without logits",
                "logits of each pixel",
                "evaluate with the exact segmenter",
            )
        self.keep(image.index, image.truth_HW, image.logits_KHW)

    def export(self) -> Parts:
        """Return the samples by the index of the image."""
        return self.parts

    def merge(self, exported: Parts) -> None:
        """Add the samples of another process."""
        self.parts = self.parts | exported
        self._fit = None

    def to_dict(self, class_names: Sequence[str]) -> dict[str, Any]:  # noqa: ARG002
        """Return the results for JSON; raises as `fit`."""
        return {"temperature_fit": asdict(self.fit()) | {"is_at_limit": self.fit().is_at_limit}}

    def to_text(self) -> str:
        """Return the results as lines of text; raises as `fit`."""
        return self.fit().to_text()

    def keep(self, index: int, truth_HW: np.ndarray, logits_KHW: np.ndarray) -> None:
        """Sample pixels of an image that have a true class."""
        classes = len(logits_KHW)
        truth = truth_HW.reshape(-1)
        logits_KP = logits_KHW.reshape(classes, -1)
        places = np.flatnonzero((truth >= 0) & (truth < classes))
        most = max(1, MAX_FLOATS_PER_IMAGE // classes)
        if len(places) > most:
            generator = np.random.default_rng(index)
            places = np.sort(generator.choice(places, most, replace=False))
        logits_PK = np.ascontiguousarray(logits_KP[:, places].T, np.float32)
        self.parts[index] = (logits_PK, truth[places].astype(np.int64))
        self._fit = None

    def fit(self) -> TemperatureFit:
        """Fit the temperature to the sampled pixels.

        Raises:
            InputError: no pixel has a true class, or logits are not finite.
        """
        if self._fit is None:
            logits_PK, truth = self._gather()
            self._fit = TemperatureFit(
                len(truth),
                measure_temperature(logits_PK, truth, self._card_temperature),
                measure_temperature(logits_PK, truth, fit_temperature(logits_PK, truth)),
            )
        return self._fit

    def _gather(self) -> tuple[np.ndarray, np.ndarray]:
        parts = [self.parts[index] for index in sorted(self.parts)]
        if not sum(len(truth) for _, truth in parts):
            raise InputError.from_parts(
                "no pixel has a true class", "masks with classes", "check masks and label set"
            )
        logits_PK = np.concatenate([logits for logits, _ in parts])
        if not np.isfinite(logits_PK).all():
            raise InputError.from_parts(
                "the network's logits hold NaN or infinity",
                "finite numbers",
                "take weights from before training diverged",
            )
        return logits_PK, np.concatenate([ids for _, ids in parts])


def fit_temperature(logits_PK: np.ndarray, truth: np.ndarray) -> float:
    """Return the temperature from 0.05 to 20 with the lowest loss.

    The loss is convex in 1 / temperature, so it has a single minimum on a logarithmic scale too.
    """
    best = _minimise_by_golden_section(
        lambda power: measure_loss(logits_PK, truth, math.exp(power)),
        math.log(MIN_TEMPERATURE),
        math.log(MAX_TEMPERATURE),
    )
    return math.exp(best)


def measure_loss(logits_PK: np.ndarray, truth: np.ndarray, temperature: float) -> float:
    """Return the mean negative log-likelihood of the true classes."""
    total = 0.0
    for start in range(0, len(truth), CHUNK):
        chunk = logits_PK[start : start + CHUNK].astype(np.float64) / temperature
        chunk -= chunk.max(axis=1, keepdims=True)
        own = chunk[np.arange(len(chunk)), truth[start : start + CHUNK]]
        total += float((np.log(np.exp(chunk).sum(axis=1)) - own).sum())
    return total / len(truth)


def measure_temperature(
    logits_PK: np.ndarray, truth: np.ndarray, temperature: float
) -> TemperatureLoss:
    """Return the loss and calibration error of a temperature."""
    calibration = Calibration(logits_PK.shape[1])
    for start in range(0, len(truth), CHUNK):
        chunk = logits_PK[start : start + CHUNK].astype(np.float64)
        chunk -= chunk.max(axis=1, keepdims=True)
        confidence = 1 / np.exp(chunk / temperature).sum(axis=1)
        calibration.count(truth[start : start + CHUNK], chunk.argmax(axis=1), confidence)
    loss = measure_loss(logits_PK, truth, temperature)
    return TemperatureLoss(temperature, loss, calibration.expected_error())


def _minimise_by_golden_section(
    measure: Callable[[float], float], low: float, high: float
) -> float:
    """Return the minimum of a unimodal function by golden-section search."""
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_left, at_right = measure(left), measure(right)
    while high - low > PRECISION:
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - GOLDEN * (high - low)
            at_left = measure(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + GOLDEN * (high - low)
            at_right = measure(right)
    return (low + high) / 2
