"""Quantising weights: tried against float, kept within the gate, refused beyond it."""

import itertools
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from proxia_segmentation_ros.apps import quantise as app
from proxia_segmentation_ros.apps.evaluate.settings import EvaluationData
from proxia_segmentation_ros.apps.quantise import QuantiseSettings, quantise_weights
from proxia_segmentation_ros.errors import ConfigError, InputError, WeightsError
from proxia_segmentation_ros.inference import Segmenter
from proxia_segmentation_ros.model.lookup import find_weights
from proxia_segmentation_ros.model.quantisation import read_quantisation
from proxia_segmentation_ros.synthetic import StreetScene
from proxia_segmentation_ros.training.quantisation import find_ranges


class Silence:
    def begin(self, text: str, total: int | None = None) -> None:
        pass

    def advance(self) -> None:
        pass


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> QuantiseSettings:
    monkeypatch.setenv("PROXIA_CACHE_DIR", str(tmp_path / "cache"))
    images, masks = tmp_path / "images", tmp_path / "masks"
    images.mkdir()
    masks.mkdir()
    for index, (image_HWC, labels_HW) in enumerate(itertools.islice(StreetScene(3, (288, 384)), 3)):
        cv2.imwrite(str(images / f"{index}.png"), cv2.cvtColor(image_HWC, cv2.COLOR_RGB2BGR))
        cv2.imwrite(str(masks / f"{index}.png"), labels_HW)
    return QuantiseSettings(
        weights="synthetic",
        images=images,
        truth=EvaluationData(images=str(images), labels=str(masks)),
        out=tmp_path / "out" / "int8.safetensors",
        gate_points=5.0,
    )


def test_weights_within_the_gate_are_written_and_run_in_int8(settings: QuantiseSettings) -> None:
    found = quantise_weights(settings, Silence())
    assert read_quantisation(settings.out) == found
    assert found.images == 3
    assert 0.97 <= found.agreement < 1
    assert abs(found.lost_points) <= 5
    # What the trial compiled is of no use to anybody.
    assert not (settings.out.parents[1] / "cache").exists()
    segmenter = Segmenter.from_weights(settings.out, backend="openvino", precision="int8")
    assert segmenter.precision == "int8"
    segmenter.close()


def test_weights_beyond_the_gate_are_refused_and_nothing_is_written(
    settings: QuantiseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_far_too_small(source, images):
        ranges = find_ranges(source, images)
        return {layer: (low / 30, high / 30) for layer, (low, high) in ranges.items()}

    monkeypatch.setattr(app, "find_ranges", find_far_too_small)
    with pytest.raises(WeightsError, match=r"int8 loses [0-9.]+ points of mIoU"):
        quantise_weights(settings, Silence())
    assert not settings.out.exists()


def test_a_folder_without_images_is_refused(settings: QuantiseSettings) -> None:
    nothing = settings.images.parent / "texts"
    nothing.mkdir()
    (nothing / "notes.txt").write_text("no picture")
    with pytest.raises(InputError, match="holds no images"):
        quantise_weights(replace(settings, images=nothing), Silence())


def test_what_is_wrong_with_masks_is_told_before_the_work(
    settings: QuantiseSettings, caplog: pytest.LogCaptureFixture
) -> None:
    masks = Path(settings.truth.labels)
    empty = masks.with_name("empty")
    empty.mkdir()
    settings = replace(settings, images=empty)
    cv2.imwrite(str(masks / "0.png"), np.full((288, 384), 77, np.uint8))
    with pytest.raises(InputError, match="is empty"):
        quantise_weights(settings, Silence())
    assert "id 77 in the masks is of no class and ignored, 33.3 %" in caplog.text
    cv2.imwrite(str(masks / "0.png"), np.zeros((280, 384), np.uint8))
    with pytest.raises(InputError, match="1 of 3 pairs"):
        quantise_weights(settings, Silence())


def test_shipped_weights_are_not_overwritten(settings: QuantiseSettings) -> None:

    with pytest.raises(WeightsError, match="lies among those that the package ships"):
        quantise_weights(replace(settings, out=find_weights("default")), Silence())


@pytest.mark.parametrize(
    ("count", "wanted"), [(2, [0, 6]), (4, [0, 2, 4, 6]), (9, [0, 1, 2, 3, 4, 5, 6])]
)
def test_ranges_come_from_images_of_all_the_folder(
    settings: QuantiseSettings,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    count: int,
    wanted: list[int],
) -> None:
    class EnoughError(Exception):
        pass

    seen: list[int] = []

    def watch(_source: object, images: Iterable[np.ndarray]) -> None:
        seen.extend(int(image_HWC[0, 0, 0]) for image_HWC in images)
        raise EnoughError

    shades = tmp_path / "shades"
    shades.mkdir()
    for index in range(7):
        cv2.imwrite(str(shades / f"{index}.png"), np.full((16, 16, 3), index, np.uint8))
    monkeypatch.setattr(app, "find_ranges", watch)
    with pytest.raises(EnoughError):
        quantise_weights(replace(settings, images=shades, count=count), Silence())
    assert seen == wanted


@pytest.mark.parametrize("gate", [float("nan"), float("inf"), -1.0])
def test_a_gate_that_lets_everything_through_is_refused(
    settings: QuantiseSettings, gate: float
) -> None:
    with pytest.raises(ConfigError, match="gate is"):
        quantise_weights(replace(settings, gate_points=gate), Silence())
