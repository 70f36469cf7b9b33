"""Pixels of every encoding come out as the colours that went in; wrong sizes are refused."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from wire_images import make_blank, make_image, make_patches, pack, read_patches

from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.wire.cdr import ImageMessage
from proxia_segmentation_ros.wire.encodings import SUPPORTED_ENCODINGS, decode_depth, decode_image
from proxia_segmentation_ros.wire.limits import RefusedImage

MAX_PIXELS = 1_000_000
GREY_ENCODINGS = ["mono8", "mono16", "8UC1", "16UC1"]
DEEP_ENCODINGS = [name for name in SUPPORTED_ENCODINGS if "16" in name]
PLANAR_ENCODINGS = ["nv12", "nv21", "nv24"]
COLOR_ENCODINGS = [name for name in SUPPORTED_ENCODINGS if name not in GREY_ENCODINGS]
# Video range has 220 levels of 8 bits, and OpenCV computes in fixed point.
TOLERANCE = dict.fromkeys(("yuv422", "uyvy", "yuv422_yuy2", "yuyv", *PLANAR_ENCODINGS), 4)


def wrap(encoding: str, row_padding: int = 0) -> ImageMessage:
    patches = make_patches()
    message = make_image(
        pack(patches, encoding), encoding, width=patches.shape[1], row_padding=row_padding
    )
    if encoding == "nv24":
        # A row of chroma is twice as long as one of Y, and so is its padding.
        luma, chroma = np.split(pack(patches, encoding), [len(patches)])
        chroma = np.pad(chroma.reshape(len(patches), -1), ((0, 0), (0, 2 * row_padding)))
        luma = np.pad(luma, ((0, 0), (0, row_padding)))
        message = replace(message, data=np.concatenate((luma.ravel(), chroma.ravel())))
    return replace(message, height=patches.shape[0])


def test_contract_lists_these_encodings() -> None:
    patterns = ("rggb", "bggr", "gbrg", "grbg")
    bayer = {f"bayer_{pattern}{bits}" for pattern in patterns for bits in (8, 16)}
    named = {"rgb8", "bgr8", "rgba8", "bgra8", "mono8", "yuv422", "yuv422_yuy2", "8UC3", "8UC4"}
    named |= {"rgb16", "bgr16", "rgba16", "bgra16", *GREY_ENCODINGS, *PLANAR_ENCODINGS}
    assert named | bayer <= set(SUPPORTED_ENCODINGS)


@pytest.mark.parametrize("row_padding", [0, 5, 64])
@pytest.mark.parametrize("encoding", COLOR_ENCODINGS)
def test_colors_keep_their_order(encoding: str, row_padding: int) -> None:
    image_HWC = decode_image(wrap(encoding, row_padding), max_pixels=MAX_PIXELS)

    assert image_HWC.shape == (32, 48, 3)
    assert image_HWC.dtype == np.uint8
    assert image_HWC.flags.c_contiguous
    expected = read_patches(make_patches()).astype(int)
    differences = np.abs(read_patches(image_HWC) - expected)
    assert differences.max() <= TOLERANCE.get(encoding, 0)


@pytest.mark.parametrize(
    "encoding",
    ["rgb8", "bgr8", "8UC3", "8UC4", "rgba8", "bgra8", "rgb16", "bgr16", "rgba16", "bgra16"],
)
@pytest.mark.parametrize("width", [17, 48])
def test_every_pixel_of_packed_encodings_is_exact(encoding: str, width: int) -> None:
    image_HWC = np.random.default_rng(3).integers(0, 256, (19, width, 3), np.uint8)
    message = make_image(pack(image_HWC, encoding), encoding, row_padding=7)

    assert np.array_equal(decode_image(message, max_pixels=MAX_PIXELS), image_HWC)


@pytest.mark.parametrize("row_padding", [0, 3])
@pytest.mark.parametrize("encoding", GREY_ENCODINGS)
def test_grey_becomes_three_equal_channels(encoding: str, row_padding: int) -> None:
    grey_HW = np.random.default_rng(4).integers(0, 256, (20, 33), np.uint8)
    sent = grey_HW if "8" in encoding else (grey_HW.astype("<u2") << 8) + 255
    message = make_image(sent, encoding, row_padding=row_padding)

    image_HWC = decode_image(message, max_pixels=MAX_PIXELS)

    assert np.array_equal(image_HWC, np.repeat(grey_HW[..., None], 3, 2))


def wrap_any(encoding: str, row_padding: int = 0) -> ImageMessage:
    if encoding not in GREY_ENCODINGS:
        return wrap(encoding, row_padding)
    grey_HW = np.arange(20 * 33).reshape(20, 33) * 99
    return make_image(grey_HW.astype(np.uint8 if "8" in encoding else "<u2"), encoding)


@pytest.mark.parametrize("encoding", sorted({*SUPPORTED_ENCODINGS} - {*DEEP_ENCODINGS}))
def test_endianness_flag_changes_nothing_for_bytes(encoding: str) -> None:
    message = wrap_any(encoding)
    swapped = replace(message, is_bigendian=True)

    assert np.array_equal(
        decode_image(message, max_pixels=MAX_PIXELS), decode_image(swapped, max_pixels=MAX_PIXELS)
    )


@pytest.mark.parametrize("row_padding", [0, 6])
@pytest.mark.parametrize("encoding", DEEP_ENCODINGS)
def test_16_bits_of_either_endianness_give_their_high_byte(encoding: str, row_padding: int) -> None:
    message = wrap_any(encoding, row_padding)
    swapped = np.frombuffer(message.data, "<u2").astype(">u2").view(np.uint8)
    big_endian = replace(message, is_bigendian=True, data=swapped)

    image_HWC = decode_image(message, max_pixels=MAX_PIXELS)

    assert np.array_equal(decode_image(big_endian, max_pixels=MAX_PIXELS), image_HWC)
    assert image_HWC.max() > 250


@pytest.mark.parametrize("encoding", PLANAR_ENCODINGS)
def test_step_of_planes_may_be_the_mean_of_both(encoding: str) -> None:
    usual = wrap(encoding)
    mean_step = replace(usual, step=usual.width * 3 // (1 if encoding == "nv24" else 2))

    assert np.array_equal(
        decode_image(mean_step, max_pixels=MAX_PIXELS), decode_image(usual, max_pixels=MAX_PIXELS)
    )


def test_nv24_keeps_the_colour_of_each_pixel() -> None:
    """Stripes of one column, and an odd width and height."""
    image_HWC = np.zeros((17, 33, 3), np.uint8)
    image_HWC[:, ::2, 0] = image_HWC[:, 1::2, 2] = 255
    message = make_image(pack(image_HWC, "nv24"), "nv24", width=33)

    decoded_HWC = decode_image(replace(message, height=17), max_pixels=MAX_PIXELS)

    assert np.abs(decoded_HWC.astype(int) - image_HWC).max() <= 4


@pytest.mark.parametrize("encoding", PLANAR_ENCODINGS)
@pytest.mark.parametrize("surplus_rows", [2, 8])
def test_rows_between_the_planes_are_refused_by_name(encoding: str, surplus_rows: int) -> None:
    """As of decoders that align the height to 16; chroma was read from the surplus rows."""
    usual = wrap(encoding)
    planes = usual.data.reshape(-1, usual.step)
    luma, chroma = planes[: usual.height], planes[usual.height :]
    blank = np.full((surplus_rows, usual.step), 16, np.uint8)
    aligned = np.concatenate((luma, blank, chroma, blank[: surplus_rows // 2])).reshape(-1)

    with pytest.raises(RefusedImage) as caught:
        decode_image(replace(usual, data=aligned), max_pixels=MAX_PIXELS)

    for text in (f"{encoding} data of 48x32 with step 48 is too long", "without rows between"):
        assert text in str(caught.value)
    padded = replace(usual, data=np.append(usual.data, np.zeros(95, np.uint8)))
    assert np.array_equal(
        decode_image(padded, max_pixels=MAX_PIXELS), decode_image(usual, max_pixels=MAX_PIXELS)
    )


def test_tight_rgb_is_a_view_and_padded_rgb_a_copy() -> None:
    tight, padded = wrap("rgb8"), wrap("rgb8", row_padding=1)

    assert np.shares_memory(decode_image(tight, max_pixels=MAX_PIXELS), tight.data)
    assert not np.shares_memory(decode_image(padded, max_pixels=MAX_PIXELS), padded.data)


def test_data_behind_the_last_row_is_ignored() -> None:
    message = wrap("bgr8")
    longer = replace(message, data=np.append(message.data, np.zeros(100, np.uint8)))

    assert np.array_equal(
        decode_image(longer, max_pixels=MAX_PIXELS), decode_image(message, max_pixels=MAX_PIXELS)
    )


@pytest.mark.parametrize("container", [bytes, bytearray, memoryview])
def test_any_buffer_holds_data(container: type) -> None:
    message = wrap("rgb8")
    same = replace(message, data=container(message.data.tobytes()))

    assert np.array_equal(decode_image(same, max_pixels=MAX_PIXELS), make_patches())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"width": 0}, "image is empty (0x32); expected sides of at least 16 px; check"),
        ({"height": 0}, "image is empty (48x0)"),
        ({"width": 0, "height": 0, "step": 0, "data": b""}, "image is empty (0x0)"),
        ({"width": 1, "height": 1}, "image is too small (1x1); expected sides of at least 16 px"),
        ({"width": 15}, "image is too small (15x32)"),
        ({"height": 15}, "image is too small (48x15)"),
        (
            {"width": 8000, "height": 6000},
            "(8000x6000 = 48000000 pixels); expected at most 1000000",
        ),
        ({"width": 2**32 - 1, "height": 2**32 - 1}, "image is too large"),
        ({"step": 143}, "step 143 is too small for 'rgb8'; expected at least 144 bytes per row"),
        ({"step": 0}, "step 0 is too small"),
        ({"step": 2**32 - 1}, "image data is too short (4608 bytes); expected at least step * "),
        ({"data": b"\0" * 4607}, "image data is too short (4607 bytes)"),
        ({"data": b""}, "image data is too short (0 bytes)"),
        ({"encoding": "yuyv", "width": 47}, "yuyv image has an odd width (47x32)"),
        ({"encoding": "nv12", "height": 31, "step": 48}, "nv12 image has an odd height"),
        ({"encoding": "nv21", "width": 47, "step": 48}, "nv21 image has an odd width"),
        (
            {"encoding": "nv12", "step": 48, "data": b"\0" * 2303},
            "nv12 data of 48x32 with step 48 is too short (2303 bytes); expected 2304 bytes",
        ),
        ({"encoding": "nv24", "step": 48, "data": b"\0" * 4607}, "expected 4608 bytes"),
        ({"encoding": "rgb16", "step": 287, "data": b"\0" * 9999}, "step 287 is too small"),
        ({"encoding": "16UC1", "step": 95}, "step 95 is too small for '16UC1'"),
    ],
)
def test_wrong_sizes_are_refused(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(RefusedImage) as caught:
        decode_image(make_blank(**changes), max_pixels=MAX_PIXELS)
    assert sentence in str(caught.value)


def test_limits_themselves_are_allowed() -> None:
    message = make_image(np.zeros((16, 16, 3), np.uint8), "rgb8")

    assert decode_image(message, max_pixels=256).shape == (16, 16, 3)
    with pytest.raises(RefusedImage):
        decode_image(message, max_pixels=255)


@pytest.mark.parametrize("encoding", ["8SC3", "32FC1", "rgb32", "", "jpeg", "RGB8"])
def test_unknown_encoding_is_named_with_the_known_ones(encoding: str) -> None:
    with pytest.raises(InputError) as caught:
        decode_image(make_blank(encoding=encoding), max_pixels=MAX_PIXELS)

    assert not isinstance(caught.value, RefusedImage)
    for text in (repr(encoding), "rgb8, bgr8", "bayer_grbg16", "install cv_bridge"):
        assert text in str(caught.value)


def test_long_encoding_names_do_not_fill_the_log() -> None:
    with pytest.raises(InputError) as caught:
        decode_image(make_blank(encoding="x" * 1_000_000), max_pixels=MAX_PIXELS)
    assert len(str(caught.value)) < 600


def test_fallback_decodes_unknown_encodings_only() -> None:
    seen = []

    def fallback(message: ImageMessage) -> np.ndarray:
        seen.append(message.encoding)
        return np.full((message.height, message.width, 3), 5, np.uint8)

    image_HWC = decode_image(make_blank(encoding="8SC3"), max_pixels=MAX_PIXELS, fallback=fallback)
    decode_image(make_blank(), max_pixels=MAX_PIXELS, fallback=fallback)

    assert (image_HWC == 5).all()
    assert seen == ["8SC3"]


@pytest.mark.parametrize(
    "changes", [{"width": 8}, {"height": 5000, "width": 5000}, {"step": 40}, {"data": b"\0" * 9}]
)
def test_fallback_never_sees_refused_images(changes: dict[str, object]) -> None:
    def fallback(message: ImageMessage) -> np.ndarray:
        pytest.fail("called")

    with pytest.raises(RefusedImage):
        decode_image(
            make_blank(encoding="8SC3", **changes), max_pixels=MAX_PIXELS, fallback=fallback
        )


@pytest.mark.parametrize(
    "wrong", [np.zeros((32, 48), np.uint8), np.zeros((32, 48, 3)), np.zeros((9, 9, 3), np.uint8)]
)
def test_fallback_must_return_rgb_of_the_same_size(wrong: np.ndarray) -> None:
    with pytest.raises(InputError, match="was decoded to"):
        decode_image(
            make_blank(encoding="8SC3"), max_pixels=MAX_PIXELS, fallback=lambda message: wrong
        )


@pytest.mark.parametrize("is_bigendian", [False, True])
@pytest.mark.parametrize("row_padding", [0, 3])
def test_depth_in_millimetres(is_bigendian: bool, row_padding: int) -> None:
    depth_mm_HW = np.random.default_rng(5).integers(1, 65536, (18, 21)).astype(np.uint16)
    depth_mm_HW[3, 4] = 0
    sent = depth_mm_HW.astype(">u2" if is_bigendian else "<u2")
    message = make_image(sent, "16UC1", row_padding=row_padding)

    depth_m_HW = decode_depth(replace(message, is_bigendian=is_bigendian), max_pixels=MAX_PIXELS)

    assert depth_m_HW.dtype == np.float32
    expected = np.where(depth_mm_HW == 0, np.nan, depth_mm_HW / 1000)
    np.testing.assert_allclose(depth_m_HW, expected, rtol=1e-6)


@pytest.mark.parametrize("is_bigendian", [False, True])
@pytest.mark.parametrize("row_padding", [0, 3])
def test_depth_in_metres(is_bigendian: bool, row_padding: int) -> None:
    depth_m_HW = np.random.default_rng(6).uniform(0.1, 80, (18, 21)).astype(np.float32)
    depth_m_HW[0, :5] = [0, -1, np.nan, np.inf, -np.inf]
    sent = depth_m_HW.astype(">f4" if is_bigendian else "<f4")
    message = make_image(sent, "32FC1", row_padding=row_padding)

    decoded_HW = decode_depth(replace(message, is_bigendian=is_bigendian), max_pixels=MAX_PIXELS)

    assert np.isnan(decoded_HW[0, :5]).all()
    assert np.array_equal(decoded_HW.flat[5:], depth_m_HW.flat[5:])


def test_depth_does_not_write_to_the_message() -> None:
    sent = np.zeros((18, 21), np.float32)
    decode_depth(make_image(sent, "32FC1"), max_pixels=MAX_PIXELS)
    assert (sent == 0).all()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"encoding": "rgb8"}, "'rgb8' can't be decoded; expected one of 16UC1, 32FC1"),
        ({"encoding": "16UC1", "step": 95}, "step 95 is too small"),
        ({"encoding": "32FC1", "step": 191}, "step 191 is too small"),
        ({"encoding": "32FC1", "step": 192, "data": b"\0" * 6143}, "data is too short"),
        ({"encoding": "16UC1", "width": 3}, "too small (3x32)"),
        ({"encoding": "16UC1", "width": 2**31}, "too large"),
    ],
)
def test_wrong_depth_is_an_input_error(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        decode_depth(make_blank(**changes), max_pixels=MAX_PIXELS)
    assert sentence in str(caught.value)


def test_random_headers_raise_input_errors_alone() -> None:
    rng = np.random.default_rng(7)
    data = rng.integers(0, 256, 20_000, np.uint8)
    num_decoded = 0
    for _ in range(3000):
        width, height = (int(rng.choice([0, 1, 15, 16, 17, 30, 31, 64, 2**32 - 1])) for _ in "wh")
        message = make_blank(
            encoding=str(rng.choice([*SUPPORTED_ENCODINGS, "32FC1"])),
            width=width,
            height=height,
            step=int(rng.choice([0, 1, width, 2 * width, 3 * width, 4 * width + 3, 2**32 - 1])),
            is_bigendian=bool(rng.integers(2)),
            data=data[: rng.integers(len(data))],
        )
        for decode in (decode_image, decode_depth):
            try:
                decode(message, max_pixels=MAX_PIXELS)
                num_decoded += 1
            except InputError:
                continue
    assert num_decoded > 50


def test_wire_imports_neither_torch_nor_ros() -> None:
    code = (
        "import sys, proxia_segmentation_ros.wire.encodings\n"
        "found = {'torch', 'rclpy', 'sensor_msgs', 'openvino'} & set(sys.modules)\n"
        "sys.exit(f'imported {found}' if found else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
