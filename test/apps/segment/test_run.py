import html
import os
import re
from pathlib import Path
from urllib.parse import unquote

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image
from sample_files import write_images

from proxia_segmentation_ros.apps.segment.run import segment_files
from proxia_segmentation_ros.apps.segment.settings import SegmentSettings
from proxia_segmentation_ros.errors import ConfigError, InputError
from proxia_segmentation_ros.inference import Segmentation
from proxia_segmentation_ros.labels import load_label_set
from proxia_segmentation_ros.model import lookup
from proxia_segmentation_ros.model.card import CardLabelSet
from proxia_segmentation_ros.model.card_file import read_card


class FakeSegmenter:
    """Finds road (or `left`) on the left and sky on the right, of which it is less sure."""

    left = 3
    label_set = load_label_set("camvid")
    opened = closed = 0

    @classmethod
    def from_weights(cls, weights, **options):
        FakeSegmenter.opened += 1
        return cls()

    def segment(self, image_HWC, with_confidence=False):
        if image_HWC.shape[0] < 16:
            raise InputError.from_parts("the image is small", "a larger one", "enlarge it")
        labels_HW = np.zeros(image_HWC.shape[:2], np.uint8)
        labels_HW[:, : labels_HW.shape[1] // 2] = self.left
        confidence_HW = np.where(labels_HW == self.left, 255, 102).astype(np.uint8)
        return Segmentation(labels_HW, confidence_HW if with_confidence else None, labels_HW.shape)

    def close(self):
        FakeSegmenter.closed += 1


class CountedProgress:
    """Remembers how much was to do and how much is done."""

    def __init__(self):
        self.total = self.done = 0

    def begin(self, text, total=None):
        self.total = total

    def advance(self):
        self.done += 1


@pytest.fixture(autouse=True)
def _fake_segmenter(monkeypatch):
    FakeSegmenter.opened = FakeSegmenter.closed = 0
    monkeypatch.setattr("proxia_segmentation_ros.inference.Segmenter", FakeSegmenter, raising=False)


def run(path, out, **settings):
    """Return the counts, the lines that were said, and the progress."""
    said: list[str] = []
    progress = CountedProgress()
    counts = segment_files(SegmentSettings(path=path, out=out, **settings), said.append, progress)
    return counts, said, progress


def list_names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def read(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def write_mask(path, left, right):
    """Write a mask of 24 x 32 whose halves are two source ids."""
    mask_HW = np.full((24, 32), right, np.uint8)
    mask_HW[:, :16] = left
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), mask_HW)


def test_each_image_becomes_overlay_colours_and_ids(tmp_path):
    folder = write_images(tmp_path / "in", ["b.png", "a.jpg"])
    out = tmp_path / "out" / "deep"
    counts, said, _ = run(folder, out)
    assert (counts.labelled, counts.written) == (2, 6)
    assert list_names(out) == [
        f"{name}_{kind}.png" for name in "ab" for kind in ("colored", "labels", "overlay")
    ]
    labels_HW = read(out / "a_labels.png")
    assert labels_HW.ndim == 2
    assert np.unique(labels_HW).tolist() == [0, 3]
    assert read(out / "a_colored.png")[12, 2].tolist() == [128, 64, 128]
    assert read(out / "a_overlay.png").shape == (24, 32, 3)
    assert said[0].startswith("a.jpg: 32x24, ")
    assert "road 50 %" in said[0]


def test_what_is_no_image_costs_a_line_and_nothing_else(tmp_path):
    folder = write_images(tmp_path / "in", ["a.png", "b.jpg"])
    (folder / "notes.txt").write_text("text")
    (folder / "empty.png").write_bytes(b"")
    (folder / "false.jpg").write_text("text")
    (folder / "cut.jpg").write_bytes((folder / "b.jpg").read_bytes()[:-20])
    cv2.imwrite(str(folder / "small.png"), np.zeros((8, 8, 3), np.uint8))
    counts, said, progress = run(folder, tmp_path / "out")
    assert (counts.labelled, counts.failed, counts.other_files) == (2, 4, 1)
    assert [line.split(":")[0] for line in said] == [
        "a.png",
        "b.jpg",
        "failed cut.jpg",
        "failed empty.png",
        "failed false.jpg",
        "skipped notes.txt",
        "failed small.png",
    ]
    assert "is truncated" in said[2]
    assert "empty" in said[3]
    assert (progress.done, progress.total) == (4, 4)


def test_folder_without_images_is_an_error(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "notes.txt").write_text("text")
    with pytest.raises(InputError, match="holds no image"):
        run(folder, tmp_path / "out")
    assert FakeSegmenter.opened == 0


def test_folder_of_broken_images_is_an_error(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"")
    with pytest.raises(InputError, match="none of the 1 images"):
        run(folder, tmp_path / "out")


def test_segmenter_is_closed_whatever_happens(tmp_path):
    folder = write_images(tmp_path / "in", ["a.png"])
    (tmp_path / "out" / "a_overlay.png").mkdir(parents=True)
    with pytest.raises(InputError, match=r"a_overlay\.png"):
        run(folder, tmp_path / "out")
    assert FakeSegmenter.closed == 1
    assert list_names(tmp_path / "out") == []


def test_folders_below_come_when_asked_but_not_the_outputs(tmp_path):
    folder = write_images(tmp_path / "in", ["a.png"])
    write_images(folder / "deep" / "er", ["a.png"])
    write_images(folder / ".hidden", ["a.png"])
    (folder / "deep" / "back").symlink_to(folder)
    out = folder / "out"
    assert run(folder, out, write=("labels",))[0].labelled == 1
    counts, said, _ = run(folder, out, write=("labels",), recursive=True)
    assert [line.split(":")[0] for line in said] == ["a.png", "deep/er/a.png"]
    assert list_names(out) == ["a_labels.png", "deep/er/a_labels.png"]
    assert counts.written == 2


def test_outputs_among_the_images_are_refused(tmp_path):
    folder = write_images(tmp_path / "in", ["a.png"])
    with pytest.raises(ConfigError, match="next run would label"):
        run(folder, folder)
    assert run(folder / "a.png", folder)[0].labelled == 1


@pytest.mark.parametrize(("left", "has_box"), [(3, False), (8, True)])
def test_boxes_are_drawn_of_things_alone(tmp_path, monkeypatch, left, has_box):
    monkeypatch.setattr(FakeSegmenter, "left", left)
    folder = write_images(tmp_path / "in", ["a.png"])
    run(folder, tmp_path / "plain", write=("overlay",))
    run(folder, tmp_path / "boxes", write=("overlay",), boxes=True)
    plain_HWC, boxes_HWC = (read(tmp_path / name / "a_overlay.png") for name in ("plain", "boxes"))
    assert (plain_HWC != boxes_HWC).any() == has_box


def test_interrupted_dump_goes_on_where_it_stopped(tmp_path):
    folder = write_images(tmp_path / "in", ["a.png", "b.png", "c.png"])
    out = tmp_path / "out"
    run(folder, out)
    before = {name: (out / name).stat().st_mtime_ns for name in list_names(out)}
    (out / "b_labels.png").unlink()
    counts, said, progress = run(folder, out, skip_existing=True)
    assert (counts.labelled, counts.complete, progress.total) == (1, 2, 1)
    assert said[0] == "skipped a.png: its outputs exist"
    changed = [name for name in list_names(out) if (out / name).stat().st_mtime_ns > before[name]]
    assert changed == ["b_colored.png", "b_labels.png", "b_overlay.png"]
    assert run(folder, out, skip_existing=True)[0].complete == 3
    assert FakeSegmenter.opened == 2


def test_errors_tell_wrong_from_ignored(tmp_path):
    folder = write_images(tmp_path / "in", ["a.png", "b.png", "c.png"])
    write_mask(tmp_path / "truth" / "a.png", left=3, right=1)
    write_mask(tmp_path / "truth" / "b.png", left=11, right=0)
    cv2.imwrite(str(tmp_path / "truth" / "c.png"), np.zeros((24, 16), np.uint8))
    out = tmp_path / "out"
    counts, said, _ = run(folder, out, write=("errors",), truth=tmp_path / "truth")
    errors_HW = read(out / "a_errors.png")
    assert (errors_HW[:, :16] == 0).all()
    assert (errors_HW[:, 16:] == 255).all()
    errors_HW = read(out / "b_errors.png")
    assert (errors_HW[:, :16] == 127).all()
    assert (errors_HW[:, 16:] == 0).all()
    assert said[0].endswith("; 50.0 % wrong")
    assert said[1].endswith("; 0.0 % wrong")
    assert re.search(r"failed c\.png: .*\(24, 16\).*same rows", said[2])
    assert counts.failed == 1


def test_truth_lies_over_a_turned_image_as_it_is_stored(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    (tmp_path / "in").mkdir()
    Image.new("RGB", (32, 24)).save(tmp_path / "in" / "a.png", exif=exif)
    write_mask(tmp_path / "truth" / "a.png", left=3, right=1)
    out = tmp_path / "out"
    counts, _, _ = run(tmp_path / "in", out, write=("errors",), truth=tmp_path / "truth")
    assert counts.labelled == 1
    errors_HW = read(out / "a_errors.png")
    assert (errors_HW[:, :16] == 0).all()
    assert (errors_HW[:, 16:] == 255).all()


def test_two_masks_of_one_image_are_refused(tmp_path):
    folder = write_images(tmp_path / "in", ["a.png", "b.png"])
    for name in ("a.png", "a.bmp", "b.png"):
        write_mask(tmp_path / "truth" / name, left=3, right=1)
    counts, said, _ = run(folder, tmp_path / "out", write=("errors",), truth=tmp_path / "truth")
    assert (counts.labelled, counts.failed) == (1, 1)
    assert re.search(r"failed a\.png: masks '.*a\.bmp' and '.*a\.png' are both", said[0])


def test_ids_of_no_class_are_told_at_the_end(tmp_path):
    """11 is CamVid's void, 255 nobody's; hidden files of a Mac are no masks."""
    folder = write_images(tmp_path / "in", ["a.png", "b.png"])
    for name, left in (("a.png", 77), ("b.png", 11)):
        write_mask(tmp_path / "truth" / name, left=left, right=255)
    (tmp_path / "truth" / "._a.png").write_bytes(b"note of a Mac")
    _, said, _ = run(folder, tmp_path / "out", write=("errors",), truth=tmp_path / "truth")
    assert said[-1] == "note: id 77 in the masks is of no class of 'camvid' and not compared"
    assert sum("note:" in line for line in said) == 1


def test_one_mask_is_the_truth_of_one_image_alone(tmp_path):
    folder = write_images(tmp_path / "in", ["a.png", "b.png"])
    mask = tmp_path / "mask.png"
    write_mask(mask, left=3, right=1)
    counts, said, _ = run(folder / "a.png", tmp_path / "out", write=("errors",), truth=mask)
    assert (counts.labelled, said[0].endswith("; 50.0 % wrong")) == (1, True)
    with pytest.raises(ConfigError, match=r"mask\.png' is one mask, and '.*in' a folder"):
        run(folder, tmp_path / "out", write=("errors",), truth=mask)


def test_masks_of_cityscapes_are_found_in_their_folders(tmp_path):
    image = "aachen_000001_000019_leftImg8bit.png"
    write_images(tmp_path / "in" / "val" / "aachen", [image, "other.png"])
    mask = "aachen_000001_000019_gtFine_labelIds.png"
    write_mask(tmp_path / "truth" / "val" / "aachen" / mask, left=3, right=0)
    counts, said, _ = run(
        tmp_path / "in",
        tmp_path / "out",
        write=("errors",),
        truth=tmp_path / "truth",
        recursive=True,
    )
    assert counts.labelled == 1
    assert said[0].endswith("; 0.0 % wrong")
    assert "no mask 'val/aachen/other'" in said[1]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"write": ("errors",)}, "without --truth"),
        ({"write": ("labels",), "truth": "masks"}, "--truth is given"),
        ({"write": ("probabilities",), "backend": "openvino"}, "with probabilities"),
        ({"flip": True, "precision": "bf16"}, "with averaged copies"),
        ({"write": ("attention",)}, "attention of the single-scale network"),
        ({"scales": (0.5, 1.0)}, "for the single-scale network"),
        ({"scales": (0.5,)}, "hold 1.0"),
        ({"write": ("submission",)}, "11 classes of 'camvid'"),
        ({"label_set": "cityscapes"}, "those of the weights: sky"),
    ],
)
def test_settings_that_fit_nothing_are_refused(tmp_path, settings, sentence):
    folder = write_images(tmp_path / "in", ["a.png"])
    with pytest.raises(ConfigError, match=sentence):
        run(folder, tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_autolabels_are_source_ids_beside_their_certainty(tmp_path):
    folder = write_images(tmp_path / "in" / "city", ["a.png"]).parent
    label_set = tmp_path / "shifted.yaml"
    lines = [
        f"  - {{id: {class_id}, name: {name}, rgb: [1, 2, 3], source_ids: [{40 + class_id}]}}"
        for class_id, name in enumerate(FakeSegmenter.label_set.names)
    ]
    label_set.write_text("\n".join(["name: shifted", "classes:", *lines]))
    out = tmp_path / "out"
    kinds = ("autolabels", "colored")
    run(folder, out, write=kinds, recursive=True, label_set=str(label_set))
    assert list_names(out / "autolabels") == ["city/a.png", "city/a_prob.png"]
    # Pictures keep the colours of the weights.
    assert read(out / "city" / "a_colored.png")[0, 0].tolist() == [128, 64, 128]
    ids_HW = read(out / "autolabels" / "city" / "a.png")
    assert (ids_HW[0, 0], ids_HW[0, 31]) == (43, 40)
    prob_HW = read(out / "autolabels" / "city" / "a_prob.png")
    assert (prob_HW[0, 0], prob_HW[0, 31]) == (255, 102)


def test_submission_holds_the_benchmarks_ids_under_the_images_names(tmp_path, monkeypatch):
    cityscapes = load_label_set("cityscapes")
    card = read_card("default").model_copy(
        update={"label_set": CardLabelSet.from_label_set(cityscapes)}
    )
    monkeypatch.setattr("proxia_segmentation_ros.apps.segment.run.read_card", lambda _: card)
    folder = write_images(tmp_path / "in", ["ulm_000001_000019_leftImg8bit.png", "mine.png"])
    _, said, _ = run(folder, tmp_path / "out", write=("submission",))
    ids_HW = read(tmp_path / "out" / "submission" / "ulm_000001_000019_leftImg8bit.png")
    assert (ids_HW.dtype, ids_HW[0, 0], ids_HW[0, 31]) == (np.uint8, 12, 7)
    assert said[0].startswith("note: 1 of 2 names, first 'mine.png'")


@pytest.mark.parametrize("name", ["nothing", "empty"])
def test_missing_path_and_empty_folder_are_named(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=name):
        run(tmp_path / name, tmp_path / "out")


def test_page_shows_every_image_that_is_there(tmp_path):
    folder = write_images(tmp_path / "in & out", ["a #1.png", "b.png"])
    (folder / "c.png").touch()
    write_images(folder / "deep", ["b.png"])
    out = tmp_path / "out"
    settings = {"write": ("overlay", "labels"), "recursive": True, "index": True}
    counts, _, _ = run(folder, out, **settings)
    assert counts.written == 2 * 3 + 1
    page = (out / "index.html").read_text()
    links = [html.unescape(link) for link in re.findall(r'<img [^>]*src="([^"]*)"', page)]
    assert len(links) == 2 * 3
    assert all((out / unquote(link)).resolve().is_file() for link in links)
    assert "deep/b.png" in page
    assert "labels" not in page
    run(folder, out, skip_existing=True, **settings)
    assert (out / "index.html").read_text() == page


def test_name_that_is_no_text_is_an_image_all_the_same(tmp_path):
    folder = write_images(tmp_path / "in", ["a.png", "ünï 日本.png"])
    (folder / "a.png").rename(os.fsdecode(os.fsencode(folder) + b"/b\xff.png"))
    Path(os.fsdecode(os.fsencode(folder) + b"/c\xff.png")).write_text("text")
    counts, said, _ = run(folder, tmp_path / "out", write=("overlay",), index=True)
    assert (counts.labelled, counts.failed) == (2, 1)
    assert [line.partition(":")[0] for line in said] == [
        "b\N{REPLACEMENT CHARACTER}.png",
        "failed c\N{REPLACEMENT CHARACTER}.png",
        "ünï 日本.png",
    ]
    assert os.fsencode(tmp_path / "out") + b"/b\xff_overlay.png" in [
        os.fsencode(path) for path in (tmp_path / "out").iterdir()
    ]


def test_name_of_weights_is_looked_up_once(tmp_path, monkeypatch):
    looked_up = []
    list_weights = lookup.list_shipped_weights

    def count():
        looked_up.append(1)
        return list_weights()

    monkeypatch.setattr(lookup, "list_shipped_weights", count)
    images = write_images(tmp_path / "images", ["a.png", "b.png"])
    run(images, tmp_path / "out")
    assert len(looked_up) == 1
