"""The camera that drives along the street, and the bend of the street.

World coordinates of a point: (lateral_m, up_m, along_m); lateral counts from the middle of the
road to the right, along follows the road. Suffixes: N points, 3 world coordinates, 2 pixels u, v.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Bend:
    """Sideways position of the road's middle as a sum of two sines."""

    amplitudes_m: tuple[float, float]
    lengths_m: tuple[float, float]
    phases: tuple[float, float]

    def measure_offset(self, along_m: float) -> float:
        """Return how far to the right the road's middle lies."""
        return sum(
            a * math.sin(along_m / length + phase)
            for a, length, phase in zip(self.amplitudes_m, self.lengths_m, self.phases, strict=True)
        )

    def measure_slope(self, along_m: float) -> float:
        """Return the derivative of the offset."""
        return sum(
            a / length * math.cos(along_m / length + phase)
            for a, length, phase in zip(self.amplitudes_m, self.lengths_m, self.phases, strict=True)
        )

    def measure_offsets(self, along_m_N: np.ndarray) -> np.ndarray:
        """Return the offsets of many points."""
        offsets = np.zeros_like(along_m_N)
        for a, length, phase in zip(self.amplitudes_m, self.lengths_m, self.phases, strict=True):
            if a:
                offsets += a * np.sin(along_m_N / length + phase)
        return offsets


@dataclass(frozen=True)
class Camera:
    """A pinhole camera whose small pitch and yaw shift the picture (a shift lens)."""

    size_hw: tuple[int, int]
    focal_px: float
    centre_px: float
    horizon_px: float
    height_m: float
    lateral_m: float
    along_m: float
    bend: Bend

    near_m = 0.6
    far_m = 115.0

    def place(self, points_N3: np.ndarray) -> np.ndarray:
        """Return (right, down, ahead) in metres from the camera's eye."""
        placed_N3 = np.empty((len(points_N3), 3))
        ahead_N = points_N3[:, 2] - self.along_m
        placed_N3[:, 0] = points_N3[:, 0] + self.measure_shift(points_N3[:, 2], ahead_N)
        placed_N3[:, 1] = self.height_m - points_N3[:, 1]
        placed_N3[:, 2] = ahead_N
        return placed_N3

    def measure_shift(self, along_m_N: np.ndarray, ahead_m_N: np.ndarray) -> np.ndarray:
        """Return what to add to a lateral position to count it from the camera's axis."""
        start_m, slope = self._axis
        shift_N: np.ndarray = self.bend.measure_offsets(along_m_N) - start_m - slope * ahead_m_N
        return shift_N

    @cached_property
    def _axis(self) -> tuple[float, float]:
        """Return sideways position and direction of the camera's axis."""
        start_m = self.bend.measure_offset(self.along_m) + self.lateral_m
        return start_m, self.bend.measure_slope(self.along_m)

    def project(self, points_N3: np.ndarray) -> np.ndarray:
        """Return pixels of points that all lie ahead of the near plane."""
        return self.project_placed(self.place(points_N3))

    def project_placed(self, placed_N3: np.ndarray) -> np.ndarray:
        """Return pixels of points counted from the eye."""
        scale_N = self.focal_px / np.maximum(placed_N3[:, 2], self.near_m)
        uv_N2: np.ndarray = placed_N3[:, :2] * scale_N[:, None]
        uv_N2[:, 0] += self.centre_px
        uv_N2[:, 1] += self.horizon_px
        return uv_N2

    def project_clipped(self, points_N3: np.ndarray) -> np.ndarray:
        """Return pixels of a polygon clipped at the near plane; no rows if all of it is nearer."""
        placed_N3 = self.place(points_N3)
        if placed_N3[:, 2].min() < self.near_m:
            placed_N3 = clip_polygon(placed_N3, self.near_m)
        return self.project_placed(placed_N3)

    def measure_scale(self, along_m: float) -> float:
        """Return pixels per metre at a distance along the street."""
        return self.focal_px / max(along_m - self.along_m, self.near_m)


def clip_polygon(placed_N3: np.ndarray, near_m: float) -> np.ndarray:
    """Clip a polygon at the near plane, `near_m` ahead."""
    kept = []
    previous = placed_N3[-1]
    for point in placed_N3:
        if (previous[2] < near_m) != (point[2] < near_m):
            share = (near_m - previous[2]) / (point[2] - previous[2])
            kept.append(previous + share * (point - previous))
        if point[2] >= near_m:
            kept.append(point)
        previous = point
    return np.array(kept).reshape(-1, 3)
