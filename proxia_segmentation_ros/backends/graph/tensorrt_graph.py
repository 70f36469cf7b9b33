"""The torch modules that TensorRT engines are built from: network and argmax post-processing.

Shape legend: N images, H rows, W columns, C colour channels, K classes.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from proxia_segmentation_ros.backends.graph.torch_graph import PIXEL_MAX, NetworkGraph
from proxia_segmentation_ros.config import SizeHW
from proxia_segmentation_ros.model.card import ModelCard
from proxia_segmentation_ros.model.network.blocks import resize_bilinear

DTYPES = {"f32": torch.float32, "f16": torch.float16}


class EngineNetwork(NetworkGraph):
    """Maps RGB image_NHWC (uint8) at network size to logits_NKHW (float32).

    TensorRT networks are strongly typed: the type of the weights decides what runs in f16.
    """

    def __init__(
        self, model: nn.Module, card: ModelCard, scales: Sequence[float], precision: str
    ) -> None:
        super().__init__(copy.deepcopy(model).eval(), card, scales)
        self.dtype = DTYPES[precision]
        _fold_batch_norms(self, torch.zeros((1, 64, 64, 3), dtype=torch.uint8))
        # Not the buffers: pixels are normalised in float32.
        self.network.to(self.dtype)
        self.requires_grad_(False).eval()

    def forward(self, image_NHWC: Tensor) -> Tensor:
        # TensorRT supports uint8 for network inputs only, so the cast must come first.
        image_NCHW = image_NHWC.to(torch.float32).permute(0, 3, 1, 2)
        if self.is_bgr:
            image_NCHW = image_NCHW.flip(1)
        image_NCHW = (image_NCHW - self.mean_NCHW) * self.gain_NCHW
        return self.run_network(image_NCHW.to(self.dtype)).to(torch.float32)


class EngineArgmax(nn.Module):
    """Maps logits_1KHW (float32) and the minimum probability to ids and confidence.

    Both are int32 of shape (1, H, W), since torch-tensorrt has no converter for the cast to uint8.
    Confidence, 255 times the probability of the pixel's class, is always computed: it may be
    wanted for one frame and not for the next, and building another engine takes seconds.
    """

    unlabeled: Tensor

    def __init__(self, output_hw: SizeHW, temperature: float, unlabeled_id: int) -> None:
        super().__init__()
        self.output_hw = output_hw
        self.temperature = temperature
        self.register_buffer("unlabeled", torch.tensor([unlabeled_id], dtype=torch.int32))

    def forward(self, logits_1KHW: Tensor, least_1: Tensor) -> tuple[Tensor, Tensor]:
        resized_NKHW = resize_bilinear(logits_1KHW, self.output_hw)
        # Not max(dim=1): its converter returns no indices.
        best_N1HW = resized_NKHW.amax(dim=1, keepdim=True)
        ids_NHW = resized_NKHW.argmax(dim=1).to(torch.int32)
        total_NHW = ((resized_NKHW - best_N1HW) / self.temperature).exp().sum(dim=1)
        probability_NHW = 1 / total_NHW
        ids_NHW = torch.where(probability_NHW >= least_1, ids_NHW, self.unlabeled)
        return ids_NHW, (probability_NHW * PIXEL_MAX).round().to(torch.int32)


def export_module(module: nn.Module, examples: tuple[Tensor, ...]) -> torch.export.ExportedProgram:
    """Return the module's graph for inputs of exactly these shapes and types."""
    with torch.no_grad():
        return torch.export.export(module, examples, strict=False)


def _fold_batch_norms(network: EngineNetwork, example_NHWC: Tensor) -> None:
    """Fold every batch norm into the convolution before it, in float32.

    A trial run finds the pairs: the input of the norm is the output of its convolution.
    """
    writers: dict[int, nn.Conv2d] = {}
    kept: list[Tensor] = []
    pairs: dict[nn.BatchNorm2d, nn.Conv2d] = {}

    def note_conv(conv: nn.Module, _inputs: object, output: Tensor) -> None:
        # Kept alive: the id of a freed tensor is reused.
        kept.append(output)
        writers[id(output)] = conv  # type: ignore[assignment]

    def note_norm(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if id(inputs[0]) in writers:
            pairs[norm] = writers[id(inputs[0])]  # type: ignore[index]

    hooks = [m.register_forward_hook(note_conv) for m in _find(network, nn.Conv2d)]
    hooks += [m.register_forward_pre_hook(note_norm) for m in _find(network, nn.BatchNorm2d)]
    with torch.no_grad():
        NetworkGraph.forward(network, example_NHWC)
    for hook in hooks:
        hook.remove()
    for norm, conv in pairs.items():
        folded = torch.nn.utils.fuse_conv_bn_eval(conv, norm)
        conv.weight, conv.bias = folded.weight, folded.bias
    _replace(network, {norm: nn.Identity() for norm in pairs})


def _find(root: nn.Module, kind: type[nn.Module]) -> list[nn.Module]:
    return [module for module in root.modules() if isinstance(module, kind)]


def _replace(root: nn.Module, replacements: dict[nn.BatchNorm2d, nn.Identity]) -> None:
    for parent in list(root.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d) and child in replacements:
                setattr(parent, name, replacements[child])
