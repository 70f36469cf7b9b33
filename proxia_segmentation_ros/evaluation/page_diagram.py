"""Where the parts of a reliability diagram lie, in units of its SVG."""

from dataclasses import dataclass

from proxia_segmentation_ros.evaluation.calibration import BINS, STEPS, Calibration

# The plot is square, so that the line of perfect calibration rises at 45 degrees.
SIDE = 300
STRIP = 56
GAP = 1.5


@dataclass(frozen=True)
class Rectangle:
    """One bar, from its upper left corner on."""

    x: str
    y: str
    width: str
    height: str


@dataclass(frozen=True)
class DiagramBin:
    """Accuracy from below, its distance from confidence, and in a strip the share of pixels."""

    accuracy: Rectangle
    error: Rectangle
    share: Rectangle
    is_too_sure: bool
    title: str


@dataclass(frozen=True)
class ReliabilityDiagram:
    """Bins with pixels, and the means over all pixels."""

    bins: tuple[DiagramBin, ...]
    error: str
    confidence: str
    accuracy: str
    verdict: str

    @classmethod
    def from_calibration(cls, calibration: Calibration) -> "ReliabilityDiagram":
        """Lay out what was counted."""
        pixels, right, steps = (int(total) for total in calibration.table.sum(axis=0))
        confidence, accuracy = steps / STEPS / max(pixels, 1), right / max(pixels, 1)
        largest = int(calibration.table[:, 0].max())
        return cls(
            bins=tuple(
                DiagramBin(
                    accuracy=_make_bar(one.low, 0.0, one.accuracy, SIDE),
                    error=_make_bar(
                        one.low,
                        min(one.accuracy, one.confidence),
                        max(one.accuracy, one.confidence),
                        SIDE,
                    ),
                    share=_make_bar(one.low, 0.0, one.pixels / largest, STRIP),
                    is_too_sure=one.confidence > one.accuracy,
                    title=f"confidence {one.low:.2f} to {one.high:.2f}: {one.pixels:,} pixels "
                    f"({one.pixels / pixels:.1%}), mean confidence {one.confidence:.3f}, "
                    f"accuracy {one.accuracy:.3f}",
                )
                for one in calibration.bins
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
        return "as sure as it is right"
    return "surer than it is right" if surplus > 0 else "less sure than it is right"
