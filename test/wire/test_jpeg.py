"""Damaged JPEG files are refused, harmless oddities are not, and nothing is printed."""

import io
import struct
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from wire_images import encode

from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.wire.image_header import walk_scans
from proxia_segmentation_ros.wire.jpeg import MAX_STRAY_BYTES, decode_jpeg

PROGRESSIVE = (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
RESTARTS = (cv2.IMWRITE_JPEG_RST_INTERVAL, 4)
KINDS = {"baseline": (), "progressive": PROGRESSIVE, "restarts": RESTARTS}


def make_photo(height: int = 240, width: int = 320) -> np.ndarray:
    noise = np.random.default_rng(9).integers(0, 256, (height, width, 3), np.uint8)
    return cv2.addWeighted(noise, 0.2, cv2.GaussianBlur(noise, (0, 0), 5), 0.8, 0)


def find_scan(jpeg: bytes) -> int:
    """Return the offset of the first scan's data."""
    start = jpeg.index(b"\xff\xda") + 2
    return start + int.from_bytes(jpeg[start : start + 2], "big")


def cut_and_end(jpeg: bytes) -> bytes:
    return jpeg[: len(jpeg) * 2 // 5] + b"\xff\xd9"


def lose_bytes(jpeg: bytes) -> bytes:
    middle = len(jpeg) // 2
    return jpeg[:middle] + jpeg[middle + 1000 :]


def zero_bytes(jpeg: bytes) -> bytes:
    middle = len(jpeg) // 2
    return jpeg[:middle] + bytes(1000) + jpeg[middle + 1000 :]


def overwrite_bytes(jpeg: bytes) -> bytes:
    middle = len(jpeg) // 2
    return jpeg[:middle] + b"\x55" * 1000 + jpeg[middle + 1000 :]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("damage", [cut_and_end, lose_bytes, zero_bytes, overwrite_bytes])
def test_damaged_picture_is_refused_without_a_word_on_stderr(
    damage: Callable[[bytes], bytes], kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    jpeg = encode(make_photo(), ".jpg", *KINDS[kind])
    decode_jpeg(jpeg)
    with pytest.raises(
        InputError, match=rf"^JPEG of {len(damage(jpeg))} bytes can't be decoded \("
    ):
        decode_jpeg(damage(jpeg))
    assert capfd.readouterr() == ("", "")


def test_the_sentence_says_what_is_wrong() -> None:
    with pytest.raises(InputError, match="premature end of data segment") as caught:
        decode_jpeg(cut_and_end(encode(make_photo())))
    assert str(caught.value).endswith(
        "expected an intact file; check the publisher and the network"
    )


def make_texture(sigma: float) -> np.ndarray:
    """Return soft noise of strong contrast, in which the decoder soon finds its way again."""
    noise = np.random.default_rng(9).integers(0, 256, (240, 320, 3), np.uint8)
    soft_HWC: np.ndarray = cv2.convertScaleAbs(
        cv2.GaussianBlur(noise, (0, 0), sigma), alpha=3, beta=-250
    )
    return soft_HWC


@pytest.mark.parametrize("num_bytes", [40, 100, 300])
def test_zeros_in_the_place_of_data_are_found_wherever_they_are(num_bytes: int) -> None:
    """Without the look for zeros the decoder notices 20 to 22 of these 60."""
    jpeg = encode(make_texture(1.5), ".jpg", cv2.IMWRITE_JPEG_QUALITY, 80)
    places = np.linspace(find_scan(jpeg), len(jpeg) - 2 - num_bytes, 60).astype(int)
    for place in places:
        with pytest.raises(InputError):
            decode_jpeg(jpeg[:place] + bytes(num_bytes) + jpeg[place + num_bytes :])


def test_zeros_in_a_progressive_scan_of_coefficients_are_found() -> None:
    """Without the look for zeros the decoder notices 57 to 59 of these 60."""
    jpeg = encode(make_texture(1.0), ".jpg", cv2.IMWRITE_JPEG_QUALITY, 50, *PROGRESSIVE)
    scans = [(start, end) for _, start, end in walk_scans(jpeg)]
    assert len(scans) == 10
    start, end = scans[1]  # the first coefficients of Y
    for num_bytes in (40, 100, 300):
        for place in np.linspace(start, end - num_bytes, 60).astype(int):
            with pytest.raises(InputError):
                decode_jpeg(jpeg[:place] + bytes(num_bytes) + jpeg[place + num_bytes :])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("quality", [1, 50, 100])
def test_drawings_have_no_zeros_that_look_like_damage(kind: str, quality: int) -> None:
    """Regular pictures, whose data repeat themselves."""
    rows, columns = np.indices((240, 320))
    for drawing in (columns % 256, rows, (rows + columns) // 8 % 2 * 255, columns % 8 * 36):
        options = (cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1, *KINDS[kind])
        image_HWC = drawing.astype(np.uint8)[..., None].repeat(3, 2)
        assert decode_jpeg(encode(image_HWC, ".jpg", *options)).shape == (240, 320, 3)


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"progressive": True}])
@pytest.mark.parametrize("value", [0, 90, 255])
def test_plain_picture_whose_data_are_zeros_is_whole(
    mode: str, options: dict[str, bool], value: int
) -> None:
    """With tables made for it, a picture of one colour is a scan of zeros."""
    file = io.BytesIO()
    Image.new("RGB", (640, 480), (value, value, value)).convert(mode).save(file, "JPEG", **options)
    if options.get("optimize"):
        assert bytes(32) in file.getvalue()
    assert np.abs(decode_jpeg(file.getvalue()).astype(int) - value).max() <= 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stray", [b"\0", b"abc", b"\0" * 8, b"\x12" * MAX_STRAY_BYTES])
def test_a_few_stray_bytes_before_the_end_change_nothing(kind: str, stray: bytes) -> None:
    jpeg = encode(make_photo(), ".jpg", *KINDS[kind])
    changed = jpeg[:-2] + stray + jpeg[-2:]
    assert np.array_equal(decode_jpeg(changed), decode_jpeg(jpeg))


def test_many_stray_bytes_before_the_end_are_refused() -> None:
    jpeg = encode(make_photo())
    with pytest.raises(InputError, match="extraneous bytes before marker 0xd9"):
        decode_jpeg(jpeg[:-2] + b"\x12" * 60 + jpeg[-2:])


@pytest.mark.parametrize("marker", [0xE0, 0xDB, 0xC0, 0xC4, 0xDA])
def test_a_few_stray_bytes_between_segments_change_nothing(marker: int) -> None:
    jpeg = encode(make_photo())
    place = jpeg.index(bytes((0xFF, marker)))
    changed = jpeg[:place] + b"\x01\x02\x03" + jpeg[place:-2] + b"\0\0\0\0\0\0" + jpeg[-2:]
    if marker == 0xE0:  # the decoder wants a marker right behind the first
        changed = jpeg[:2] + b"\xff\xfe\0\x02" + b"\x01\x02\x03" + jpeg[2:]
    assert np.array_equal(decode_jpeg(changed), decode_jpeg(jpeg))
    with pytest.raises(InputError):
        decode_jpeg(cut_and_end(changed))
    with pytest.raises(InputError):
        decode_jpeg(jpeg[:place] + b"\x01" * 99 + jpeg[place:])


def test_odd_headers_that_cameras_write_are_read() -> None:
    jpeg = encode(make_photo())
    version = jpeg[:11] + b"\x09" + jpeg[12:]
    start = find_scan(jpeg)
    # spectral selection 0..0 in a sequential scan
    selection = jpeg[: start - 3] + bytes(3) + jpeg[start:]
    for changed in (version, selection):
        assert np.array_equal(decode_jpeg(changed), decode_jpeg(jpeg))
        with pytest.raises(InputError):
            decode_jpeg(cut_and_end(changed))


def test_stray_bytes_before_a_restart_are_damage() -> None:
    """They stand where data were lost, and more damage may follow unseen."""
    jpeg = encode(make_photo(), ".jpg", *RESTARTS)
    place = jpeg.index(b"\xff\xd3", find_scan(jpeg))
    with pytest.raises(InputError, match="extraneous bytes before marker 0xd3"):
        decode_jpeg(jpeg[:place] + b"\x12" * 12 + jpeg[place:])


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0", "4:1:1"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_pixels_are_those_of_opencv(mode: str, subsampling: str) -> None:
    file = io.BytesIO()
    Image.fromarray(make_photo()).convert(mode).save(file, "JPEG", subsampling=subsampling)
    theirs: Any = cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_COLOR)
    theirs = theirs[..., ::-1]
    assert np.abs(decode_jpeg(file.getvalue()).astype(int) - theirs).max() <= 1


def test_colours_of_printers_are_those_of_opencv_or_refused_by_name() -> None:
    for subsampling in ("4:4:4", "4:2:0", "4:2:2"):
        file = io.BytesIO()
        photo = Image.fromarray(make_photo()).convert("CMYK")
        photo.save(file, "JPEG", subsampling=subsampling)
        if subsampling != "4:4:4":
            with pytest.raises(InputError, match="unusual chroma subsampling; expected 4:4:4, "):
                decode_jpeg(file.getvalue())
            continue
        theirs: Any = cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_COLOR)
        assert np.abs(decode_jpeg(file.getvalue()).astype(int) - theirs[..., ::-1]).max() <= 1


def test_grey_is_one_channel_of_the_same_values() -> None:
    jpeg = encode(make_photo()[..., 0].copy())
    grey_HWC = decode_jpeg(jpeg, is_grey=True)
    assert grey_HWC.shape == (240, 320, 1)
    assert (decode_jpeg(jpeg) == grey_HWC).all()


def test_motion_jpeg_without_huffman_tables_is_read() -> None:
    jpeg = encode(make_photo())
    bare = jpeg
    while b"\xff\xc4" in bare[: find_scan(bare)]:
        place = bare.index(b"\xff\xc4")
        (length,) = struct.unpack_from(">H", bare, place + 2)
        bare = bare[:place] + bare[place + 2 + length :]
    assert np.array_equal(decode_jpeg(bare), decode_jpeg(jpeg))
    with pytest.raises(InputError):
        decode_jpeg(zero_bytes(bare))
