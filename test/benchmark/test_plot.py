import cv2
import numpy as np
import pytest

from proxia_segmentation_ros.benchmark.plot import (
    PANEL_HW,
    SIDES_RGB,
    STAGES_RGB,
    draw_report,
    find_step,
    write_plot,
)
from proxia_segmentation_ros.benchmark.trace import BASIC, OURS, STAGE
from proxia_segmentation_ros.errors import InputError

RATE = f"{BASIC}MEAN_FRAME_RATE"


def make_report(rate=20.0, other=10.0, stages=False):
    figures = {RATE: rate, f"{OURS}P50_LATENCY": 40.0, f"{OURS}P99_LATENCY": 80.0}
    if stages:
        figures |= {f"{STAGE}PRE": 10.0, f"{STAGE}INFER": 30.0}
    against = {"subject": {"name": "eager"}, RATE: other}
    return {**figures, "custom": {"subject": {"name": "model"}, "against": against}}


def count(picture_HWC, ink_rgb):
    return int((picture_HWC == np.array(ink_rgb, np.uint8)).all(-1).sum())


def test_twice_as_many_frames_make_a_bar_twice_as_high():
    rates_HWC = draw_report(make_report())[80:, : PANEL_HW[1]]
    assert count(rates_HWC, SIDES_RGB[0]) / count(rates_HWC, SIDES_RGB[1]) == pytest.approx(
        2, rel=0.03
    )


def test_camera_alone_is_a_third_bar():
    report = make_report(rate=40.0, other=20.0)
    report["custom"]["alone"] = {"subject": {"name": "one camera alone"}, RATE: 10.0}
    rates_HWC = draw_report(report)[100:, : PANEL_HW[1]]
    areas = [count(rates_HWC, ink_rgb) for ink_rgb in SIDES_RGB]
    assert [area / areas[2] for area in areas] == pytest.approx([4, 2, 1], rel=0.05)


def test_stages_are_stacked_where_they_were_measured():
    assert draw_report(make_report()).shape[1] == 2 * PANEL_HW[1]
    picture_HWC = draw_report(make_report(stages=True))
    assert picture_HWC.shape[1] == 3 * PANEL_HW[1]
    stages_HWC = picture_HWC[80:, 2 * PANEL_HW[1] :]
    shares = count(stages_HWC, STAGES_RGB["INFER"]) / count(stages_HWC, STAGES_RGB["PRE"])
    assert shares == pytest.approx(3, rel=0.05)


def test_stack_stands_on_the_colour_of_its_side():
    stages_HWC = draw_report(make_report(stages=True))[:, 2 * PANEL_HW[1] :]
    below_HWC = stages_HWC[PANEL_HW[0] - 42 : PANEL_HW[0] - 38]
    assert count(below_HWC, SIDES_RGB[0]) > 100
    assert count(below_HWC, SIDES_RGB[1]) == 0


def test_long_names_stay_in_their_panel():
    report = make_report()
    report["custom"]["subject"]["name"] = 12 * "tile_budget=0.5,"
    margin_HWC = draw_report(report)[:60, PANEL_HW[1] - 15 : PANEL_HW[1]]
    assert (margin_HWC == 255).all()


def test_memory_is_a_line_over_frames():
    memory = {"curve": [[0, 100.0], [500, 100.0], [1000, 200.0]]}
    picture_HWC = draw_report({"custom": {"memory": memory}})
    rows = np.argwhere((picture_HWC[80:] == np.array(SIDES_RGB[0])).all(-1))
    leftmost, rightmost = rows[rows[:, 1].argmin()], rows[rows[:, 1].argmax()]
    assert leftmost[0] > rightmost[0] + 50


def test_picture_is_written_as_png(tmp_path):
    write_plot(make_report(), tmp_path / "deep" / "plot.png")
    picture_HWC = cv2.imread(str(tmp_path / "deep" / "plot.png"))
    assert picture_HWC.shape == (PANEL_HW[0], 2 * PANEL_HW[1], 3)
    with pytest.raises(InputError, match=r"ends in \.png"):
        write_plot(make_report(), tmp_path / "plot.svg")


def test_axis_steps_are_round():
    assert [find_step(one) for one in (5, 6, 12, 100, 0.05)] == pytest.approx([1, 2, 5, 20, 0.01])
