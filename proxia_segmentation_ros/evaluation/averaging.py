"""Test-time augmentation: logits averaged over the mirrored and resized copies of an image.

The average is that of NVIDIA/semantic-segmentation (https://github.com/NVIDIA/semantic-segmentation,
2020; options `--do_flip` and `--multi_scale_inference`): of logits, before the softmax.

Shape legend: N images, K classes, H rows, W columns.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.model.network.blocks import resize_bilinear

# A network halves its input five times, so smaller copies would be a few pixels wide.
MIN_SCALE, MAX_SCALE = 0.1, 8.0
Network = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Averaging:
    """The copies of an image: one for each scale, and with `flip` the mirror image of each.

    A multi-scale network applies its own in-model scales to each copy.
    """

    flip: bool = False
    scales: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if not self.scales or any(not MIN_SCALE <= scale <= MAX_SCALE for scale in self.scales):
            raise ConfigError.from_parts(
                f"averaged scales are {list(self.scales)}",
                f"one or more numbers from {MIN_SCALE} to {MAX_SCALE}",
                "write for example 0.5,1.0,2.0",
            )

    def compute_logits(self, network: Network, image_NCHW: Tensor) -> Tensor:
        """Return the mean logits_NKHW at the image's size, without gradients."""
        copies = [(flip, scale) for flip in self._flips for scale in self.scales]
        with torch.no_grad():
            parts = (self._compute_part(network, image_NCHW, *copy) for copy in copies)
            total = next(parts)
            if len(copies) > 1:
                # Summed in place, so a copy: the network may still hold the tensor it returned.
                total = total.clone()
                for part in parts:
                    total += part
                total /= len(copies)
        return total

    @property
    def _flips(self) -> tuple[bool, ...]:
        return (True, False) if self.flip else (False,)

    @staticmethod
    def _compute_part(network: Network, image_NCHW: Tensor, flip: bool, scale: float) -> Tensor:
        height, width = image_NCHW.shape[-2:]
        image = image_NCHW.flip(-1) if flip else image_NCHW
        # Python rounds half to even, and so do the sizes of NVIDIA/semantic-segmentation.
        size_hw = (max(1, round(height * scale)), max(1, round(width * scale)))
        scaled = resize_bilinear(image, size_hw)
        logits = resize_bilinear(network(scaled), (height, width))
        return logits.flip(-1) if flip else logits
