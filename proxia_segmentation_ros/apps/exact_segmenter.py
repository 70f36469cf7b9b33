"""A segmenter that shows its reasons: probabilities of all classes and a network's attention.

In PyTorch and float32, on the first GPU if torch finds one.
Shape legend: N images, K classes, H rows, W columns, C colour channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from proxia_segmentation_ros.config import (
    MAX_SIZE_PIXELS,
    MIN_SIDE_PX,
    SizeHW,
    is_size_usable,
    parse_size,
)
from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.evaluation.averaging import Averaging
from proxia_segmentation_ros.inference.preprocess import check_image, resize_image
from proxia_segmentation_ros.inference.torch_graph import NetworkGraph
from proxia_segmentation_ros.labels import LabelSet
from proxia_segmentation_ros.model.blocks import resize_bilinear
from proxia_segmentation_ros.model.checkpoint import load_weights
from proxia_segmentation_ros.model.networks import HRNetOcrMultiScale, Outputs


@dataclass(frozen=True)
class ExactSegmentation:
    """Class ids of one image, the probability of every class, and attention by scale."""

    labels: np.ndarray
    probabilities_KHW: np.ndarray
    attention_HW: dict[float, np.ndarray] = field(default_factory=dict)


class ExactSegmenter:
    """Labels images for a closer look, not for robots."""

    def __init__(
        self,
        weights: str | Path,
        averaging: Averaging,
        *,
        size: str = "card",
        scales: Sequence[float] = (),
    ) -> None:
        """Load weights; `size` and `scales` are those of `inference.Segmenter`.

        Raises:
            WeightsError: the weights are missing or broken.
            ConfigError: `size` is out of its range.
        """
        if size not in ("card", "input") and not is_size_usable(parse_size(size) or (0, 0)):
            raise ConfigError.from_parts(
                f"size is {size!r}",
                f"card, input or WxH of at least {MIN_SIDE_PX} px a side "
                f"and at most {MAX_SIZE_PIXELS} pixels",
                "set it to one of them",
            )
        model, self.card = load_weights(weights)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._scales = tuple(scales) or self.card.scales
        self._graph = NetworkGraph(model, self.card, self._scales).eval().to(self._device)
        self._averaging = averaging
        self._size = size

    @property
    def label_set(self) -> LabelSet:
        """The weights' classes."""
        return self.card.to_label_set()

    def segment(self, image_HWC: np.ndarray, *, with_attention: bool = False) -> ExactSegmentation:
        """Label one RGB image (uint8); attention is that of the image as it is.

        Raises:
            InputError: the image is not (H, W, 3) uint8 of at least 16 pixels a side.
            ConfigError: the scales don't fit the network.
        """
        image_HWC = check_image(image_HWC)
        input_hw = (image_HWC.shape[0], image_HWC.shape[1])
        resized = resize_image(image_HWC, self._choose_size(input_hw))
        with torch.inference_mode():
            image_NCHW = self._normalise(resized)
            plain = self._run_plainly(image_NCHW) if with_attention else None
            logits = resize_bilinear(self._compute_logits(image_NCHW, plain), input_hw)
            probabilities = (logits / self.card.temperature).softmax(1)[0]
            labels_HW = logits.argmax(1)[0].cpu().numpy().astype(self.label_set.label_dtype)
            attention = plain.attention_by_scale if plain is not None else {}
            maps = {scale: resize_bilinear(one, input_hw) for scale, one in attention.items()}
        return ExactSegmentation(
            labels_HW,
            probabilities.cpu().numpy(),
            {scale: one[0, 0].cpu().numpy() for scale, one in maps.items()},
        )

    def close(self) -> None:
        """Nothing outlives the object itself."""

    def _choose_size(self, input_hw: SizeHW) -> SizeHW:
        if self._size == "card":
            return self.card.size_hw
        return parse_size(self._size) or input_hw

    def _normalise(self, image_HWC: np.ndarray) -> Tensor:
        image_NCHW = torch.from_numpy(image_HWC.copy()).to(self._device).permute(2, 0, 1)[None]
        if self._graph.is_bgr:
            image_NCHW = image_NCHW.flip(1)
        return (image_NCHW.float() - self._graph.mean_NCHW) * self._graph.gain_NCHW

    def _run_plainly(self, image_NCHW: Tensor) -> Outputs:
        return self._graph.network.outputs(image_NCHW, self._scales)

    def _compute_logits(self, image_NCHW: Tensor, plain: Outputs | None) -> Tensor:
        """Return logits at the network's size, or a quarter of it as robots enlarge them."""
        network = self._graph.network
        if self._averaging != Averaging():
            return self._averaging.compute_logits(
                lambda copy: network(copy, self._scales), image_NCHW
            )
        if plain is not None:
            return plain.logits
        if isinstance(network, HRNetOcrMultiScale):
            logits: Tensor = network(image_NCHW, self._scales)
            return logits
        return network.forward_quarter(image_NCHW).logits_NKHW
