from dataclasses import replace

import cv2
import numpy as np
import pytest
from sample_files import write_images
from tiny_network import make_card

from proxia_segmentation_ros.apps.evaluate.run import evaluate_weights
from proxia_segmentation_ros.apps.evaluate.settings import EvaluationData, EvaluationSettings
from proxia_segmentation_ros.backends.pruned.tile_selection import Pruning
from proxia_segmentation_ros.errors import ConfigError, InputError
from proxia_segmentation_ros.inference import Segmentation
from proxia_segmentation_ros.labels import LabelSet, load_label_set
from proxia_segmentation_ros.model import lookup
from proxia_segmentation_ros.model.card import CardLabelSet, ModelCard


class FakeSegmenter:
    """Finds nothing but road; what it is may only be asked while it is open."""

    label_set = load_label_set("camvid")
    precision = "f32"
    pruning = Pruning(tile_budget=0.3)

    def __init__(self):
        self.is_open = True

    @classmethod
    def from_weights(cls, weights, **options):
        return cls()

    @property
    def backend(self):
        assert self.is_open
        return "fake"

    def segment(self, image_HWC, with_confidence=False, *, output_size="input"):
        assert output_size == "32x24"
        return Segmentation(np.full((24, 32), 3, np.uint8), None, (24, 32))

    def close(self):
        self.is_open = False


class Counter:
    def __init__(self):
        self.totals, self.steps = [], 0

    def begin(self, text, total=None):
        self.totals.append(total)

    def advance(self):
        self.steps += 1


def set_up(folders, **settings):
    images, masks = map(str, folders)
    return EvaluationSettings(data=EvaluationData(images=images, labels=masks), **settings)


def leave_out_source_ids(label_set):
    """Return the label set as cards of version 0.1 hold it."""
    classes = tuple(replace(entry, source_ids=()) for entry in label_set.classes)
    return replace(label_set, classes=classes, source_ignore=())


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.setattr("proxia_segmentation_ros.inference.Segmenter", FakeSegmenter, raising=False)
    images = write_images(tmp_path / "images", ["a.png", "b.png"])
    masks = tmp_path / "masks"
    masks.mkdir()
    for name, right_half in (("a.png", 3), ("b.png", 0)):
        mask_HW = np.full((24, 32), 3, np.uint8)
        mask_HW[:, 16:] = right_half
        cv2.imwrite(str(masks / name), mask_HW)
    return images, masks


def test_score_says_what_was_run_and_how_good_it_was(folders):
    progress = Counter()
    figures = evaluate_weights(set_up(folders), progress).to_dict()
    assert (figures["weights"], figures["backend"], figures["images"]) == ("default", "fake", 2)
    assert figures["images_dir"] == str(folders[0])
    assert (figures["arithmetic"], figures["precision"]["road"]) == ("f32", pytest.approx(0.75))
    assert figures["iou"]["road"] == pytest.approx(0.75)
    assert figures["iou"]["car"] is None
    assert figures["mean_iou"] == pytest.approx(0.375)
    assert (progress.totals, progress.steps) == ([2], 2)
    assert (figures["tile_threshold"], figures["tile_budget"]) == (0.04, 0.3)


def test_name_of_weights_is_looked_up_once(folders, monkeypatch):
    looked_up = []
    list_names = lookup.list_shipped_weights

    def count():
        looked_up.append(1)
        return list_names()

    monkeypatch.setattr(lookup, "list_shipped_weights", count)
    settings = set_up(folders)
    assert settings.open_fast().backend == "fake"
    evaluate_weights(settings, Counter())
    assert len(looked_up) == 1


def test_settings_of_tiles_are_refused_where_all_of_every_scale_runs(folders):
    with pytest.raises(ConfigError, match="tile_budget"):
        evaluate_weights(
            set_up(folders, weights="attention", flip=True, tile_budget=0.5), Counter()
        )


def test_image_without_mask_is_named(folders):
    (folders[1] / "b.png").unlink()
    with pytest.raises(InputError, match=r"b\.png"):
        evaluate_weights(set_up(folders), Counter())


@pytest.mark.slow
def test_averaged_copies_say_so_and_take_torch_alone(folders):
    options = {"weights": "synthetic", "flip": True, "average_scales": (1.0, 0.5)}
    figures = evaluate_weights(set_up(folders, **options), Counter()).to_dict()
    assert (figures["backend"], figures["flip"], figures["average_scales"]) == (
        "torch",
        True,
        [1.0, 0.5],
    )
    with pytest.raises(ConfigError, match="openvino"):
        evaluate_weights(set_up(folders, backend="openvino", **options), Counter())


def test_outlines_are_scored_on_request(folders):
    plain = evaluate_weights(set_up(folders), Counter())
    assert "boundary_f_score" not in plain.to_dict()
    assert "boundary" not in plain.to_text()
    done = evaluate_weights(set_up(folders, boundary=2), Counter())
    content = done.to_dict()
    assert content["boundary_tolerance"] == 2
    # b.png has an outline between road and sky; road alone has none.
    assert content["boundary_f_score"]["road"] == content["boundary_f_score"]["sky"] == 0
    assert content["mean_boundary_f_score"] == 0
    assert done.to_text().splitlines()[-1] == "mean boundary F-score  0.000"


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({}, "images are '' and labels ''; expected a folder"),
        ({"images": "a", "labels": "b", "root": "c"}, "data.root is 'c', which data.dataset"),
        ({"dataset": "camvid", "images": "a"}, "data.images is 'a', which data.dataset 'camvid'"),
    ],
)
def test_data_that_does_not_fit_is_refused(data, sentence):
    with pytest.raises(ConfigError, match=sentence):
        EvaluationData(**data)


class Watcher:
    needs_confidence = False
    seen = 0

    def __init__(self, needs_logits):
        self.needs_logits = needs_logits

    def add(self, seen):
        self.seen += 1
        assert (seen.logits_KHW is not None) == self.needs_logits

    def to_dict(self, class_names):
        return {"watched": self.seen, "classes": len(class_names)}

    def to_text(self):
        return "watched"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"exact": True}, "with exact labels"),
        ({"flip": True, "window": "64x64"}, "with averaged copies, windows"),
        ({}, "with logits"),
    ],
)
def test_exact_segmenter_comes_with_what_needs_it(folders, monkeypatch, options, reason):
    watcher = Watcher(needs_logits=not options)
    monkeypatch.setattr(
        "proxia_segmentation_ros.apps.evaluate.run.make_observers", lambda *_: (watcher,)
    )
    options = {"weights": "synthetic", "size": "input", **options}
    done = evaluate_weights(set_up(folders, **options), Counter())
    assert (done.backend, done.precision) == ("torch", "f32")
    assert (done.to_dict()["watched"], done.to_dict()["classes"]) == (2, 11)
    assert done.to_text().splitlines()[-1] == "watched"
    for other in ({"backend": "openvino"}, {"precision": "bf16"}):
        with pytest.raises(ConfigError, match=f"{reason}; expected torch and f32"):
            evaluate_weights(set_up(folders, **other, **options), Counter())


def test_named_data_set_brings_its_label_set_and_says_where_it_is(folders, tmp_path):
    folders[0].rename(tmp_path / "test")
    folders[1].rename(tmp_path / "testannot")
    data = EvaluationData(dataset="camvid", root=str(tmp_path), split="test")
    figures = evaluate_weights(EvaluationSettings(data=data), Counter()).to_dict()
    assert (figures["label_set"], figures["images"]) == ("camvid", 2)
    assert figures["images_dir"] == str(tmp_path)
    assert (figures["dataset"], figures["split"]) == ("camvid", "test")


def test_masks_have_the_classes_of_the_weights_unless_others_are_named(folders, tmp_path):
    own = LabelSet.from_dict(
        {"name": "yard", "classes": [{"id": 0, "name": "ground", "rgb": [1, 2, 3]}]}
    )
    data = EvaluationData(images=str(folders[0]), labels=str(folders[1]))
    assert data.open(own).label_set == own
    shipped = load_label_set("camvid")
    plain = leave_out_source_ids(shipped)
    assert plain.source_ignore != shipped.source_ignore
    assert data.open(plain).label_set == shipped
    named = data.model_copy(update={"label_set": "camvid"})
    with pytest.raises(ConfigError, match="those of the weights: ground"):
        named.open(own)


def test_masks_are_read_by_the_source_ids_of_the_card(folders):
    """Ids 1 and 2 of masks mean the classes 0 and 1, as in the training."""
    classes = [
        {"id": k, "name": name, "rgb": [k, k, k], "source_ids": [k + 1]}
        for k, name in enumerate(("ground", "plant"))
    ]
    trained = LabelSet.from_dict({"name": "yard", "classes": classes, "source_ignore": [0]})
    card = make_card(label_set=CardLabelSet.from_label_set(trained))
    own = ModelCard.from_json(card.to_json(), "here").to_label_set()
    opened = EvaluationData(images=str(folders[0]), labels=str(folders[1])).open(own)
    assert opened.label_set == trained
    assert opened.label_set.map_source(np.array([0, 1, 2, 3])).tolist() == [255, 0, 1, 255]


def test_source_ids_of_the_card_win_over_the_shipped_ones_of_the_same_name(folders):
    shipped = load_label_set("camvid")
    first = replace(shipped.classes[0], source_ids=(40,))
    own = replace(shipped, classes=(first, *shipped.classes[1:]))
    data = EvaluationData(images=str(folders[0]), labels=str(folders[1]))
    assert data.open(own).label_set is own


def test_ids_of_no_class_are_told_beside_the_scores(folders):
    cv2.imwrite(str(folders[1] / "b.png"), np.full((24, 32), 77, np.uint8))
    evaluation = evaluate_weights(set_up(folders), Counter())
    [note] = evaluation.to_dict()["notes"]
    assert note.startswith("id 77 in the masks is of no class and ignored, 50.0 % of all pixels")
    assert f"note: {note}" in evaluation.to_text()


def test_masks_without_any_class_have_no_score(folders):
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(folders[1] / name), np.full((24, 32), 77, np.uint8))
    with pytest.raises(InputError, match="no pixel of the 2 masks has a class of 'camvid'"):
        evaluate_weights(set_up(folders), Counter())


def test_card_of_version_0_1_says_that_its_ids_are_assumed(folders, monkeypatch):
    class YardSegmenter(FakeSegmenter):
        label_set = make_card().to_label_set()

    monkeypatch.setattr("proxia_segmentation_ros.inference.Segmenter", YardSegmenter, raising=False)
    monkeypatch.setattr(
        "proxia_segmentation_ros.apps.evaluate.run.read_card", lambda _weights: make_card()
    )
    [note] = evaluate_weights(set_up(folders), Counter()).to_dict()["notes"]
    assert (
        "doesn't say which ids of masks mean the classes of 'test11'; 0 to 10 are assumed" in note
    )
