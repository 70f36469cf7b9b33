"""Convolution blocks and resizing shared by the networks.

Shape legend of this folder: N images, C channels, H rows, W columns, K classes.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from proxia_segmentation_ros.config import SizeHW

BN_EPS = 1e-5
BN_MOMENTUM = 0.1


def make_batch_norm(channels: int) -> nn.BatchNorm2d:
    """Return a batch norm with the constants of NVIDIA/semantic-segmentation."""
    return nn.BatchNorm2d(channels, eps=BN_EPS, momentum=BN_MOMENTUM)


def make_conv(
    in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, bias: bool = False
) -> nn.Conv2d:
    """Return a convolution padded so that stride 1 keeps the size."""
    return nn.Conv2d(
        in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, bias=bias
    )


def make_norm_relu(channels: int) -> nn.Sequential:
    """Return batch norm and ReLU in a Sequential: the keys of NVIDIA/semantic-segmentation."""
    return nn.Sequential(make_batch_norm(channels), nn.ReLU())


def resize_bilinear(tensor_NCHW: Tensor, size_hw: SizeHW) -> Tensor:
    """Resize with align_corners=False, without antialiasing; a no-op for the same size."""
    if tuple(tensor_NCHW.shape[-2:]) == tuple(size_hw):
        return tensor_NCHW
    return F.interpolate(tensor_NCHW, size=size_hw, mode="bilinear", align_corners=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a skip connection; keeps channels and size."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = make_conv(channels, channels, 3)
        self.bn1 = make_batch_norm(channels)
        self.conv2 = make_conv(channels, channels, 3)
        self.bn2 = make_batch_norm(channels)
        self.relu = nn.ReLU()

    def forward(self, features_NCHW: Tensor) -> Tensor:
        hidden = self.relu(self.bn1(self.conv1(features_NCHW)))
        return self.relu(self.bn2(self.conv2(hidden)) + features_NCHW)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions and a skip connection; widens to 4 x planes."""

    expansion = 4

    def __init__(self, in_channels: int, planes: int) -> None:
        super().__init__()
        out_channels = planes * self.expansion
        self.conv1 = make_conv(in_channels, planes, 1)
        self.bn1 = make_batch_norm(planes)
        self.conv2 = make_conv(planes, planes, 3)
        self.bn2 = make_batch_norm(planes)
        self.conv3 = make_conv(planes, out_channels, 1)
        self.bn3 = make_batch_norm(out_channels)
        self.relu = nn.ReLU()
        self.downsample = (
            None
            if in_channels == out_channels
            else nn.Sequential(
                make_conv(in_channels, out_channels, 1), make_batch_norm(out_channels)
            )
        )

    def forward(self, features_NCHW: Tensor) -> Tensor:
        skip = features_NCHW if self.downsample is None else self.downsample(features_NCHW)
        hidden = self.relu(self.bn1(self.conv1(features_NCHW)))
        hidden = self.relu(self.bn2(self.conv2(hidden)))
        return self.relu(self.bn3(self.conv3(hidden)) + skip)
