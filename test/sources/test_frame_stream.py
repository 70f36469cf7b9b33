from dataclasses import replace

import cv2
import numpy as np
import pytest
from sample_files import draw_image, make_compressed_message, write_images, write_video

from proxia_segmentation_ros.bag import BagWriter
from proxia_segmentation_ros.errors import ConfigError, InputError
from proxia_segmentation_ros.labels import load_label_set
from proxia_segmentation_ros.sources.frame_sources import SourceFrame, open_source
from proxia_segmentation_ros.sources.frame_stream import (
    FrameStream,
    StreamSettings,
    TruthFolder,
    decode_rgb,
    parse_transport,
)
from proxia_segmentation_ros.wire.played_frame import PlayedFrame

CAMVID = load_label_set("camvid")


@pytest.fixture
def folder(tmp_path):
    return write_images(tmp_path / "images", ["a1.jpg", "a2.jpg", "a3.jpg"])


def write_masks(folder, names, ids):
    folder.mkdir()
    for name, value in zip(names, ids, strict=True):
        cv2.imwrite(str(folder / name), np.full((24, 32), value, np.uint8))
    return folder


def test_source_decides_the_transport(folder, tmp_path):
    film = write_video(tmp_path / "film.mp4")
    assert FrameStream(open_source(str(folder)), StreamSettings()).transport == "compressed"
    assert FrameStream(open_source(str(film)), StreamSettings()).transport == "raw"


def test_encoded_frames_are_decoded_for_raw(folder):
    stream = FrameStream(open_source(str(folder)), StreamSettings(transport="raw"))
    frames = [source_frame.frame for source_frame in stream]
    assert not any(frame.is_compressed for frame in frames)
    assert frames[2].payload.encoding == "rgb8"
    assert abs(int(decode_rgb(frames[2])[5, 5, 0]) - 20) < 4


def test_raw_frames_are_encoded_for_compressed(tmp_path):
    film = write_video(tmp_path / "film.mp4", frames=2)
    stream = FrameStream(open_source(str(film)), StreamSettings(transport="compressed"))
    frames = [source_frame.frame for source_frame in stream]
    assert [frame.payload.format for frame in frames] == ["jpeg", "jpeg"]
    assert abs(int(decode_rgb(frames[1])[5, 5, 0]) - 40) < 6


def test_size_stretches_image_and_truth(folder, tmp_path):
    source = open_source(str(folder))
    masks = write_masks(tmp_path / "masks", ["a1.png", "a2.png", "a3.png"], [3, 8, 11])
    stream = FrameStream(
        source, StreamSettings(size_hw=(48, 96)), TruthFolder(masks, source, CAMVID)
    )
    frames = list(stream)
    assert decode_rgb(frames[0].frame).shape == (48, 96, 3)
    truths = [frame.truth_HW for frame in frames if frame.truth_HW is not None]
    assert [(truth_HW.shape, int(truth_HW[0, 0])) for truth_HW in truths] == [
        ((48, 96), 3),
        ((48, 96), 8),
        ((48, 96), 255),
    ]


def test_truth_of_images_is_found_by_name(folder, tmp_path):
    source = open_source(str(folder))
    masks = write_masks(tmp_path / "masks", ["a1.png", "a3.png"], [3, 8])
    with pytest.raises(InputError, match=r"a2\.jpg"):
        TruthFolder(masks, source, CAMVID)


def test_truth_of_other_sources_is_taken_in_order(tmp_path):
    source = open_source(str(write_video(tmp_path / "film.mp4", frames=3)))
    masks = write_masks(tmp_path / "masks", ["9.png", "10.png"], [1, 2])
    stream = FrameStream(source, StreamSettings(), TruthFolder(masks, source, CAMVID))
    ids = [
        None if source_frame.truth_HW is None else int(source_frame.truth_HW[0, 0])
        for source_frame in stream
    ]
    assert ids == [1, 2, None]


def test_damaged_frames_are_left_out_and_told(tmp_path, caplog):
    """The masks of the others stay theirs."""
    folder = write_images(tmp_path / "images", ["1.jpg", "2.jpg", "3.jpg"])
    (folder / "2.jpg").write_bytes(b"garbage")
    source = open_source(str(folder))
    masks = write_masks(tmp_path / "masks", ["1.png", "2.png", "3.png"], [1, 2, 3])
    stream = FrameStream(source, StreamSettings(), TruthFolder(masks, source, CAMVID))
    truths = [frame.truth_HW for frame in stream if frame.truth_HW is not None]
    assert [int(truth_HW[0, 0]) for truth_HW in truths] == [1, 3]
    assert len(list(stream)) == 2
    assert stream.skipped == 1
    assert caplog.text.count("2.jpg is left out") == 1


def test_message_without_a_picture_is_left_out(tmp_path):
    with BagWriter(tmp_path / "bag") as bag:
        for index in range(4):
            message = make_compressed_message(50)
            if index in (0, 2):
                message = replace(message, data=message.data[: 7 * index])
            bag.write("/cam/compressed", message, 10**18 + index * 10**8)
    stream = FrameStream(open_source(str(tmp_path / "bag")), StreamSettings())
    assert (len(list(stream)), stream.skipped, stream.transport) == (2, 2, "compressed")


@pytest.mark.parametrize("transport", [None, "raw"])
def test_source_without_any_whole_frame_is_refused(tmp_path, transport):
    for name in ("1.jpg", "2.png"):
        (tmp_path / name).write_bytes(b"garbage")
    with pytest.raises(InputError, match=r"no frame that can be played; 1\.jpg"):
        list(
            FrameStream(open_source(str(tmp_path)), StreamSettings(transport=transport, loop=True))
        )


def test_many_damaged_frames_are_not_told_one_by_one(tmp_path, caplog):
    folder = write_images(tmp_path / "images", ["0.jpg"])
    for index in range(1, 30):
        (folder / f"{index}.jpg").write_bytes(b"")
    stream = FrameStream(open_source(str(folder)), StreamSettings())
    assert len(list(stream)) == 1
    assert (stream.skipped, len(caplog.records)) == (29, 11)


def test_mask_of_another_size_is_told(folder, tmp_path, caplog):
    source = open_source(str(folder))
    masks = write_masks(tmp_path / "masks", ["a1.png", "a2.png", "a3.png"], [1, 2, 3])
    cv2.imwrite(str(masks / "a2.png"), np.zeros((25, 32), np.uint8))
    stream = FrameStream(source, StreamSettings(), TruthFolder(masks, source, CAMVID))
    assert (len(list(stream)), stream.skipped) == (2, 1)
    assert "its mask is (25, 32) and the image (24, 32)" in caplog.text


def test_two_masks_of_one_name_are_refused(folder, tmp_path):
    source = open_source(str(folder))
    masks = write_masks(tmp_path / "masks", ["a1.png", "a1.tif"], [3, 8])
    with pytest.raises(InputError, match=r"'a1\.png' and 'a1\.tif'"):
        TruthFolder(masks, source, CAMVID)


def test_loop_begins_anew_and_max_frames_ends_it(folder):
    settings = StreamSettings(loop=True, max_frames=7)
    assert len(list(FrameStream(open_source(str(folder)), settings))) == 7


def test_rate_replaces_the_stamps_of_the_source():
    class Stamped:
        name, rate_hz, is_endless, label_set_name = "stamped", 15.0, False, ""

        def __iter__(self):
            yield SourceFrame(PlayedFrame.from_rgb(draw_image(1), stamp_ns=5))

    kept = FrameStream(Stamped(), StreamSettings())
    replaced = FrameStream(Stamped(), StreamSettings(rate_hz=5.0))
    assert ([source_frame.frame.stamp_ns for source_frame in kept], kept.rate_hz) == ([5], 15.0)
    assert ([source_frame.frame.stamp_ns for source_frame in replaced], replaced.rate_hz) == (
        [None],
        5.0,
    )


def test_transport_is_parsed_by_name():
    assert [parse_transport(text) for text in ("raw", "compressed", "")] == [
        "raw",
        "compressed",
        None,
    ]
    with pytest.raises(ConfigError, match="theora"):
        parse_transport("theora")
