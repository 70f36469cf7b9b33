"""Scales a CameraInfo to the size of the label image."""

from dataclasses import dataclass

from sensor_msgs.msg import CameraInfo, RegionOfInterest
from std_msgs.msg import Header

CameraMatrix = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class _Scale:
    x: float
    y: float


def scale_camera_info(info: CameraInfo, header: Header, size_hw: tuple[int, int]) -> CameraInfo:
    """Return the calibration of an image that was stretched to `size_hw`.

    K, P and roi are scaled as image_proc's resize node does, about the corner of the image.
    The region of interest and binning are kept: the label image shows what they leave.
    """
    scale = _find_scale(info, size_hw)
    scaled = CameraInfo(
        header=header,
        width=round(info.width * scale.x) or size_hw[1],
        height=round(info.height * scale.y) or size_hw[0],
        distortion_model=info.distortion_model,
        d=info.d,
        k=_scale_rows(list(info.k), 3, scale),
        r=info.r,
        p=_scale_rows(list(info.p), 4, scale),
        binning_x=info.binning_x,
        binning_y=info.binning_y,
    )
    scaled.roi = RegionOfInterest(
        x_offset=round(info.roi.x_offset * scale.x),
        y_offset=round(info.roi.y_offset * scale.y),
        width=round(info.roi.width * scale.x),
        height=round(info.roi.height * scale.y),
        do_rectify=info.roi.do_rectify,
    )
    return scaled


def read_camera_matrix(scaled: CameraInfo) -> CameraMatrix | None:
    """Return fx, fy, cx, cy of the label image in pixels; None for an uncalibrated camera.

    K in `scaled` refers to the full sensor, so region of interest and binning are applied here.
    """
    bin_x, bin_y = max(1, scaled.binning_x), max(1, scaled.binning_y)
    fx, fy = scaled.k[0] / bin_x, scaled.k[4] / bin_y
    if fx <= 0 or fy <= 0:
        return None
    cx = (scaled.k[2] - scaled.roi.x_offset) / bin_x
    cy = (scaled.k[5] - scaled.roi.y_offset) / bin_y
    return fx, fy, cx, cy


def _find_scale(info: CameraInfo, size_hw: tuple[int, int]) -> _Scale:
    width = (info.roi.width or info.width) / max(1, info.binning_x)
    height = (info.roi.height or info.height) / max(1, info.binning_y)
    if width <= 0 or height <= 0:
        return _Scale(x=1.0, y=1.0)
    return _Scale(x=size_hw[1] / width, y=size_hw[0] / height)


def _scale_rows(matrix: list[float], columns: int, scale: _Scale) -> list[float]:
    # Only the first two rows: the third is (0, 0, 1), for homogeneous coordinates.
    for column in range(columns):
        matrix[column] *= scale.x
        matrix[columns + column] *= scale.y
    return matrix
