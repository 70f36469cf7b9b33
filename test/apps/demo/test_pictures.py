from dataclasses import replace

import cv2
import numpy as np
import pytest
from demo_record_sample import fill, make_record
from sample_files import draw_image

from proxia_segmentation_ros.apps.demo.pictures import (
    CELL_WIDTH,
    draw_contact_sheet,
    draw_frame,
    pick_boxes,
    pick_frames,
    shrink_to_even,
    write_overlay_video,
)
from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.labels import load_label_set
from proxia_segmentation_ros.ros.client.listener import ReceivedLabels, ReceivedScene
from proxia_segmentation_ros.sources.frame_sources import SourceFrame
from proxia_segmentation_ros.wire.played_frame import PlayedFrame


def test_film_has_every_frame_at_the_rate_of_the_source(tmp_path):
    record = make_record([fill(3), None, fill(0)] * 5, [None] * 15, rate_hz=10.0)
    path = tmp_path / "overlay.mp4"
    write_overlay_video(record, path)
    film = cv2.VideoCapture(str(path))
    assert film.get(cv2.CAP_PROP_FPS) == pytest.approx(10.0)
    shades = []
    while True:
        is_read, image_bgr = film.read()
        if not is_read:
            break
        shades.append(tuple(int(value) for value in image_bgr[20, 28]))
    assert len(shades) == 15
    # Road is purple, what was not labelled stays black.
    assert shades[0][0] > 40
    assert max(shades[1]) < 20


def test_folder_that_cannot_be_written_is_named(tmp_path):
    record = make_record([fill(3)], [None])
    with pytest.raises(InputError, match=r"nowhere/overlay\.mp4"):
        write_overlay_video(record, tmp_path / "nowhere" / "overlay.mp4")


def test_frame_without_labels_keeps_its_pixels():
    record = make_record([None, fill(3)], [None] * 2)
    plain_HWC = draw_frame(record.frames[0], record.label_set)
    assert plain_HWC[12:, :4].max() == 0


@pytest.mark.parametrize("size_wh", [(32, 24), (60_000, 60_000)])
def test_frame_that_cannot_be_decoded_is_black(tmp_path, size_wh):
    """Its data end early; the node refused it, and the film goes on."""
    noise = np.random.default_rng(1).integers(0, 256, (24, 32, 3), np.uint8)
    jpeg = cv2.imencode(".jpg", noise)[1].tobytes()
    height_place = jpeg.index(b"\xff\xc0\x00\x11\x08") + 5
    size = size_wh[1].to_bytes(2, "big") + size_wh[0].to_bytes(2, "big")
    jpeg = jpeg[:height_place] + size + jpeg[height_place + 4 : len(jpeg) // 2] + b"\xff\xd9"
    record = make_record([fill(3), None], [None] * 2)
    damaged = SourceFrame(PlayedFrame.from_encoded(jpeg, "jpeg"))
    frames = [record.frames[0], replace(record.frames[1], source=damaged)]
    black_HWC = draw_frame(frames[1], record.label_set)
    assert black_HWC[:, :6].max() == 0
    assert black_HWC.shape[1] == min(size_wh[0], 1280)
    write_overlay_video(replace(record, frames=frames), tmp_path / "overlay.mp4")


def test_boxes_are_drawn_for_things_that_are_large_enough_to_see():
    label_set = load_label_set("camvid")
    labels = ReceivedLabels(0, 0.0, np.full((100, 100), 3, np.uint8))
    car, speck, sky = (0, 0, 20, 20, 8), (5, 5, 3, 3, 8), (0, 0, 90, 40, 0)
    scene = ReceivedScene(0, "camvid", (car, speck, sky), {})
    frame = replace(make_record([fill(3)], [None]).frames[0], labels=labels, scene=scene)
    assert pick_boxes(frame, label_set) == [car]


def test_six_moments_reach_from_the_first_to_the_last():
    record = make_record([fill(3)] * 50, [None] * 50)
    frames = pick_frames(record.labelled)
    assert [frame.published.index for frame in frames] == [0, 10, 20, 29, 39, 49]
    assert len(pick_frames(record.labelled[:4])) == 4


def test_sheet_shows_image_colours_and_overlay_side_by_side():
    record = make_record([fill(3)] * 8, [None] * 8)
    sheet_HWC = draw_contact_sheet(record)
    assert sheet_HWC.dtype == np.uint8
    assert sheet_HWC.shape[1] > 3 * CELL_WIDTH
    assert sheet_HWC.shape[0] > 6 * 360
    row = sheet_HWC[200]
    road = np.array([128, 64, 128])
    shown = [row[12 + column * (CELL_WIDTH + 12) + 240] for column in range(3)]
    assert shown[0].tolist() == [0, 0, 0]
    assert shown[1].tolist() == road.tolist()
    assert np.abs(shown[2] - road / 2).max() <= 2


@pytest.mark.parametrize(
    ("size_hw", "expected_hw"),
    [((24, 32), (24, 32)), ((25, 33), (24, 32)), ((800, 2560), (400, 1280))],
)
def test_film_sides_are_even_and_not_too_wide(size_hw, expected_hw):
    assert shrink_to_even(draw_image(0, *size_hw)).shape[:2] == expected_hw
