"""Whatever a frame holds: one log line, a diagnostics entry, and the next good one is labelled."""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
from fake_segmenter import expect_labels
from robot import make_compressed, make_image, make_scene, read_pixels
from sensor_msgs.msg import CompressedImage, Image


@dataclass(frozen=True)
class BadFrame:
    """A frame to refuse, what the log says, and the counter it goes to."""

    make: Callable[[], Image | CompressedImage]
    says: str
    counter: str


def change_fields(**fields):
    image = make_image(make_scene(), sec=2)
    for name, value in fields.items():
        setattr(image, name, value)
    return image


def make_sized(height: int, width: int) -> Image:
    return make_image(np.zeros((height, width, 3), np.uint8), sec=2)


def encode_jpeg(image_HWC: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", cv2.cvtColor(image_HWC, cv2.COLOR_RGB2BGR))[1].tobytes()


def encode_huge_jpeg() -> CompressedImage:
    return make_compressed(encode_jpeg(np.zeros((6000, 8000, 3), np.uint8)), sec=2)


def claim_huge_png() -> CompressedImage:
    """A PNG of 8000x6000 by its header, with next to nothing behind it."""
    head = b"IHDR" + struct.pack(">IIBBBBB", 8000, 6000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    return make_compressed(b"\x89PNG\r\n\x1a\n" + chunk + b"\x00" * 64, sec=2, image_format="png")


def truncate_jpeg() -> CompressedImage:
    data = encode_jpeg(make_scene())
    return make_compressed(data[: len(data) // 2], sec=2)


def end_jpeg_early() -> CompressedImage:
    """Cut at 40 % with an end marker put back: libjpeg fills up with grey and prints a warning."""
    data = encode_jpeg(make_scene())
    return make_compressed(data[: len(data) * 2 // 5] + b"\xff\xd9", sec=2)


def lose_middle_of_jpeg() -> CompressedImage:
    data = encode_jpeg(make_scene())
    return make_compressed(data[: len(data) // 2] + data[len(data) // 2 + 300 :], sec=2)


def repeat_scan() -> CompressedImage:
    options = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]
    data = cv2.imencode(".jpg", np.zeros((2000, 2000), np.uint8), options)[1].tobytes()
    last = data.rindex(b"\xff\xda")
    return make_compressed(data[:-2] + data[last:-2] * 1000 + data[-2:], sec=2)


BAD_RAW = {
    "unknown encoding": BadFrame(
        lambda: change_fields(encoding="rgb565"), "image encoding 'rgb565'", "dropped_undecodable"
    ),
    "step too small": BadFrame(lambda: change_fields(step=100), "step 100", "dropped_refused"),
    "data too short": BadFrame(
        lambda: change_fields(height=97), "data is too short", "dropped_refused"
    ),
    "rows between planes": BadFrame(
        lambda: change_fields(encoding="nv12", height=48, width=192, step=192),
        "data of 192x48 with step 192 is too long",
        "dropped_refused",
    ),
    "zero size": BadFrame(lambda: change_fields(height=0, width=0), "empty", "dropped_refused"),
    "1x1": BadFrame(lambda: make_sized(1, 1), "too small (1x1)", "dropped_refused"),
    "header claims 8000x6000": BadFrame(
        lambda: change_fields(height=6000, width=8000, step=24_000), "8000x6000", "dropped_refused"
    ),
    "header claims 2^32-1 squared": BadFrame(
        lambda: change_fields(height=2**32 - 1, width=2**32 - 1, step=2**32 - 1),
        "too large",
        "dropped_refused",
    ),
}
BAD_COMPRESSED = {
    "8000x6000 JPEG": BadFrame(encode_huge_jpeg, "8000x6000", "dropped_refused"),
    "JPEG ended early": BadFrame(
        end_jpeg_early, "premature end of data segment", "dropped_undecodable"
    ),
    "JPEG without its middle": BadFrame(
        lose_middle_of_jpeg, "bytes can't be decoded (", "dropped_undecodable"
    ),
    "JPEG of 1,000 scans": BadFrame(repeat_scan, "more than 64 scans", "dropped_refused"),
    "header claims 8000x6000": BadFrame(claim_huge_png, "8000x6000", "dropped_refused"),
    "truncated JPEG": BadFrame(truncate_jpeg, "", "dropped_undecodable"),
    "no image": BadFrame(lambda: make_compressed(b"hello", sec=2), "", "dropped_undecodable"),
    "no data": BadFrame(lambda: make_compressed(b"", sec=2), "", "dropped_undecodable"),
}


def assert_bad_then_good(robot, under_test, capfd, bad: BadFrame, make_good, topic: str) -> None:
    frame = bad.make()  # before the clock of the labels runs
    robot.listen("/proxia/labels", Image)
    robot.show(make_good(1), topic)
    capfd.readouterr()
    already = under_test.count("received")
    for times in (1, 2, 3):
        robot.publish(topic, frame)
        robot.wait_for(
            lambda times=times: under_test.count(bad.counter) == times, "the frame to be counted"
        )
    status = robot.wait_for_diagnostic("camera camera", bad.says)
    assert status.level == b"\x01"
    assert "expected" in status.message
    robot.publish(topic, make_good(3))
    labels = robot.wait_for_stamp("/proxia/labels", 3)
    assert read_pixels(labels).shape == (96, 128)
    assert under_test.count("received") == already + 4
    err = capfd.readouterr().err
    assert "Corrupt JPEG data" not in err.replace("(Corrupt JPEG data", "")
    lines = [line for line in err.splitlines() if "camera camera:" in line]
    assert len(lines) == 1
    assert bad.says in lines[0]


@pytest.fixture(autouse=True)
def slow_log(monkeypatch):
    """Let no second line of a kind be due, however slow the machine."""
    monkeypatch.setattr("proxia_segmentation_ros.ros.node.throttled_log.LOG_PERIOD_S", 3600.0)


@pytest.mark.parametrize("name", BAD_RAW)
def test_bad_raw_frame_is_told_once_and_the_next_good_one_is_labelled(
    robot, start_node, capfd, name
):
    under_test = start_node()
    assert_bad_then_good(
        robot,
        under_test,
        capfd,
        BAD_RAW[name],
        lambda sec: make_image(make_scene(), sec=sec),
        "/image",
    )


@pytest.mark.parametrize("name", BAD_COMPRESSED)
def test_bad_compressed_frame_is_told_once_and_the_next_good_one_is_labelled(
    robot, start_node, capfd, name
):
    under_test = start_node({"cameras.camera.transport": "compressed"})
    assert_bad_then_good(
        robot,
        under_test,
        capfd,
        BAD_COMPRESSED[name],
        lambda sec: make_compressed(encode_jpeg(make_scene()), sec=sec),
        "/image/compressed",
    )


def test_size_may_change_in_mid_stream(robot, start_node):
    under_test = start_node()
    robot.listen("/proxia/labels", Image)
    for sec, size_hw in enumerate([(96, 128), (48, 64), (181, 259), (96, 128)], start=1):
        image_HWC = make_scene(sec, size_hw)
        labels = robot.show(make_image(image_HWC, sec=sec))
        np.testing.assert_array_equal(read_pixels(labels), expect_labels(image_HWC))
    assert under_test.count("labelled") >= 4


def test_pixel_limit_changes_while_active(robot, start_node):
    start_node()
    robot.listen("/proxia/labels", Image)
    assert robot.set_named({"inference.max_input_pixels": 65536}).successful
    robot.show(make_image(make_scene(), sec=1))
    robot.publish("/image", make_image(make_scene(0, (300, 300)), sec=2))
    robot.wait_for_diagnostic("camera camera", "300x300 = 90000 pixels")


def test_error_of_the_model_costs_the_frame_and_no_more(robot, start_node):
    under_test = start_node()
    robot.listen("/proxia/labels", Image)
    robot.show(make_image(make_scene(), sec=1))
    segment = under_test.segmenter.segment

    def fail(*args, **kwargs):
        under_test.segmenter.segment = segment
        raise RuntimeError("no memory")

    under_test.segmenter.segment = fail
    robot.publish("/image", make_image(make_scene(), sec=2))
    robot.wait_for_diagnostic("camera camera", "RuntimeError: no memory")
    robot.show(make_image(make_scene(), sec=3))
    assert under_test.count("dropped_failed") == 1
    robot.wait_for(
        lambda: under_test.count("received") == under_test.count("labelled") + 1,
        "every other frame to be labelled",
    )
