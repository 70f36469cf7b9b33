"""An evaluation that is split among the processes that torchrun started."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from proxia_segmentation_ros.evaluation.evaluation_loop import GatherOthers


@dataclass(frozen=True)
class ProcessGroup:
    """This process's rank among `count` processes.

    `gather_others` sends an object to the other processes and returns theirs; a single process has
    none.
    """

    rank: int = 0
    count: int = 1
    gather_others: GatherOthers | None = None

    def split_indices(self, total: int) -> range:
        """Return this process's indices of 0 to `total` - 1, in order."""
        return range(self.rank, total, self.count)


@contextmanager
def join_process_group() -> Iterator[ProcessGroup]:
    """Join the processes that torchrun started, if any, until the block ends.

    Imports torch only if there are several processes.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ProcessGroup()
        return
    from proxia_segmentation_ros.training.distributed.process_group import (
        get_rank,
        get_world_size,
        open_process_group,
    )

    with open_process_group("auto"):
        yield ProcessGroup(get_rank(), get_world_size(), _gather_others)


def _gather_others(own: Any) -> Sequence[Any]:
    from torch import distributed

    parts: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(parts, own)
    return [part for rank, part in enumerate(parts) if rank != distributed.get_rank()]
