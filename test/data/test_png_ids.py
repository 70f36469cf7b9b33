"""PNGs of any kind are read as the ids that they hold."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from proxia_segmentation_ros.data.pair_files import read_ids, read_mask
from proxia_segmentation_ros.data.png_ids import decode_mask
from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.labels import load_label_set

SIZE_HW = (5, 13)


def make_chunk(name: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + check


def make_palette_png(indices_HW: np.ndarray, depth_bits: int) -> bytes:
    """Write a PNG of colour type 3 whose colours differ from its indices."""
    count = 1 << depth_bits
    palette = bytes((7 * k + 5 * channel + 40) % 256 for k in range(count) for channel in range(3))
    chunks = make_chunk(b"PLTE", palette) + make_chunk(b"tRNS", bytes(count))
    return make_png(indices_HW, depth_bits, 3, chunks)


def make_png(indices_HW: np.ndarray, depth_bits: int, colour_type: int, chunks: bytes) -> bytes:
    height, width = indices_HW.shape
    shifts = np.arange(depth_bits - 1, -1, -1)
    bits = (indices_HW[..., None] >> shifts & 1).reshape(height, width * depth_bits)
    rows = b"".join(b"\0" + np.packbits(row).tobytes() for row in bits.astype(np.uint8))
    header = struct.pack(">IIBBBBB", width, height, depth_bits, colour_type, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + make_chunk(b"IHDR", header)
        + chunks
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


@pytest.mark.parametrize("cut", [0, 5])
def test_first_bytes_alone_are_no_mask(cut: int) -> None:
    assert decode_mask(make_palette_png(np.zeros(SIZE_HW, int), 8)[:cut]) is None


@pytest.mark.parametrize("cut", [20, 40, -20, -1])
def test_cut_off_png_is_an_input_error(cut: int) -> None:
    with pytest.raises(InputError, match="truncated"):
        decode_mask(make_palette_png(np.zeros(SIZE_HW, int), 8)[:cut])


def save(image: Image.Image, path: Path, **options: Any) -> Path:
    image.save(path, **options)
    return path


def make_ids(count: int) -> np.ndarray:
    return (np.arange(5 * 13) % count).reshape(SIZE_HW)


@pytest.mark.parametrize("chunks", [b"", make_chunk(b"tRNS", b"\0\1")])
@pytest.mark.parametrize("depth_bits", [1, 2, 4, 8])
def test_grey_values_of_few_bits_are_not_spread(depth_bits: int, chunks: bytes) -> None:
    ids_HW = make_ids(1 << depth_bits)
    content = make_png(ids_HW, depth_bits, 0, chunks)
    with Image.open(io.BytesIO(content)) as image:
        # Pillow spreads them too: it tells that the file is one, in its own way.
        spread = 255 // ((1 << depth_bits) - 1)
        np.testing.assert_array_equal(np.array(image.convert("L")), ids_HW * spread)
    decoded = decode_mask(content)
    assert decoded is not None
    np.testing.assert_array_equal(decoded, ids_HW)


def test_black_and_white_of_pillow_is_0_and_1(tmp_path: Path) -> None:
    ids_HW = make_ids(2)
    path = save(Image.fromarray(ids_HW.astype(bool)), tmp_path / "mask.png")
    np.testing.assert_array_equal(read_ids(path), ids_HW)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palette_of_pillow_is_its_indices(tmp_path: Path, bits: int) -> None:
    ids_HW = make_ids(1 << bits)
    image = Image.fromarray(ids_HW.astype(np.uint8)).convert("P")
    image.putpalette([(90 + 3 * k) % 256 for k in range(3 << bits)])
    path = save(image, tmp_path / "mask.png", bits=bits)
    assert path.read_bytes()[24:26] == bytes([bits, 3])
    np.testing.assert_array_equal(read_ids(path), ids_HW)


def test_ids_above_255_come_from_16_bits(tmp_path: Path) -> None:
    ids_HW = (make_ids(60) * 1000).astype(np.uint16)
    path = save(Image.fromarray(ids_HW), tmp_path / "mask.png")
    assert path.read_bytes()[24] == 16
    ids = read_ids(path)
    assert ids.dtype == np.uint16
    np.testing.assert_array_equal(ids, ids_HW)


@pytest.mark.parametrize("channels", [1, 3])
def test_opaque_alpha_changes_no_id(tmp_path: Path, channels: int) -> None:
    ids_HW = make_ids(12).astype(np.uint8)
    layers = np.dstack([ids_HW] * channels + [np.full(SIZE_HW, 255, np.uint8)])
    path = save(Image.fromarray(layers), tmp_path / "mask.png")
    assert path.read_bytes()[25] == (4 if channels == 1 else 6)
    np.testing.assert_array_equal(read_ids(path), ids_HW)


def test_transparent_pixels_and_colours_are_refused(tmp_path: Path) -> None:
    ids_HW = make_ids(12).astype(np.uint8)
    alpha_HW = np.full(SIZE_HW, 255, np.uint8)
    alpha_HW[0, :2] = 0
    path = save(Image.fromarray(np.dstack([ids_HW, alpha_HW])), tmp_path / "mask.png")
    with pytest.raises(InputError, match="2 transparent pixels"):
        read_ids(path)
    colours = np.dstack([ids_HW, ids_HW + 1, ids_HW])
    path = save(Image.fromarray(colours), tmp_path / "colours.png")
    with pytest.raises(InputError, match="convert its colours"):
        read_ids(path)
