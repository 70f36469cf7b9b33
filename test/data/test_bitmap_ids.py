"""BMP and TIFF masks of any kind are read as the ids that they hold."""

import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from proxia_segmentation_ros.data.png_ids import decode_mask
from proxia_segmentation_ros.errors import InputError

IDS_HW = np.array([[0, 1, 2, 3], [3, 2, 1, 0]], np.uint8)


def encode(picture: Image.Image, file_format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, file_format, **options)
    return file.getvalue()


def make_palette(colours: list[tuple[int, int, int]]) -> Image.Image:
    picture = Image.fromarray(IDS_HW, mode="P")
    picture.putpalette([value for colour in colours for value in colour])
    return picture


@pytest.mark.parametrize("file_format", ["BMP", "TIFF"])
def test_one_bit_is_0_and_1(file_format: str) -> None:
    content = encode(Image.fromarray(IDS_HW % 2 == 1), file_format)
    decoded = decode_mask(content)
    assert decoded is not None
    assert decoded.tolist() == (IDS_HW % 2).tolist()


@pytest.mark.parametrize("file_format", ["BMP", "TIFF"])
@pytest.mark.parametrize("step", [(80, 80, 80), (80, 1, 3)])
def test_palettes_give_their_indices(file_format: str, step: tuple[int, int, int]) -> None:
    colours = [tuple(k * value % 256 for value in step) for k in range(256)]
    decoded = decode_mask(encode(make_palette(colours), file_format))  # type: ignore[arg-type]
    assert decoded is not None
    assert decoded.tolist() == IDS_HW.tolist()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_grey_tiff_keeps_its_values(dtype: Any, compression: str | None) -> None:
    values_HW = IDS_HW.astype(dtype) * (85 if dtype == np.uint8 else 20000)
    decoded = decode_mask(encode(Image.fromarray(values_HW), "TIFF", compression=compression))
    assert decoded is not None
    assert (decoded.dtype, decoded.tolist()) == (dtype, values_HW.tolist())


@pytest.mark.parametrize("bits", [1, 8])
def test_tiff_whose_zero_is_white_gives_what_is_stored(bits: int) -> None:
    """Pillow writes the pixels as they are, and the tag says to invert them for showing."""
    picture = Image.fromarray(IDS_HW) if bits == 8 else Image.fromarray(IDS_HW % 2 == 1)
    plain = encode(picture, "TIFF")
    tag = plain.index(bytes((6, 1, 3, 0, 1, 0, 0, 0)))
    content = plain[: tag + 8] + bytes((0, 0)) + plain[tag + 10 :]
    decoded = decode_mask(content)
    assert decoded is not None
    assert decoded.tolist() == (IDS_HW if bits == 8 else IDS_HW % 2).tolist()


@pytest.mark.parametrize("bits", [2, 4])
def test_tiff_of_few_bits_is_not_stretched(bits: int) -> None:
    """Pillow and OpenCV don't write such files: two rows of four pixels, padded to bytes."""
    rows = [sum(int(value) << bits * (3 - k) for k, value in enumerate(row)) for row in IDS_HW]
    row_bytes = 4 * bits // 8
    pixels = b"".join(row.to_bytes(row_bytes, "big") for row in rows)
    entries = [(256, 4), (257, 2), (258, bits), (259, 1), (262, 1), (273, 8), (277, 1), (278, 2)]
    entries.append((279, len(pixels)))
    directory = struct.pack("<H", len(entries)) + b"".join(
        struct.pack("<HHII", tag, 4 if tag in (273, 279) else 3, 1, value) for tag, value in entries
    )
    start = 8 + len(pixels)
    content = b"II*\0" + struct.pack("<I", start) + pixels + directory + bytes(4)
    decoded = decode_mask(content)
    assert decoded is not None
    assert decoded.tolist() == IDS_HW.tolist()


def test_tiff_of_several_pictures_is_refused() -> None:
    page = Image.fromarray(IDS_HW)
    with pytest.raises(InputError, match="holds 2 pictures"):
        decode_mask(encode(page, "TIFF", save_all=True, append_images=[page]))


@pytest.mark.parametrize("file_format", ["BMP", "TIFF"])
def test_cut_file_is_no_mask(file_format: str) -> None:
    content = encode(Image.fromarray(np.zeros((40, 40), np.uint8)), file_format)
    assert decode_mask(content[: len(content) // 2]) is None
    assert decode_mask(content[:20]) is None


@pytest.mark.parametrize("file_format", ["JPEG", "WEBP", "GIF"])
def test_formats_that_change_ids_are_no_masks(file_format: str) -> None:
    assert decode_mask(encode(Image.fromarray(IDS_HW), file_format)) is None
