"""Training in two real processes against one with the doubled batch."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.slow

PROGRAM = """
import json, sys
from pathlib import Path
import numpy as np, torch
from torch import nn
from proxia_segmentation_ros.data.augmentation.augment import AugmentationSettings
from proxia_segmentation_ros.data.sampling.mixture import PairMixture, Source
from proxia_segmentation_ros.labels import LabelClass, LabelSet
from proxia_segmentation_ros.model.network.hrnet_ocr import build_model
from proxia_segmentation_ros.training.distributed.process_group import get_rank, open_process_group
from proxia_segmentation_ros.training import session, trainer as training
from proxia_segmentation_ros.training.session import measure_miou_distributed
from proxia_segmentation_ros.training.settings import OptimiserSettings, Recipe
from proxia_segmentation_ros.training.trainer import Trainer

folder, batch_size, optimiser = Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
torch.set_num_threads(1)

def draw(rng):
    labels = rng.integers(0, 3, (6, 6)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
    image = (70 * labels[..., None] + rng.integers(0, 60, (48, 48, 3))).astype(np.uint8)
    # Images differ in how much of them is labelled: shares of a mean are not equal.
    labels[: int(rng.integers(0, 44))] = 255
    return image, labels

classes = [LabelClass(id=i, name=f"c{i}", rgb=(i, i, i)) for i in range(3)]
label_set = LabelSet(name="three", classes=tuple(classes))
crop = AugmentationSettings(crop_hw=(48, 48), scale_min=1, scale_max=1)
suffix = "_mscale" if optimiser.get("scale_weight") else ""
architecture = "hrnet_w18_small_v1_ocr" + suffix
recipe = Recipe(
    model={"architecture": architecture}, augmentation=crop,
    optimiser=OptimiserSettings(name="sgd", learning_rate=0.05, warmup_steps=0, **optimiser),
    steps=3, batch_size=batch_size, validate_every=3, precision="f32", device="cpu",
    class_share_pairs=8,
)
pairs = PairMixture([Source(name="s", weight=1, draw=draw)], crop, seed=1, unlabeled_id=255)
with open_process_group("cpu"):
    torch.manual_seed(0 if get_rank() == 0 else 9)  # the first one's weights are sent around
    model = build_model(architecture, 3, ocr_mid=8, ocr_key=4, attention_mid=4)
    model.double()
    for module in model.modules():
        if isinstance(module, nn.Dropout2d):
            module.p = 0.0

    def validate(network):
        matrix = measure_miou_distributed(network.eval(), [pairs[i] for i in range(5)], (48, 48), 3)
        return {"val_miou": 0.5, "cells": matrix.cells.tolist()}

    class Double:
        def apply(self, images):
            return images.permute(0, 3, 1, 2).double() / 255 - 0.5

    session.Normalisation = training.Normalisation = Double
    trainer = Trainer(
        model, pairs, recipe, folder, validate=validate, label_set=label_set,
        report=lambda row: None,
    )
    cells = validate(trainer.average)["cells"]
    before = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
    trainer.run()
    if get_rank() == 0:
        after = trainer.model.state_dict()
        torch.save({"before": before, "after": after, "cells": cells}, folder / "end.pt")
"""


def run_processes(folder: Path, count: int, batch_size: int, optimiser: dict[str, object]) -> None:
    folder.mkdir()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    arguments = [str(folder), str(batch_size), json.dumps(optimiser)]
    running = []
    for rank in range(count):
        place = {"RANK": rank, "WORLD_SIZE": count, "LOCAL_RANK": rank, "MASTER_PORT": port}
        env = {**os.environ, "MASTER_ADDR": "127.0.0.1", **{k: str(v) for k, v in place.items()}}
        running.append(subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments], env=env))
    assert [process.wait(240) for process in running] == [0] * count


@pytest.mark.parametrize(
    "optimiser",
    [
        {"jaccard_weight": 1.0, "class_balance": 0.5},
        {"loss": "rmi", "scale_weight": 0.05},
        {"loss": "relaxed"},
        {"loss": "image_weighted"},
    ],
    ids=["cross_entropy", "rmi", "relaxed", "image_weighted"],
)
def test_two_processes_equal_one_with_the_doubled_batch(
    tmp_path: Path, optimiser: dict[str, object]
) -> None:
    run_processes(tmp_path / "one", 1, 4, optimiser)
    run_processes(tmp_path / "two", 2, 2, optimiser)
    single, double = (
        torch.load(tmp_path / n / "end.pt", weights_only=True) for n in ("one", "two")
    )
    assert single["cells"] == double["cells"]
    for name, tensor in single["after"].items():
        assert torch.equal(single["before"][name], double["before"][name]), name
        torch.testing.assert_close(double["after"][name], tensor, rtol=1e-3, atol=1e-5)
    assert len((tmp_path / "two" / "log.jsonl").read_text().splitlines()) == 1
