"""A picture in a weight file with the labels that its network gave it. Does not import torch.

Tensors `selftest.image_HWC` (uint8, RGB) and `selftest.labels_HW` (uint8 or uint16). The labels are
those of the exact network in float32; pixels that it is unsure of are unlabeled and not compared.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open

from proxia_segmentation_ros.errors import WeightsError
from proxia_segmentation_ros.model.card_file import explain_unreadable
from proxia_segmentation_ros.model.lookup import SUFFIX

SELFTEST_PREFIX = "selftest."
IMAGE_NAME = "image_HWC"
LABELS_NAME = "labels_HW"
# Pixels below this are not compared, or the less sure half if most are below.
SURE_CONFIDENCE = 180  # of 255


class SelfTest(NamedTuple):
    """The picture (uint8 RGB, H, W, 3) and its labels (H, W), `unlabeled_id` where not compared."""

    image_HWC: np.ndarray
    labels_HW: np.ndarray
    unlabeled_id: int

    @classmethod
    def from_result(
        cls,
        image_HWC: np.ndarray,
        labels_HW: np.ndarray,
        confidence_HW: np.ndarray,
        unlabeled_id: int,
    ) -> "SelfTest":
        """Keep the labels of the pixels with the highest confidence (0..255), at least half."""
        is_sure = confidence_HW >= min(SURE_CONFIDENCE, np.median(confidence_HW))
        kept = np.where(is_sure, labels_HW, unlabeled_id).astype(labels_HW.dtype)
        return cls(image_HWC, kept, unlabeled_id)

    def compare(self, labels_HW: np.ndarray) -> float:
        """Return the share, 0..1, of the kept pixels that have the same label."""
        if labels_HW.shape != self.labels_HW.shape:
            return 0.0
        is_kept = self.labels_HW != self.unlabeled_id
        return float((labels_HW == self.labels_HW)[is_kept].mean())


def read_self_test(path: Path) -> SelfTest | None:
    """Return the self-test of a weight file; None if it holds none, or is no file of ours.

    Raises:
        WeightsError: the file can't be read, or the self-test has another form.
    """
    if path.suffix != SUFFIX:
        return None
    image_key, labels_key = SELFTEST_PREFIX + IMAGE_NAME, SELFTEST_PREFIX + LABELS_NAME
    try:
        with safe_open(path, framework="numpy") as file:
            if not {image_key, labels_key} <= set(file.keys()):
                return None
            image_HWC, labels_HW = file.get_tensor(image_key), file.get_tensor(labels_key)
    except (SafetensorError, OSError, ValueError) as error:
        raise explain_unreadable(path, error) from error
    unlabeled_id = int(np.iinfo(labels_HW.dtype).max) if labels_HW.dtype.kind == "u" else -1
    if (
        image_HWC.dtype != np.uint8
        or image_HWC.shape != (*labels_HW.shape, 3)
        or labels_HW.dtype not in (np.uint8, np.uint16)
        or not (labels_HW != unlabeled_id).any()
    ):
        raise WeightsError.from_parts(
            f"the self-test of {str(path)!r} is {image_HWC.dtype} {image_HWC.shape} and "
            f"{labels_HW.dtype} {labels_HW.shape}",
            "uint8 (H, W, 3) and uint8 or uint16 (H, W) with a label",
            "get the file again, or write it again with this version of the package",
        )
    return SelfTest(image_HWC, labels_HW, unlabeled_id)
