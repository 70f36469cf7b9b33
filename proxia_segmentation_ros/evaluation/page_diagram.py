"""The layout of a reliability diagram, in the units of its SVG."""

from dataclasses import dataclass

from proxia_segmentation_ros.evaluation.calibration import BINS, STEPS, Calibration

# The plot is square, so that perfect calibration is the diagonal.
SIDE = 300
STRIP = 56
GAP = 1.5


@dataclass(frozen=True)
class Rectangle:
    """A bar, by its upper left corner and its size."""

    x: str
    y: str
    width: str
    height: str


@dataclass(frozen=True)
class DiagramBin:
    """Bars of a bin: accuracy, its difference from the confidence, and the share of pixels."""

    accuracy: Rectangle
    error: Rectangle
    share: Rectangle
    is_overconfident: bool
    title: str


@dataclass(frozen=True)
class ReliabilityDiagram:
    """The bins with pixels, and the means over all pixels."""

    bins: tuple[DiagramBin, ...]
    error: str
    confidence: str
    accuracy: str
    verdict: str

    @classmethod
    def from_calibration(cls, calibration: Calibration) -> "ReliabilityDiagram":
        """Lay out the diagram of a calibration."""
        pixels, right, steps = (int(total) for total in calibration.table.sum(axis=0))
        confidence, accuracy = steps / STEPS / max(pixels, 1), right / max(pixels, 1)
        largest = int(calibration.table[:, 0].max())
        return cls(
            bins=tuple(
                DiagramBin(
                    accuracy=_make_bar(part.low, 0.0, part.accuracy, SIDE),
                    error=_make_bar(
                        part.low,
                        min(part.accuracy, part.confidence),
                        max(part.accuracy, part.confidence),
                        SIDE,
                    ),
                    share=_make_bar(part.low, 0.0, part.pixels / largest, STRIP),
                    is_overconfident=part.confidence > part.accuracy,
                    title=f"confidence {part.low:.2f} to {part.high:.2f}: {part.pixels:,} pixels "
                    f"({part.pixels / pixels:.1%}), mean confidence {part.confidence:.3f}, "
                    f"accuracy {part.accuracy:.3f}",
                )
                for part in calibration.bins
            ),
            error=f"{calibration.expected_error():.4f}",
            confidence=f"{confidence:.3f}",
            accuracy=f"{accuracy:.3f}",
            verdict=_describe(confidence - accuracy),
        )


def _make_bar(low: float, bottom: float, top: float, scale: int) -> Rectangle:
    return Rectangle(
        x=f"{low * SIDE + GAP / 2:.1f}",
        y=f"{(1 - top) * scale:.1f}",
        width=f"{SIDE / BINS - GAP:.1f}",
        height=f"{(top - bottom) * scale:.1f}",
    )


def _describe(surplus: float) -> str:
    if abs(surplus) < 0.005:
        return "well calibrated"
    return "overconfident" if surplus > 0 else "underconfident"
