"""Label graphs of recent sizes: shared by lanes, bounded in memory, in strips if large."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest

from proxia_segmentation_ros.backends.openvino import label_graphs
from proxia_segmentation_ros.backends.openvino.label_graphs import LabelGraphs
from proxia_segmentation_ros.backends.openvino.runner import ArgmaxRequest
from proxia_segmentation_ros.backends.openvino.strips import StripRequest
from proxia_segmentation_ros.labels import load_label_set

SHAPE = (1, 11, 24, 32)


class Workshop:
    """Label graphs whose compilations are counted."""

    def __init__(self) -> None:
        self.compiled: list[str] = []
        self.graphs = LabelGraphs(self.compile, load_label_set("camvid"))

    def compile(self, graph: ov.Model) -> ov.CompiledModel:
        self.compiled.append(graph.friendly_name)
        return ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def find(self, output_hw: tuple[int, int], lane: int = 0, **options: Any) -> Any:
        options = {"with_confidence": False, "temperature": 1.0, **options}
        return self.graphs.find(SHAPE, output_hw, lane=lane, **options)


def test_lanes_share_a_graph_and_have_a_request_each() -> None:
    shop = Workshop()
    first, second = shop.find((48, 64)), shop.find((48, 64), lane=1)
    assert first is not second
    assert shop.find((48, 64)) is first
    assert len(shop.compiled) == 1
    shop.find((48, 64), with_confidence=True)
    assert len(shop.compiled) == 2


def test_graph_of_an_old_size_is_compiled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_graphs, "MAX_BYTES", round(2.1 * label_graphs.BYTES_PER_GRAPH))
    shop = Workshop()
    for side in (32, 48, 64):
        shop.find((side, side))
    shop.find((64, 64))
    assert len(shop.compiled) == 3
    shop.find((32, 32))
    assert len(shop.compiled) == 4


def test_large_outputs_are_labelled_in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_graphs, "MAX_WHOLE_PIXELS", 5000)
    shop = Workshop()
    small, large = shop.find((50, 100)), shop.find((51, 100))
    assert isinstance(small, ArgmaxRequest)
    assert isinstance(large, StripRequest)
    logits = ov.Tensor(np.random.default_rng(1).normal(size=SHAPE).astype(np.float32))
    assert large.run(logits, False, 0.0)[0].shape == (51, 100)


MANY_SIZES = """
import sys
import numpy as np
import psutil
from proxia_segmentation_ros.inference import Segmenter

segmenter = Segmenter.from_weights(sys.argv[1], backend="openvino")

def label(side):
    segmenter.segment(np.zeros((side, side + 7, 3), np.uint8), True)
    return psutil.Process().memory_info().rss / 2**20

label(100)
before = label(200)
print(max(label(side) for side in range(1400, 1424)) - before)
"""


@pytest.mark.slow
def test_24_sizes_cost_less_than_300_megabytes(tiny_weights: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MANY_SIZES, str(tiny_weights)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PROXIA_CACHE_DIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 300
