"""The evaluation_loop labels at the size of the truth and reports what the matrix says."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from proxia_segmentation_ros.errors import ConfigError, InputError
from proxia_segmentation_ros.evaluation import evaluate
from proxia_segmentation_ros.evaluation.evaluation_loop import read_annotated_images
from proxia_segmentation_ros.evaluation.observer import AnnotatedImage, EvaluatedImage
from proxia_segmentation_ros.labels import LabelClass, LabelSet, load_label_set


@dataclass
class FakeResult:
    labels: np.ndarray
    confidence: np.ndarray | None = None
    logits_KHW: np.ndarray | None = None


class RedSegmenter:
    """Takes the red channel for the class, and nearest neighbours for the size."""

    def __init__(self) -> None:
        self.label_set = load_label_set("camvid")
        self.sizes: list[str] = []

    def segment(
        self, image_HWC: np.ndarray, with_confidence: bool = False, *, output_size: str = "input"
    ) -> FakeResult:
        self.sizes.append(output_size)
        width, height = (int(side) for side in output_size.split("x"))
        rows = np.arange(height) * image_HWC.shape[0] // height
        columns = np.arange(width) * image_HWC.shape[1] // width
        labels_HW = image_HWC[rows][:, columns, 0]
        return FakeResult(labels_HW, np.full_like(labels_HW, 200) if with_confidence else None)


class OpenSegmenter(RedSegmenter):
    """Shows logits: 1 for the class, 0 for all others."""

    def segment_with_logits(
        self, image_HWC: np.ndarray, with_confidence: bool = False, *, output_size: str = "input"
    ) -> FakeResult:
        found = self.segment(image_HWC, with_confidence, output_size=output_size)
        classes = np.arange(len(self.label_set))[:, None, None]
        found.logits_KHW = (found.labels[None] == classes).astype(np.float32)
        return found


class Watcher:
    """Keeps what it is shown."""

    def __init__(self, needs_confidence: bool = False, needs_logits: bool = False) -> None:
        self.needs_confidence, self.needs_logits = needs_confidence, needs_logits
        self.seen: list[EvaluatedImage] = []

    def add(self, seen: EvaluatedImage) -> None:
        self.seen.append(seen)

    def export(self) -> list[str]:
        return [image.name for image in self.seen]

    def merge(self, exported: list[str]) -> None:
        self.merged = exported


def number(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> Iterator[AnnotatedImage]:
    return (AnnotatedImage(index, f"{index}.png", *pair) for index, pair in enumerate(pairs))


def make_pair(truth: list[list[int]], red: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    image_HWC = np.repeat(np.array(red, np.uint8)[:, :, None], 3, axis=2)
    return image_HWC, np.array(truth, np.uint8)


def test_scores_are_counted_over_all_images() -> None:
    done: list[int] = []
    pairs = [make_pair([[0, 0], [1, 255]], [[0, 0], [1, 5]]), make_pair([[3, 0]], [[3, 3]])]
    report = evaluate(RedSegmenter(), number(pairs), progress=done.append)
    assert done == [1, 2]
    assert (report.images, report.pixels) == (2, 5)
    assert report.pixel_accuracy == pytest.approx(0.8)
    assert report.iou[:2] == pytest.approx((2 / 3, 1.0))
    assert report.iou[3] == pytest.approx(0.5)
    assert report.mean_iou == pytest.approx((2 / 3 + 1 + 1 / 2) / 3)
    assert report.true_pixels[:4] == (3, 1, 0, 1)


def test_labels_are_asked_for_at_the_size_of_the_truth() -> None:
    segmenter = RedSegmenter()
    report = evaluate(segmenter, number([make_pair([[0, 1]], [[0, 0, 1, 1], [0, 0, 1, 1]])]))
    assert segmenter.sizes == ["2x1"]
    assert report.mean_iou == 1.0


def test_dict_of_a_report_is_strict_json() -> None:
    report = evaluate(RedSegmenter(), number([make_pair([[0, 1]], [[0, 1]])]))
    raw = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert raw["iou"]["sky"] == 1.0
    assert raw["iou"]["car"] is None
    assert (raw["precision"]["sky"], raw["recall"]["sky"]) == (1.0, 1.0)
    assert raw["recall"]["car"] is None
    assert (raw["mean_iou"], raw["mean_accuracy"], raw["frequency_weighted_iou"]) == (1, 1, 1)
    assert (raw["label_set"], raw["images"]) == ("camvid", 1)


def test_text_of_a_report_has_a_line_for_each_class() -> None:
    report = evaluate(RedSegmenter(), number([make_pair([[0, 1, 1]], [[0, 1, 2]])]))
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
        evaluate(RedSegmenter(), number([make_pair([[0]], [[0]])]), other)


def test_no_images_are_refused() -> None:
    with pytest.raises(InputError, match="no images to evaluate; expected at least one image"):
        evaluate(RedSegmenter(), [])


PAIRS = [make_pair([[0, 0], [1, 255]], [[0, 0], [1, 5]]), make_pair([[3, 0]], [[3, 3]])]


@pytest.mark.parametrize("needs_confidence", [False, True])
@pytest.mark.parametrize("needs_logits", [False, True])
def test_observers_see_every_image_with_what_they_need_alone(
    needs_confidence: bool, needs_logits: bool
) -> None:
    plain, needy = Watcher(), Watcher(needs_confidence, needs_logits)
    evaluate(OpenSegmenter(), number(PAIRS), observers=[plain, needy])
    assert plain.seen == needy.seen
    first, second = needy.seen
    assert [(image.index, image.name) for image in needy.seen] == [(0, "0.png"), (1, "1.png")]
    assert second.image_HWC is PAIRS[1][0]
    assert second.truth_HW is PAIRS[1][1]
    assert first.labels_HW.tolist() == [[0, 0], [1, 5]]
    assert (first.confidence_HW is not None) == needs_confidence
    assert (first.logits_KHW is not None) == needs_logits
    if first.logits_KHW is not None:
        assert (first.logits_KHW.argmax(0) == first.labels_HW).all()


def test_logits_of_a_segmenter_without_any_are_refused() -> None:
    with pytest.raises(ConfigError, match="logits are needed and RedSegmenter does not"):
        evaluate(RedSegmenter(), number(PAIRS), observers=[Watcher(needs_logits=True)])


def test_parts_of_other_processes_are_added() -> None:
    sent: list[Any] = []

    def send(exported: Any) -> list[Any]:
        sent.append(exported)
        return []

    images = list(number(PAIRS))
    evaluate(RedSegmenter(), images[1:], observers=[Watcher()], gather_others=send)
    watcher = Watcher()
    both = evaluate(
        RedSegmenter(), images[:1], observers=[watcher], gather_others=lambda _: [sent[0]]
    )
    assert watcher.merged == ["1.png"]
    whole = evaluate(RedSegmenter(), images)
    assert both.to_dict() == whole.to_dict()
    assert (both.cells == whole.cells).all()
    # One without images of its own reports those of the others.
    assert (
        evaluate(RedSegmenter(), [], observers=[Watcher()], gather_others=lambda _: sent).images
        == 1
    )


class TwoPairs:
    """A data set of the two pairs."""

    paths = tuple((Path(f"/images/{name}.png"), Path(f"/masks/{name}.png")) for name in "ab")

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return PAIRS[index]


def test_images_of_a_data_set_have_its_numbers_and_file_names() -> None:
    data: Any = TwoPairs()
    found = [(image.index, image.name) for image in read_annotated_images(data)]
    assert found == [(0, "a.png"), (1, "b.png")]
    (only,) = read_annotated_images(data, [1])
    assert (only.index, only.name) == (1, "b.png")
    assert only.truth_HW is PAIRS[1][1]
