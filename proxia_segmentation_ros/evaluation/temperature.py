"""The temperature at which a network's probabilities are the most likely true ones.

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

# 128 KiB of each image: thousands of images with 150 classes still fit into memory.
MAX_FLOATS_PER_IMAGE = 1 << 15
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0
PRECISION = 1e-5
GOLDEN = (math.sqrt(5) - 1) / 2
CHUNK = 1 << 16

Parts: TypeAlias = dict[int, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class TemperatureLoss:
    """How well a temperature does: mean negative log-likelihood of the truth, and ECE."""

    temperature: float
    loss: float
    calibration_error: float


@dataclass(frozen=True)
class TemperatureFit:
    """What the card's temperature and the fitted one do on the same pixels."""

    pixels: int
    before: TemperatureLoss
    after: TemperatureLoss

    @property
    def temperature(self) -> float:
        """The fitted one."""
        return self.after.temperature

    @property
    def is_at_limit(self) -> bool:
        """Whether the loss still falls at 0.05 or 20, as where every pixel is right."""
        return not MIN_TEMPERATURE * 1.001 < self.temperature < MAX_TEMPERATURE / 1.001

    def to_text(self) -> str:
        """Return lines for people."""
        before, after = self.before, self.after
        lines = [
            f"temperature  {before.temperature:.4f} of the weights, {after.temperature:.4f} fitted",
            f"negative log-likelihood  {before.loss:.4f}, {after.loss:.4f}",
            f"calibration error of the sample  {before.calibration_error:.4f}, "
            f"{after.calibration_error:.4f}",
        ]
        if self.is_at_limit:
            lines.append("the loss still falls at the end of the range: this fit means nothing")
        return "\n".join(lines)


class LogitSample:
    """Logits of some pixels of every image, drawn with the image's number for a seed.

    So the same pixels are drawn whichever process labels an image.
    """

    needs_confidence = False
    needs_logits = True

    def __init__(self, card_temperature: float) -> None:
        self._card_temperature = card_temperature
        self.parts: Parts = {}
        self._fit: TemperatureFit | None = None

    def add(self, seen: EvaluatedImage) -> None:
        """Keep some of one image's pixels that have a truth.

        Raises:
            InputError: the segmenter gave no logits.
        """
        if seen.logits_KHW is None:
            raise InputError.from_parts(
                f"{seen.name!r} was labelled without logits",
                "logits of each pixel",
                "evaluate with the exact segmenter",
            )
        self.keep(seen.index, seen.truth_HW, seen.logits_KHW)

    def export(self) -> Parts:
        """Return what was kept, by the number of the image."""
        return self.parts

    def merge(self, exported: Parts) -> None:
        """Add what another process kept."""
        self.parts = self.parts | exported
        self._fit = None

    def to_dict(self, class_names: Sequence[str]) -> dict[str, Any]:  # noqa: ARG002
        """Return what goes into JSON; errors as `fit`."""
        return {"temperature_fit": asdict(self.fit()) | {"is_at_limit": self.fit().is_at_limit}}

    def to_text(self) -> str:
        """Return lines for people; errors as `fit`."""
        return self.fit().to_text()

    def keep(self, index: int, truth_HW: np.ndarray, logits_KHW: np.ndarray) -> None:
        """Keep some of one image's pixels that have a truth."""
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
        """Find the temperature for the kept pixels.

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
    """Return the temperature with the least loss, of 0.05 to 20.

    The loss is convex in 1 / temperature, so that it has one valley on a logarithmic scale too.
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
    """Return loss and calibration error of a temperature."""
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
    """Return the bottom of a valley between two places, by golden sections."""
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
