"""A segmenter for evaluation that also returns probabilities, logits and attention.

It runs in PyTorch and float32, on the first GPU if torch finds one, and can average over copies of
the image. It holds full-size maps of all classes only if they are requested.
Shape legend: N images, K classes, H rows, W columns, C colour channels.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from proxia_segmentation_ros.backends.graph.torch_graph import PIXEL_MAX, NetworkGraph
from proxia_segmentation_ros.backends.preprocess import check_image, resize_image
from proxia_segmentation_ros.backends.pruned.tile_selection import NO_PRUNING
from proxia_segmentation_ros.config import (
    MAX_SIZE_PIXELS,
    MIN_SIDE_PX,
    SizeHW,
    is_size_usable,
    parse_size,
)
from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.evaluation.averaging import Averaging
from proxia_segmentation_ros.evaluation.windows import Windows
from proxia_segmentation_ros.labels import LabelSet
from proxia_segmentation_ros.model.checkpoint import load_weights
from proxia_segmentation_ros.model.network.blocks import resize_bilinear
from proxia_segmentation_ros.model.network.hrnet_ocr import HRNetOcrMultiScale

# The softmax is computed for this many rows at a time, to save memory.
BAND_ROWS = 64


class RequestedMaps(NamedTuple):
    """Which maps to compute besides the class ids."""

    confidence: bool = False
    probabilities: bool = False
    logits: bool = False
    attention: bool = False


@dataclass(frozen=True)
class ExactSegmentation:
    """Class ids of one image and the requested maps, all at the output size.

    `confidence` is uint8 like that of `inference.Segmentation`. `logits_KHW` is before division by
    the card's temperature. `attention_HW`, by scale, is of the image itself, not of its copies.
    """

    labels: np.ndarray
    confidence: np.ndarray | None = None
    probabilities_KHW: np.ndarray | None = None
    logits_KHW: np.ndarray | None = None
    attention_HW: dict[float, np.ndarray] = field(default_factory=dict)


class ExactSegmenter:
    """Segments images for evaluation and inspection; slower than what a robot runs."""

    backend = "torch"
    precision = "f32"
    pruning = NO_PRUNING

    def __init__(
        self,
        weights: str | Path,
        averaging: Averaging,
        *,
        size: str = "card",
        scales: Sequence[float] = (),
        windows: Windows | None = None,
    ) -> None:
        """Load weights; `size` and `scales` are those of `inference.Segmenter`.

        With `windows` each copy of the image is segmented window by window.

        Raises:
            WeightsError: the weights are missing or broken.
            ConfigError: `size` is out of its range, or `card` together with windows.
        """
        _check_size("size", size, ("card", "input"))
        if windows is not None and size == "card":
            raise ConfigError.from_parts(
                "size is 'card' with windows",
                "input or WxH: windows need an image that is not resized to the card's size",
                "write --size input",
            )
        model, self.card = load_weights(weights)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._scales = tuple(scales) or self.card.scales
        self._graph = NetworkGraph(model, self.card, self._scales).eval().to(self._device)
        self._averaging = averaging
        self._windows = windows
        self._size = size

    @property
    def label_set(self) -> LabelSet:
        """The weights' classes."""
        return self.card.to_label_set()

    def segment(
        self, image_HWC: np.ndarray, with_confidence: bool = False, *, output_size: str = "input"
    ) -> ExactSegmentation:
        """Segment an RGB image (uint8) as `inference.Segmenter` does; raises as `compute_maps`."""
        return self.compute_maps(
            image_HWC, RequestedMaps(confidence=with_confidence), output_size=output_size
        )

    def segment_with_logits(
        self, image_HWC: np.ndarray, with_confidence: bool = False, *, output_size: str = "input"
    ) -> ExactSegmentation:
        """Segment an RGB image (uint8) and return its logits too; raises as `compute_maps`."""
        requested = RequestedMaps(confidence=with_confidence, logits=True)
        return self.compute_maps(image_HWC, requested, output_size=output_size)

    def compute_maps(
        self, image_HWC: np.ndarray, requested: RequestedMaps, *, output_size: str = "input"
    ) -> ExactSegmentation:
        """Segment an RGB image (uint8) and compute maps; `output_size` is `input` or `WxH`.

        Raises:
            InputError: the image is not (H, W, 3) uint8 of at least 16 pixels a side.
            ConfigError: the output size is out of its range, or the network lacks a scale.
        """
        image_HWC = check_image(image_HWC)
        input_hw = (image_HWC.shape[0], image_HWC.shape[1])
        _check_size("output_size", output_size, ("input",))
        output_hw = parse_size(output_size) or input_hw
        with torch.inference_mode(), _disable_tf32():
            image_NCHW = self._normalise(resize_image(image_HWC, self._choose_size(input_hw)))
            logits, attention = self._run(image_NCHW, with_attention=requested.attention)
            attention_HW = {
                scale: resize_bilinear(weights, output_hw)[0, 0].cpu().numpy()
                for scale, weights in attention.items()
            }
            return self._extract_maps(logits, output_hw, requested, attention_HW)

    def close(self) -> None:
        """Do nothing: all resources end with the object."""

    def _choose_size(self, input_hw: SizeHW) -> SizeHW:
        if self._size == "card":
            return self.card.size_hw
        return parse_size(self._size) or input_hw

    def _normalise(self, image_HWC: np.ndarray) -> Tensor:
        image_NCHW = torch.from_numpy(image_HWC.copy()).to(self._device).permute(2, 0, 1)[None]
        if self._graph.is_bgr:
            image_NCHW = image_NCHW.flip(1)
        return (image_NCHW.float() - self._graph.mean_NCHW) * self._graph.gain_NCHW

    def _run(
        self, image_NCHW: Tensor, *, with_attention: bool
    ) -> tuple[Tensor, dict[float, Tensor]]:
        """Return logits at the network's size, or at a quarter of it as the backends do."""
        logits: Tensor | None = None
        attention: dict[float, Tensor] = {}
        if with_attention:
            logits, attention = self._compute_attention(image_NCHW)
        if self._averaging != Averaging():
            logits = self._averaging.compute_logits(self._compute_logits, image_NCHW)
        elif logits is None:
            logits = self._compute_single_pass(image_NCHW)
        return logits, attention

    def _compute_logits(self, image_NCHW: Tensor) -> Tensor:
        """Return logits at the image's size, of the whole image or window by window."""
        if self._windows is not None:
            return self._windows.compute_maps(self._run_network, image_NCHW)
        return self._run_network(image_NCHW)

    def _run_network(self, image_NCHW: Tensor) -> Tensor:
        logits: Tensor = self._graph.network(image_NCHW, self._scales)
        return logits

    def _compute_single_pass(self, image_NCHW: Tensor) -> Tensor:
        network = self._graph.network
        if isinstance(network, HRNetOcrMultiScale) or not self._fits_one_window(image_NCHW):
            return self._compute_logits(image_NCHW)
        return network.forward_quarter(image_NCHW).logits_NKHW

    def _fits_one_window(self, image_NCHW: Tensor) -> bool:
        size_hw = (image_NCHW.shape[-2], image_NCHW.shape[-1])
        return self._windows is None or self._windows.fits_in_one(size_hw)

    def _compute_attention(self, image_NCHW: Tensor) -> tuple[Tensor, dict[float, Tensor]]:
        """Return logits and attention by scale; with windows all at the image's size."""
        network = self._graph.network
        if self._windows is None or self._fits_one_window(image_NCHW):
            logits, _, _, attention = network.outputs(image_NCHW, self._scales)
            return logits, attention
        scales = sorted(set(self._scales))

        def stack(part_NCHW: Tensor) -> Tensor:
            found = network.outputs(part_NCHW, scales)
            size_hw = (part_NCHW.shape[-2], part_NCHW.shape[-1])
            maps = [resize_bilinear(found.attention_by_scale[scale], size_hw) for scale in scales]
            return torch.cat([found.logits, *maps], 1)

        stacked = self._windows.compute_maps(stack, image_NCHW)
        logits, *maps = stacked.split([network.num_classes, *[1] * len(scales)], 1)
        return logits, dict(zip(scales, maps, strict=True))

    def _extract_maps(
        self,
        logits: Tensor,
        output_hw: SizeHW,
        requested: RequestedMaps,
        attention_HW: dict[float, np.ndarray],
    ) -> ExactSegmentation:
        """Compute the requested maps; overwrites the logits unless they are requested too."""
        if requested.logits or requested.probabilities:
            logits = resize_bilinear(logits, output_hw)
        temperature = self.card.temperature if requested.confidence else None
        labels_HW, confidence_HW = _argmax_by_class(logits, output_hw, temperature)
        probabilities = None
        if requested.probabilities:
            probabilities = logits.clone() if requested.logits else logits
            _softmax_in_place(probabilities, self.card.temperature)
        return ExactSegmentation(
            labels_HW.astype(self.label_set.label_dtype),
            confidence_HW,
            None if probabilities is None else probabilities[0].cpu().numpy(),
            logits[0].cpu().numpy() if requested.logits else None,
            attention_HW,
        )


@contextmanager
def _disable_tf32() -> Iterator[None]:
    """Keep cuDNN from rounding to TF32 (10 bits of mantissa), which torch allows by default."""
    cudnn = torch.backends.cudnn
    before = cudnn.allow_tf32
    cudnn.allow_tf32 = False
    try:
        yield
    finally:
        cudnn.allow_tf32 = before


def _argmax_by_class(
    logits: Tensor, output_hw: SizeHW, temperature: float | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return labels_HW, and confidence_HW if a temperature is given.

    Upsamples one class at a time to save memory, with the same results as all at once.
    """

    def upsample(index: int) -> Tensor:
        return resize_bilinear(logits[:, index : index + 1], output_hw)[0, 0]

    best_HW = upsample(0).clone()
    ids_HW = torch.zeros(output_hw, dtype=torch.int32, device=logits.device)
    for index in range(1, logits.shape[1]):
        class_HW = upsample(index)
        # Of equal logits the first class wins, as in all backends.
        ids_HW.masked_fill_(class_HW > best_HW, index)
        torch.maximum(best_HW, class_HW, out=best_HW)
    if temperature is None:
        return ids_HW.cpu().numpy(), None
    total_HW = torch.zeros_like(best_HW)
    for index in range(logits.shape[1]):
        total_HW += ((upsample(index) - best_HW) / temperature).exp_()
    confidence_HW = (PIXEL_MAX / total_HW).round_().to(torch.uint8)
    return ids_HW.cpu().numpy(), confidence_HW.cpu().numpy()


def _softmax_in_place(logits: Tensor, temperature: float) -> None:
    """Replace logits by probabilities, in place."""
    for band in logits.split(BAND_ROWS, dim=2):
        band.copy_((band / temperature).softmax(1))


def _check_size(name: str, size: str, words: tuple[str, ...]) -> None:
    if size not in words and not is_size_usable(parse_size(size) or (0, 0)):
        raise ConfigError.from_parts(
            f"{name} is {size!r}",
            f"{', '.join(words)} or WxH of at least {MIN_SIDE_PX} px a side "
            f"and at most {MAX_SIZE_PIXELS} pixels",
            "set it to one of them",
        )
