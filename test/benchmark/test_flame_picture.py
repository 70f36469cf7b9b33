"""The drawing of stacks: which panels it has, and that what matters can be read in it."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from proxia_segmentation_ros.benchmark.flame_picture import (
    Stack,
    choose_label,
    list_panels,
    read_stacks,
    write_picture,
)

START = "Thread._bootstrap (threading.py);Thread.run (threading.py)"
WORK = "FrameRound.process (proxia_segmentation_ros/pipeline/stream.py)"
CALL = "Segmenter.segment_many (proxia_segmentation_ros/inference/segmenter.py)"
PUBLISH = "CameraStream.publish (proxia_segmentation_ros/ros/node/camera_stream.py)"
SPIN = "Executor.spin_once (rclpy/executors.py)"
RAW = f"""thread (7): model;{START};{WORK};{CALL} 90
thread (7): model;{START};{WORK};{PUBLISH};<lambda> (a & b.py) 9
thread (7): model;{START};{WORK} 1
thread (8): executor;{START};{SPIN} 20
thread (9): idle 1
"""
SVG = "{http://www.w3.org/2000/svg}"


def draw(path: Path, raw: str = RAW) -> ElementTree.Element:
    write_picture(path, "node", read_stacks(raw))
    return ElementTree.parse(path).getroot()


def list_texts(drawn: ElementTree.Element) -> list[str]:
    return [str(one.text) for one in drawn.iter(f"{SVG}text")]


def test_stacks_begin_with_the_thread_by_name_and_not_with_how_it_started() -> None:
    stacks = read_stacks(RAW)
    assert stacks[0] == Stack("model", (WORK, CALL), 90)
    assert stacks[-1] == Stack("idle", (), 1)
    assert read_stacks("main (a.py);work (b.py) 3\n") == [Stack("main (a.py)", ("work (b.py)",), 3)]


def test_each_busy_thread_is_shown_and_the_model_s_once_more_without_its_call() -> None:
    panels = dict(list_panels(read_stacks(RAW)))
    assert list(panels) == [
        "thread model: 100 samples; "
        "decode 0.0 %, segment_many 90.0 %, publish 9.0 %, summarize 0.0 %",
        "thread model around the model: 10.0 % of 100 samples",
        "thread executor: 20 samples",
    ]
    around = panels["thread model around the model: 10.0 % of 100 samples"]
    assert not any(CALL in one.frames for one in around)


@pytest.mark.parametrize(("outside", "panels"), [(0, 1), (4, 1), (6, 2)])
def test_thread_that_hardly_does_more_than_call_the_model_is_shown_once(
    outside: int, panels: int
) -> None:
    raw = f"thread (7): main;{CALL} {500 - outside}\nthread (7): main;{PUBLISH} {outside}"
    assert len(list(list_panels(read_stacks(raw)))) == panels


def test_ros_functions_of_the_same_name_are_no_stages() -> None:
    ros = "Publisher.publish (rclpy/publisher.py)"
    raw = f"thread (7): model;{CALL} 1\nthread (7): model;{ros} 1"
    (header, _), *_ = list_panels(read_stacks(raw))
    assert "publish 0.0 %" in header


def test_functions_can_be_read_and_hold_the_rest_as_tooltips(tmp_path: Path) -> None:
    drawn = draw(tmp_path / "flame.svg")
    texts = list_texts(drawn)
    assert {"Segmenter.segment_many", "CameraStream.publish", "Executor.spin_once"} <= set(texts)
    titles = [str(one.text) for one in drawn.iter(f"{SVG}title")]
    assert f"{PUBLISH}: 9 samples, 9.0 %" in titles
    assert "<lambda> (a & b.py): 9 samples, 90.0 %" in titles


def test_callees_lie_below_their_caller_and_within_it(tmp_path: Path) -> None:
    places = {}
    for group in draw(tmp_path / "flame.svg").iter(f"{SVG}g"):
        title, rect = group.find(f"{SVG}title"), group.find(f"{SVG}rect")
        assert title is not None
        assert rect is not None
        # The first panel holds all of them.
        places.setdefault(str(title.text).partition(": ")[0], rect.attrib)
    work, call = places[WORK], places[CALL]
    assert float(call["y"]) == float(work["y"]) + float(work["height"])
    assert float(call["x"]) >= float(work["x"])
    left, right = sorted((call, places[PUBLISH]), key=lambda one: float(one["x"]))
    assert float(right["x"]) >= float(left["x"]) + float(left["width"]) - 0.2
    assert float(call["width"]) == pytest.approx(0.9 * float(work["width"]), abs=0.2)


def test_deep_calls_do_not_make_it_high(tmp_path: Path) -> None:
    deep = ";".join(f"f{number} (a.py)" for number in range(200))
    assert float(draw(tmp_path / "flame.svg", f"thread (1): a;{deep} 5").attrib["height"]) < 300


@pytest.mark.parametrize(
    ("letters", "label"),
    [(30, "Stream.run.<listcomp>"), (12, "<listcomp>"), (6, "<list…"), (3, "")],
)
def test_label_is_what_has_room(letters: int, label: str) -> None:
    assert choose_label("Stream.run.<locals>.<listcomp> (a.py)", letters) == label
