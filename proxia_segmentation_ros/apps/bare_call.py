"""A process that times the bare model call: one JSON line in, one JSON line out.

First line in: the keyword arguments of `Segmenter.from_weights` and `weights`, `seed`, `size_hw`.
Each further line: `{"count": N, "rate_hz": R}`; the answer holds N times in milliseconds.
"""

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import numpy as np
from typing_extensions import Self

from proxia_segmentation_ros.errors import BackendError

MODULE = "proxia_segmentation_ros.apps.bare_call"
FRAMES = 8


class BareCall:
    """The other end of that process, for who starts it."""

    def __init__(self, settings: Mapping[str, Any], env: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", MODULE],
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.description = self._ask(settings)

    def measure(self, count: int, rate_hz: float) -> list[float]:
        """Time `count` calls at that pace, in milliseconds."""
        return [float(one) for one in self._ask({"count": count, "rate_hz": rate_hz})["calls_ms"]]

    def _ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise BackendError("the process of the bare call has no pipes")
        stdin.write(json.dumps(question) + "\n")
        stdin.flush()
        for line in stdout:
            if line.startswith("{"):
                answer: dict[str, Any] = json.loads(line)
                return answer
        raise BackendError.from_parts(
            f"the process of the bare call ended with {self._process.wait()}",
            "an answer for each question",
            "read its error above",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait()


def main() -> None:
    """Answer the questions on stdin until it closes."""
    from proxia_segmentation_ros.inference import Segmenter

    settings = json.loads(sys.stdin.readline())
    images = draw_images(settings.pop("seed"), tuple(settings.pop("size_hw")))
    segmenter = Segmenter.from_weights(settings.pop("weights"), **settings)
    segmenter.warm_up(images[0].shape[:2])
    _answer({"backend": segmenter.backend, "precision": segmenter.precision})
    for line in sys.stdin:
        question = json.loads(line)
        period_s = 1.0 / question["rate_hz"]
        calls_ms = []
        due_s = time.monotonic()
        for index in range(question["count"]):
            due_s += period_s
            time.sleep(max(0.0, due_s - time.monotonic()))
            began_s = time.perf_counter()
            segmenter.segment(images[index % len(images)])
            calls_ms.append(1000 * (time.perf_counter() - began_s))
        _answer({"calls_ms": calls_ms})
    segmenter.close()


def draw_images(seed: int, size_hw: tuple[int, int]) -> list[np.ndarray]:
    """Return some images of the synthetic street."""
    from proxia_segmentation_ros.data.synthetic import StreetScene

    pairs = itertools.islice(StreetScene(seed, size_hw), FRAMES)
    return [image_HWC for image_HWC, _ in pairs]


def _answer(content: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
