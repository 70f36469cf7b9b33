"""A segmenter that takes its time and shows its reasons: probabilities, logits, attention.

In PyTorch and float32, on the first GPU if torch finds one. It averages copies of the image on
request, and holds full-size maps of all classes only where they are asked for.
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

# Rows whose probabilities are computed at a time.
BAND_ROWS = 64


class RequestedMaps(NamedTuple):
    """What is to be found of an image beside its class ids."""

    confidence: bool = False
    probabilities: bool = False
    logits: bool = False
    attention: bool = False


@dataclass(frozen=True)
class ExactSegmentation:
    """Class ids of one image, and of the rest what was asked for, all at the output size.

    `confidence` is uint8 as that of `inference.Segmentation`; `logits_KHW` is before the card's
    temperature; `attention_HW` is by scale, of the image as it is.
    """

    labels: np.ndarray
    confidence: np.ndarray | None = None
    probabilities_KHW: np.ndarray | None = None
    logits_KHW: np.ndarray | None = None
    attention_HW: dict[float, np.ndarray] = field(default_factory=dict)


class ExactSegmenter:
    """Labels images for scores and a closer look, not for robots."""

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

        With `windows` the network sees each copy of the image part by part.

        Raises:
            WeightsError: the weights are missing or broken.
            ConfigError: `size` is out of its range, or the card's with windows.
        """
        _check_size("size", size, ("card", "input"))
        if windows is not None and size == "card":
            raise ConfigError.from_parts(
                "size is 'card' with windows",
                "the input's size or one of your own: windows are cut from what is not shrunk",
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
        """Label one RGB image (uint8) as `inference.Segmenter` does; errors as `compute_maps`."""
        return self.compute_maps(
            image_HWC, RequestedMaps(confidence=with_confidence), output_size=output_size
        )

    def segment_with_logits(
        self, image_HWC: np.ndarray, with_confidence: bool = False, *, output_size: str = "input"
    ) -> ExactSegmentation:
        """Label one RGB image (uint8) and keep its logits; errors as `compute_maps`."""
        wanted = RequestedMaps(confidence=with_confidence, logits=True)
        return self.compute_maps(image_HWC, wanted, output_size=output_size)

    def compute_maps(
        self, image_HWC: np.ndarray, wanted: RequestedMaps, *, output_size: str = "input"
    ) -> ExactSegmentation:
        """Label one RGB image (uint8) and find what is wanted; `output_size` is `input` or `WxH`.

        Raises:
            InputError: the image is not (H, W, 3) uint8 of at least 16 pixels a side.
            ConfigError: the output size can't be, or the scales don't fit the network.
        """
        image_HWC = check_image(image_HWC)
        input_hw = (image_HWC.shape[0], image_HWC.shape[1])
        _check_size("output_size", output_size, ("input",))
        output_hw = parse_size(output_size) or input_hw
        with torch.inference_mode(), _disable_tf32():
            image_NCHW = self._normalise(resize_image(image_HWC, self._choose_size(input_hw)))
            logits, attention = self._run(image_NCHW, with_attention=wanted.attention)
            attention_HW = {
                scale: resize_bilinear(one, output_hw)[0, 0].cpu().numpy()
                for scale, one in attention.items()
            }
            return self._extract_maps(logits, output_hw, wanted, attention_HW)

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

    def _run(
        self, image_NCHW: Tensor, *, with_attention: bool
    ) -> tuple[Tensor, dict[float, Tensor]]:
        """Return logits at the network's size, or a quarter of it as robots enlarge them."""
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
        """Return logits of the image's size, whole or through windows."""
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
        """Return logits and attention by scale; through windows all at the image's size."""
        network = self._graph.network
        if self._windows is None or self._fits_one_window(image_NCHW):
            logits, _, _, attention = network.outputs(image_NCHW, self._scales)
            return logits, attention
        scales = sorted(set(self._scales))

        def stack(part_NCHW: Tensor) -> Tensor:
            found = network.outputs(part_NCHW, scales)
            size_hw = (part_NCHW.shape[-2], part_NCHW.shape[-1])
            maps = [resize_bilinear(found.attention_by_scale[one], size_hw) for one in scales]
            return torch.cat([found.logits, *maps], 1)

        stacked = self._windows.compute_maps(stack, image_NCHW)
        logits, *maps = stacked.split([network.num_classes, *[1] * len(scales)], 1)
        return logits, dict(zip(scales, maps, strict=True))

    def _extract_maps(
        self,
        logits: Tensor,
        output_hw: SizeHW,
        wanted: RequestedMaps,
        attention_HW: dict[float, np.ndarray],
    ) -> ExactSegmentation:
        """Read off logits what is wanted; they are overwritten unless they are wanted too."""
        if wanted.logits or wanted.probabilities:
            logits = resize_bilinear(logits, output_hw)
        temperature = self.card.temperature if wanted.confidence else None
        labels_HW, confidence_HW = _argmax_by_class(logits, output_hw, temperature)
        probabilities = None
        if wanted.probabilities:
            probabilities = logits.clone() if wanted.logits else logits
            _softmax_in_place(probabilities, self.card.temperature)
        return ExactSegmentation(
            labels_HW.astype(self.label_set.label_dtype),
            confidence_HW,
            None if probabilities is None else probabilities[0].cpu().numpy(),
            logits[0].cpu().numpy() if wanted.logits else None,
            attention_HW,
        )


@contextmanager
def _disable_tf32() -> Iterator[None]:
    """Keep cuDNN from rounding to TF32, of 10 bits, which torch lets it do by default."""
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
    """Return labels_HW, and confidence_HW where a temperature is given.

    One class is enlarged at a time, to the same values as all at once.
    """

    def enlarge(index: int) -> Tensor:
        return resize_bilinear(logits[:, index : index + 1], output_hw)[0, 0]

    best_HW = enlarge(0).clone()
    ids_HW = torch.zeros(output_hw, dtype=torch.int32, device=logits.device)
    for index in range(1, logits.shape[1]):
        one_HW = enlarge(index)
        # The first of equals is the label, as everywhere.
        ids_HW.masked_fill_(one_HW > best_HW, index)
        torch.maximum(best_HW, one_HW, out=best_HW)
    if temperature is None:
        return ids_HW.cpu().numpy(), None
    total_HW = torch.zeros_like(best_HW)
    for index in range(logits.shape[1]):
        total_HW += ((enlarge(index) - best_HW) / temperature).exp_()
    confidence_HW = (PIXEL_MAX / total_HW).round_().to(torch.uint8)
    return ids_HW.cpu().numpy(), confidence_HW.cpu().numpy()


def _softmax_in_place(logits: Tensor, temperature: float) -> None:
    """Turn logits into probabilities where they are."""
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
