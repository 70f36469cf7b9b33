"""Load the batches of the next steps in threads while the network computes.

A pair is a function of its index in the run, so the order in which threads run does not change a
batch. Threads are enough, because numpy, OpenCV and pillow release the GIL while they work.
"""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol, TypeAlias

import cv2
import numpy as np
import torch
from torch import Tensor

from proxia_segmentation_ros.data.dataset import Pair
from proxia_segmentation_ros.training.distributed.process_group import (
    get_local_world_size,
    get_rank,
    get_world_size,
)

STEPS_AHEAD = 2
# uint8 images_NHWC and int64 labels_NHW.
Batch: TypeAlias = tuple[Tensor, Tensor]


class Pairs(Protocol):
    """Endless pairs by their index in the run."""

    def __getitem__(self, index: int) -> Pair:
        """Return (image_HWC, labels_HW); all pairs have the same size."""


class BatchLoader:
    """Loads the batches of every step; of n processes each loads every n-th batch."""

    def __init__(self, pairs: Pairs, batch_size: int, accumulate: int) -> None:
        self._pairs = pairs
        self._batch_size = batch_size
        self._accumulate = accumulate

    def iterate(self, first_step: int, stop_step: int) -> Iterator[list[Batch]]:
        """Yield the batches of each step, loading up to two steps ahead.

        An error in a pair is raised at its step.
        """
        steps = iter(range(first_step, stop_step))
        with _limit_opencv_threads(), ThreadPoolExecutor(self._count_threads()) as pool:
            waiting: deque[list[Future[Pair]]] = deque()
            try:
                for step in steps:
                    waiting.append(
                        [
                            pool.submit(self._pairs.__getitem__, index)
                            for index in self.list_indices(step)
                        ]
                    )
                    if len(waiting) > STEPS_AHEAD:
                        yield self._join(waiting.popleft())
                while waiting:
                    yield self._join(waiting.popleft())
            finally:
                pool.shutdown(cancel_futures=True)

    def list_indices(self, step: int) -> list[int]:
        """Return the indices of this process's pairs of a step, batch after batch."""
        count, processes = self._accumulate, get_world_size()
        batches = [(step * count + part) * processes + get_rank() for part in range(count)]
        size = self._batch_size
        return [batch * size + slot for batch in batches for slot in range(size)]

    def _count_threads(self) -> int:
        cores = max(1, (os.cpu_count() or 1) // get_local_world_size())
        return min(cores, self._batch_size * self._accumulate * STEPS_AHEAD)

    def _join(self, futures: Sequence["Future[Pair]"]) -> list[Batch]:
        pairs = [future.result() for future in futures]
        size = self._batch_size
        return [collate_pairs(pairs[start : start + size]) for start in range(0, len(pairs), size)]


def collate_pairs(pairs: Sequence[Pair]) -> Batch:
    """Stack the pairs to a batch."""
    images = torch.from_numpy(np.stack([image for image, _ in pairs]))
    return images, torch.from_numpy(np.stack([labels for _, labels in pairs])).long()


@contextmanager
def _limit_opencv_threads() -> Iterator[None]:
    """Keep OpenCV from starting threads of its own: pairs are already loaded in parallel."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
