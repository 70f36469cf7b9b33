import itertools
import re

import cv2
import numpy as np
import pytest
from PIL import Image
from rosbags.rosbag2 import Writer
from rosbags.typesys import Stores, get_typestore
from sample_files import (
    TinyScene,
    draw_image,
    encode_jpeg,
    make_compressed_message,
    make_raw_message,
    write_images,
    write_video,
)

from proxia_segmentation_ros.bag import BagWriter
from proxia_segmentation_ros.bag.reader import IMAGE_TYPE
from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.sources.frame_sources import DamagedFrame, list_images, open_source
from proxia_segmentation_ros.sources.frame_stream import decode_rgb
from proxia_segmentation_ros.wire import write_image

TYPESTORE = get_typestore(Stores.ROS2_HUMBLE)


def list_shades(source):
    return [int(decode_rgb(source_frame.frame)[5, 5, 0]) for source_frame in source]


def test_folder_is_played_in_natural_order(tmp_path):
    folder = write_images(tmp_path, ["f10.png", "f2.png", "f1.png"])
    (folder / "notes.txt").write_text("no image")
    source = open_source(str(folder))
    assert [path.name for path in list_images(folder)] == ["f1.png", "f2.png", "f10.png"]
    assert list_shades(source) == [20, 10, 0]
    assert (source.rate_hz, source.is_endless) == (15.0, False)


def test_encoded_files_stay_encoded_and_others_are_decoded(tmp_path):
    write_images(tmp_path, ["a.png", "b.jpg", "c.bmp"])
    frames = [source_frame.frame for source_frame in open_source(str(tmp_path))]
    assert [frame.is_compressed for frame in frames] == [True, True, False]
    assert bytes(frames[1].payload.data) == (tmp_path / "b.jpg").read_bytes()


def test_one_image_is_a_source(tmp_path):
    write_images(tmp_path, ["a.png"])
    assert len(list(open_source(str(tmp_path / "a.png")))) == 1


def test_video_has_its_own_rate_and_can_be_played_again(tmp_path):
    source = open_source(str(write_video(tmp_path / "film.mp4", frames=5, rate_hz=12.5)))
    assert source.rate_hz == pytest.approx(12.5)
    first, second = list_shades(source), list_shades(source)
    assert first == second
    assert np.allclose(first, [0, 40, 80, 120, 160], atol=6)


def test_bag_keeps_its_stamps_and_forms(tmp_path):
    with BagWriter(tmp_path / "bag") as bag:
        for index in range(4):
            bag.write("/cam/compressed", make_compressed_message(50), 10**18 + index * 10**8)
    source = open_source(str(tmp_path / "bag"))
    assert source.rate_hz == pytest.approx(10.0)
    frames = [source_frame.frame for source_frame in source]
    assert [frame.stamp_ns for frame in frames] == [10**18 + k * 10**8 for k in range(4)]
    assert bytes(frames[0].payload.data) == encode_jpeg(np.full((24, 32, 3), 50)).tobytes()


def test_topic_of_a_bag_can_be_chosen(tmp_path):
    with BagWriter(tmp_path / "bag") as bag:
        bag.write("/left", make_raw_message(40), 1)
        bag.write("/right", make_raw_message(90), 2)
    assert list_shades(open_source(str(tmp_path / "bag"), bag_topic="/right")) == [90]
    with pytest.raises(InputError, match="/left"):
        open_source(str(tmp_path / "bag"))


def test_synthetic_street_knows_its_truth_and_takes_seed_and_size(monkeypatch):
    import sys
    import types

    made = []

    class WatchedScene(TinyScene):
        def __init__(self, seed, size_hw):
            made.append((seed, size_hw))
            super().__init__(seed, size_hw)

    module = types.ModuleType("synthetic")
    monkeypatch.setattr(module, "StreetScene", WatchedScene, raising=False)
    monkeypatch.setitem(sys.modules, "proxia_segmentation_ros.synthetic", module)
    source = open_source("synthetic:7", size_hw=(48, 64))
    assert (source.name, source.is_endless, source.label_set_name) == (
        "synthetic:7",
        True,
        "camvid",
    )
    assert made == [(7, (48, 64))]
    (frame,) = itertools.islice(source, 1)
    assert frame.truth_HW.shape == (48, 64)
    assert decode_rgb(frame.frame).shape == (48, 64, 3)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("gone.mp4", None, "does not exist"),
        ("film.mp4", b"no film", "can't be opened as a video"),
        ("notes.txt", b"text", "is of no known kind"),
        ("empty_folder", "folder", "holds no images"),
    ],
)
def test_what_cannot_be_played_is_named(tmp_path, name, content, sentence):
    path = tmp_path / name
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=sentence) as caught:
        open_source(str(path))
    assert name in str(caught.value)


class FakeCamera:
    """Three frames of a camera that says it makes 30 a second."""

    def __init__(self, path):
        self.left = 3

    def isOpened(self):
        return True

    def get(self, what):
        return 30.0

    def read(self):
        self.left -= 1
        return self.left >= 0, draw_image(40 * (2 - self.left))

    def release(self):
        self.left = 0


def test_camera_of_this_machine_is_live(monkeypatch):
    monkeypatch.setattr(
        "proxia_segmentation_ros.sources.frame_sources.cv2.VideoCapture", FakeCamera
    )
    monkeypatch.setattr("proxia_segmentation_ros.sources.frame_sources.Path.exists", lambda _: True)
    source = open_source("/dev/video3")
    assert (source.rate_hz, source.is_endless) == (0.0, True)
    assert list_shades(source) == [0, 40, 80]


def test_missing_camera_is_named():
    with pytest.raises(InputError, match="/dev/video99"):
        open_source("/dev/video99")


def test_files_that_are_no_images_stand_as_damaged_frames(tmp_path):
    write_images(tmp_path, ["1.jpg", "3.jpg", "5.jpg", "9.bmp"])
    (tmp_path / "2.bmp").write_bytes(b"BM no image")
    (tmp_path / "4.jpg").write_bytes(b"")
    whole = (tmp_path / "5.jpg").read_bytes()
    (tmp_path / "6.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "7.png").write_bytes(b"garbage")
    (tmp_path / "._1.jpg").write_bytes(b"note of a Mac")
    (tmp_path / "8.png").symlink_to(tmp_path / "gone.png")
    found = list(open_source(str(tmp_path)))
    damaged = [frame.name if isinstance(frame, DamagedFrame) else "" for frame in found]
    assert damaged == ["", "2.bmp", "", "4.jpg", "", "6.jpg", "7.png", "8.png", ""]


def test_content_tells_the_format_and_not_the_name(tmp_path):
    """A .jpg that is a WebP is decoded, a .bmp that is a JPEG passed on."""
    image = Image.new("RGB", (32, 24), (40, 40, 40))
    image.save(tmp_path / "1.jpg", "WEBP")
    image.save(tmp_path / "2.bmp", "JPEG")
    image.save(tmp_path / "3.jpg", "PNG")
    frames = [source_frame.frame for source_frame in open_source(str(tmp_path))]
    assert [frame.is_compressed for frame in frames] == [False, True, True]
    assert [frame.payload.format for frame in frames[1:]] == ["jpeg", "png"]
    assert list_shades(open_source(str(tmp_path))) == pytest.approx([40, 40, 40], abs=4)


def test_images_are_played_as_they_are_stored(tmp_path):
    """So lie the masks of --truth, and so are JPEGs passed on."""
    pixels = np.zeros((24, 32, 3), np.uint8)
    pixels[:12] = 200
    exif = Image.Exif()
    exif[0x0112] = 3
    for name in ("1.webp", "2.jpg"):
        Image.fromarray(pixels).save(tmp_path / name, exif=exif)
    for source_frame in open_source(str(tmp_path)):
        assert decode_rgb(source_frame.frame)[3, 3, 0] > 180


def write_motion_jpeg(path, frames=10):
    """Write a film of JPEGs, each of which can be broken alone, and return their places."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (320, 240))
    rng = np.random.default_rng(0)
    for _ in range(frames):
        writer.write(rng.integers(0, 256, (240, 320, 3), np.uint8))
    writer.release()
    content = path.read_bytes()
    return [found.start() for found in re.finditer(rb"\xff\xd8\xff", content)]


def test_video_goes_on_after_a_broken_frame(tmp_path):
    film = tmp_path / "film.avi"
    places = write_motion_jpeg(film)
    content = bytearray(film.read_bytes())
    content[places[4] : places[4] + 4000] = bytes(4000)
    film.write_bytes(content)
    found = list(open_source(str(film)))
    assert [isinstance(frame, DamagedFrame) for frame in found] == [k == 4 for k in range(10)]


def test_video_that_is_cut_off_says_so(tmp_path):
    film = tmp_path / "film.avi"
    places = write_motion_jpeg(film)
    film.write_bytes(film.read_bytes()[: places[6]])
    *frames, last = open_source(str(film))
    assert not any(isinstance(frame, DamagedFrame) for frame in frames)
    assert isinstance(last, DamagedFrame)
    assert re.search(rf"ends after {len(frames)} of the 10 frames", last.reason)


def test_message_that_is_cut_off_is_a_damaged_frame_of_a_bag(tmp_path):
    with Writer(tmp_path / "bag", version=8) as bag:
        link = bag.add_connection("/image", IMAGE_TYPE, typestore=TYPESTORE)
        for index in range(5):
            raw = write_image(make_raw_message(40 * index))
            bag.write(link, 10**18 + index * 10**8, raw[:40] if index in (0, 2, 4) else raw)
    found = list(open_source(str(tmp_path / "bag")))
    assert [isinstance(frame, DamagedFrame) for frame in found] == [True, False, True, False, True]


def test_stamp_at_zero_does_not_slow_a_bag_down(tmp_path):
    with BagWriter(tmp_path / "bag") as bag:
        bag.write("/cam", make_raw_message(0), 0)
        for index in range(1, 10):
            bag.write("/cam", make_raw_message(10), 10**18 + index * 10**8)
    assert open_source(str(tmp_path / "bag")).rate_hz == pytest.approx(10.0)


@pytest.mark.parametrize("name", ["bag_0.db3.zstd", "bag_0.mcap.zstd"])
def test_compressed_bag_alone_says_what_to_do(tmp_path, name):
    folder = tmp_path / "bag"
    folder.mkdir()
    (folder / name).write_bytes(b"zstd")
    for source in (folder, folder / name):
        with pytest.raises(InputError, match=rf"`zstd -d .*{name}`"):
            open_source(str(source))


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match="nowhere"):
        list_images(tmp_path / "nowhere")
