"""Checkpoints of NVIDIA/semantic-segmentation load strictly, and nothing in them runs."""

import collections
import os
import pickle
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from proxia_segmentation_ros.errors import WeightsError
from proxia_segmentation_ros.model.checkpoint import load_weights
from proxia_segmentation_ros.model.network.hrnet_ocr import HRNetOcr, build_model

MEAN_IU = 0.8692


class NumpyScalar:
    """Pickles as numpy of the given age pickles a float64."""

    def __init__(self, value: float, core: str) -> None:
        self.value = value
        self.core = core


PythonPickler: Any = pickle._Pickler


class CheckpointPickler(PythonPickler):  # type: ignore[misc]
    """The pickler in Python, so that a global can be written under any name."""

    dispatch: ClassVar = dict(PythonPickler.dispatch)

    def save_numpy_scalar(self, scalar: NumpyScalar) -> None:
        self.write(f"c{scalar.core}.multiarray\nscalar\n".encode())
        self.write(b"cnumpy\ndtype\n")
        self.save(("f8", False, True))
        self.write(pickle.REDUCE)
        self.save((3, "<", None, None, None, -1, -1, 0))
        self.write(pickle.BUILD)
        self.save(np.float64(scalar.value).tobytes())
        self.write(pickle.TUPLE2 + pickle.REDUCE)

    dispatch[NumpyScalar] = save_numpy_scalar


class numpy_age:
    """Poses as the pickle module that torch.save asks for."""

    __name__ = "pickle"
    Pickler = CheckpointPickler
    dump = staticmethod(lambda obj, file, protocol: CheckpointPickler(file, protocol).dump(obj))


def make_checkpoint(network: torch.nn.Module, score: Any = MEAN_IU) -> dict[str, Any]:
    state = network.state_dict()
    return {
        "epoch": 174,
        "arch": "ocrnet.HRNet",
        "num_classes": 11,
        "state_dict": collections.OrderedDict((f"module.{key}", state[key]) for key in state),
        "optimizer": {"state": {}, "param_groups": [{"lr": 0.005, "params": [0, 1]}]},
        "mean_iu": score,
        "command": "train.py --arch ocrnet.HRNet",
        "__metric": score,
    }


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("core", ["numpy.core", "numpy._core", "ours"])
def test_checkpoint_with_numpy_scalars_loads(
    tmp_path: Path, small_network: HRNetOcr, core: str, is_zip: bool
) -> None:
    path = tmp_path / "best_checkpoint_ep174.pth"
    score = np.float64(MEAN_IU) if core == "ours" else NumpyScalar(MEAN_IU, core)
    torch.save(
        make_checkpoint(small_network, score),
        path,
        pickle_module=pickle if core == "ours" else numpy_age,
        _use_new_zipfile_serialization=is_zip,
    )
    if core != "ours":
        assert f"{core}.multiarray".encode() in path.read_bytes()
    network, card = load_weights(path)
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(network(image), small_network(image))
    assert (card.name, card.architecture) == ("best_checkpoint_ep174", "hrnet_w18_small_v1_ocr")
    assert (card.ocr_mid, card.ocr_key, card.scales) == (32, 16, (1.0,))
    assert card.scores == {"mean_iu": MEAN_IU}
    assert len(card.to_label_set()) == 11


def test_bare_state_dict_loads(tmp_path: Path, small_network: HRNetOcr) -> None:
    path = tmp_path / "bare.pth"
    torch.save(small_network.state_dict(), path)
    network, card = load_weights(path)
    assert card.scores == {}
    assert torch.equal(network.ocr.cls_head.weight, small_network.ocr.cls_head.weight)


@pytest.mark.parametrize(
    ("architecture", "num_classes", "label_set"),
    [
        ("hrnet_w18_small_v1_ocr_mscale", 19, "cityscapes"),
        ("hrnet_w18_small_v2_ocr", 65, "mapillary"),
        ("hrnet_w18_ocr", 4, "classes_4"),
    ],
)
@pytest.mark.slow
def test_card_is_derived_from_the_tensors(
    tmp_path: Path, architecture: str, num_classes: int, label_set: str
) -> None:
    network = build_model(architecture, num_classes, ocr_mid=16, ocr_key=8, attention_mid=12)
    path = tmp_path / "some.pth"
    torch.save(make_checkpoint(network), path)
    loaded, card = load_weights(path)
    assert type(loaded) is type(network)
    assert (card.architecture, card.label_set.name) == (architecture, label_set)
    assert len(card.label_set.classes) == num_classes
    assert (card.ocr_mid, card.ocr_key) == (16, 8)
    if architecture.endswith("_mscale"):
        assert (card.attention_mid, card.scales) == (12, (0.5, 1.0))


class Attack:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
def test_code_in_a_checkpoint_does_not_run(
    tmp_path: Path, small_network: HRNetOcr, is_zip: bool
) -> None:
    path, trace = tmp_path / "evil.pth", tmp_path / "it_ran"
    content = make_checkpoint(small_network) | {"epoch": Attack(trace)}
    torch.save(content, path, _use_new_zipfile_serialization=is_zip)
    with pytest.raises(WeightsError, match=r"read safely \(it holds \w+\.mkdir\); expected"):
        load_weights(path)
    assert not trace.exists()
    torch.load(path, weights_only=False)
    assert trace.is_dir(), "the attack would not have worked anyway"


def test_plain_pickle_does_not_run(tmp_path: Path) -> None:
    path, trace = tmp_path / "plain.pth", tmp_path / "it_ran"
    path.write_bytes(pickle.dumps(Attack(trace), protocol=2))
    with pytest.raises(WeightsError, match=r"plain\.pth' can't be read safely"):
        load_weights(path)
    assert not trace.exists()


@pytest.mark.parametrize("kept_share", [0.0, 0.3, 0.99])
def test_truncated_checkpoint_is_refused(
    tmp_path: Path, small_network: HRNetOcr, kept_share: float
) -> None:
    path = tmp_path / "cut.pth"
    torch.save(make_checkpoint(small_network), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept_share)])
    with pytest.raises(WeightsError, match=r"cut\.pth' can't be read safely .*; get the file"):
        load_weights(path)


@pytest.mark.parametrize("content", [{"state_dict": [1, 2]}, [1, 2], {"epoch": 3}])
def test_checkpoint_without_state_dict_is_refused(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "none.pth"
    torch.save(content, path)
    with pytest.raises(WeightsError, match="holds no state_dict of tensors"):
        load_weights(path)


def test_trunk_without_head_is_refused(tmp_path: Path, small_network: HRNetOcr) -> None:
    path = tmp_path / "imagenet.pth"
    torch.save(small_network.backbone.state_dict(), path)
    with pytest.raises(WeightsError, match=r"lacks ocr\.cls_head\.weight; expected an HRNet"):
        load_weights(path)


def test_checkpoint_that_lacks_a_tensor_is_refused(tmp_path: Path, small_network: HRNetOcr) -> None:
    path = tmp_path / "partial.pth"
    content = make_checkpoint(small_network)
    del content["state_dict"]["module.backbone.layer1.0.bn1.weight"]
    torch.save(content, path)
    with pytest.raises(WeightsError, match=r"lacks backbone\.layer1\.0\.bn1\.weight; expected"):
        load_weights(path)


def test_unknown_trunk_is_refused(tmp_path: Path, small_network: HRNetOcr) -> None:
    path = tmp_path / "odd.pth"
    content = make_checkpoint(small_network)
    content["state_dict"]["module.backbone.transition1.0.0.weight"] = torch.zeros(32, 128, 3, 3)
    torch.save(content, path)
    with pytest.raises(WeightsError, match=r"a trunk of width 32 with \(1, 1, 1\) modules"):
        load_weights(path)
