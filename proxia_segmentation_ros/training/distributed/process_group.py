"""Distributed data-parallel training, started by `torchrun`: gloo on the CPU, nccl on CUDA.

Every process holds the whole network and its own part of each batch. The loss of a process is its
share of the loss of the whole batch, so gradients are summed, not averaged. With a single process
every function here is a no-op.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from proxia_segmentation_ros.errors import ConfigError


def get_world_size() -> int:
    """Return the number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def get_local_world_size() -> int:
    """Return the number of processes on this machine, which share its cores."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "0")) or get_world_size()


def get_rank() -> int:
    """Return the rank of this process, from 0."""
    return dist.get_rank() if get_world_size() > 1 else 0


def choose_device(name: str) -> torch.device:
    """Return the device for `auto`, `cpu` or `cuda`; under torchrun each process has its own GPU.

    Raises:
        ConfigError: CUDA is requested but torch finds no GPU.
    """
    has_cuda = torch.cuda.is_available()
    if name == "cuda" and not has_cuda:
        raise ConfigError.from_parts(
            "recipe setting device is 'cuda', and torch finds no CUDA device",
            "auto or cpu on this machine",
            "set device=auto, or install a torch with CUDA",
        )
    if name == "cpu" or not has_cuda:
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


@contextmanager
def open_process_group(device_name: str) -> Iterator[None]:
    """Join the process group that torchrun started, if any, until the block ends.

    Nested blocks do nothing.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or get_world_size() > 1:
        yield
        return
    device = choose_device(device_name)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def wait_at_barrier() -> None:
    """Wait until every process has reached this call."""
    if get_world_size() > 1:
        dist.barrier()


def all_reduce(values: Tensor) -> Tensor:
    """Return the sum over all processes, detached from the graph."""
    if get_world_size() == 1:
        return values.detach()
    total = values.detach().clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total


class _AllReduce(torch.autograd.Function):
    @staticmethod
    def forward(_context: Any, values: Tensor) -> Tensor:
        return all_reduce(values)

    @staticmethod
    def backward(_context: Any, *gradients: Tensor) -> Tensor:
        return all_reduce(gradients[0])


def all_reduce_with_gradient(values: Tensor) -> Tensor:
    """Return the sum over all processes; its gradient is summed over all processes too."""
    if get_world_size() == 1:
        return values
    total: Tensor = _AllReduce.apply(values)  # type: ignore[no-untyped-call]
    return total


def all_reduce_gradients(parameters: Iterable[Tensor]) -> None:
    """Replace every gradient by its sum over all processes, in one all-reduce for each dtype."""
    if get_world_size() == 1:
        return
    by_type: dict[torch.dtype, list[Tensor]] = {}
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        by_type.setdefault(parameter.dtype, []).append(parameter.grad)
    for gradients in by_type.values():
        total = all_reduce(torch.cat([gradient.flatten() for gradient in gradients]))
        parts = total.split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view(gradient.shape))


def broadcast_weights(module: torch.nn.Module) -> None:
    """Copy the weights and buffers of the first process to all others."""
    if get_world_size() > 1:
        for tensor in module.state_dict().values():
            sent = tensor.detach().contiguous()
            dist.broadcast(sent, 0)
            tensor.copy_(sent)
