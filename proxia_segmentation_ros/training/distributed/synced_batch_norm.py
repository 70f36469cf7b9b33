"""Batch norm with statistics over the images of all processes, also on the CPU."""

import torch
from torch import Tensor, nn

from proxia_segmentation_ros.training.distributed.process_group import (
    all_reduce_with_gradient,
    get_world_size,
)


class SyncedBatchNorm2d(nn.BatchNorm2d):
    """A batch norm over the images of all processes; torch's `SyncBatchNorm` needs a GPU.

    The batches of all processes must have the same shape. In evaluation mode this is a plain batch
    norm.
    """

    def forward(self, maps_NCHW: Tensor) -> Tensor:
        """Normalise each channel by its mean and variance over all processes."""
        if not self.training or get_world_size() == 1:
            return super().forward(maps_NCHW)
        is_double = maps_NCHW.dtype == torch.float64
        values_NCHW = maps_NCHW if is_double else maps_NCHW.float()
        count = values_NCHW.numel() // values_NCHW.shape[1] * get_world_size()
        mean_C = all_reduce_with_gradient(values_NCHW.sum((0, 2, 3))) / count
        centred_NCHW = values_NCHW - mean_C[:, None, None]
        variance_C = all_reduce_with_gradient(centred_NCHW.square().sum((0, 2, 3))) / count
        self._update_running_statistics(
            mean_C.detach(), variance_C.detach() * count / max(count - 1, 1)
        )
        gain_C = self.weight * (variance_C + self.eps).rsqrt()
        normal_NCHW = centred_NCHW * gain_C[:, None, None] + self.bias[:, None, None]
        return normal_NCHW.to(maps_NCHW.dtype)

    @torch.no_grad()
    def _update_running_statistics(self, mean_C: Tensor, variance_C: Tensor) -> None:
        """Update the running mean and variance."""
        if self.running_mean is None or self.running_var is None:
            return
        share = 0.1 if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean_C.to(self.running_mean.dtype), share)
        self.running_var.lerp_(variance_C.to(self.running_var.dtype), share)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)


def sync_batch_norms(network: nn.Module, device: torch.device) -> None:
    """Replace the network's batch norms by synchronised ones with the same parameters and names."""
    if get_world_size() == 1:
        return
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.BatchNorm2d:
                setattr(parent, name, _make_synced(child, device))


def _make_synced(plain: nn.BatchNorm2d, device: torch.device) -> nn.Module:
    if device.type == "cuda":
        synced: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(plain)
        return synced
    ours = SyncedBatchNorm2d(plain.num_features, plain.eps, plain.momentum)
    ours.weight, ours.bias = plain.weight, plain.bias
    ours.running_mean, ours.running_var = plain.running_mean, plain.running_var
    ours.num_batches_tracked = plain.num_batches_tracked
    return ours
