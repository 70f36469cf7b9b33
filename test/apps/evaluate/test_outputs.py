"""What a score leaves: a page that is the same each time, and weights that robots can load."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from sample_files import write_images

from proxia_segmentation_ros.apps.evaluate.outputs import check_outputs, write_outputs
from proxia_segmentation_ros.apps.evaluate.run import evaluate_weights
from proxia_segmentation_ros.apps.evaluate.settings import EvaluationData, EvaluationSettings
from proxia_segmentation_ros.cli import main
from proxia_segmentation_ros.errors import ConfigError, InputError, WeightsError
from proxia_segmentation_ros.inference import Segmenter
from proxia_segmentation_ros.model.card_file import read_card
from proxia_segmentation_ros.model.lookup import find_weights

NAMES = ["a<b>.png", "b.png"]


class Silence:
    def begin(self, text, total=None):
        pass

    def advance(self):
        pass


@pytest.fixture(autouse=True, scope="module")
def _own_cache(tmp_path_factory):
    """Compile the network once for these tests, and leave the user's cache alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROXIA_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def folders(tmp_path):
    """Return grey images whose truth is half road and half sky: no network finds that."""
    images = write_images(tmp_path / "images", NAMES)
    masks = tmp_path / "masks"
    masks.mkdir()
    for name in NAMES:
        mask_HW = np.full((24, 32), 3, np.uint8)
        mask_HW[:, 16:] = 0
        cv2.imwrite(str(masks / name), mask_HW)
    return images, masks


def set_up(folders, **options):
    images, masks = map(str, folders)
    data = EvaluationData(images=images, labels=masks)
    return EvaluationSettings(data=data, weights="synthetic", size="64x48", **options)


def call(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["proxia", "evaluate", *map(str, arguments)])
    code = main()
    return code, *capsys.readouterr()


def test_confidence_of_what_robots_run_is_scored_on_request(folders):
    done = evaluate_weights(set_up(folders, calibration=True), Silence())
    content = done.to_dict()
    assert 0 < content["expected_calibration_error"] <= 1
    assert sum(bin_row["pixels"] for bin_row in content["reliability_bins"]) == content["pixels"]
    assert done.backend == "openvino"
    assert "expected calibration error" in done.to_text()


def test_page_of_equal_runs_is_equal_and_escapes_file_names(folders, tmp_path):
    one, two = tmp_path / "new" / "one.html", tmp_path / "new" / "two.html"
    for path in (one, two):
        settings = set_up(folders, boundary=2, worst=1, page=str(path))
        assert write_outputs(evaluate_weights(settings, Silence())) == [f"{path}: the page"]
    assert one.read_bytes() == two.read_bytes()
    text = one.read_text()
    assert "<h1>synthetic on" in text
    assert "64x48" in text
    assert text.count('<article class="worst">') == 1
    assert "a&lt;b&gt;.png" in text
    assert "a<b>.png" not in text
    assert "<svg" in text


def test_page_tells_settings_that_are_not_the_default(folders, tmp_path):
    page = tmp_path / "page.html"
    write_outputs(evaluate_weights(set_up(folders, flip=True, page=str(page)), Silence()))
    assert "<dt>flip</dt><dd>yes</dd>" in page.read_text()
    assert "average scales" not in page.read_text()
    assert "page.html" not in page.read_text()


def test_page_of_images_in_the_folder_at_hand_names_it(folders, tmp_path, monkeypatch):
    monkeypatch.chdir(folders[0])
    settings = set_up((".", "../masks"), page=str(tmp_path / "page.html"))
    write_outputs(evaluate_weights(settings, Silence()))
    title = f"<h1>synthetic on {tmp_path.name}/images</h1>"
    assert title in (tmp_path / "page.html").read_text()


def test_names_that_are_no_utf8_are_scored_in_a_process_that_lives_on(folders, tmp_path):
    for folder in folders:
        (folder / NAMES[0]).rename(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.png"))
    page = tmp_path / "page.html"
    options = ["--weights", "synthetic", "--size", "64x48", "--page", page]
    command = ["-m", "proxia_segmentation_ros.cli", "evaluate", *folders, *options]
    done = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "<h3>caf?.png</h3>" in page.read_text()


def test_page_tells_what_was_made_of_the_data(folders, tmp_path):
    page = tmp_path / "page.html"
    options = {"images": "images", "masks": "masks", "label_set": "camvid"}
    data = EvaluationData(dataset="folder", root=str(tmp_path), options=options, long_side=48)
    settings = EvaluationSettings(data=data, weights="synthetic", size="64x48", page=str(page))
    write_outputs(evaluate_weights(settings, Silence()))
    assert "<dt>data, masks</dt><dd>masks</dd>" in page.read_text()
    assert "<dt>longer side of images and masks</dt><dd>48 pixels</dd>" in page.read_text()


def test_fitted_weights_label_the_same_with_other_confidence(folders, tmp_path):
    target = tmp_path / "fitted.safetensors"
    done = evaluate_weights(set_up(folders, save_calibrated=str(target)), Silence())
    fit = done.to_dict()["temperature_fit"]
    assert fit["pixels"] == 2 * 24 * 32
    assert fit["after"]["loss"] < fit["before"]["loss"]
    (line,) = write_outputs(done)
    assert f"{fit['after']['temperature']:.4f}" in line
    assert read_card(target).temperature == fit["after"]["temperature"] != 1.0
    assert read_card("synthetic").temperature == 1.0
    image_HWC: Any = cv2.imread(str(folders[0] / NAMES[1]))
    before, after = (
        Segmenter.from_weights(weights, size="64x48").segment(image_HWC, with_confidence=True)
        for weights in ("synthetic", target)
    )
    np.testing.assert_array_equal(before.labels, after.labels)
    assert before.confidence is not None
    assert after.confidence is not None
    assert not np.array_equal(before.confidence, after.confidence)


def test_temperature_that_no_loss_decides_is_not_written(folders, tmp_path):
    image_HWC: Any = cv2.imread(str(folders[0] / NAMES[0]))
    segmenter = Segmenter.from_weights("synthetic", backend="torch", size="64x48")
    for name in NAMES:
        cv2.imwrite(str(folders[0] / name), image_HWC)
        cv2.imwrite(str(folders[1] / name), segmenter.segment(image_HWC).labels)
    target = tmp_path / "fitted.safetensors"
    done = evaluate_weights(set_up(folders, save_calibrated=str(target)), Silence())
    assert "means nothing" in done.to_text()
    with pytest.raises(ConfigError, match="an end of the range"):
        write_outputs(done)
    assert not target.exists()


def test_outputs_that_can_not_be_written_are_told_before_the_work(folders, tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        check_outputs(set_up(folders, page=str(tmp_path)))
    with pytest.raises(WeightsError, match="another suffix"):
        check_outputs(set_up(folders, save_calibrated=str(tmp_path / "a.pth")))
    with pytest.raises(WeightsError, match="the package ships"):
        check_outputs(set_up(folders, save_calibrated=str(find_weights("default"))))
    folder, in_file = tmp_path / "folder.safetensors", tmp_path / "images" / NAMES[0] / "x"
    folder.mkdir()
    with pytest.raises(InputError, match=r"save_calibrated .* is a folder"):
        check_outputs(set_up(folders, save_calibrated=str(folder)))
    with pytest.raises(InputError, match=r"out .* is a folder"):
        check_outputs(set_up(folders), tmp_path)
    with pytest.raises(InputError, match=r"page .* which is no folder"):
        check_outputs(set_up(folders, page=str(in_file)))
    with pytest.raises(InputError, match="is a device or a pipe"):
        check_outputs(set_up(folders, page="/dev/null"))
    with pytest.raises(InputError, match="page and out are both"):
        check_outputs(set_up(folders, page="a/b.html"), Path("a/../a/b.html"))
    options = {"page": str(tmp_path / "new" / "p"), "save_calibrated": "a.safetensors"}
    check_outputs(set_up(folders, **options), tmp_path / "p.json")


@pytest.mark.parametrize(
    ("name", "value"),
    [("flip", True), ("average_scales", (0.5, 1.0)), ("window", "32x32")],
)
def test_temperature_is_not_fitted_to_what_robots_do_not_run(folders, name, value):
    with pytest.raises(ConfigError, match=f"fitted with {name}"):
        evaluate_weights(set_up(folders, fit_temperature=True, **{name: value}), Silence())


def test_number_of_worst_images_is_refused_without_a_page(folders):
    with pytest.raises(ConfigError, match="worst is 3 without a page"):
        set_up(folders, worst=3)


def test_command_writes_page_and_weights(folders, tmp_path, monkeypatch, capsys):
    page, weights = tmp_path / "page.html", tmp_path / "fitted.safetensors"
    options = ["--weights", "synthetic", "--size", "64x48", "--worst", "1"]
    code, out, _ = call(
        monkeypatch, capsys, *folders, *options, "--page", page, "--save-calibrated", weights
    )
    assert code == 0
    text = page.read_text()
    assert "Temperature" in text
    assert "expected calibration error" in text
    assert text.count('<article class="worst">') == 1
    assert f"{read_card(weights).temperature:.4f}" in out
    assert read_card(weights).temperature != 1.0


@pytest.mark.parametrize("place", ["", "images/b.png/x.json"])
def test_command_tells_at_once_that_figures_can_not_be_written(
    folders, tmp_path, monkeypatch, capsys, place
):
    code, out, error = call(monkeypatch, capsys, *folders, "--out", tmp_path / place)
    assert (code, out) == (3, "")
    assert error.startswith("proxia: out ")


def test_command_leaves_old_figures_whole_where_the_disk_is_full(
    folders, tmp_path, monkeypatch, capsys
):
    def fail(path, target):
        raise OSError(28, "No space left on device")

    out = tmp_path / "score.json"
    out.write_text("old")
    monkeypatch.setattr(Path, "replace", fail)
    options = ["--weights", "synthetic", "--size", "64x48", "--out", out]
    code, shown, error = call(monkeypatch, capsys, *folders, *options)
    assert (code, out.read_text()) == (3, "old")
    assert "mean_iou" in shown
    assert "can't be written (No space left on device)" in error


def test_command_refuses_shipped_weights_as_a_target(folders, monkeypatch, capsys):
    target = find_weights("synthetic")
    code, _, error = call(monkeypatch, capsys, *folders, "--save-calibrated", target)
    assert code == 4
    assert "the package ships" in error
