"""Networks small enough for tests, with weights that give every class some pixels."""

from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from proxia_segmentation_ros.model.card import ModelCard
from proxia_segmentation_ros.model.network.hrnet_ocr import HRNetOcr, build_model
from proxia_segmentation_ros.model.network.ocr import OcrOutput

ARCHITECTURE = "hrnet_w18_small_v1_ocr"


def make_card(classes: int = 11, **changes: Any) -> ModelCard:
    colours = np.random.default_rng(0).integers(0, 256, (classes, 3)).tolist()
    label_set = {
        "name": f"test{classes}",
        "classes": [
            {"id": index, "name": f"class{index}", "rgb": rgb} for index, rgb in enumerate(colours)
        ],
    }
    values: dict[str, object] = {
        "name": "tiny",
        "architecture": ARCHITECTURE,
        "ocr_mid": 16,
        "ocr_key": 8,
        "attention_mid": 8,
        "size_hw": (96, 128),
        "label_set": label_set,
    }
    return ModelCard.model_validate(values | changes)


def make_network(card: ModelCard) -> nn.Module:
    """Draw weights, then shift each class's logit so that none wins everywhere."""
    torch.manual_seed(7)
    model = build_model(
        card.architecture,
        len(card.label_set.classes),
        ocr_mid=card.ocr_mid,
        ocr_key=card.ocr_key,
        attention_mid=card.attention_mid,
    ).eval()
    with torch.no_grad():
        features = model.backbone(torch.randn(1, 3, 96, 128))
        logits_KP = model.ocr(features).logits_NKHW[0].flatten(1)
        head = model.ocr.cls_head
        head.bias -= logits_KP.mean(1)
        gain = 1 / logits_KP.std(1)
        head.weight *= gain.view(-1, 1, 1, 1)
        head.bias *= gain
    return model


def draw_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Draw soft blobs of colour, which give a network more to see than noise does."""
    coarse = np.random.default_rng(seed).uniform(0, 255, (6, 8, 3)).astype(np.float32)
    blobs_HWC = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(blobs_HWC, 0, 255).astype(np.uint8)


class ColourNetwork(HRNetOcr):
    """Its three classes are the three channels as they reach the network."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.num_classes = 3

    def forward_quarter(self, image_NCHW: Tensor) -> OcrOutput:
        return OcrOutput(image_NCHW * 1.0, image_NCHW, image_NCHW)
