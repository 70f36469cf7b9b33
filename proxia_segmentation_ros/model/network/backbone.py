"""HRNetV2 trunks: parallel branches at 1/4 to 1/32 resolution that exchange features.

Source: Wang et al., "Deep High-Resolution Representation Learning for Visual Recognition" (2019),
https://arxiv.org/abs/1908.07919. Module names are the keys of the state dict of
NVIDIA/semantic-segmentation (see hrnet_ocr.py).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from proxia_segmentation_ros.model.network.blocks import (
    BasicBlock,
    Bottleneck,
    make_batch_norm,
    make_conv,
    resize_bilinear,
)

STEM_CHANNELS = 64


@dataclass(frozen=True, kw_only=True)
class TrunkSpec:
    """Sizes of one HRNetV2: branch widths from 1/4 to 1/32, modules of stages 2 to 4."""

    branch_channels: tuple[int, int, int, int]
    stage_modules: tuple[int, int, int]
    blocks_per_branch: int
    bottlenecks: int
    bottleneck_planes: int

    @property
    def out_channels(self) -> int:
        """Channels of the concatenated output."""
        return sum(self.branch_channels)


TRUNKS = {
    "w48": TrunkSpec(
        branch_channels=(48, 96, 192, 384),
        stage_modules=(1, 4, 3),
        blocks_per_branch=4,
        bottlenecks=4,
        bottleneck_planes=64,
    ),
    "w18": TrunkSpec(
        branch_channels=(18, 36, 72, 144),
        stage_modules=(1, 4, 3),
        blocks_per_branch=4,
        bottlenecks=4,
        bottleneck_planes=64,
    ),
    "w18_small_v2": TrunkSpec(
        branch_channels=(18, 36, 72, 144),
        stage_modules=(1, 3, 2),
        blocks_per_branch=2,
        bottlenecks=2,
        bottleneck_planes=64,
    ),
    "w18_small_v1": TrunkSpec(
        branch_channels=(16, 32, 64, 128),
        stage_modules=(1, 1, 1),
        blocks_per_branch=2,
        bottlenecks=1,
        bottleneck_planes=32,
    ),
}


def _make_downsampling(from_channels: int, to_channels: int, steps: int) -> nn.Sequential:
    """Return `steps` stride-2 convolutions; only the last one changes channels, without ReLU."""
    chain: list[nn.Module] = []
    for step in range(steps):
        is_last = step == steps - 1
        out_channels = to_channels if is_last else from_channels
        layers = (
            make_conv(from_channels, out_channels, 3, stride=2),
            make_batch_norm(out_channels),
        )
        chain.append(nn.Sequential(*layers) if is_last else nn.Sequential(*layers, nn.ReLU()))
    return nn.Sequential(*chain)


class HighResolutionModule(nn.Module):
    """Parallel branches of basic blocks, then each branch becomes the sum of all, resized to it."""

    def __init__(self, channels: tuple[int, ...], blocks: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(width) for _ in range(blocks))) for width in channels
        )
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(
                self._make_fuse_layer(channels, source, target) for source in range(len(channels))
            )
            for target in range(len(channels))
        )
        self.relu = nn.ReLU()

    @staticmethod
    def _make_fuse_layer(channels: tuple[int, ...], source: int, target: int) -> nn.Module:
        if source == target:
            return nn.Identity()
        if source > target:
            return nn.Sequential(
                make_conv(channels[source], channels[target], 1), make_batch_norm(channels[target])
            )
        return _make_downsampling(channels[source], channels[target], target - source)

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        branches = [
            blocks(features) for blocks, features in zip(self.branches, branches, strict=True)
        ]
        fused = []
        layers: nn.ModuleList
        for target, layers in enumerate(self.fuse_layers):  # type: ignore[assignment]
            height, width = branches[target].shape[-2:]
            total = None
            for layer, features in zip(layers, branches, strict=True):
                part = resize_bilinear(layer(features), (height, width))
                total = part if total is None else total + part
            fused.append(self.relu(total))
        return fused


class Stage(nn.Sequential):
    """A sequence of modules that take and return the list of branches."""

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        for module in self:
            branches = module(branches)
        return branches


class HighResolutionNet(nn.Module):
    """The trunk: image_NCHW in, all branches at 1/4 resolution concatenated out."""

    def __init__(self, spec: TrunkSpec) -> None:
        super().__init__()
        self.spec = spec
        self.conv1 = make_conv(3, STEM_CHANNELS, 3, stride=2)
        self.bn1 = make_batch_norm(STEM_CHANNELS)
        self.conv2 = make_conv(STEM_CHANNELS, STEM_CHANNELS, 3, stride=2)
        self.bn2 = make_batch_norm(STEM_CHANNELS)
        self.relu = nn.ReLU()
        wide = spec.bottleneck_planes * Bottleneck.expansion
        self.layer1 = nn.Sequential(
            *(
                Bottleneck(STEM_CHANNELS if index == 0 else wide, spec.bottleneck_planes)
                for index in range(spec.bottlenecks)
            )
        )
        self.transition1 = self._make_first_transition(wide)
        self.stage2 = self._make_stage(2)
        self.transition2 = self._make_new_branch_transition(2)
        self.stage3 = self._make_stage(3)
        self.transition3 = self._make_new_branch_transition(3)
        self.stage4 = self._make_stage(4)
        self._reset_parameters()

    def _make_first_transition(self, wide: int) -> nn.ModuleList:
        first, second = self.spec.branch_channels[:2]
        keep = nn.Sequential(make_conv(wide, first, 3), make_batch_norm(first), nn.ReLU())
        halve = nn.Sequential(
            make_conv(wide, second, 3, stride=2), make_batch_norm(second), nn.ReLU()
        )
        return nn.ModuleList([keep, nn.Sequential(halve)])

    def _make_new_branch_transition(self, branch: int) -> nn.ModuleList:
        """Keep the existing branches; derive branch `branch` from the lowest-resolution one."""
        channels = self.spec.branch_channels
        halve = nn.Sequential(
            make_conv(channels[branch - 1], channels[branch], 3, stride=2),
            make_batch_norm(channels[branch]),
            nn.ReLU(),
        )
        return nn.ModuleList([*(nn.Identity() for _ in range(branch)), nn.Sequential(halve)])

    def _make_stage(self, branches: int) -> Stage:
        channels = self.spec.branch_channels[:branches]
        modules = self.spec.stage_modules[branches - 2]
        return Stage(
            *(HighResolutionModule(channels, self.spec.blocks_per_branch) for _ in range(modules))
        )

    def _reset_parameters(self) -> None:
        """Initialise convolutions by He et al. 2015 (fan-out).

        NVIDIA/semantic-segmentation draws from N(0, 0.001) because it loads ImageNet weights
        afterwards; for training from scratch that is too small.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward_branches(self, image_NCHW: Tensor) -> list[Tensor]:
        """Return the four branches of stage 4, at 1/4, 1/8, 1/16 and 1/32 resolution."""
        features = self.relu(self.bn1(self.conv1(image_NCHW)))
        features = self.relu(self.bn2(self.conv2(features)))
        features = self.layer1(features)
        branches = self.stage2([transition(features) for transition in self.transition1])
        branches = self.stage3([*branches, self.transition2[2](branches[-1])])
        return self.stage4([*branches, self.transition3[3](branches[-1])])

    def forward(self, image_NCHW: Tensor) -> Tensor:
        branches = self.forward_branches(image_NCHW)
        height, width = branches[0].shape[-2:]
        return torch.cat([resize_bilinear(branch, (height, width)) for branch in branches], dim=1)
