"""Palette PNGs are read as ids."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from proxia_segmentation_ros.data.folder import read_mask
from proxia_segmentation_ros.data.png_palette import decode_mask
from proxia_segmentation_ros.labels import load_label_set

SIZE_HW = (5, 13)


def make_chunk(name: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + check


def make_palette_png(indices_HW: np.ndarray, depth_bits: int) -> bytes:
    """Write a PNG of colour type 3 whose colours differ from its indices."""
    height, width = indices_HW.shape
    count = 1 << depth_bits
    palette = bytes((7 * k + 5 * channel + 40) % 256 for k in range(count) for channel in range(3))
    shifts = np.arange(depth_bits - 1, -1, -1)
    bits = (indices_HW[..., None] >> shifts & 1).reshape(height, width * depth_bits)
    rows = b"".join(b"\0" + np.packbits(row).tobytes() for row in bits.astype(np.uint8))
    header = struct.pack(">IIBBBBB", width, height, depth_bits, 3, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + make_chunk(b"IHDR", header)
        + make_chunk(b"PLTE", palette)
        + make_chunk(b"tRNS", bytes(count))
        + make_chunk(b"IDAT", zlib.compress(rows))
        + make_chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("depth_bits", [1, 2, 4, 8])
def test_indices_come_back_and_not_colours(depth_bits: int) -> None:
    rng = np.random.default_rng(depth_bits)
    indices_HW = rng.integers(0, 1 << depth_bits, SIZE_HW)
    decoded = decode_mask(make_palette_png(indices_HW, depth_bits))
    assert decoded is not None
    np.testing.assert_array_equal(decoded, indices_HW)


def test_palette_mask_gives_class_ids(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    path.write_bytes(make_palette_png(np.arange(12).reshape(3, 4), 8))
    labels_HW = read_mask(path, load_label_set("camvid"))
    assert labels_HW.ravel().tolist() == [*range(11), 255]


@pytest.mark.parametrize("cut", [0, 5, 40])
def test_cut_off_file_is_no_mask(cut: int) -> None:
    assert decode_mask(make_palette_png(np.zeros(SIZE_HW, int), 8)[:cut]) is None
