"""Check the size of an image before memory is allocated for it."""

import reprlib

from proxia_segmentation_ros.errors import InputError

MIN_SIDE_PX = 16

# Names come from the network and may be megabytes long: shorten them for log lines.
_short_repr = reprlib.Repr()
_short_repr.maxstring = 60
quote = _short_repr.repr


class RefusedImage(InputError):  # noqa: N818 - named after the counter dropped_refused
    """An image whose size or buffer violates the limits; nothing was allocated for it."""


def check_size(width: int, height: int, *, max_pixels: int) -> None:
    """Raise RefusedImage if the sides or the number of pixels are out of their limits."""
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


def check_rows(num_bytes: int, *, height: int, step: int, min_step: int, encoding: str) -> None:
    """Raise RefusedImage if `step` is too small for a row or the buffer too small for all rows."""
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
