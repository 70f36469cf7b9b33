import cv2
import numpy as np
import pytest
from sample_files import write_images

from proxia_segmentation_ros.apps.segment import SegmentSettings, name_outputs, segment_files
from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.inference import Segmentation
from proxia_segmentation_ros.labels import load_label_set


class FakeSegmenter:
    """Finds road on the left and sky on the right."""

    label_set = load_label_set("camvid")
    closed = 0

    @classmethod
    def from_weights(cls, weights, **options):
        return cls()

    def segment(self, image_HWC):
        labels_HW = np.zeros(image_HWC.shape[:2], np.uint8)
        labels_HW[:, : labels_HW.shape[1] // 2] = 3
        return Segmentation(labels_HW, None, labels_HW.shape)

    def close(self):
        FakeSegmenter.closed += 1


@pytest.fixture(autouse=True)
def _fake_segmenter(monkeypatch):
    monkeypatch.setattr("proxia_segmentation_ros.inference.Segmenter", FakeSegmenter, raising=False)


def test_each_image_becomes_overlay_colours_and_ids(tmp_path):
    folder = write_images(tmp_path / "in", ["b.png", "a.jpg"])
    said = []
    out = tmp_path / "out" / "deep"
    assert segment_files(SegmentSettings(path=folder, out=out), said.append) == 2
    assert sorted(path.name for path in out.iterdir()) == [
        f"{name}_{kind}.png" for name in "ab" for kind in ("colored", "labels", "overlay")
    ]
    labels_HW = cv2.imread(str(out / "a_labels.png"), cv2.IMREAD_UNCHANGED)
    assert labels_HW.ndim == 2
    assert np.unique(labels_HW).tolist() == [0, 3]
    colored_bgr = cv2.imread(str(out / "a_colored.png"))
    assert colored_bgr[12, 2].tolist() == [128, 64, 128]
    assert cv2.imread(str(out / "a_overlay.png")).shape == (24, 32, 3)
    assert said[0].startswith("a.jpg: 32x24, ")
    assert "road 50 %" in said[0]


def test_what_is_no_image_costs_a_line_and_nothing_else(tmp_path):
    folder = write_images(tmp_path / "in", ["a.png"])
    (folder / "notes.txt").write_text("text")
    (folder / "empty.png").write_bytes(b"")
    said = []
    assert segment_files(SegmentSettings(path=folder, out=tmp_path / "out"), said.append) == 1
    assert [line.split(":")[0] for line in said] == [
        "a.png",
        "skipped empty.png",
        "skipped notes.txt",
    ]


def test_folder_without_images_is_an_error(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "notes.txt").write_text("text")
    said = []
    with pytest.raises(InputError, match="holds no image that can be read"):
        segment_files(SegmentSettings(path=folder, out=tmp_path / "out"), said.append)
    assert len(said) == 1


def test_segmenter_is_closed_whatever_happens(tmp_path):
    FakeSegmenter.closed = 0
    folder = write_images(tmp_path / "in", ["a.png"])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a_overlay.png").mkdir()
    with pytest.raises(InputError, match=r"a_overlay\.png"):
        segment_files(SegmentSettings(path=folder, out=tmp_path / "out"), lambda _: None)
    assert FakeSegmenter.closed == 1


@pytest.mark.parametrize("name", ["nothing", "empty"])
def test_missing_path_and_empty_folder_are_named(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=name):
        segment_files(SegmentSettings(path=tmp_path / name, out=tmp_path), lambda _: None)


def test_files_of_one_stem_keep_their_suffix(tmp_path):
    paths = [tmp_path / name for name in ("a.png", "a.jpg", "b.png")]
    assert name_outputs(paths) == ["a_png", "a_jpg", "b"]
