import json
import sys
from pathlib import Path

import pytest

from proxia_segmentation_ros.cli.benchmark.files import (
    check_flame,
    check_out,
    check_plot,
    write_json,
)
from proxia_segmentation_ros.errors import ConfigError


def test_trying_a_path_leaves_what_is_there_and_nothing_else(tmp_path):
    kept, new = tmp_path / "old.json", tmp_path / "deep" / "new.json"
    kept.write_text("{}")
    assert [check_out(path) for path in (kept, new, None)] == [kept, new, None]
    assert kept.read_text() == "{}"
    assert not new.exists()


@pytest.mark.parametrize("name", ["plot.png", "plot.SVG"])
def test_plot_may_be_png_or_svg(tmp_path, name):
    assert check_plot(tmp_path / name) == tmp_path / name


@pytest.mark.parametrize("name", ["flame.svg", "flame.json"])
def test_flame_may_be_svg_or_json(tmp_path, name):
    assert check_flame(tmp_path / name) == tmp_path / name


@pytest.mark.parametrize("check", [check_plot, check_flame])
def test_other_suffixes_are_refused(tmp_path, check):
    assert check(None) is None
    with pytest.raises(ConfigError, match=r"expected a file that ends in \.(png|svg) or \."):
        check(tmp_path / "picture.pdf")


def test_plot_without_matplotlib_is_refused_before_anything_is_measured(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigError, match=r"'matplotlib' is not installed.*\[benchmark\]"):
        check_plot(tmp_path / "plot.png")


def test_json_is_written_where_a_path_is_given(tmp_path: Path) -> None:
    write_json({"a": 1}, None)
    write_json({"a": 1}, tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text()) == {"a": 1}
    with pytest.raises(ConfigError, match="can't be written: Is a directory"):
        write_json({}, tmp_path)
