"""Several processes that share one task, as torchrun starts them."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from proxia_segmentation_ros.evaluation.evaluation_loop import Exchange


@dataclass(frozen=True)
class Team:
    """This process's place among `count`, from 0; `exchange` gives the others
    something and returns what they gave; alone there is none."""

    rank: int = 0
    count: int = 1
    exchange: Exchange | None = None

    def choose_share(self, total: int) -> range:
        """Return this process's part of so many numbers, in order; together all, each once."""
        return range(self.rank, total, self.count)


@contextmanager
def join_team() -> Iterator[Team]:
    """Join the processes that torchrun started until the block ends; else be one alone.

    Torch is loaded only where there are several.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Team()
        return
    from proxia_segmentation_ros.training.distributed.processes import (
        count_processes,
        get_rank,
        join_processes,
    )

    with join_processes("auto"):
        yield Team(get_rank(), count_processes(), _exchange)


def _exchange(own: Any) -> Sequence[Any]:
    from torch import distributed

    parts: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(parts, own)
    return [part for rank, part in enumerate(parts) if rank != distributed.get_rank()]
