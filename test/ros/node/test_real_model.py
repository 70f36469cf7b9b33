"""The node with the real segmenter on small random weights."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from robot import make_image, read_pixels
from safetensors import safe_open
from safetensors.torch import save_file
from sensor_msgs.msg import Image

from proxia_segmentation_ros.inference.engine_build import EngineBuildRequest
from proxia_segmentation_ros.inference.segmenter import Segmenter
from proxia_segmentation_ros.inference.segmenter_factory import EngineBuildPlan, load_segmenter
from proxia_segmentation_ros.labels import load_label_set
from proxia_segmentation_ros.model.card import CardLabelSet, ModelCard
from proxia_segmentation_ros.model.checkpoint import save_weights
from proxia_segmentation_ros.model.network.hrnet_ocr import build_model

pytestmark = pytest.mark.slow

ARCHITECTURE = "hrnet_w18_small_v1_ocr"


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """Return a weight file of a small network that labels noise in many ways."""
    torch.manual_seed(3)
    network = build_model(ARCHITECTURE, 11, ocr_mid=32, ocr_key=16)
    with torch.no_grad():
        network.train()(torch.rand(2, 3, 64, 64))
    card = ModelCard(
        name="small",
        architecture=ARCHITECTURE,
        ocr_mid=32,
        ocr_key=16,
        size_hw=(64, 96),
        label_set=CardLabelSet.from_label_set(load_label_set("camvid")),
        training_data="noise",
        terms="terms of the small network",
        scores={},
        made_with="pytest",
    )
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_weights(path, network.eval(), card)
    return path


def test_node_changes_to_what_another_process_compiled(
    robot, start_node, weights, tmp_path, monkeypatch
):
    monkeypatch.setenv("PROXIA_CACHE_DIR", str(tmp_path))
    request = EngineBuildRequest(weights=str(weights), backend="openvino", precision="f32")
    module = "proxia_segmentation_ros.inference.engine_build"

    def find(settings):
        def change(backend):
            inference = settings.inference.model_copy(update={"backend": backend})
            return settings.model_copy(update={"inference": inference})

        command = (sys.executable, "-m", module, request.to_json())
        return EngineBuildPlan(change("torch"), command, change("openvino"))

    parameters = {"model.weights": str(weights), "inference.precision": "f32"}
    start_node(parameters, factory=load_segmenter, finder=find)
    robot.listen("/proxia/labels", Image)
    image_HWC = np.random.default_rng(5).integers(0, 256, (72, 120, 3), np.uint8)
    before = read_pixels(robot.show(make_image(image_HWC, sec=1)))

    def read_model():
        status = robot.find_diagnostic("model")
        return {pair.key: pair.value for pair in status.values} if status else {}

    robot.wait_for(lambda: read_model().get("engine_state") == "ready", "the other model")
    assert read_model()["backend"] == "openvino"
    assert list(tmp_path.glob("*.blob"))
    after = read_pixels(robot.show(make_image(image_HWC, sec=2)))
    assert (before != after).mean() < 0.01


def test_labels_over_dds_are_those_of_a_bare_segmenter(robot, start_node, weights, capfd):
    start_node(
        {"model.weights": str(weights), "inference.backend": "torch"}, factory=load_segmenter
    )
    robot.listen("/proxia/labels", Image)
    image_HWC = np.random.default_rng(5).integers(0, 256, (72, 120, 3), np.uint8)
    labels = robot.show(make_image(image_HWC))
    segmenter = Segmenter.from_weights(weights, backend="torch")
    expected = segmenter.segment(image_HWC).labels
    assert np.unique(expected).size > 1
    np.testing.assert_array_equal(read_pixels(labels), expected)
    log = capfd.readouterr().err
    assert log.count("terms of the small network") == 1
    assert f"backend torch, precision {segmenter.precision}" in log


def test_red_and_blue_are_not_swapped_on_the_way(robot, start_node, weights):
    start_node(
        {"model.weights": str(weights), "inference.backend": "torch"}, factory=load_segmenter
    )
    robot.listen("/proxia/labels", Image)
    image_HWC = np.random.default_rng(6).integers(0, 256, (72, 120, 3), np.uint8)
    plain = robot.show(make_image(image_HWC, sec=1, encoding="rgb8"))
    swapped = robot.show(make_image(image_HWC[..., ::-1].copy(), sec=2, encoding="bgr8"))
    np.testing.assert_array_equal(read_pixels(plain), read_pixels(swapped))


def write_truncated(folder: Path, weights: Path) -> str:
    path = folder / "truncated.safetensors"
    path.write_bytes(weights.read_bytes()[:-1000])
    return str(path)


def write_wrong_label_count(folder: Path, weights: Path) -> str:
    with safe_open(weights, "pt") as opened:
        card = opened.metadata()
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    for name in ("ocr.cls_head.weight", "ocr.cls_head.bias"):
        tensors[name] = tensors[name][:7].contiguous()
    path = folder / "seven.safetensors"
    save_file(tensors, path, card)
    return str(path)


def name_missing(folder: Path, weights: Path) -> str:
    return str(folder / "missing.safetensors")


@pytest.mark.parametrize("spoil", [name_missing, write_truncated, write_wrong_label_count])
def test_bad_weights_fail_configure_and_good_ones_may_follow(
    robot, start_node, weights, tmp_path, spoil
):
    bad = spoil(tmp_path, weights)
    start_node(
        {"model.weights": bad, "inference.backend": "torch", "autostart": False},
        factory=load_segmenter,
    )
    assert not robot.configure()
    status = robot.wait_for_diagnostic("model", "can't configure: ")
    assert "expected" in status.message
    assert Path(bad).name in status.message
    assert robot.set_named({"model.weights": str(weights)}).successful
    assert robot.configure()
    assert robot.activate()
