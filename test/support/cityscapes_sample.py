"""A few small images laid out as Cityscapes, and weights of a network that knows its classes."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from proxia_segmentation_ros.labels import load_label_set
from proxia_segmentation_ros.model.card import CardLabelSet, ModelCard
from proxia_segmentation_ros.model.checkpoint import save_weights
from proxia_segmentation_ros.model.network.hrnet_ocr import build_model

ARCHITECTURE = "hrnet_w18_small_v1_ocr_mscale"
FRAMES = ("frankfurt_000000_000294", "frankfurt_000001_000019", "lindau_000000_000019")
SIZE_HW = (48, 96)
# Label ids that no true pixel gets: a class of the benchmark and all above it.
NEVER_TRUE = 26


def write_tree(root: Path) -> list[tuple[Path, Path]]:
    """Write images and label ids; return those of val."""
    rng = np.random.default_rng(3)
    pairs = []
    for split, names in (("val", FRAMES), ("train", ("aachen_000000_000019",))):
        for name in names:
            city = Path(split, name.split("_")[0])
            image = root / "leftImg8bit" / city / f"{name}_leftImg8bit.png"
            mask = root / "gtFine" / city / f"{name}_gtFine_labelIds.png"
            blocks_HW = rng.integers(0, NEVER_TRUE, (6, 12), dtype=np.uint8)
            truth_HW = blocks_HW.repeat(8, 0).repeat(8, 1)
            noise_HWC = rng.integers(0, 60, (*SIZE_HW, 3))
            image_HWC = (truth_HW[..., None] * (3, 5, 7) + noise_HWC).astype(np.uint8)
            for path, pixels in ((image, image_HWC), (mask, truth_HW)):
                path.parent.mkdir(parents=True, exist_ok=True)
                assert cv2.imwrite(str(path), pixels)
            if split == "val":
                pairs.append((image, mask))
    return pairs


def write_weights(path: Path, unknown: tuple[int, ...] = ()) -> Path:
    """Write weights that find various classes, but never those `unknown`."""
    torch.manual_seed(4)
    sizes: dict[str, Any] = {"ocr_mid": 16, "ocr_key": 8, "attention_mid": 8}
    label_set = load_label_set("cityscapes")
    network = build_model(ARCHITECTURE, len(label_set), **sizes)
    with torch.no_grad():
        network.train().outputs(torch.randn(2, 3, 64, 96), (0.5, 1.0))
        last = network.ocr.cls_head
        last.weight.mul_(20)
        assert last.bias is not None
        last.bias[list(unknown)] = -1e4
    card = ModelCard(
        name="sample",
        architecture=ARCHITECTURE,
        scales=(0.5, 1.0),
        size_hw=(48, 96),
        label_set=CardLabelSet.from_label_set(label_set),
        **sizes,
    )
    save_weights(path, network.eval(), card, dtype=torch.float32)
    return path
