"""Writes weight files with a self-test, by which damage is noticed when they are used."""

import logging
from pathlib import Path

import torch
from torch import nn

from proxia_segmentation_ros.inference.self_test import make_self_test
from proxia_segmentation_ros.model.card import ModelCard
from proxia_segmentation_ros.model.checkpoint import load_weights, save_weights
from proxia_segmentation_ros.model.self_test import IMAGE_NAME, LABELS_NAME
from proxia_segmentation_ros.synthetic.street import StreetScene

logger = logging.getLogger(__name__)

# A drawn street: no one has rights in it. Of 24, this one shows a wrong colour order or
# normalisation best (docs/decisions/014-self-test.md).
PICTURE_SEED = 20
PICTURE_HW = (144, 192)


def save_tested_weights(
    path: str | Path, model: nn.Module, card: ModelCard, *, dtype: torch.dtype = torch.float16
) -> None:
    """Write a weight file with a self-test; runs the network once, in the size of its card.

    The labels are those of the network that is read back, with weights rounded to `dtype`. Where
    it can't run, for lack of memory, the file has no self-test and a warning says so.

    Raises:
        WeightsError: as in `save_weights`.
    """
    save_weights(path, model, card, dtype=dtype)
    stored, _ = load_weights(path)
    image_HWC, _ = StreetScene.sample(PICTURE_SEED, PICTURE_HW)
    try:
        made = make_self_test(stored, card, image_HWC)
    except (RuntimeError, MemoryError) as error:
        logger.warning("%s has no self-test: the network can't run here (%s)", path, error)
        return
    tensors = {
        IMAGE_NAME: torch.from_numpy(made.image_HWC),
        LABELS_NAME: torch.from_numpy(made.labels_HW),
    }
    save_weights(path, model, card, dtype=dtype, selftest=tensors)
