"""Images resized together with their masks."""

import numpy as np

from proxia_segmentation_ros.data.dataset import FocusedPair
from proxia_segmentation_ros.data.resize import resize_pair


def test_resizing_keeps_the_point_on_its_object() -> None:
    labels = np.zeros((60, 120), np.uint8)
    labels[40:44, 100:104] = 1
    image = np.repeat(labels[..., None] * 200, 3, axis=2)
    pair = resize_pair(FocusedPair(image, labels, (102, 42)), 60)
    assert pair.image_HWC.shape == (30, 60, 3)
    assert pair.focus_xy is not None
    x, y = pair.focus_xy
    assert pair.labels_HW[y, x] == 1
    same = FocusedPair(image, labels, (102, 42))
    assert resize_pair(same, 0) is same
    assert resize_pair(same, 120) is same
    assert resize_pair(same, 240).labels_HW.shape == (120, 240)
