"""Bilinear interpolation of one axis as a matrix.

Used where channels are mixed before upsampling; see backends/graph/upsampled_convolution.py.
"""

import numpy as np


def make_shifted_resize(length: int, size: int, shift: int = 0) -> np.ndarray:
    """Return the matrix (size, length) that resizes linearly, then shifts by `shift` samples.

    As align_corners=False. Samples from outside the resized line are zero.
    """
    centre = np.maximum((np.arange(size) + 0.5) * length / size - 0.5, 0)
    low = np.minimum(centre.astype(np.int64), length - 1)
    high = np.minimum(low + 1, length - 1)
    resize = np.zeros((size, length))
    np.add.at(resize, (np.arange(size), low), 1 - (centre - low))
    np.add.at(resize, (np.arange(size), high), centre - low)
    shifted = np.zeros_like(resize)
    places = np.arange(size) + shift
    is_inside = (places >= 0) & (places < size)
    shifted[is_inside] = resize[places[is_inside]]
    return shifted.astype(np.float32)
