"""Topics, variants and traces of benchmarks over DDS."""

from types import SimpleNamespace
from typing import Any

import pytest

from proxia_segmentation_ros.benchmark.node_processes import (
    collect_trace,
    count_labels,
    describe_serving,
    make_bare_variant,
    name_labels_topic,
)
from proxia_segmentation_ros.benchmark.trace import Trace
from proxia_segmentation_ros.errors import ProxiaError

PARAMETERS = {"model.weights": "synthetic", "inference.size": "64x48"}


def test_late_labels_of_the_run_before_do_not_count():
    waited: list[int] = []
    listener: Any = SimpleNamespace(
        wait_for_frame=lambda _name, stamp_ns, _timeout_s: waited.append(stamp_ns),
        arrivals=lambda _name: {5: 0.1, 10: 1.1, 30: 3.1},
        stages_ms=lambda _node_name: {"infer": [5.0]},
        gauges=lambda _node_name: {"scales": [2.0]},
    )
    trace = collect_trace(listener, "camera", "node", {10: 1.0, 20: 2.0, 30: 3.0})
    assert waited == [30]
    assert (list(trace.received_s), trace.missed) == ([10, 30], 1)
    assert (trace.stages_ms, trace.gauges) == ({"infer": [5.0]}, {"scales": [2.0]})


def test_labels_are_counted_and_none_is_an_error():
    assert count_labels(Trace(sent_s={1: 0.0, 2: 0.1}, received_s={2: 0.2})) == 1
    with pytest.raises(ProxiaError, match="no labels came back for 2 frames"):
        count_labels(Trace(sent_s={1: 0.0, 2: 0.1}, received_s={}))


def test_bare_model_is_called_as_the_node_calls_it():
    variant = make_bare_variant(
        {
            **PARAMETERS,
            "inference.threads": 1,
            "output.size": "network",
            "output.min_confidence": 0.5,
            "objects.with_confidence": False,
        }
    )
    assert variant.weights == "synthetic"
    assert variant.loading["size"] == "64x48"
    assert variant.loading["threads"] == 1
    assert "cache_dir" not in variant.loading
    assert variant.calling == {
        "with_confidence": False,
        "output_size": "network",
        "min_confidence": 0.5,
        "stream": "camera",
    }


def test_labels_of_several_cameras_lie_below_their_names():
    assert name_labels_topic("eye", "left", 1) == "/eye/labels"
    assert name_labels_topic("eye", "left", 2) == "/eye/left/labels"


def test_nodes_that_run_on_different_things_are_told_apart():
    told = {"left": {"backend": "a", "precision": "f32"}, "right": {"backend": "a"}, "mute": {}}
    listener: Any = SimpleNamespace(wait_for_serving=lambda name, _timeout_s: told[name])
    assert describe_serving(listener, ["left", "right"]) == {"backend": "a", "precision": "f32"}
    told["right"]["precision"] = "int8"
    assert describe_serving(listener, list(told))["precision"] == "f32, int8"
    assert describe_serving(listener, ["mute"]) == {}
