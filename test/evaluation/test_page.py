"""The page is one file without network, says what the report says and believes no name."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from proxia_segmentation_ros.evaluation.boundary import BoundaryScore, Tolerance
from proxia_segmentation_ros.evaluation.calibration import Calibration
from proxia_segmentation_ros.evaluation.metrics import ConfusionMatrix
from proxia_segmentation_ros.evaluation.observer import EvaluatedImage
from proxia_segmentation_ros.evaluation.page import Page
from proxia_segmentation_ros.evaluation.report import EvaluationReport
from proxia_segmentation_ros.evaluation.temperature import TemperatureFit, TemperatureLoss
from proxia_segmentation_ros.evaluation.worst_images import WorstImages
from proxia_segmentation_ros.labels import LabelClass, LabelSet

EVIL = """<script>alert(1)</script>"'><img src=x onerror=alert(2)>{{ 7 * 7 }}"""
VOID = {"meta", "img", "line", "rect", "br"}


class Reader(HTMLParser):
    """Collects elements and the texts of table rows; fails on tags that don't match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.open) and self.rows:
            self.rows[-1][-1] += data

    def list_attributes(self, name: str) -> list[str]:
        return [attributes[name] or "" for _, attributes in self.elements if name in attributes]


def make_label_set(names: list[str]) -> LabelSet:
    return LabelSet(
        name="some",
        classes=tuple(
            LabelClass(id=index, name=name, rgb=(index % 256, 20, 30))
            for index, name in enumerate(names)
        ),
    )


def make_page(names: list[str] | None = None, **changes: Any) -> Page:
    label_set = make_label_set(names or ["sky", "road", "car"])
    truth_HW = np.zeros((20, 40), np.uint8)
    truth_HW[10:] = 1
    labels_HW = truth_HW.copy()
    labels_HW[:, :4] = 1
    matrix = ConfusionMatrix(len(label_set))
    matrix.add(truth_HW, labels_HW)
    calibration = Calibration(len(label_set))
    calibration.count(truth_HW, labels_HW, np.full((20, 40), 0.75))
    boundary = BoundaryScore(len(label_set), Tolerance(2))
    boundary.count(truth_HW, labels_HW)
    worst = WorstImages(label_set, 2)
    image_HWC = np.zeros((20, 40, 3), np.uint8)
    worst.add(EvaluatedImage(0, "street/a.png", image_HWC, truth_HW, labels_HW))
    values: dict[str, object] = {
        "title": "mine on val",
        "run": [("weights", "mine"), ("backend", "openvino")],
        "report": EvaluationReport.from_matrix(matrix, label_set, 1),
        "label_set": label_set,
        "boundary": boundary,
        "calibration": calibration,
        "fit": TemperatureFit(
            99_000, TemperatureLoss(1.0, 0.31, 0.041), TemperatureLoss(1.25, 0.29, 0.012)
        ),
        "worst": worst.kept,
    }
    return Page(**(values | changes))  # type: ignore[arg-type]


def test_tables_say_what_the_report_says() -> None:
    reader = Reader(make_page().to_html())
    rows = {row[0]: row[1:] for row in reader.rows}
    assert rows["class"][1:] == ["IoU", "precision", "recall", "share", "boundary F"]
    matrix_rows = [row for row in reader.rows if row[0] == "sky"]
    assert matrix_rows[0][2:6] == ["0.900", "1.000", "0.900", "50.00%"]
    assert matrix_rows[1] == ["sky", "90", "10", ""]
    bars = [style for style in reader.list_attributes("style") if style.startswith("width")]
    assert [bar.partition(";")[0] for bar in bars] == ["width:90.0%", "width:90.9%"]
    assert rows["temperature"] == ["1.0000", "1.2500"]
    assert rows["negative log-likelihood"] == ["0.3100", "0.2900"]
    # 95 % of the pixels are right at a confidence of 0.75.
    assert reader.rows[[row[0] for row in reader.rows].index("mean confidence")][1] == "0.750"
    assert ["expected calibration error", "0.2000"] in reader.rows


def test_counts_stand_in_the_titles_of_the_matrix() -> None:
    titles = Reader(make_page().to_html()).list_attributes("title")
    assert "sky as road: 40 pixels, 10.00%" in titles
    assert not [title for title in titles if "car" in title]
    assert "sky as sky: 360 pixels, 90.00%" in titles


def test_headline_has_the_means() -> None:
    text = make_page().to_html()
    figures = dict(re.findall(r"<dt>([^<]*)</dt><dd>([^<]*)</dd>", text))
    assert figures["mean IoU"] == "0.905"
    assert figures["pixel accuracy"] == "0.950"
    assert figures["calibration error"] == "0.200"
    assert figures["weights"] == "mine"


def test_nothing_is_fetched_and_nothing_runs() -> None:
    text = make_page().to_html()
    reader = Reader(text)
    tags = {tag for tag, _ in reader.elements}
    assert not tags & {"script", "link", "iframe", "object", "embed", "base", "form"}
    assert all(source.startswith("data:image/") for source in reader.list_attributes("src"))
    assert len(reader.list_attributes("src")) == 4
    assert not re.search(r"https?://|@import|url\(", text)
    assert not {name for _, attributes in reader.elements for name in attributes} & {"href"}
    assert any("default-src 'none'" in content for content in reader.list_attributes("content"))


def test_names_of_classes_files_and_weights_are_only_text() -> None:
    def render(name: str) -> Reader:
        worst = [replace(make_page().worst[0], name=name)]
        run = [("weights", name), (name, "openvino")]
        return Reader(make_page(["sky", name, "car"], title=name, run=run, worst=worst).to_html())

    evil, plain = render(EVIL), render("plain")
    assert [tag for tag, _ in evil.elements] == [tag for tag, _ in plain.elements]
    assert [set(attributes) for _, attributes in evil.elements] == [
        set(attributes) for _, attributes in plain.elements
    ]
    assert EVIL in [row[0] for row in evil.rows]
    assert f"sky as {EVIL}: 40 pixels, 10.00%" in evil.list_attributes("title")


def test_parts_that_were_not_asked_for_are_left_out() -> None:
    page = make_page(boundary=None, calibration=None, fit=None, worst=())
    text = page.to_html()
    assert "<svg" not in text
    assert "<img" not in text
    assert "oundary" not in text
    assert "emperature" not in text
    assert "Worst" not in text


def test_fit_alone_is_shown_without_a_diagram() -> None:
    reader = Reader(make_page(calibration=None).to_html())
    assert "temperature" in [row[0] for row in reader.rows]
    assert "svg" not in [tag for tag, _ in reader.elements]


def test_fit_at_the_end_of_the_range_is_called_meaningless() -> None:
    at_end = TemperatureFit(9, TemperatureLoss(1.0, 0.3, 0.1), TemperatureLoss(0.05, 0.0, 0.0))
    assert "means nothing" in make_page(fit=at_end).to_html()
    assert "means nothing" not in make_page().to_html()


def test_equal_runs_give_equal_pages() -> None:
    assert make_page().to_html() == make_page().to_html()


def test_bars_of_the_diagram_lie_where_the_figures_are() -> None:
    reader = Reader(make_page().to_html())
    bars: dict[Any, dict[str, Any]] = {
        shape["class"]: shape for tag, shape in reader.elements if tag == "rect"
    }
    assert set(bars) == {"accuracy", "under", "share"}
    # 0.75 lies in the bin from 11/15 to 12/15; the plot is 300 wide and high.
    assert float(bars["accuracy"]["x"]) == pytest.approx(220, abs=1)
    assert float(bars["accuracy"]["height"]) == pytest.approx(285)
    assert float(bars["under"]["y"]) == pytest.approx(15)
    assert float(bars["under"]["height"]) == pytest.approx(60, abs=0.1)


def test_pixels_without_a_predicted_class_have_a_column_of_their_own() -> None:
    label_set = make_label_set(["sky", "road"])
    matrix = ConfusionMatrix(2)
    matrix.add(np.array([[0, 0, 0, 1]]), np.array([[0, 255, 255, 1]]))
    page = make_page(
        ["sky", "road"], report=EvaluationReport.from_matrix(matrix, label_set, 1), boundary=None
    )
    reader = Reader(page.to_html())
    assert [row for row in reader.rows if row[0] == "sky"][1] == ["sky", "33", "", "67"]
    assert "sky taken for none" in page.to_html()


def test_page_of_many_classes_stays_small() -> None:
    names = [f"class {index}" for index in range(150)]
    label_set = make_label_set(names)
    matrix = ConfusionMatrix(150)
    generator = np.random.default_rng(0)
    matrix.add(generator.integers(0, 150, (500, 500)), generator.integers(0, 150, (500, 500)))
    report = EvaluationReport.from_matrix(matrix, label_set, 1)
    text = make_page(names, report=report, boundary=None, worst=()).to_html()
    assert len(text.encode()) < 3_000_000
    assert "class 149 as class 0" in text
