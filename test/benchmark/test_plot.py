import sys
from itertools import pairwise
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from proxia_segmentation_ros.benchmark.plot import (
    STAGE_COLOURS,
    VARIANT_COLOURS,
    draw_report,
    write_plot,
)
from proxia_segmentation_ros.benchmark.trace import BASIC, OURS, STAGE
from proxia_segmentation_ros.errors import ConfigError, InputError

RATE = f"{BASIC}MEAN_FRAME_RATE"
SVG = "{http://www.w3.org/2000/svg}"


def make_report(rate=20.0, other=10.0, stages=False, name="model"):
    figures = {RATE: rate, f"{OURS}P50_LATENCY": 40.0, f"{OURS}P99_LATENCY": 80.0}
    if stages:
        figures |= {f"{STAGE}PRE": 10.0, f"{STAGE}INFER": 30.0}
    against = {"subject": {"name": "eager"}, RATE: other, "10.0fps": {RATE: 10.0}}
    custom = {"subject": {"name": name}, "against": against, "settings": {"size": "480x360"}}
    return {**figures, "custom": custom, "metadata": {"BenchmarkMetadata.NAME": "title"}}


def list_bars(axes, colour):
    """Return left edge, right edge, bottom and top of each bar of that colour."""
    bars = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    return [
        (bar.get_x(), bar.get_x() + bar.get_width(), bar.get_y(), bar.get_y() + bar.get_height())
        for bar in bars
        if to_hex(bar.get_facecolor()) == colour
    ]


def list_tops(axes, colour):
    return [top for *_, top in list_bars(axes, colour)]


def test_bars_are_as_high_as_their_figures():
    rates, latencies = draw_report(make_report()).axes
    assert list_tops(rates, VARIANT_COLOURS[0]) == [20]
    assert list_tops(rates, VARIANT_COLOURS[1]) == [10, 10]
    assert [text.get_text() for text in rates.get_xticklabels()] == ["peak", "10.0fps"]
    assert rates.get_ylim()[0] == 0
    assert list_tops(latencies, VARIANT_COLOURS[0]) == [40]
    (line,) = latencies.lines
    assert np.asarray(line.get_ydata()).tolist() == [40, 80]


def test_numbers_above_bars_are_short_and_plain():
    rates, *_ = draw_report(make_report(rate=6352.4, other=0.5218)).axes
    assert [text.get_text() for text in rates.texts] == ["6352", "0.522", "10"]


def test_camera_alone_is_a_third_bar_beside_the_others():
    report = make_report(rate=40.0, other=20.0)
    report["custom"]["alone"] = {"subject": {"name": "one camera alone"}, RATE: 10.0}
    rates, *_ = draw_report(report).axes
    bars = [list_bars(rates, colour)[0] for colour in VARIANT_COLOURS]
    assert [top for *_, top in bars] == [40, 20, 10]
    assert all(before[1] <= after[0] for before, after in pairwise(bars))


def test_stages_are_stacked_where_they_were_measured():
    assert len(draw_report(make_report()).axes) == 2
    *_, stages = draw_report(make_report(stages=True)).axes
    (pre,) = list_bars(stages, STAGE_COLOURS["PRE"])
    (infer,) = list_bars(stages, STAGE_COLOURS["INFER"])
    assert (pre[2:], infer[2:]) == ((0, 10), (10, 40))
    assert {text.get_text() for text in stages.get_legend().get_texts()} == {"pre", "infer"}


def test_stack_stands_on_the_colour_of_its_variant():
    *_, stages = draw_report(make_report(stages=True)).axes
    (strip,) = list_bars(stages, VARIANT_COLOURS[0])
    (pre,) = list_bars(stages, STAGE_COLOURS["PRE"])
    assert strip[:2] == pytest.approx(pre[:2])
    assert strip[3] < 0
    assert list_bars(stages, VARIANT_COLOURS[1]) == []


def test_variant_that_is_measured_against_itself_has_two_entries():
    (legend,) = draw_report(make_report(name="eager")).legends
    assert [text.get_text() for text in legend.get_texts()] == ["eager", "eager (2)"]


def test_long_names_stay_in_the_picture():
    figure = draw_report(make_report(name=12 * "tile_budget=0.5,"))
    figure.draw_without_rendering()
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1


def test_memory_is_a_line_over_frames_from_zero():
    memory = {"curve": [[0, 100.0], [500, 100.0], [1000, 200.0]]}
    (axes,) = draw_report({"custom": {"memory": memory}}).axes
    (line,) = axes.lines
    assert line.get_xydata().tolist() == memory["curve"]
    assert axes.get_ylim()[0] == 0


def test_picture_is_written_as_png(tmp_path):
    write_plot(make_report(stages=True), tmp_path / "deep" / "plot.png")
    picture_HWC = cv2.imread(str(tmp_path / "deep" / "plot.png"))
    assert picture_HWC is not None
    assert (picture_HWC[0] == 255).all()
    assert picture_HWC.std() > 10


def test_picture_is_written_as_svg_with_its_texts(tmp_path):
    write_plot(make_report(), tmp_path / "plot.SVG")
    root = ElementTree.parse(tmp_path / "plot.SVG").getroot()
    texts = {text.text for text in root.iter(f"{SVG}text")}
    assert {"title, 480x360", "frames a second", "model", "eager", "10.0fps"} <= texts


def test_other_suffix_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"ends in \.png or \.svg"):
        write_plot(make_report(), tmp_path / "plot.pdf")


def test_folder_that_is_a_file_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"plot\.png' can't be written"):
        write_plot(make_report(), tmp_path / "file" / "plot.png")


def test_missing_matplotlib_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigError, match="'matplotlib' is not installed"):
        write_plot(make_report(), tmp_path / "plot.png")
