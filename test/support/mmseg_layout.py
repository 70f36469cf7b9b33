"""OCRNet on HRNet in mmsegmentation's layout, written from its description alone.

Tensor names and shapes as the public sources of mmsegmentation (backbones/hrnet.py,
decode_heads/{fcn,ocr}_head.py, utils/self_attention_block.py, configs/_base_/models/
ocrnet_hr18.py) describe them, and a forward pass in plain functions on these tensors. Nothing
here comes from the package, so that both can be compared.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

State = dict[str, Tensor]
Shapes = Iterator[tuple[str, tuple[int, ...]]]


@dataclass(frozen=True)
class Config:
    """The numbers of one configuration file."""

    channels: tuple[int, int, int, int]
    modules: tuple[int, int, int]
    blocks: int
    classes: int
    mid: int = 512
    key: int = 256


HR18S = Config((18, 36, 72, 144), (1, 3, 2), 2, 19)
HR18 = Config((18, 36, 72, 144), (1, 4, 3), 4, 19)
HR48 = Config((48, 96, 192, 384), (1, 4, 3), 4, 19)


def list_norm(key: str, channels: int) -> Shapes:
    for name in ("weight", "bias", "running_mean", "running_var"):
        yield f"{key}.{name}", (channels,)
    yield f"{key}.num_batches_tracked", ()


def list_conv_norm(conv: str, norm: str, outputs: int, inputs: int, kernel: int) -> Shapes:
    yield f"{conv}.weight", (outputs, inputs, kernel, kernel)
    yield from list_norm(norm, outputs)


def list_trunk(config: Config) -> Shapes:
    yield from list_conv_norm("conv1", "bn1", 64, 3, 3)
    yield from list_conv_norm("conv2", "bn2", 64, 64, 3)
    for block in range(config.blocks):
        key, inputs = f"layer1.{block}", 64 if block == 0 else 256
        yield from list_conv_norm(f"{key}.conv1", f"{key}.bn1", 64, inputs, 1)
        yield from list_conv_norm(f"{key}.conv2", f"{key}.bn2", 64, 64, 3)
        yield from list_conv_norm(f"{key}.conv3", f"{key}.bn3", 256, 64, 1)
        if block == 0:
            yield from list_conv_norm(f"{key}.downsample.0", f"{key}.downsample.1", 256, 64, 1)
    channels = config.channels
    yield from list_conv_norm("transition1.0.0", "transition1.0.1", channels[0], 256, 3)
    yield from list_conv_norm("transition1.1.0.0", "transition1.1.0.1", channels[1], 256, 3)
    for stage in (3, 4):
        key = f"transition{stage - 1}.{stage - 1}.0"
        yield from list_conv_norm(
            f"{key}.0", f"{key}.1", channels[stage - 1], channels[stage - 2], 3
        )
    for stage in (2, 3, 4):
        for module in range(config.modules[stage - 2]):
            yield from list_module(f"stage{stage}.{module}", channels[:stage], config.blocks)


def list_module(key: str, channels: tuple[int, ...], blocks: int) -> Shapes:
    for branch, width in enumerate(channels):
        for block in range(blocks):
            name = f"{key}.branches.{branch}.{block}"
            yield from list_conv_norm(f"{name}.conv1", f"{name}.bn1", width, width, 3)
            yield from list_conv_norm(f"{name}.conv2", f"{name}.bn2", width, width, 3)
    for target, out in enumerate(channels):
        for source, width in enumerate(channels):
            name = f"{key}.fuse_layers.{target}.{source}"
            if source > target:
                yield from list_conv_norm(f"{name}.0", f"{name}.1", out, width, 1)
            for step in range(target - source):
                last = out if step == target - source - 1 else width
                yield from list_conv_norm(f"{name}.{step}.0", f"{name}.{step}.1", last, width, 3)


def list_heads(config: Config) -> Shapes:
    wide, mid, key = sum(config.channels), config.mid, config.key
    yield "decode_head.0.conv_seg.weight", (config.classes, wide, 1, 1)
    yield "decode_head.0.conv_seg.bias", (config.classes,)
    yield from list_unit("decode_head.0.convs.0", wide, wide, 1)
    yield "decode_head.1.conv_seg.weight", (config.classes, mid, 1, 1)
    yield "decode_head.1.conv_seg.bias", (config.classes,)
    block = "decode_head.1.object_context_block"
    for name in ("key_project", "query_project"):
        yield from list_unit(f"{block}.{name}.0", key, mid, 1)
        yield from list_unit(f"{block}.{name}.1", key, key, 1)
    yield from list_unit(f"{block}.value_project", key, mid, 1)
    yield from list_unit(f"{block}.out_project", mid, key, 1)
    yield from list_unit(f"{block}.bottleneck", mid, 2 * mid, 1)
    yield from list_unit("decode_head.1.bottleneck", mid, wide, 3)


def list_unit(key: str, outputs: int, inputs: int, kernel: int) -> Shapes:
    """List a convolution without bias, its batch norm, and a ReLU that has no tensors."""
    yield from list_conv_norm(f"{key}.conv", f"{key}.bn", outputs, inputs, kernel)


def list_tensors(config: Config) -> dict[str, tuple[int, ...]]:
    trunk = {f"backbone.{key}": shape for key, shape in list_trunk(config)}
    return trunk | dict(list_heads(config))


def make_state(config: Config, seed: int = 0) -> State:
    """Fill the tensors at random, so that activations keep their size."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for key, shape in list_tensors(config).items():
        noise = torch.randn(shape, generator=generator)
        if key.endswith("num_batches_tracked"):
            state[key] = torch.tensor(7)
        elif key.endswith("running_var"):
            state[key] = 1 + 0.1 * noise.abs()
        elif key.endswith(("running_mean", "bias")):
            state[key] = 0.1 * noise
        elif len(shape) == 1:
            state[key] = 1 + 0.1 * noise
        else:
            gain = 0.45 if ".fuse_layers." in key else 0.9 if ".branches." in key else 1.7
            # Without a mean, since what comes out of a ReLU has one that would grow.
            centred = noise - noise.mean((1, 2, 3), keepdim=True)
            state[key] = gain * centred / math.sqrt(math.prod(shape[1:]))
    return state


@dataclass(frozen=True)
class Variant:
    """What a reader of the description might take for something else."""

    eps: float = 1e-5
    align_corners: bool = False
    context_first: bool = True
    swap_query_and_key: bool = False
    softmax_of_classes: bool = False


def forward(state: State, image: Tensor, config: Config, variant: Variant | None = None) -> Tensor:
    """Return the logits at the image's size, as the network gives them at work."""
    variant = variant or Variant()
    trunk = Trunk(
        {key.removeprefix("backbone."): state[key] for key in state if key[:9] == "backbone."},
        variant,
    )
    logits = run_heads(Trunk(state, variant), trunk.run(image, config))
    return resize(logits, image.shape[-2:], variant.align_corners)


def resize(features: Tensor, size: torch.Size, align_corners: bool = False) -> Tensor:
    return F.interpolate(features, tuple(size), mode="bilinear", align_corners=align_corners)


class Trunk:
    """The state dict's tensors at work."""

    def __init__(self, state: State, variant: Variant) -> None:
        self.state = state
        self.variant = variant

    def conv(self, key: str, features: Tensor, stride: int = 1) -> Tensor:
        weight = self.state[f"{key}.weight"]
        return F.conv2d(
            features, weight, self.state.get(f"{key}.bias"), stride, weight.shape[-1] // 2
        )

    def norm(self, key: str, features: Tensor) -> Tensor:
        mean, variance, weight, bias = (
            self.state[f"{key}.{name}"]
            for name in ("running_mean", "running_var", "weight", "bias")
        )
        return F.batch_norm(features, mean, variance, weight, bias, eps=self.variant.eps)

    def conv_norm(self, conv: str, norm: str, features: Tensor, stride: int = 1) -> Tensor:
        return self.norm(norm, self.conv(conv, features, stride))

    def unit(self, key: str, features: Tensor) -> Tensor:
        return self.conv_norm(f"{key}.conv", f"{key}.bn", features).relu()

    def run(self, image: Tensor, config: Config) -> list[Tensor]:
        features = self.conv_norm("conv1", "bn1", image, 2).relu()
        features = self.conv_norm("conv2", "bn2", features, 2).relu()
        for block in range(config.blocks):
            features = self.run_bottleneck(f"layer1.{block}", features)
        branches = [
            self.conv_norm("transition1.0.0", "transition1.0.1", features).relu(),
            self.conv_norm("transition1.1.0.0", "transition1.1.0.1", features, 2).relu(),
        ]
        for stage in (2, 3, 4):
            if stage > 2:
                key = f"transition{stage - 1}.{stage - 1}.0"
                branches.append(self.conv_norm(f"{key}.0", f"{key}.1", branches[-1], 2).relu())
            for module in range(config.modules[stage - 2]):
                branches = self.run_module(f"stage{stage}.{module}", branches, config.blocks)
        return branches

    def run_bottleneck(self, key: str, features: Tensor) -> Tensor:
        hidden = self.conv_norm(f"{key}.conv1", f"{key}.bn1", features).relu()
        hidden = self.conv_norm(f"{key}.conv2", f"{key}.bn2", hidden).relu()
        hidden = self.conv_norm(f"{key}.conv3", f"{key}.bn3", hidden)
        if f"{key}.downsample.0.weight" in self.state:
            features = self.conv_norm(f"{key}.downsample.0", f"{key}.downsample.1", features)
        return (hidden + features).relu()

    def run_module(self, key: str, branches: list[Tensor], blocks: int) -> list[Tensor]:
        branches = list(branches)
        for branch in range(len(branches)):
            for block in range(blocks):
                name, features = f"{key}.branches.{branch}.{block}", branches[branch]
                hidden = self.conv_norm(f"{name}.conv1", f"{name}.bn1", features).relu()
                hidden = self.conv_norm(f"{name}.conv2", f"{name}.bn2", hidden)
                branches[branch] = (hidden + features).relu()
        fused = []
        for target, own in enumerate(branches):
            parts = [self.bring(key, source, target, branches) for source in range(len(branches))]
            assert all(part.shape == own.shape for part in parts)
            fused.append(sum(parts[1:], parts[0]).relu())
        return fused

    def bring(self, key: str, source: int, target: int, branches: list[Tensor]) -> Tensor:
        """Return branch `source` as branch `target` takes it in."""
        features, name = branches[source], f"{key}.fuse_layers.{target}.{source}"
        if source > target:
            features = self.conv_norm(f"{name}.0", f"{name}.1", features)
            # By a power of two first, then to the branch's size.
            factor = 2 ** (source - target)
            doubled = torch.Size(side * factor for side in features.shape[-2:])
            features = resize(features, doubled)
            return resize(features, branches[target].shape[-2:])
        for step in range(target - source):
            features = self.conv_norm(f"{name}.{step}.0", f"{name}.{step}.1", features, 2)
            if step < target - source - 1:
                features = features.relu()
        return features


def run_heads(net: Trunk, branches: list[Tensor]) -> Tensor:
    """Return the OCR head's logits at 1/4 of the image's size."""
    variant = net.variant
    size = branches[0].shape[-2:]
    wide = torch.cat([resize(branch, size, variant.align_corners) for branch in branches], 1)
    coarse = net.conv("decode_head.0.conv_seg", net.unit("decode_head.0.convs.0", wide))
    features = net.unit("decode_head.1.bottleneck", wide)
    axis = 1 if variant.softmax_of_classes else 2
    shares = coarse.flatten(2).softmax(axis)
    regions = torch.einsum("nkp,ncp->nck", shares, features.flatten(2)).unsqueeze(3)

    block = "decode_head.1.object_context_block"
    names = ("query_project", "key_project")
    query_name, key_name = names[::-1] if variant.swap_query_and_key else names
    query = net.unit(f"{block}.{query_name}.1", net.unit(f"{block}.{query_name}.0", features))
    key = net.unit(f"{block}.{key_name}.1", net.unit(f"{block}.{key_name}.0", regions))
    value = net.unit(f"{block}.value_project", regions)
    likeness = torch.einsum("ncp,nck->npk", query.flatten(2), key.flatten(2))
    weights = (likeness / math.sqrt(query.shape[1])).softmax(2)
    context = torch.einsum("npk,nck->ncp", weights, value.flatten(2))
    context = net.unit(f"{block}.out_project", context.unflatten(2, size))
    pair = (context, features) if variant.context_first else (features, context)
    return net.conv("decode_head.1.conv_seg", net.unit(f"{block}.bottleneck", torch.cat(pair, 1)))
