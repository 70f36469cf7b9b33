"""Averages over copies of an image, against NVIDIA/semantic-segmentation and the obvious way."""

from pathlib import Path

import numpy as np
import pytest
import torch
from fill_rule import fill_model, golden_input, golden_labels

from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.evaluation.averaging import Averaging
from proxia_segmentation_ros.evaluation.metrics import ConfusionMatrix
from proxia_segmentation_ros.model.network.hrnet_ocr import build_model

ODD_HW = (181, 259)


def brightness(image_NCHW: torch.Tensor) -> torch.Tensor:
    """Stand for a network that sees where it is: brightness, and the column."""
    columns = torch.linspace(0, 1, image_NCHW.shape[-1]).expand_as(image_NCHW[:, :1])
    return torch.cat([image_NCHW.mean(1, keepdim=True), columns], 1)


def test_mirror_image_is_mirrored_back() -> None:
    image = torch.rand(1, 3, 4, 6)
    logits = Averaging(flip=True).compute_logits(brightness, image)
    torch.testing.assert_close(logits[:, :1], image.mean(1, keepdim=True))
    torch.testing.assert_close(logits[:, 1], torch.full((1, 4, 6), 0.5))


def test_every_scale_is_seen_at_its_size_and_weighs_the_same() -> None:
    seen = []

    def network(image_NCHW: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(image_NCHW.shape[-2:]))
        return torch.full((1, 1, *image_NCHW.shape[-2:]), float(len(seen)))

    averaging = Averaging(flip=True, scales=(1.0, 0.5, 2.0))
    logits = averaging.compute_logits(network, torch.rand(1, 3, 5, 8))
    # 2.5 is rounded to the even 2, as NVIDIA/semantic-segmentation does
    assert seen == [(5, 8), (2, 4), (10, 16)] * 2
    torch.testing.assert_close(logits, torch.full((1, 1, 5, 8), 3.5))


@pytest.mark.parametrize("scales", [(), (0.0,), (0.01,), (1.0, 9.0)])
def test_bad_scales_are_refused(scales: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="averaged scales"):
        Averaging(scales=scales)


def test_what_a_network_keeps_is_not_written_to() -> None:
    kept = [torch.full((1, 1, 4, 6), value) for value in (1.0, 3.0)]
    given = iter(kept)
    averaging = Averaging(scales=(1.0, 1.0))
    logits = averaging.compute_logits(lambda _: next(given), torch.rand(1, 3, 4, 6))
    assert (logits == 2).all()
    assert [given_map.unique().tolist() for given_map in kept] == [[1.0], [3.0]]


@pytest.mark.parametrize(
    ("name", "architecture", "averaging", "scales"),
    [
        (
            "eval_single_flip_avg_1_0.5_2",
            "hrnet_w48_ocr",
            Averaging(flip=True, scales=(1.0, 0.5, 2.0)),
            None,
        ),
        (
            "eval_mscale_nscale_0.5_1_2_flip",
            "hrnet_w48_ocr_mscale",
            Averaging(flip=True),
            (0.5, 1.0, 2.0),
        ),
    ],
)
def test_averages_are_the_references(
    name: str,
    architecture: str,
    averaging: Averaging,
    scales: tuple[float, ...] | None,
    shared_dir: Path,
) -> None:
    wanted = np.load(shared_dir / "golden" / f"{name}.npz")
    network = build_model(architecture, 19)
    fill_model(network)
    network.eval()
    image = golden_input()[:, :, : ODD_HW[0], : ODD_HW[1]]
    logits = averaging.compute_logits(lambda copy: network(copy, scales), image)
    np.testing.assert_allclose(logits[..., ::4, ::4], wanted["output_sub4"], rtol=0, atol=5e-4)
    probability, ids = logits.softmax(1).max(1)
    np.testing.assert_allclose(probability[0, ::2, ::2], wanted["max_prob_sub2"], atol=1e-4)
    assert np.mean(ids[0].numpy() != wanted["predictions"]) <= 2e-4
    truth = golden_labels(*ODD_HW, "golden-label-odd")
    matrix = ConfusionMatrix(19)
    matrix.add(truth, ids[0].numpy())
    pixels = int((truth != 255).sum())
    assert np.abs(matrix.counts - wanted["hist"]).sum() <= 4e-4 * pixels
    is_wrong = (ids[0].numpy() != truth) & (truth != 255)
    assert np.mean(is_wrong != wanted["err_mask"].astype(bool)) <= 2e-4
