"""Damaged PNG files are refused, every good kind has the pixels of OpenCV, nothing is printed."""

import io
import struct
import time
import zlib
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.wire.png import decode_png

SIZE_HW = (21, 30)
COLOUR = cv2.IMREAD_COLOR
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4)]
ADAM7 += [(1, 0, 2, 2), (0, 1, 1, 2)]


def make_chunk(name: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + checksum


def make_photo() -> np.ndarray:
    noise = np.random.default_rng(3).integers(0, 256, (*SIZE_HW, 3), np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 2)


def make_rows() -> bytes:
    """Return the photo's rows, each led by the byte of its filter, none."""
    return b"".join(b"\0" + row.tobytes() for row in make_photo())


def make_png(
    compressed: bytes | None = None, *, before: bytes = b"", behind: bytes = b"", **fields: int
) -> bytes:
    """Write an RGB file with its pixels compressed so, and chunks before and behind them."""
    known = {"depth": 8, "colour": 2, "compression": 0, "filters": 0, "interlacing": 0} | fields
    header = struct.pack(">II", SIZE_HW[1], SIZE_HW[0]) + bytes(known.values())
    pixels = zlib.compress(make_rows()) if compressed is None else compressed
    body = make_chunk(b"IHDR", header) + before + make_chunk(b"IDAT", pixels) + behind
    return b"\x89PNG\r\n\x1a\n" + body + make_chunk(b"IEND", b"")


def change(content: bytes, place: int, new: bytes) -> bytes:
    return content[:place] + new + content[place + len(new) :]


GOOD = zlib.compress(make_rows())
INDICES = zlib.compress(bytes(21 * 31))
DAMAGED = {
    "cut": (make_png(GOOD[: len(GOOD) // 2]), "do not end"),
    "cut before the checksum": (make_png(GOOD[:-4]), "do not end after 1911"),
    "too few rows": (make_png(zlib.compress(make_rows()[:-91])), "do not end after 1911"),
    "no pixels": (make_png(b""), "do not end after 1911"),
    "zeros": (make_png(change(GOOD, len(GOOD) // 2, bytes(40))), "Error -3"),
    "other bytes": (make_png(change(GOOD, len(GOOD) // 2, b"\x55" * 9)), "Error -3"),
    "checksum of the pixels": (make_png(GOOD[:-4] + b"\1\2\3\4"), "incorrect data check"),
    "no zlib": (make_png(b"\0" * 99), "unknown compression method"),
    "filter": (make_png(zlib.compress(change(make_rows(), 91 * 4, b"\7"))), "the filter 7"),
    "critical chunk": (make_png(before=make_chunk(b"ABCD", b"")), "b'ABCD' is unknown"),
    "no palette": (make_png(INDICES, colour=3), "palette has 0 bytes"),
    "half a colour": (
        make_png(INDICES, colour=3, before=make_chunk(b"PLTE", b"abcd")),
        "has 4 bytes",
    ),
    "depth": (make_png(depth=7), "header is broken"),
    "depth of another kind": (make_png(depth=4), "header is broken"),
    "filter method": (make_png(filters=1), "header is broken"),
    "interlacing": (make_png(interlacing=2), "header is broken"),
}
HARMLESS = {
    "surplus pixels": make_png(zlib.compress(make_rows() + bytes(5000))),
    "surplus data": make_png(GOOD + b"x" * 100),
    "colour profile": make_png(before=make_chunk(b"iCCP", b"x\0\0garbage")),
    "gamma": make_png(before=make_chunk(b"gAMA", b"ab")),
    "palette that is not used": make_png(behind=make_chunk(b"PLTE", b"abc")),
    "transparency": make_png(before=make_chunk(b"tRNS", b"ab")),
    "bytes behind the end": make_png() + b"x" * 99,
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_file_is_refused_without_a_word_on_stderr(
    name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    content, sentence = DAMAGED[name]
    with pytest.raises(InputError) as caught:
        decode_png(content, COLOUR)
    assert sentence in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_not_pixels_is_ignored_without_a_word_on_stderr(
    name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert np.array_equal(decode_png(HARMLESS[name], COLOUR)[..., ::-1], make_photo())
    assert capfd.readouterr() == ("", "")


def test_animation_gives_its_still_picture() -> None:
    control = struct.pack(">IIIIIHHBB", 0, SIZE_HW[1], SIZE_HW[0], 0, 0, 1, 1, 0, 0)
    frame = struct.pack(">I", 1) + zlib.compress(bytes(len(make_rows())))
    content = make_png(
        before=make_chunk(b"acTL", struct.pack(">II", 1, 0)),
        behind=make_chunk(b"fcTL", control) + make_chunk(b"fdAT", frame),
    )
    assert np.array_equal(decode_png(content, COLOUR)[..., ::-1], make_photo())


def test_data_that_inflate_without_end_are_not_inflated() -> None:
    bomb = zlib.compress(make_rows() + bytes(200_000_000))
    started_s = time.process_time()
    with pytest.raises(InputError, match="do not end after 1911 bytes"):
        decode_png(make_png(bomb), COLOUR)
    assert time.process_time() - started_s < 0.1


def save(picture: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG", **options)
    return file.getvalue()


def list_kinds() -> dict[str, bytes]:
    photo = Image.fromarray(make_photo())
    grey_HW = np.asarray(photo.convert("L"))
    deep_HWC = make_photo().astype(np.uint16) * 200 + 77
    kinds = {mode: save(photo.convert(mode)) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")}
    for bits in (1, 2, 4):
        kinds[f"palette of {bits} bits"] = save(photo.quantize(1 << bits), bits=bits)
    clear = photo.quantize(16)
    kinds["transparent palette"] = save(clear, transparency=bytes(range(16)))
    kinds["transparent colour"] = save(photo, transparency=(1, 2, 3))
    kinds["16 bit grey"] = save(Image.fromarray(grey_HW.astype(np.uint16) * 200 + 77))
    kinds["16 bit"] = cv2.imencode(".png", deep_HWC)[1].tobytes()
    return kinds


@pytest.mark.parametrize("mode", [COLOUR, cv2.IMREAD_GRAYSCALE, cv2.IMREAD_UNCHANGED])
@pytest.mark.parametrize("kind", list_kinds())
def test_pixels_are_those_of_opencv(kind: str, mode: int) -> None:
    content = list_kinds()[kind]
    theirs: Any = cv2.imdecode(np.frombuffer(content, np.uint8), mode)
    ours = decode_png(content, mode)
    if kind == "transparent palette" and mode == cv2.IMREAD_UNCHANGED:
        theirs = theirs[..., :3]
    assert ours.dtype == theirs.dtype
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("size_hw", [(1, 1), (3, 5), (8, 8), (21, 30)])
@pytest.mark.parametrize(("colour", "depth"), [(0, 1), (0, 8), (2, 8), (3, 4), (6, 16)])
def test_interlaced_file_is_read(size_hw: tuple[int, int], colour: int, depth: int) -> None:
    """Every pixel is 0 but for the filter bytes, whose places depend on the passes."""
    height, width = size_hw
    bits = depth * {0: 1, 2: 3, 3: 1, 6: 4}[colour]
    rows = b""
    for x0, y0, dx, dy in ADAM7:
        columns, lines = len(range(x0, width, dx)), len(range(y0, height, dy))
        rows += (b"\4" + bytes(-(-columns * bits // 8))) * lines if columns else b""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 1)
    body = make_chunk(b"IHDR", header) + make_chunk(b"PLTE", b"\0\0\0")
    end = make_chunk(b"IDAT", zlib.compress(rows)) + make_chunk(b"IEND", b"")
    assert not decode_png(b"\x89PNG\r\n\x1a\n" + body + end, COLOUR).any()
    short = make_chunk(b"IDAT", zlib.compress(rows[:-1])) + make_chunk(b"IEND", b"")
    with pytest.raises(InputError, match="do not end"):
        decode_png(b"\x89PNG\r\n\x1a\n" + body + short, COLOUR)


def test_palette_may_be_read_as_indices() -> None:
    indices_HW = np.arange(630).reshape(SIZE_HW) % 16
    picture = Image.fromarray(indices_HW.astype(np.uint8)).convert("P")
    picture.putpalette([7] * 48)
    content = save(picture, bits=8)
    assert (decode_png(content, COLOUR) == 7).all()
    decoded = decode_png(content, cv2.IMREAD_UNCHANGED, keep_indices=True)
    assert np.array_equal(decoded, indices_HW)


def test_pixels_beyond_a_chunk_of_opencv_are_read() -> None:
    image_HWC = np.random.default_rng(5).integers(0, 256, (1900, 1600, 3), np.uint8)
    header = struct.pack(">IIBBBBB", 1600, 1900, 8, 2, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in image_HWC)
    pixels = make_chunk(b"IDAT", zlib.compress(rows, 1))
    content = b"\x89PNG\r\n\x1a\n" + make_chunk(b"IHDR", header) + pixels + make_chunk(b"IEND", b"")
    assert np.array_equal(decode_png(content, COLOUR)[..., ::-1], image_HWC)
