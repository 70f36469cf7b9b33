"""A process that times the bare model call: one JSON line in, one JSON line out.

First line in: the keyword arguments of `Segmenter.from_weights` and `weights`, `seed`, `size_hw`.
Each further line: `{"count": N, "rate_hz": R}`; the answer holds N times in milliseconds.
"""

import itertools
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from proxia_segmentation_ros.apps.answering_process import (
    AnsweringProcess,
    answer,
    read_questions,
)

MODULE = "proxia_segmentation_ros.apps.bare_call"
FRAMES = 8


class BareCall(AnsweringProcess):
    """The other end of that process, for who starts it."""

    def __init__(self, settings: Mapping[str, Any], env: Mapping[str, str]) -> None:
        super().__init__(MODULE, "the bare call", env)
        try:
            self.description = self.ask(settings)
        except BaseException:
            # There is no block yet whose end would close it.
            self.close()
            raise

    def measure(self, count: int, rate_hz: float) -> list[float]:
        """Time `count` calls at that pace, in milliseconds."""
        return [float(one) for one in self.ask({"count": count, "rate_hz": rate_hz})["calls_ms"]]


def main() -> None:
    """Answer the questions on stdin until it closes."""
    from proxia_segmentation_ros.inference import Segmenter

    questions = read_questions()
    settings = next(questions)
    images = draw_images(settings.pop("seed"), tuple(settings.pop("size_hw")))
    segmenter = Segmenter.from_weights(settings.pop("weights"), **settings)
    segmenter.warm_up(images[0].shape[:2])
    answer({"backend": segmenter.backend, "precision": segmenter.precision})
    for question in questions:
        period_s = 1.0 / question["rate_hz"]
        calls_ms = []
        due_s = time.monotonic()
        for index in range(question["count"]):
            due_s += period_s
            time.sleep(max(0.0, due_s - time.monotonic()))
            began_s = time.perf_counter()
            segmenter.segment(images[index % len(images)])
            calls_ms.append(1000 * (time.perf_counter() - began_s))
        answer({"calls_ms": calls_ms})
    segmenter.close()


def draw_images(seed: int, size_hw: tuple[int, int]) -> list[np.ndarray]:
    """Return some images of the synthetic street."""
    from proxia_segmentation_ros.data.synthetic import StreetScene

    pairs = itertools.islice(StreetScene(seed, size_hw), FRAMES)
    return [image_HWC for image_HWC, _ in pairs]


if __name__ == "__main__":
    main()
