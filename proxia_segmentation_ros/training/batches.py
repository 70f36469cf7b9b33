"""Batches of coming steps, drawn by threads while the network is busy.

A pair is a function of its place in the run, so threads change no batch. numpy, OpenCV and pillow
leave the interpreter free while they work.
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
    """Endless pairs by their place in the run."""

    def __getitem__(self, index: int) -> Pair:
        """Return (image_HWC, labels_HW) of one size for all."""


class BatchLoader:
    """Draws the batches of every step: among processes, each has every n-th part."""

    def __init__(self, pairs: Pairs, batch_size: int, accumulate: int) -> None:
        self._pairs = pairs
        self._batch_size = batch_size
        self._accumulate = accumulate

    def iterate(self, first_step: int, stop_step: int) -> Iterator[list[Batch]]:
        """Return the batches of step after step, up to two steps drawn ahead.

        Errors of a pair are raised at its step.
        """
        steps = iter(range(first_step, stop_step))
        with _limit_opencv_threads(), ThreadPoolExecutor(self._count_threads()) as pool:
            waiting: deque[list[Future[Pair]]] = deque()
            try:
                for step in steps:
                    waiting.append(
                        [
                            pool.submit(self._pairs.__getitem__, place)
                            for place in self.list_indices(step)
                        ]
                    )
                    if len(waiting) > STEPS_AHEAD:
                        yield self._join(waiting.popleft())
                while waiting:
                    yield self._join(waiting.popleft())
            finally:
                pool.shutdown(cancel_futures=True)

    def list_indices(self, step: int) -> list[int]:
        """Return the places of this process's pairs of a step, batch after batch."""
        times, parts = self._accumulate, get_world_size()
        batches = [(step * times + time) * parts + get_rank() for time in range(times)]
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
    """Return the pairs as one batch."""
    images = torch.from_numpy(np.stack([image for image, _ in pairs]))
    return images, torch.from_numpy(np.stack([labels for _, labels in pairs])).long()


@contextmanager
def _limit_opencv_threads() -> Iterator[None]:
    """Let OpenCV start no threads of its own: pairs are what is drawn side by side."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
