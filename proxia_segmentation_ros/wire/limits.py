"""Limits for image sizes and buffers, checked before memory is allocated."""

import reprlib

from proxia_segmentation_ros.errors import InputError

MIN_SIDE_PX = 16
# A progressive JPEG has about 10 scans, each of which is decoded over all pixels.
MAX_SCANS = 64
SCANS_OF_LARGEST_IMAGE = 16

# Strings of a message may be megabytes long; log lines must not be.
_short_repr = reprlib.Repr()
_short_repr.maxstring = 60
quote = _short_repr.repr


class RefusedImage(InputError):  # noqa: N818 - named after the frame's outcome
    """The size or buffer of an image is out of limits; nothing was allocated for it."""


def check_size(width: int, height: int, *, max_pixels: int) -> None:
    """Raise RefusedImage unless the sides and the number of pixels are within limits."""
    if width == 0 or height == 0:
        raise RefusedImage.from_parts(
            f"image is empty ({width}x{height})",
            f"sides of at least {MIN_SIDE_PX} px",
            "check the camera driver",
        )
    if width < MIN_SIDE_PX or height < MIN_SIDE_PX:
        raise RefusedImage.from_parts(
            f"image is too small ({width}x{height})",
            f"sides of at least {MIN_SIDE_PX} px",
            "publish a larger image",
        )
    if width * height > max_pixels:
        raise RefusedImage.from_parts(
            f"image is too large ({width}x{height} = {width * height} pixels)",
            f"at most {max_pixels} pixels",
            "publish a smaller image or raise inference.max_input_pixels",
        )


def find_max_scans(num_pixels: int, *, max_pixels: int) -> int:
    """Return how many scans a JPEG may have: pixels times scans bound the time of decoding."""
    return min(MAX_SCANS, SCANS_OF_LARGEST_IMAGE * max_pixels // num_pixels)


def check_rows(num_bytes: int, *, height: int, step: int, min_step: int, encoding: str) -> None:
    """Raise RefusedImage if a row is too short for its pixels, or the buffer for all rows."""
    if step < min_step:
        raise RefusedImage.from_parts(
            f"step {step} is too small for {quote(encoding)}",
            f"at least {min_step} bytes per row",
            "check the camera driver",
        )
    if num_bytes < step * height:
        raise RefusedImage.from_parts(
            f"image data is too short ({num_bytes} bytes)",
            f"at least step * height = {step} * {height} = {step * height} bytes",
            "check the camera driver",
        )
