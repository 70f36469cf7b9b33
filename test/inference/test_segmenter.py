"""The segmenter as its callers see it, with both backends."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_network import ColourNetwork, draw_image, make_card, make_network

from proxia_segmentation_ros.backends.graph.torch_graph import NetworkGraph
from proxia_segmentation_ros.errors import BackendError, ConfigError, InputError, WeightsError
from proxia_segmentation_ros.inference import Segmenter
from proxia_segmentation_ros.inference.segmenter import KEPT_RUNNERS
from proxia_segmentation_ros.model import lookup

SIZES = [(96, 128), (97, 131), (64, 200), (240, 320)]


@pytest.fixture(scope="module")
def pair(tiny_weights: Path, shared_cache: Path) -> tuple[Segmenter, Segmenter]:
    return (
        Segmenter.from_weights(
            tiny_weights, backend="openvino", precision="f32", cache_dir=shared_cache
        ),
        Segmenter.from_weights(tiny_weights, backend="torch", precision="f32"),
    )


@pytest.fixture(params=[0, 1], ids=["openvino", "torch"])
def segmenter(request: pytest.FixtureRequest, pair: tuple[Segmenter, Segmenter]) -> Segmenter:
    return pair[request.param]


@pytest.mark.parametrize("output_size", ["input", "network", "50x70", "333x301"])
@pytest.mark.parametrize("size_hw", SIZES)
def test_backends_agree_in_f32(
    pair: tuple[Segmenter, Segmenter], size_hw: tuple[int, int], output_size: str
) -> None:
    image_HWC = draw_image(*size_hw)
    first, second = (
        segmenter.segment(image_HWC, output_size=output_size).labels for segmenter in pair
    )
    assert first.shape == second.shape
    assert np.mean(first == second) >= 0.999
    assert len(np.unique(first)) >= 5


def test_backends_agree_on_confidence(pair: tuple[Segmenter, Segmenter]) -> None:
    image_HWC = draw_image(120, 160)
    first, second = (segmenter.segment(image_HWC, True).confidence for segmenter in pair)
    assert first is not None
    assert second is not None
    assert np.abs(first.astype(int) - second).max() <= 1
    assert first.std() > 5


def test_multi_scale_backends_agree(shared_cache: Path) -> None:
    card = make_card(architecture="hrnet_w18_small_v1_ocr_mscale", scales=(0.5, 1.0))
    model = make_network(card)
    image_HWC = draw_image(100, 140)
    for scales in ((), (0.5, 1.0, 2.0)):
        first, second = (
            Segmenter(
                model, card, backend=name, precision="f32", scales=scales, cache_dir=shared_cache
            ).segment(image_HWC)
            for name in ("openvino", "torch")
        )
        assert np.mean(first.labels == second.labels) >= 0.999
        assert len(np.unique(first.labels)) >= 3


def test_bf16_agrees_with_f32(tiny_weights: Path, pair: tuple[Segmenter, Segmenter]) -> None:
    coarse = Segmenter.from_weights(tiny_weights, backend="torch", precision="bf16")
    assert coarse.precision == "bf16"
    image_HWC = draw_image(96, 128)
    agreement = np.mean(coarse.segment(image_HWC).labels == pair[1].segment(image_HWC).labels)
    assert 0.95 <= agreement < 1.0


def test_labels_are_the_argmax_of_logits_resized_straight_to_the_output(
    segmenter: Segmenter,
) -> None:
    card = make_card()
    graph = NetworkGraph(make_network(card), card, (1.0,)).eval().double()
    image_HWC = draw_image(96, 128)
    with torch.no_grad():
        model = graph.network
        image_NCHW = torch.from_numpy(image_HWC).permute(2, 0, 1)[None].double() / 255
        mean, std = (
            torch.tensor(values).view(1, 3, 1, 1).double() for values in (card.mean, card.std)
        )
        logits_KHW = model.forward_quarter((image_NCHW - mean) / std).logits_NKHW[0].numpy()  # type: ignore[operator]
    wanted_HW = _resize_by_the_book(logits_KHW, 70, 50).argmax(0)
    labels_HW = segmenter.segment(image_HWC, output_size="50x70").labels
    assert np.mean(labels_HW == wanted_HW) >= 0.999


def _resize_by_the_book(maps_KHW: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear, align_corners False, no antialiasing."""

    def blend(length: int, size: int) -> np.ndarray:
        weights = np.zeros((size, length))
        for index in range(size):
            place = max((index + 0.5) * length / size - 0.5, 0)
            low = min(int(place), length - 1)
            weights[index, low] += 1 - (place - low)
            weights[index, min(low + 1, length - 1)] += place - low
        return weights

    _, rows, columns = maps_KHW.shape
    return np.einsum("yr,krc,xc->kyx", blend(rows, height), maps_KHW, blend(columns, width))


@pytest.mark.parametrize("backend", ["openvino", "torch"])
@pytest.mark.parametrize(("order", "wanted"), [("rgb", [0, 1, 2]), ("bgr", [2, 1, 0])])
def test_saturated_patches_reach_the_network_in_the_cards_channel_order(
    backend: str, order: str, wanted: list[int], tmp_path: Path
) -> None:
    card = make_card(3, channel_order=order, size_hw=(32, 96))
    image_HWC = np.zeros((32, 96, 3), np.uint8)
    for patch in range(3):
        image_HWC[:, 32 * patch : 32 * (patch + 1), patch] = 255
    segmenter = Segmenter(ColourNetwork(), card, backend=backend, cache_dir=tmp_path)
    labels_HW = segmenter.segment(image_HWC).labels
    assert [int(labels_HW[16, 16 + 32 * patch]) for patch in range(3)] == wanted


def test_pixels_are_normalised_by_the_cards_mean_and_deviation() -> None:
    card = make_card(3, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    image_HWC = draw_image(20, 24)
    logits = NetworkGraph(ColourNetwork(), card, (1.0,))(torch.from_numpy(image_HWC)[None])
    wanted_HWC = (image_HWC / 255 - np.array(card.mean)) / np.array(card.std)
    np.testing.assert_allclose(logits[0].permute(1, 2, 0).numpy(), wanted_HWC, atol=1e-5)


@pytest.mark.parametrize("backend", ["openvino", "torch"])
def test_more_than_255_classes_give_uint16(backend: str, shared_cache: Path) -> None:
    card = make_card(300, size_hw=(64, 64))
    segmenter = Segmenter(make_network(card), card, backend=backend, cache_dir=shared_cache)
    image_HWC = draw_image(64, 64)
    labels_HW = segmenter.segment(image_HWC).labels
    assert labels_HW.dtype == np.uint16
    assert labels_HW.max() > 255
    assert (segmenter.segment(image_HWC, min_confidence=1.0).labels == 65535).all()


def test_camera_size_may_change_in_mid_stream(segmenter: Segmenter) -> None:
    for size_hw in [*SIZES, (16, 16), (300, 17), *SIZES]:
        segmentation = segmenter.segment(draw_image(*size_hw))
        assert segmentation.labels.shape == size_hw
        assert segmentation.network_size_hw == (96, 128)
    assert len(segmenter._runners) <= KEPT_RUNNERS


def test_size_input_runs_the_network_at_each_images_size(
    tiny_weights: Path, shared_cache: Path
) -> None:
    segmenter = Segmenter.from_weights(
        tiny_weights, backend="openvino", size="input", cache_dir=shared_cache
    )
    for size_hw in [(64, 96), (48, 64), (16, 16)]:
        segmentation = segmenter.segment(draw_image(*size_hw))
        assert segmentation.network_size_hw == size_hw
        assert segmentation.labels.shape == size_hw


def test_labels_keep_their_values_when_the_next_image_comes(segmenter: Segmenter) -> None:
    first = segmenter.segment(draw_image(96, 128, seed=1), True)
    assert first.confidence is not None
    labels_HW, confidence_HW = first.labels.copy(), first.confidence.copy()
    second = segmenter.segment(draw_image(96, 128, seed=2), True)
    assert (second.labels != labels_HW).any()
    np.testing.assert_array_equal(first.labels, labels_HW)
    np.testing.assert_array_equal(first.confidence, confidence_HW)


def test_image_is_left_as_it_was_and_may_be_read_only(segmenter: Segmenter) -> None:
    image_HWC = draw_image(96, 128)
    before_HWC = image_HWC.copy()
    image_HWC.flags.writeable = False
    segmenter.segment(image_HWC)
    np.testing.assert_array_equal(image_HWC, before_HWC)


def test_rows_with_padding_are_read_right(segmenter: Segmenter) -> None:
    wide_HWC = draw_image(96, 160)
    window_HWC = wide_HWC[:, :128]
    np.testing.assert_array_equal(
        segmenter.segment(window_HWC).labels, segmenter.segment(window_HWC.copy()).labels
    )


def test_confidence_comes_only_when_asked_for(segmenter: Segmenter) -> None:
    image_HWC = draw_image(96, 128)
    assert segmenter.segment(image_HWC).confidence is None
    assert segmenter.segment(image_HWC, min_confidence=0.3).confidence is None
    asked = segmenter.segment(image_HWC, True)
    assert asked.confidence is not None
    assert asked.confidence.dtype == np.uint8
    assert asked.confidence.shape == asked.labels.shape


def test_unsure_pixels_become_unlabeled(segmenter: Segmenter) -> None:
    image_HWC = draw_image(96, 128)
    plain = segmenter.segment(image_HWC, True)
    assert plain.confidence is not None
    threshold = float(np.median(plain.confidence)) / 255
    strict = segmenter.segment(image_HWC, True, min_confidence=threshold)
    is_kept = strict.labels != 255
    assert 0.3 < is_kept.mean() < 0.8
    np.testing.assert_array_equal(strict.labels[is_kept], plain.labels[is_kept])
    assert plain.confidence[is_kept].min() >= plain.confidence[~is_kept].max() - 1


def test_new_min_confidence_prepares_nothing_anew(segmenter: Segmenter) -> None:
    image_HWC = draw_image(96, 128)
    segmenter.segment(image_HWC, min_confidence=0.2)
    runners = dict(segmenter._runners)
    segmenter.segment(image_HWC, min_confidence=0.7)
    assert dict(segmenter._runners) == runners


def test_temperature_softens_confidence(tiny_weights: Path) -> None:
    card = make_card()
    model = make_network(card)
    image_HWC = draw_image(96, 128)
    means = []
    for temperature in (0.5, 1.0, 4.0):
        warm = card.model_copy(update={"temperature": temperature})
        confidence = Segmenter(model, warm, backend="torch").segment(image_HWC, True).confidence
        assert confidence is not None
        means.append(confidence.mean())
    assert means[0] > means[1] > means[2]


@pytest.mark.parametrize(
    ("image", "named"),
    [
        (np.zeros((20, 30), np.uint8), "(20, 30)"),
        (np.zeros((20, 30, 4), np.uint8), "(20, 30, 4)"),
        (np.zeros((20, 30, 3), np.float32), "float32"),
        (np.zeros((15, 30, 3), np.uint8), "30x15"),
        (np.zeros((0, 0, 3), np.uint8), "0x0"),
        ([[0, 0, 0]], "list"),
    ],
)
def test_wrong_image_is_refused_by_its_own_value(
    segmenter: Segmenter, image: np.ndarray, named: str
) -> None:
    with pytest.raises(InputError) as caught:
        segmenter.segment(image)
    assert named in str(caught.value)
    assert "; expected " in str(caught.value)
    segmenter.segment(draw_image(20, 30))


@pytest.mark.parametrize(
    "options",
    [
        {"output_size": "15x20"},
        {"output_size": "huge"},
        {"min_confidence": 1.5},
        {"min_confidence": float("nan")},
    ],
)
def test_wrong_option_of_a_call_is_refused(segmenter: Segmenter, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="; expected "):
        segmenter.segment(draw_image(20, 30), **options)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"size": "8x8"}, "'8x8'"),
        ({"size": "network"}, "'network'"),
        ({"scales": (0.5, 1.0)}, "[0.5, 1.0]"),
        ({"scales": (2.0,)}, "[2.0]"),
        ({"threads": -1}, "-1"),
    ],
)
def test_wrong_setting_is_refused_by_its_own_value(
    tiny_weights: Path, options: dict[str, Any], named: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Segmenter.from_weights(tiny_weights, backend="torch", **options)
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"backend": "tensorrt"}, "'tensorrt'"),
        ({"backend": "abacus"}, "'abacus'"),
        ({"backend": "openvino", "precision": "int8"}, "'int8'"),
        ({"backend": "torch", "precision": "f16"}, "'f16'"),
    ],
)
def test_missing_backend_or_precision_says_what_to_do(
    tiny_weights: Path, options: dict[str, Any], named: str
) -> None:
    with pytest.raises(BackendError) as caught:
        Segmenter.from_weights(tiny_weights, **options)
    assert named in str(caught.value)
    assert "to auto" in str(caught.value)


def test_auto_takes_openvino_and_falls_back_to_torch(
    tiny_weights: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Segmenter.from_weights(tiny_weights, cache_dir=shared_cache).backend == "openvino"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert Segmenter.from_weights(tiny_weights, cache_dir=shared_cache).backend == "torch"
    with pytest.raises(BackendError, match="pip install openvino"):
        Segmenter.from_weights(tiny_weights, backend="openvino")


def test_missing_and_corrupt_weights_fail_when_loaded(tmp_path: Path, tiny_weights: Path) -> None:
    with pytest.raises(WeightsError, match="does not exist"):
        Segmenter.from_weights(tmp_path / "none.safetensors", cache_dir=tmp_path)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(tiny_weights.read_bytes()[:-1000])
    with pytest.raises(WeightsError, match=r"cut\.safetensors"):
        Segmenter.from_weights(cut, backend="openvino", cache_dir=tmp_path)


def test_closed_segmenter_says_so(tiny_weights: Path) -> None:
    segmenter = Segmenter.from_weights(tiny_weights, backend="torch")
    segmenter.close()
    segmenter.close()
    with pytest.raises(BackendError, match="closed"):
        segmenter.segment(draw_image(20, 30))


@pytest.mark.parametrize("backend", ["openvino", "torch"])
def test_threads_are_what_was_asked_for(tiny_weights: Path, tmp_path: Path, backend: str) -> None:
    before = torch.get_num_threads()
    try:
        segmenter = Segmenter.from_weights(
            tiny_weights, backend=backend, threads=1, cache_dir=tmp_path
        )
        assert segmenter.threads == 1
    finally:
        torch.set_num_threads(before)


def test_cached_network_starts_without_torch(
    pair: tuple[Segmenter, Segmenter], tiny_weights: Path, shared_cache: Path
) -> None:
    code = (
        "import sys, numpy\n"
        "from proxia_segmentation_ros.inference import Segmenter, summarize\n"
        "segmenter = Segmenter.from_weights(sys.argv[1], backend='openvino', precision='f32',"
        " cache_dir=sys.argv[2])\n"
        "segmenter.segment(numpy.zeros((48, 64, 3), 'uint8'), True)\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tiny_weights), str(shared_cache)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr


def test_name_of_weights_is_looked_up_once(
    monkeypatch: pytest.MonkeyPatch, shared_cache: Path
) -> None:
    looked_up = []
    list_names = lookup.list_shipped_weights

    def count() -> list[str]:
        looked_up.append(1)
        return list_names()

    monkeypatch.setattr(lookup, "list_shipped_weights", count)
    segmenter = Segmenter.from_weights("default", backend="torch", cache_dir=shared_cache)
    segmenter.close()
    assert len(looked_up) == 1
