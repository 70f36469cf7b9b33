"""A segmenter that takes its time: logits averaged over copies of the image, in PyTorch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from proxia_segmentation_ros.config import SizeHW, parse_size
from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.evaluation.averaging import Averaging
from proxia_segmentation_ros.inference.preprocess import check_image, resize_image
from proxia_segmentation_ros.labels import LabelSet
from proxia_segmentation_ros.model.blocks import resize_bilinear
from proxia_segmentation_ros.model.checkpoint import load_weights
from proxia_segmentation_ros.model.networks import HRNetOcrMultiScale


@dataclass(frozen=True)
class AveragedLabels:
    """Class ids, labels_HW."""

    labels: np.ndarray


class AveragedSegmenter:
    """Labels images for scores, not for robots: see `Averaging`."""

    backend = "torch"
    precision = "f32"

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
            ConfigError: `size` or `scales` is out of its range.
        """
        self._model, self.card = load_weights(weights)
        self._model.eval()
        self._averaging = averaging
        self._scales = tuple(scales) or None
        self._size_hw = self._read_size(size)

    @property
    def label_set(self) -> LabelSet:
        """The weights' classes."""
        return self.card.to_label_set()

    def segment(self, image_HWC: np.ndarray, *, output_size: str = "input") -> AveragedLabels:
        """Label one RGB image (uint8)."""
        image_HWC = check_image(image_HWC)
        input_hw = (image_HWC.shape[0], image_HWC.shape[1])
        output_hw = input_hw if output_size == "input" else _parse(output_size)
        resized = resize_image(image_HWC, self._size_hw or input_hw)
        logits = self._averaging.compute_logits(self._run, self._normalise(resized))
        ids_HW = resize_bilinear(logits, output_hw).argmax(1)[0].numpy()
        return AveragedLabels(ids_HW.astype(self.label_set.label_dtype))

    def close(self) -> None:
        """Nothing outlives the object itself."""

    def _read_size(self, size: str) -> SizeHW | None:
        """Return the network's size; None is the input's."""
        if size == "card":
            return self.card.size_hw
        return None if size == "input" else _parse(size)

    def _run(self, image_NCHW: Tensor) -> Tensor:
        default = self.card.scales if isinstance(self._model, HRNetOcrMultiScale) else None
        logits_NKHW: Tensor = self._model(image_NCHW, self._scales or default)
        return logits_NKHW

    def _normalise(self, image_HWC: np.ndarray) -> Tensor:
        image_NCHW = torch.from_numpy(image_HWC.copy()).permute(2, 0, 1)[None].float() / 255
        if self.card.channel_order == "bgr":
            image_NCHW = image_NCHW.flip(1)
        mean = torch.tensor(self.card.mean).view(1, 3, 1, 1)
        std = torch.tensor(self.card.std).view(1, 3, 1, 1)
        return (image_NCHW - mean) / std


def _parse(size: str) -> SizeHW:
    size_hw = parse_size(size)
    if size_hw is None:
        raise ConfigError.from_parts(
            f"size is {size!r}", "card, input or WxH", "write for example 480x360"
        )
    return size_hw
