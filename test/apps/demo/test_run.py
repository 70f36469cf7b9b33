import json
import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from safetensors.numpy import save_file
from sample_files import write_images

from proxia_segmentation_ros.apps.demo.run import DemoSettings, _Demo, run_demo
from proxia_segmentation_ros.errors import InputError, ProxiaError, WeightsError
from proxia_segmentation_ros.labels import LabelSet, load_label_set
from proxia_segmentation_ros.model.card import CardLabelSet, ModelCard
from proxia_segmentation_ros.sources.image_files import read_image_file

FRAMES = 12


class Quiet:
    """Progress that nobody sees, but the test."""

    def __init__(self):
        self.stages, self.steps = [], 0

    def begin(self, text, total=None):
        self.stages.append(text)

    def advance(self):
        self.steps += 1


@pytest.fixture
def weights(tmp_path):
    card = ModelCard(
        name="tiny",
        architecture="hrnet_w18_small_v1_ocr",
        size_hw=(24, 32),
        label_set=CardLabelSet.from_label_set(load_label_set("camvid")),
    )
    path = tmp_path / "tiny.safetensors"
    save_file({}, path, {"card": card.to_json()})
    return str(path)


@pytest.fixture
def settings(tmp_path, weights, ros_domain, monkeypatch):
    """Settings of a demo of some JPEG files on the fake node, with half the truth its labels."""
    for timeout in ("LAST_LABELS_TIMEOUT_S", "LAST_STATS_TIMEOUT_S"):
        monkeypatch.setattr(f"proxia_segmentation_ros.apps.demo.run.{timeout}", 60.0)
    here = str(Path(__file__).parents[2] / "support")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([here, *sys.path]))
    names = [f"frame{index}" for index in range(FRAMES)]
    images = write_images(tmp_path / "images", [f"{name}.jpg" for name in names])
    masks = tmp_path / "masks"
    masks.mkdir()
    mask_HW = np.full(read_image_file(images / "frame0.jpg").shape[:2], 3, np.uint8)
    for name in names:
        cv2.imwrite(str(masks / f"{name}.png"), mask_HW)
    return {
        "source": str(images),
        "truth": masks,
        "out": tmp_path / "demo",
        "weights": weights,
        "node_module": "fake_node",
    }


@pytest.mark.slow
def test_demo_leaves_film_sheet_and_figures(settings):
    progress = Quiet()
    result = run_demo(DemoSettings(**settings), progress)
    out = settings["out"]
    assert sorted(path.name for path in out.iterdir()) == [
        "contact_sheet.png",
        "overlay.mp4",
        "summary.json",
    ]
    assert json.loads((out / "summary.json").read_text()) == result.summary
    assert result.remarks[0] == (
        f"the node received {FRAMES} frames, labelled {FRAMES} and dropped 0"
    )
    expected = {
        "model": "tiny",
        "backend": "fake",
        "precision": "f32",
        "size": "32x24",
        "frames_published": FRAMES,
        "frames_labelled": FRAMES,
        "frames_dropped": 0,
        "objects_seen": {"road": 1},
        "miou": 0.5,
    }
    assert {name: result.summary[name] for name in expected} == expected
    assert result.summary["latency_ms"]["p50"] > 0
    assert "labelling" in progress.stages
    assert progress.steps == FRAMES

    film = cv2.VideoCapture(str(out / "overlay.mp4"))
    assert film.get(cv2.CAP_PROP_FPS) == pytest.approx(15.0)
    assert film.get(cv2.CAP_PROP_FRAME_COUNT) == FRAMES
    assert film.read()[0]


@pytest.mark.slow
def test_lost_frames_are_counted_and_still_in_the_film(settings, monkeypatch):
    monkeypatch.setenv("FAKE_NODE", "lossy")
    result = run_demo(DemoSettings(**settings), Quiet())
    assert result.summary["frames_labelled"] == FRAMES // 2
    assert result.summary["frames_dropped"] == FRAMES // 2
    film = cv2.VideoCapture(str(settings["out"] / "overlay.mp4"))
    assert film.get(cv2.CAP_PROP_FRAME_COUNT) == FRAMES


@pytest.mark.slow
def test_no_labels_is_an_error_that_shows_the_log(settings, monkeypatch):
    monkeypatch.setenv("FAKE_NODE", "silent")
    monkeypatch.setattr("proxia_segmentation_ros.apps.demo.run.LAST_LABELS_TIMEOUT_S", 0.2)
    with pytest.raises(ProxiaError, match=rf"(?s)no labels came back for {FRAMES} frames.*log"):
        run_demo(DemoSettings(**settings), Quiet())
    assert not settings["out"].exists()


@pytest.mark.slow
def test_death_of_the_node_in_mid_stream_is_told_with_its_last_words(settings, monkeypatch):
    monkeypatch.setenv("FAKE_NODE", "dead")
    with pytest.raises(ProxiaError, match=r"(?s)exit code 1.*the fake model burst"):
        run_demo(DemoSettings(**settings), Quiet())


@pytest.mark.slow
def test_node_that_does_not_start_is_told_with_its_last_words(settings, monkeypatch):
    monkeypatch.setenv("FAKE_NODE", "broken")
    with pytest.raises(ProxiaError, match=r"(?s)exit code 1.*weights 'none' are not shipped"):
        run_demo(DemoSettings(**settings), Quiet())


def test_masks_are_read_by_the_source_ids_of_the_weights(settings, tmp_path):
    classes = [{"id": 0, "name": "ground", "rgb": [1, 2, 3], "source_ids": [3]}]
    own = LabelSet.from_dict({"name": "yard", "classes": classes})
    card = ModelCard(
        name="yard",
        architecture="hrnet_w18_small_v1_ocr",
        size_hw=(24, 32),
        label_set=CardLabelSet.from_label_set(own),
    )
    path = tmp_path / "yard.safetensors"
    save_file({}, path, {"card": card.to_json()})
    mask = settings["truth"] / "frame0.png"
    mask_HW = np.array(cv2.imread(str(mask), cv2.IMREAD_UNCHANGED))
    mask_HW[-1, -1] = 200
    cv2.imwrite(str(mask), mask_HW)
    demo = _Demo(DemoSettings(**settings | {"weights": str(path)}), Quiet())
    assert (demo._truth.label_set, demo._name_truth()) == (own, ("ground",))
    truths = [frame.truth_HW for frame in demo._stream if frame.truth_HW is not None]
    assert {int(truth_HW[0, 0]) for truth_HW in truths} == {0}
    (told,) = demo._truth.list_unknown_ids()
    assert told.startswith("id 200 in the masks is of no class of 'yard'")


def test_wrong_source_and_weights_are_found_before_the_node_starts(settings):
    progress = Quiet()
    with pytest.raises(InputError, match="nowhere"):
        run_demo(DemoSettings(**settings | {"source": "nowhere"}), progress)
    with pytest.raises(WeightsError, match="not shipped"):
        run_demo(DemoSettings(**settings | {"weights": "nothing"}), progress)
    assert progress.stages == []
