"""Resize an image together with its mask."""

import cv2

from proxia_segmentation_ros.data.dataset import FocusedPair


def resize_pair(pair: FocusedPair, long_side: int) -> FocusedPair:
    """Resize the pair to a longer side of `long_side` pixels; 0 leaves it unchanged."""
    image_HWC, labels_HW, focus_xy = pair
    height, width = labels_HW.shape
    if long_side in (0, max(height, width)):
        return pair
    scale = long_side / max(height, width)
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    if focus_xy is not None:
        x, y = focus_xy
        focus_xy = (
            min(int((x + 0.5) * size_wh[0] / width), size_wh[0] - 1),
            min(int((y + 0.5) * size_wh[1] / height), size_wh[1] - 1),
        )
    return FocusedPair(
        cv2.resize(image_HWC, size_wh, interpolation=interpolation),
        cv2.resize(labels_HW, size_wh, interpolation=cv2.INTER_NEAREST_EXACT),
        focus_xy,
    )
