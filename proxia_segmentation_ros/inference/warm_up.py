"""Warm-up that falls back to smaller batches if memory does not suffice."""

import logging
from typing import Protocol

from proxia_segmentation_ros.config import SizeHW
from proxia_segmentation_ros.errors import BackendError

logger = logging.getLogger(__name__)


class SupportsWarmUp(Protocol):
    """Protocol of the part of a segmenter that is used here."""

    @property
    def largest_batch(self) -> int:
        """Largest batch of the last `warm_up`, even if that failed."""

    @property
    def lanes(self) -> int:
        """Concurrent calls of the last `warm_up`, even if that failed."""

    def warm_up(self, size_hw: SizeHW, batch: int = 1) -> None:
        """Compile and run once for up to `batch` images of this size."""


def warm_up_with_fallback(segmenter: SupportsWarmUp, size_hw: SizeHW, max_batch: int) -> int:
    """Warm up for `max_batch` images or, with a warning, for fewer; return the number.

    Raises:
        BackendError: even a single image fails.
    """
    batch = max_batch
    while batch > 1:
        try:
            segmenter.warm_up(size_hw, batch)
        except BackendError as error:
            fewer = max(1, min(batch, max(segmenter.largest_batch, segmenter.lanes)) // 2)
            logger.warning(
                "can't warm up for %d images together: %s. Trying %d", batch, error, fewer
            )
            batch = fewer
        else:
            return batch
    segmenter.warm_up(size_hw, 1)
    return 1
