"""Warm up for as many images together as memory lets."""

import logging
from typing import Protocol

from proxia_segmentation_ros.config import SizeHW
from proxia_segmentation_ros.errors import BackendError

logger = logging.getLogger(__name__)


class SupportsWarmUp(Protocol):
    """The part of a segmenter that this is about."""

    @property
    def largest_batch(self) -> int:
        """Images that may share a pass, since the last `warm_up`, failed or not."""

    @property
    def lanes(self) -> int:
        """Calls that may run at one time, since then."""

    def warm_up(self, size_hw: SizeHW, batch: int = 1) -> None:
        """Compile for up to `batch` images of this size together."""


def warm_up_with_fallback(segmenter: SupportsWarmUp, size_hw: SizeHW, max_batch: int) -> int:
    """Warm up for `max_batch` images together or, loudly, for fewer; return for how many.

    Raises:
        BackendError: not even one image works.
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
