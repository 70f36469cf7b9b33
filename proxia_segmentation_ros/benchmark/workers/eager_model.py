"""The network in straightforward PyTorch: the baseline of our backends.

Eager mode, float32, contiguous tensors, PyTorch's own resizing, no caching. Network and weights
are ours.
"""

import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from proxia_segmentation_ros.config import parse_size
from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.model.checkpoint import load_weights

MS = 1e3


class EagerModel:
    """uint8 image in, class ids at its size out."""

    backend = "torch-eager"
    precision = "f32"

    def __init__(self, weights: str | Path, *, size: str = "card", threads: int = 0) -> None:
        """`size` is the network's: `card`, `input` or `WxH`; `threads` 0 is PyTorch's choice.

        Raises:
            WeightsError: the weights are missing or broken.
            ConfigError: `size` is no size.
        """
        if threads:
            torch.set_num_threads(threads)
        self._network, card = load_weights(weights)
        self._size_hw = {"card": card.size_hw, "input": None}.get(size, parse_size(size))
        if self._size_hw is None and size != "input":
            raise ConfigError.from_parts(f"size is {size!r}", "card, input or WxH", "correct it")
        self._is_bgr = card.channel_order == "bgr"
        self._mean = torch.tensor(card.mean).view(1, 3, 1, 1)
        self._std = torch.tensor(card.std).view(1, 3, 1, 1)

    @property
    def threads(self) -> int:
        """CPU threads of PyTorch."""
        return torch.get_num_threads()

    def label(self, image_HWC: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
        """Return class ids (H, W) and milliseconds by stage."""
        size_hw = (image_HWC.shape[0], image_HWC.shape[1])
        began_s = time.perf_counter()
        with torch.inference_mode():
            image_NCHW = self._normalise(torch.from_numpy(image_HWC))
            ready_s = time.perf_counter()
            logits_NKHW = self._network(image_NCHW)
            inferred_s = time.perf_counter()
            resized_NKHW = F.interpolate(
                logits_NKHW, size=size_hw, mode="bilinear", align_corners=False
            )
            labels_HW = resized_NKHW.argmax(1)[0].to(torch.uint8).numpy()
        done_s = time.perf_counter()
        return labels_HW, {
            "pre": MS * (ready_s - began_s),
            "infer": MS * (inferred_s - ready_s),
            "post": MS * (done_s - inferred_s),
        }

    def _normalise(self, image_HWC: torch.Tensor) -> torch.Tensor:
        image_NCHW = image_HWC.permute(2, 0, 1).unsqueeze(0).float() / 255
        if self._is_bgr:
            image_NCHW = image_NCHW.flip(1)
        if self._size_hw is not None:
            image_NCHW = F.interpolate(
                image_NCHW, size=self._size_hw, mode="bilinear", align_corners=False
            )
        return ((image_NCHW - self._mean) / self._std).contiguous()
