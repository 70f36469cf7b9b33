"""The synthetic street: determinism, classes, motion, and how image and labels agree."""

import dataclasses
import hashlib
import itertools
import subprocess
import sys
from typing import Any

import cv2
import numpy as np
import pytest

from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.labels import load_label_set
from proxia_segmentation_ros.synthetic import StreetScene
from proxia_segmentation_ros.synthetic.camera import Bend, Camera
from proxia_segmentation_ros.synthetic.drawing.canvas import Canvas
from proxia_segmentation_ros.synthetic.stage import (
    FADE_M,
    VIEW_M,
    Thing,
    draw_things,
    measure_reach,
)
from proxia_segmentation_ros.synthetic.things.buildings import Building
from proxia_segmentation_ros.synthetic.things.furniture import Pole, Sign
from proxia_segmentation_ros.synthetic.things.people import Bicyclist, Pedestrian, draw_looks
from proxia_segmentation_ros.synthetic.things.plants import Plant
from proxia_segmentation_ros.synthetic.things.strips import Strip
from proxia_segmentation_ros.synthetic.things.vehicles import draw_vehicle
from proxia_segmentation_ros.synthetic.tone import PLAIN
from proxia_segmentation_ros.synthetic.weather import draw_weather

SIZE_HW = (240, 320)
SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE, CAR, PEDESTRIAN, BICYCLIST = range(11)
HASH_SCRIPT = """
import hashlib
from proxia_segmentation_ros.synthetic import StreetScene
image_HWC, labels_HW = StreetScene.sample(5, (120, 160))
print(hashlib.sha256(image_HWC.tobytes() + labels_HW.tobytes()).hexdigest())
"""


@pytest.fixture(scope="module")
def sample_frames() -> list[tuple[np.ndarray, np.ndarray]]:
    """Frames of many scenes; made once, they are only read."""
    return [StreetScene.sample(seed, SIZE_HW) for seed in range(40)]


def count_shares(frames: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return the share of each class in each frame."""
    return np.array(
        [np.bincount(labels.ravel(), minlength=11) / labels.size for _, labels in frames]
    )


@pytest.mark.slow
def test_same_seed_gives_same_bytes() -> None:
    first = list(itertools.islice(StreetScene(3, SIZE_HW), 3))
    again = list(itertools.islice(StreetScene(3, SIZE_HW), 3))
    for (image_HWC, labels_HW), (other_HWC, other_HW) in zip(first, again, strict=True):
        assert np.array_equal(image_HWC, other_HWC)
        assert np.array_equal(labels_HW, other_HW)


@pytest.mark.slow
def test_another_process_gives_same_bytes() -> None:
    image_HWC, labels_HW = StreetScene.sample(5, (120, 160))
    here = hashlib.sha256(image_HWC.tobytes() + labels_HW.tobytes()).hexdigest()
    run = subprocess.run(
        [sys.executable, "-c", HASH_SCRIPT], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == here


def test_frame_depends_on_its_index_alone() -> None:
    walked = list(itertools.islice(StreetScene(4, SIZE_HW), 4))[3]
    fresh = StreetScene(4, SIZE_HW).render(3)
    assert np.array_equal(walked[0], fresh[0])
    assert np.array_equal(walked[1], fresh[1])


def test_frames_do_not_share_memory() -> None:
    frames = iter(StreetScene(3, (64, 96)))
    image_HWC, labels_HW = next(frames)
    kept = image_HWC.copy(), labels_HW.copy()
    next(frames)
    assert np.array_equal(image_HWC, kept[0])
    assert np.array_equal(labels_HW, kept[1])


def test_other_seeds_give_other_scenes() -> None:
    frames = [StreetScene.sample(seed, (64, 96))[0] for seed in range(8)]
    differences = [
        np.abs(scene.astype(int) - other).mean()
        for scene, other in itertools.combinations(frames, 2)
    ]
    assert min(differences) > 5


@pytest.mark.parametrize("size_hw", [(16, 16), (17, 33), (101, 57), (96, 400), (720, 1280)])
def test_any_size_gives_matching_image_and_labels(size_hw: tuple[int, int]) -> None:
    image_HWC, labels_HW = StreetScene.sample(1, size_hw)
    assert image_HWC.shape == (*size_hw, 3)
    assert labels_HW.shape == size_hw
    assert image_HWC.dtype == labels_HW.dtype == np.uint8
    assert image_HWC.flags.c_contiguous
    assert labels_HW.flags.c_contiguous


def test_size_below_16_px_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"12x200.*at least 16 px"):
        StreetScene(0, (200, 12))


def test_large_picture_shows_the_same_scene_as_a_small_one() -> None:
    _, small_HW = StreetScene.sample(2, (240, 320))
    _, large_HW = StreetScene.sample(2, (480, 640))
    assert np.mean(large_HW[::2, ::2] == small_HW) > 0.9


def test_labels_are_ids_of_the_label_set(
    sample_frames: list[tuple[np.ndarray, np.ndarray]],
) -> None:
    label_set = load_label_set(StreetScene.label_set_name)
    assert [label_set.classes[i].name for i in (SKY, ROAD, BICYCLIST)] == [
        "sky",
        "road",
        "bicyclist",
    ]
    assert max(int(labels_HW.max()) for _, labels_HW in sample_frames) < len(label_set.classes)


def test_every_class_is_in_most_frames(
    sample_frames: list[tuple[np.ndarray, np.ndarray]],
) -> None:
    presence = (count_shares(sample_frames) > 0.001).mean(axis=0)
    assert presence.min() >= 0.75


def test_class_shares_are_those_of_a_street(
    sample_frames: list[tuple[np.ndarray, np.ndarray]],
) -> None:
    percent = 100 * count_shares(sample_frames).mean(axis=0)
    bounds = {
        SKY: (10, 30), BUILDING: (15, 40), POLE: (1, 4.5), ROAD: (20, 40), PAVEMENT: (4, 12),
        TREE: (4, 20), SIGN: (1, 4), FENCE: (1.5, 5), CAR: (1.5, 10), PEDESTRIAN: (0.8, 3),
        BICYCLIST: (0.8, 3),
    }  # fmt: skip
    outside = {k: percent[k] for k, (low, high) in bounds.items() if not low < percent[k] < high}
    assert not outside


def test_every_class_survives_a_quarter_of_the_resolution() -> None:
    overlap = np.zeros((2, 11))
    for seed in range(40, 56):
        _, labels_HW = StreetScene.sample(seed, (360, 480))
        is_class_HWC = (labels_HW[..., None] == np.arange(11)).astype(np.float32)
        quarter = cv2.resize(is_class_HWC, (96, 72), interpolation=cv2.INTER_AREA)
        again_HW = cv2.resize(quarter, (480, 360), interpolation=cv2.INTER_LINEAR).argmax(axis=2)
        for label in range(11):
            first_HW, second_HW = labels_HW == label, again_HW == label
            overlap[:, label] += (first_HW & second_HW).sum(), (first_HW | second_HW).sum()
    assert (overlap[0] / overlap[1]).min() > 0.85


def make_canvas(size_hw: tuple[int, int] = (360, 480)) -> Canvas:
    """Return a grey canvas without labels before a straight street."""
    bend = Bend((0.0, 0.0), (40.0, 20.0), (0.0, 0.0))
    height, width = size_hw
    camera = Camera(size_hw, 1.0 * width, width / 2, height / 2, 1.5, 0.0, 100.0, bend)
    return Canvas(camera, PLAIN, np.full((*size_hw, 3), 128, np.uint8), np.zeros(size_hw, np.uint8))


def paint(ahead_m: float) -> Canvas:
    """Return a canvas with a black post, 0.3 m thick, at a distance."""
    canvas = make_canvas()
    post: list[Thing] = [Pole(0.5, 100.0 + ahead_m, 3.0, 0.3, (0, 0, 0))]
    draw_things(canvas, draw_weather(np.random.default_rng(1)), post)
    return canvas


def list_kinds(along_m: float) -> dict[str, Thing]:
    """Return one thing of every kind, the widest there is, beside the middle of the road."""
    rng = np.random.default_rng(3)
    return {
        "tree": Plant("leafy", 4, -0.5, along_m, 12.0, 1.15),
        "bush": Plant("bush", 0, 0.5, along_m, 2.2, 1.2),
        "lamp": Pole(0.5, along_m, 5.6, 0.34, (40, 40, 40), 1.2),
        "lantern": Pole(0.5, along_m, 5.6, 0.34, (40, 40, 40)),
        "sign": Sign("board", 0, 0.5, along_m + 0.05, 2.0, (1.25, 1.1), 0.3),
        "light": Sign("light", 0, 0.5, along_m + 0.05, 2.0, (0.72, 1.7), 0.26),
        "pedestrian": Pedestrian(draw_looks(rng), 0.5, along_m, 1.0, 1.0),
        "bicyclist": Bicyclist(draw_looks(rng), 0.5, along_m, 1.0, 1),
        "vehicle": draw_vehicle(rng, 0.5, along_m, faces_back=False, shadow_side=1),
        "fence": Strip("board", 0, 4.0, along_m, 24.0, 1.4),
        "house": Building(0, 4.0, along_m, 10.0, 8.0, 8.0, 1.0, 2.0, 0.0),
    }


@pytest.mark.parametrize("size_hw", [(360, 480), (720, 960), (90, 120)])
def test_sight_ends_where_a_thing_gets_too_narrow(size_hw: tuple[int, int]) -> None:
    camera = make_canvas(size_hw).camera
    reach_m = measure_reach(camera, Pole(0.0, 0.0, 3.0, 0.3, (0, 0, 0)))
    assert reach_m == pytest.approx(480 * 0.3 / Pole.least_px)


@pytest.mark.parametrize("size_hw", [(360, 480), (1440, 1920)])
@pytest.mark.parametrize("kind", list_kinds(0.0))
def test_only_houses_are_seen_to_the_end_of_sight_however_small(
    kind: str, size_hw: tuple[int, int]
) -> None:
    thing: Any = list_kinds(0.0)[kind]
    for name in {"height_m", "width_m", "post_m"} & set(vars(thing)):
        thing = dataclasses.replace(thing, **{name: 0.1})
    reach_m = measure_reach(make_canvas(size_hw).camera, thing)
    assert (reach_m == VIEW_M) == (kind == "house")


def test_sign_is_seen_as_far_as_its_post() -> None:
    camera = make_canvas().camera
    post = Pole(0.0, 0.0, 3.0, 0.27, (0, 0, 0))
    sign = Sign("round", 0, 0.0, 0.0, 2.0, (1.1, 1.1), 0.27)
    assert measure_reach(camera, sign) == measure_reach(camera, post)


def test_thing_beyond_its_sight_is_in_neither_image_nor_labels() -> None:
    canvas = paint(measure_reach(make_canvas().camera, Pole(0, 0, 3, 0.3, (0, 0, 0))) + 0.1)
    assert (canvas.image_HWC == 128).all()
    assert not canvas.labels_HW.any()


def test_thing_fades_in_and_is_labelled_from_the_middle_on() -> None:
    reach_m = measure_reach(make_canvas().camera, Pole(0, 0, 3, 0.3, (0, 0, 0)))
    canvases = [paint(reach_m - share * FADE_M) for share in (0.2, 0.45, 0.55, 0.8, 1.1)]
    darkest = [int(canvas.image_HWC.min()) for canvas in canvases]
    assert darkest == sorted(darkest, reverse=True)
    assert 90 < darkest[0] < 128
    assert darkest[-1] < 10
    assert [bool(canvas.labels_HW.any()) for canvas in canvases] == [False, False, True, True, True]


@pytest.mark.parametrize("size_hw", [(360, 480), (1440, 1920)])
@pytest.mark.parametrize("kind", list_kinds(0.0))
def test_all_of_a_thing_fades_and_nothing_beside_it(
    kind: str, size_hw: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    weather = draw_weather(np.random.default_rng(1))
    reach_m = measure_reach(make_canvas(size_hw).camera, list_kinds(0.0)[kind])

    def paint_share(share: float) -> Canvas:
        canvas = make_canvas(size_hw)
        draw_things(canvas, weather, [list_kinds(100.0 + reach_m - share * FADE_M)[kind]])
        return canvas

    for share in (0.3, 0.7):
        faded = paint_share(share)
        with monkeypatch.context() as patch:
            patch.setattr("proxia_segmentation_ros.synthetic.stage.FADE_M", 1e-9)
            full = paint_share(share)
        grey_HWC = np.full_like(full.image_HWC, 128)
        expected_HWC = cv2.addWeighted(full.image_HWC, share, grey_HWC, 1 - share, 0)
        assert (full.image_HWC != 128).any()
        assert np.abs(faded.image_HWC.astype(int) - expected_HWC).max() <= 1
        assert np.array_equal(faded.labels_HW, full.labels_HW * (share > 0.5))


@pytest.mark.parametrize("kind", ["board", "hedge"])
@pytest.mark.parametrize(("ahead_m", "length_m"), [(2.0, 88.0), (55.0, 24.0), (58.0, 8.0)])
def test_long_fence_ends_in_image_and_labels_where_sight_ends(
    kind: str, ahead_m: float, length_m: float
) -> None:
    canvas = make_canvas()
    fence = Strip(kind, 0, 4.0, 100.0 + ahead_m, length_m, 1.4)
    reach_m = measure_reach(canvas.camera, fence)
    assert ahead_m < reach_m < ahead_m + length_m
    things: list[Thing] = [fence]
    draw_things(canvas, draw_weather(np.random.default_rng(1)), things)
    end = round(float(canvas.camera.project(np.array([[4.0, 0.0, 100.0 + reach_m]]))[0, 0]))
    is_painted = (canvas.image_HWC != 128).any(axis=(0, 2))
    assert np.array_equal(np.flatnonzero(is_painted)[0], np.flatnonzero(canvas.labels_HW.any(0))[0])
    assert np.flatnonzero(is_painted)[0] == pytest.approx(end, abs=1)
    assert is_painted[end + 1]


def test_sky_is_above_and_road_below(
    sample_frames: list[tuple[np.ndarray, np.ndarray]],
) -> None:
    rows = np.arange(SIZE_HW[0])[:, None]
    for _, labels_HW in sample_frames:
        sky, road = labels_HW == SKY, labels_HW == ROAD
        assert (rows * sky).sum() / sky.sum() < (rows * road).sum() / road.sum()


def test_sky_is_the_brightest_part(sample_frames: list[tuple[np.ndarray, np.ndarray]]) -> None:
    brighter = [
        image_HWC[labels_HW == SKY].mean() > image_HWC[labels_HW == ROAD].mean()
        for image_HWC, labels_HW in sample_frames
    ]
    assert np.mean(brighter) > 0.95


def test_image_edges_lie_on_label_edges(
    sample_frames: list[tuple[np.ndarray, np.ndarray]],
) -> None:
    ratios = []
    for image_HWC, labels_HW in sample_frames:
        grey = cv2.cvtColor(image_HWC, cv2.COLOR_RGB2GRAY).astype(np.float32)
        steps = np.abs(np.diff(grey, axis=1))
        is_edge = np.diff(labels_HW.astype(int), axis=1) != 0
        ratios.append(steps[is_edge].mean() / steps[~is_edge].mean())
    assert np.median(ratios) > 2


def test_surfaces_carry_texture(sample_frames: list[tuple[np.ndarray, np.ndarray]]) -> None:
    deviations = [
        image_HWC[labels_HW == ROAD].std(axis=0).mean() for image_HWC, labels_HW in sample_frames
    ]
    assert np.median(deviations) > 3


def test_light_varies_from_scene_to_scene(
    sample_frames: list[tuple[np.ndarray, np.ndarray]],
) -> None:
    means = [image_HWC[labels_HW == ROAD].mean() for image_HWC, labels_HW in sample_frames]
    assert min(means) < 40
    assert max(means) > 90


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_scene_moves_smoothly(seed: int) -> None:
    frames = list(itertools.islice(StreetScene(seed, SIZE_HW), 12))
    agreements = [np.mean(before[1] == after[1]) for before, after in itertools.pairwise(frames)]
    assert min(agreements) > 0.8
    assert np.mean(frames[0][1] == frames[-1][1]) < 0.99


def test_drive_goes_on_far_from_the_start() -> None:
    _, labels_HW = StreetScene(6, (96, 128)).render(1_000_000)
    assert {SKY, ROAD, BUILDING} <= set(np.unique(labels_HW).tolist())
