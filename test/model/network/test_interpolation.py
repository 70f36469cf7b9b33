"""Resizing written as a matrix, against torch's."""

import numpy as np
import pytest
import torch

from proxia_segmentation_ros.model.network.interpolation import make_shifted_resize


@pytest.mark.parametrize(("length", "size"), [(5, 9), (8, 8), (9, 5), (1, 4), (6, 12)])
def test_matrix_resizes_as_torch_does(length: int, size: int) -> None:
    line = np.random.default_rng(length).normal(size=length).astype(np.float32)
    wanted = torch.nn.functional.interpolate(
        torch.from_numpy(line)[None, None], size=size, mode="linear", align_corners=False
    )
    found = make_shifted_resize(length, size) @ line
    np.testing.assert_allclose(found, wanted[0, 0].numpy(), atol=1e-6)


@pytest.mark.parametrize("shift", [-3, -1, 1, 2])
def test_shift_reads_further_on_and_zero_beyond_the_ends(shift: int) -> None:
    plain, shifted = make_shifted_resize(4, 8), make_shifted_resize(4, 8, shift)
    for row in range(8):
        wanted = plain[row + shift] if 0 <= row + shift < 8 else np.zeros(4)
        np.testing.assert_array_equal(shifted[row], wanted)
