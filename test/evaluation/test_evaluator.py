"""The evaluator labels at the size of the truth and reports what the matrix says."""

import json
from dataclasses import dataclass

import numpy as np
import pytest

from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.evaluation import evaluate
from proxia_segmentation_ros.labels import LabelClass, LabelSet, load_label_set


@dataclass
class FakeResult:
    labels: np.ndarray


class RedSegmenter:
    """Takes the red channel for the class, and nearest neighbours for the size."""

    def __init__(self) -> None:
        self.label_set = load_label_set("camvid")
        self.sizes: list[str] = []

    def segment(self, image_HWC: np.ndarray, *, output_size: str = "input") -> FakeResult:
        self.sizes.append(output_size)
        width, height = (int(side) for side in output_size.split("x"))
        rows = np.arange(height) * image_HWC.shape[0] // height
        columns = np.arange(width) * image_HWC.shape[1] // width
        return FakeResult(image_HWC[rows][:, columns, 0])


def make_pair(truth: list[list[int]], red: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    image_HWC = np.repeat(np.array(red, np.uint8)[:, :, None], 3, axis=2)
    return image_HWC, np.array(truth, np.uint8)


def test_scores_are_counted_over_all_images() -> None:
    done: list[int] = []
    pairs = [make_pair([[0, 0], [1, 255]], [[0, 0], [1, 5]]), make_pair([[3, 0]], [[3, 3]])]
    report = evaluate(RedSegmenter(), iter(pairs), progress=done.append)
    assert done == [1, 2]
    assert (report.images, report.pixels) == (2, 5)
    assert report.pixel_accuracy == pytest.approx(0.8)
    assert report.iou[:2] == pytest.approx((2 / 3, 1.0))
    assert report.iou[3] == pytest.approx(0.5)
    assert report.mean_iou == pytest.approx((2 / 3 + 1 + 1 / 2) / 3)
    assert report.true_pixels[:4] == (3, 1, 0, 1)


def test_labels_are_asked_for_at_the_size_of_the_truth() -> None:
    segmenter = RedSegmenter()
    report = evaluate(segmenter, [make_pair([[0, 1]], [[0, 0, 1, 1], [0, 0, 1, 1]])])
    assert segmenter.sizes == ["2x1"]
    assert report.mean_iou == 1.0


def test_dict_of_a_report_is_strict_json() -> None:
    report = evaluate(RedSegmenter(), [make_pair([[0, 1]], [[0, 1]])])
    raw = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert raw["iou"]["sky"] == 1.0
    assert raw["iou"]["car"] is None
    assert (raw["precision"]["sky"], raw["recall"]["sky"]) == (1.0, 1.0)
    assert raw["recall"]["car"] is None
    assert (raw["mean_iou"], raw["mean_accuracy"], raw["frequency_weighted_iou"]) == (1, 1, 1)
    assert (raw["label_set"], raw["images"]) == ("camvid", 1)


def test_text_of_a_report_has_a_line_for_each_class() -> None:
    report = evaluate(RedSegmenter(), [make_pair([[0, 1, 1]], [[0, 1, 2]])])
    rows = {line.split("  ")[0].strip(): line.split() for line in report.to_text().splitlines()}
    assert rows["class"] == ["class", "IoU", "precision", "recall", "share"]
    assert rows["building"] == ["building", "0.500", "1.000", "0.500", "0.667"]
    assert rows["pole"] == ["pole", "0.000", "0.000", "-", "0.000"]
    assert rows["car"] == ["car", "-", "-", "-", "0.000"]
    assert rows["mean IoU"][-1] == "0.500"
    assert rows["pixel accuracy"][-1] == "0.667"
    assert rows["mean accuracy"][-1] == "0.750"
    assert rows["weighted IoU"][-1] == "0.667"
    assert rows["images"][-1] == "1"


def test_label_set_of_other_classes_is_refused() -> None:
    other = LabelSet(name="two", classes=(LabelClass(id=0, name="floor", rgb=(0, 0, 0)),))
    with pytest.raises(InputError, match=r"true labels are of 'two' \(1 classes\); expected the"):
        evaluate(RedSegmenter(), [make_pair([[0]], [[0]])], other)


def test_no_images_are_refused() -> None:
    with pytest.raises(InputError, match="no images to evaluate; expected at least one image"):
        evaluate(RedSegmenter(), [])
