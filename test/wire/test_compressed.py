"""JPEG and PNG files come out as stored, in RGB; broken and oversized ones are told apart."""

import struct
import time
import zlib
from collections.abc import Callable

import cv2
import numpy as np
import pytest
import simplejpeg
from wire_images import encode, make_compressed, make_patches, pack, read_patches

from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.wire.compressed import (
    decode_compressed,
    decode_image_file,
    read_encoded_size,
)
from proxia_segmentation_ros.wire.limits import RefusedImage

MAX_PIXELS = 1_000_000
JPEG_LOSS = 6  # of flat patches whose borders fall on those of JPEG's blocks
PROGRESSIVE = (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
RESTARTS = (cv2.IMWRITE_JPEG_RST_INTERVAL, 2)


def decode(data: bytes, image_format: str = "jpeg") -> np.ndarray:
    return decode_compressed(make_compressed(data, image_format), max_pixels=MAX_PIXELS)


def make_photo(height: int = 120, width: int = 160) -> np.ndarray:
    """Return noise smoothed to what JPEG meets: all frequencies, many bytes."""
    noise = np.random.default_rng(9).integers(0, 256, (height, width, 3), np.uint8)
    return cv2.addWeighted(noise, 0.4, cv2.GaussianBlur(noise, (0, 0), 5), 0.6, 0)


def insert_segment(jpeg: bytes, marker: int, payload: bytes) -> bytes:
    return jpeg[:2] + struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload + jpeg[2:]


def make_exif(orientation: int) -> bytes:
    entry = struct.pack("<HHIHH", 0x112, 3, 1, orientation, 0)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", 0)


def claim_size(jpeg: bytes, width: int, height: int) -> bytes:
    """Return the file with another size in its frame header."""
    offset = jpeg.index(b"\xff\xc0\x00\x11\x08")
    return jpeg[: offset + 5] + struct.pack(">HH", height, width) + jpeg[offset + 9 :]


def make_png_chunk(name: bytes, payload: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(name + payload))
    return struct.pack(">I", len(payload)) + name + payload + checksum


def claim_png_size(png: bytes, width: int, height: int) -> bytes:
    header = struct.pack(">II", width, height) + png[24:29]
    return png[:8] + make_png_chunk(b"IHDR", header) + png[33:]


@pytest.fixture
def forbid_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        pytest.fail("decoded an image that had to be refused before")

    monkeypatch.setattr(cv2, "imdecode", fail)
    monkeypatch.setattr(simplejpeg, "decode_jpeg", fail)
    monkeypatch.setattr(zlib, "decompressobj", fail)


@pytest.mark.parametrize("options", [(), PROGRESSIVE, RESTARTS])
def test_jpeg_colors_keep_their_order(options: tuple[int, ...]) -> None:
    image_HWC = decode(encode(make_patches(), ".jpg", *options))

    assert image_HWC.dtype == np.uint8
    assert image_HWC.flags.c_contiguous
    expected = read_patches(make_patches()).astype(int)
    assert np.abs(read_patches(image_HWC) - expected).max() <= JPEG_LOSS


def test_png_is_exact() -> None:
    image_HWC = make_photo()
    assert np.array_equal(decode(encode(image_HWC, ".png"), "png"), image_HWC)


@pytest.mark.parametrize(
    "image_format",
    [
        "jpeg",
        "jpg",
        "png",
        "",
        "nonsense",
        "rgb8; jpeg compressed bgr8",
        "bgr8; jpeg compressed bgr8",
        "rgb8; png compressed bgr8",
        "bgra8; jpeg compressed bgr8",
        "rgb8; jpeg",
        "rgb8;jpeg compressed bgr8",
        "bayer_rggb8; jpeg compressed bgr8",
        "mono8; jpeg compressed ",
    ],
)
def test_format_string_does_not_change_the_colors(image_format: str) -> None:
    image_HWC = make_photo()
    assert np.array_equal(decode(encode(image_HWC, ".png"), image_format), image_HWC)


@pytest.mark.parametrize("original", ["rgb8", "bgr8"])
def test_payload_swapped_before_encoding_is_swapped_back(original: str) -> None:
    image_HWC = make_photo()
    swapped = encode(image_HWC[..., ::-1].copy(), ".png")
    decoded_HWC = decode(swapped, f"{original}; png compressed rgb8")

    assert np.array_equal(decoded_HWC, image_HWC)
    assert decoded_HWC.flags.c_contiguous


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_compressed_bayer_mosaic_becomes_color(pattern: str, bits: int) -> None:
    encoding = f"bayer_{pattern}{bits}"
    png = encode(pack(make_patches(), encoding), ".png")

    for image_format in (f"{encoding}; png compressed ", encoding, f"{encoding}; png"):
        image_HWC = decode(png, image_format)
        assert np.array_equal(read_patches(image_HWC), read_patches(make_patches()))


@pytest.mark.parametrize("original", ["mono16", "16UC1"])
def test_16_bit_grey_gives_its_high_byte(original: str) -> None:
    grey_HW = np.arange(40 * 50, dtype=np.uint16).reshape(40, 50) * 31 + 200
    image_HWC = decode(encode(grey_HW, ".png"), f"{original}; png compressed ")

    assert np.array_equal(image_HWC, np.repeat((grey_HW >> 8)[..., None], 3, 2))


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_16_bit_colors_keep_their_order(order: str) -> None:
    """image_transport names what it gave to the codec, as for 8 bits."""
    image_HWC = make_photo()
    given = image_HWC if order == "bgr" else image_HWC[..., ::-1]
    png = encode(given.astype(np.uint16) << 8, ".png")

    assert np.array_equal(decode(png, f"rgb16; png compressed {order}16"), image_HWC)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_grey_file_becomes_three_channels(suffix: str) -> None:
    grey_HW = np.repeat(np.arange(0, 240, 8, dtype=np.uint8)[:, None], 40, 1)
    image_HWC = decode(encode(grey_HW, suffix))

    assert image_HWC.shape == (30, 40, 3)
    assert np.abs(image_HWC.astype(int) - grey_HW[..., None]).max() <= JPEG_LOSS


def test_alpha_is_dropped_and_16_bits_become_8() -> None:
    image_HWC = make_photo()
    alpha_HW = np.full(image_HWC.shape[:2], 3, np.uint8)
    with_alpha = np.dstack((image_HWC, alpha_HW))
    deep_HWC = image_HWC.astype(np.uint16) * 257

    assert np.array_equal(decode(encode(with_alpha, ".png")), image_HWC)
    assert np.array_equal(decode(encode(deep_HWC, ".png")), image_HWC)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_exif_orientation_does_not_rotate(orientation: int) -> None:
    jpeg = encode(make_patches())
    turned = insert_segment(jpeg, 0xE1, make_exif(orientation))
    # The tag is real: without our flag cv2 turns the image by it.
    naive = cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR)
    assert (naive.shape[:2] == (48, 32)) == (orientation in {6, 8})

    assert np.array_equal(decode(turned), decode(jpeg))


def test_size_is_read_from_the_header() -> None:
    photo = make_photo(50, 70)
    for data in (encode(photo), encode(photo, ".png"), encode(photo, ".jpg", *PROGRESSIVE)):
        assert read_encoded_size(data) == (50, 70)
        assert read_encoded_size(np.frombuffer(data, np.uint8)) == (50, 70)


def test_size_of_a_thumbnail_is_not_the_image_s() -> None:
    thumbnail = encode(make_photo(20, 30))
    data = insert_segment(encode(make_photo(50, 70)), 0xE1, b"Exif\0\0" + thumbnail)

    assert read_encoded_size(data) == (50, 70)
    assert decode(data).shape == (50, 70, 3)
    with pytest.raises(InputError, match="truncated"):
        decode(data[:-200])


@pytest.mark.usefixtures("forbid_decoding")
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_real_image_beyond_the_limit_is_refused_undecoded(suffix: str) -> None:
    data = encode(np.zeros((6000, 8000), np.uint8), suffix)
    with pytest.raises(RefusedImage) as caught:
        decode_compressed(make_compressed(data), max_pixels=33_177_600)
    assert "(8000x6000 = 48000000 pixels); expected at most 33177600" in str(caught.value)


@pytest.mark.usefixtures("forbid_decoding")
@pytest.mark.parametrize(
    ("size", "sentence"),
    [
        ((8000, 6000), "image is too large (8000x6000"),
        ((65535, 65535), "image is too large"),
        ((0, 6000), "image is empty (0x6000)"),
        ((160, 0), "image is empty (160x0)"),
        ((1, 1), "image is too small (1x1)"),
        ((15, 120), "image is too small (15x120)"),
    ],
)
def test_claimed_size_is_refused_undecoded(size: tuple[int, int], sentence: str) -> None:
    for data in (
        claim_size(encode(make_photo()), *size),
        claim_png_size(encode(make_photo(), ".png"), *size),
    ):
        with pytest.raises(RefusedImage) as caught:
            decode(data)
        assert sentence in str(caught.value)


@pytest.mark.parametrize("options", [(), PROGRESSIVE, RESTARTS])
def test_every_truncated_jpeg_is_an_input_error(options: tuple[int, ...]) -> None:
    data = encode(make_photo(), ".jpg", *options)
    for size in [*range(0, len(data) - 1, 97), *range(700), len(data) - 2, len(data) - 1]:
        with pytest.raises(InputError):
            decode(data[:size])


@pytest.mark.parametrize("options", [(), PROGRESSIVE, RESTARTS])
def test_jpeg_damaged_in_its_middle_is_undecodable(
    options: tuple[int, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    """Ended too early, with bytes missing or zeroed: libjpeg warns and fills up with grey."""
    data = encode(make_photo(), ".jpg", *options)
    middle = len(data) // 2
    ended = data[: 2 * len(data) // 5] + b"\xff\xd9"
    missing = data[:middle] + data[middle + 900 :]
    zeroed = data[:middle] + bytes(900) + data[middle + 900 :]
    for damaged in (ended, missing, zeroed):
        with pytest.raises(InputError, match=r"can't be decoded \(") as caught:
            decode(damaged)
        assert not isinstance(caught.value, RefusedImage)
        with pytest.raises(InputError, match=r"can't be decoded \("):
            decode_image_file(damaged)
    assert capfd.readouterr() == ("", "")


def repeat_last_scan(jpeg: bytes, times: int) -> bytes:
    last = jpeg.rindex(b"\xff\xda")
    return jpeg[:-2] + jpeg[last:-2] * times + jpeg[-2:]


@pytest.mark.usefixtures("forbid_decoding")
@pytest.mark.parametrize("side", [16, 700])
def test_jpeg_of_a_thousand_scans_is_refused_undecoded(side: int) -> None:
    data = encode(np.zeros((side, side, 3), np.uint8), ".jpg", *PROGRESSIVE)
    allowed = 64 if side == 16 else 32
    sentence = rf"JPEG of {side * side} pixels has more than {allowed} scans; expected about 10"
    for changed in (repeat_last_scan(data, 1000), repeat_last_scan(data, allowed)):
        with pytest.raises(RefusedImage, match=sentence):
            decode(changed)
    with pytest.raises(RefusedImage, match="has more than 64 scans"):
        decode_image_file(repeat_last_scan(data, 1000))


def test_pixels_times_scans_bound_the_time_of_decoding() -> None:
    """The file of the report: 245 kB, 5700x5700, 1,000 scans; it took 20 s."""
    data = repeat_last_scan(encode(np.zeros((5700, 5700), np.uint8), ".jpg", *PROGRESSIVE), 1000)
    started_s = time.process_time()
    with pytest.raises(RefusedImage, match="has more than 16 scans"):
        decode_compressed(make_compressed(data), max_pixels=33_177_600)
    assert time.process_time() - started_s < 0.1


def test_progressive_jpeg_of_the_largest_size_is_read() -> None:
    data = encode(np.full((5760, 5760, 3), 90, np.uint8), ".jpg", *PROGRESSIVE)
    assert data.count(b"\xff\xda") == 10
    image_HWC = decode_compressed(make_compressed(data), max_pixels=5760 * 5760)
    assert (image_HWC == 90).all()


def test_scans_in_thumbnails_and_comments_do_not_count() -> None:
    data = encode(make_photo(), ".jpg", *PROGRESSIVE)
    payload = b"\xff\xda\x00\x02" * 999
    thumbnails = insert_segment(data, 0xE1, payload)
    last = data.rindex(b"\xff\xda")
    comment = struct.pack(">BBH", 0xFF, 0xFE, len(payload) + 2) + payload
    for changed in (thumbnails, data[:last] + comment + data[last:]):
        assert np.array_equal(decode(changed), decode(data))


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_millions_of_empty_segments_are_not_walked(suffix: str) -> None:
    data = encode(make_photo(), suffix)
    if suffix == ".jpg":
        data = data[:2] + b"\xff\xfe\x00\x02" * 2_000_000 + data[2:]
    else:
        data = data[:33] + make_png_chunk(b"teXt", b"") * 700_000 + data[33:]
    started_s = time.process_time()
    with pytest.raises(InputError, match="has more than"):
        decode(data)
    assert time.process_time() - started_s < 0.5


def test_truncated_jpeg_is_an_input_error_under_padding() -> None:
    data = encode(make_photo())
    with pytest.raises(InputError, match=r"truncated; expected the end-of-image marker FF D9"):
        decode(data[: len(data) // 2].ljust(len(data), b"\0"))


def test_every_truncated_png_is_an_input_error() -> None:
    data = encode(make_photo(), ".png")
    for size in [*range(0, len(data) - 1, 997), *range(70), *range(len(data) - 20, len(data))]:
        with pytest.raises(InputError):
            decode(data[:size])


def test_bytes_behind_the_end_are_ignored() -> None:
    jpeg, png = encode(make_photo()), encode(make_photo(), ".png")
    for padding in (b"\0" * 512, b"\xff" * 7):
        assert np.array_equal(decode(jpeg + padding), decode(jpeg))
        assert np.array_equal(decode(png + padding), decode(png))


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff", b"\xff\xd8", b"\xff\xd8\xff", b"GIF89a" + b"\0" * 90, b"\0" * 64, b"\x89PNG"],
)
def test_other_files_are_named_by_their_first_bytes(data: bytes) -> None:
    with pytest.raises(InputError) as caught:
        decode(data)
    assert "JPEG" in str(caught.value)
    with pytest.raises(InputError):
        read_encoded_size(data)


def test_depth_plugin_s_payload_is_an_input_error() -> None:
    data = b"\0" * 12 + encode(make_photo(), ".png")
    with pytest.raises(InputError, match="expected a JPEG or PNG file"):
        decode(data, "16UC1; compressedDepth png")


@pytest.mark.parametrize(
    "segments",
    [
        b"\xff\xd9",
        b"\xff\xe0\x00\x00",
        b"\xff\xe0\x00\x01",
        b"\xff\xc0\x00\x05abc\xff\xda\x00\x02\xff\xd9",
        b"\xff\xda\x00\x02\xff\xd9",
        b"\xff\xe0\xff\xffabc",
    ],
)
def test_broken_jpeg_headers_are_input_errors(segments: bytes) -> None:
    with pytest.raises(InputError):
        decode(b"\xff\xd8" + segments)


@pytest.mark.parametrize(
    "change",
    [
        lambda png: png[:16] + b"\0\0\0\x11" + png[20:],
        lambda png: png[:8] + b"\0\0\0\x0c" + png[12:],
        lambda png: png[:12] + b"JHDR" + png[16:],
        lambda png: png[:25] + b"\x05" + png[26:],
        lambda png: png[:-100] + b"\x12" + png[-99:],
        lambda png: png[:33] + b"\xff\xff\xff\xff" + png[37:],
    ],
)
def test_corrupt_png_is_an_input_error(change: Callable[[bytes], bytes]) -> None:
    with pytest.raises(InputError):
        decode(change(encode(make_photo(), ".png")))


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    changed = np.frombuffer(data, np.uint8).copy()
    # Half of the changes go to the headers, which are a small part of the file.
    reach = len(changed) if rng.integers(2) else min(700, len(changed))
    places = rng.integers(2, reach, rng.integers(1, 9))
    changed[places] = rng.integers(0, 256, len(places))
    return changed[: len(changed) - rng.integers(0, 3) * 10].tobytes()


@pytest.mark.parametrize(
    "data",
    [
        encode(make_photo(40, 48)),
        encode(make_photo(40, 48), ".jpg", *PROGRESSIVE),
        encode(make_photo(40, 48), ".png"),
        encode(make_photo(40, 48)[..., 0].copy(), ".jpg"),
    ],
    ids=["jpeg", "progressive", "png", "grey"],
)
def test_random_mutations_raise_input_errors_alone(data: bytes) -> None:
    rng = np.random.default_rng(10)
    num_refused = 0
    for _ in range(800):
        changed = mutate(data, rng)
        try:
            image_HWC = decode_compressed(make_compressed(changed), max_pixels=20_000)
            assert image_HWC.shape[:2] == read_encoded_size(changed)
            assert image_HWC.dtype == np.uint8
        except InputError:
            num_refused += 1
    assert num_refused > 100


def test_png_with_repaired_checksums_raises_input_errors_alone() -> None:
    png = encode(make_photo(40, 48), ".png")
    rng = np.random.default_rng(11)
    num_refused = 0
    for _ in range(400):
        header = np.frombuffer(png[16:29], np.uint8).copy()
        header[rng.integers(8, 13)] = rng.integers(0, 20)
        length = struct.unpack(">I", png[33:37])[0]
        pixels = np.frombuffer(png[41 : 41 + length], np.uint8).copy()
        pixels[rng.integers(0, length, 3)] = rng.integers(0, 256, 3)
        chunks = ((b"IHDR", header.tobytes()), (b"IDAT", pixels.tobytes()), (b"IEND", b""))
        changed = png[:8] + b"".join(make_png_chunk(*chunk) for chunk in chunks)
        try:
            decode(changed)
        except InputError:
            num_refused += 1
    assert num_refused > 50
