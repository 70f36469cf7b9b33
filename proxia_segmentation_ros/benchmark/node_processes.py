"""The processes and topics of a benchmark over DDS, and the traces and texts that nodes give."""

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from proxia_segmentation_ros.benchmark.trace import Trace
from proxia_segmentation_ros.benchmark.variant import Variant, list_options
from proxia_segmentation_ros.config import NodeSettings
from proxia_segmentation_ros.errors import ProxiaError
from proxia_segmentation_ros.ros.client.domain import isolate_environment
from proxia_segmentation_ros.ros.client.node_arguments import (
    NodeLaunch,
    check_parameters,
    make_ros_arguments,
)
from proxia_segmentation_ros.ros.client.node_process import NODE_MODULE, NodeProcess

if TYPE_CHECKING:
    from proxia_segmentation_ros.ros.client.benchmark_listener import BenchmarkListener

BASELINE_TOPIC = "/benchmark/baseline/image"
BASELINE_MODULE = "proxia_segmentation_ros.ros.client.baseline_subscriber"
LAST_LABELS_TIMEOUT_S = 3.0
MATCH_TIMEOUT_S = 20.0
# A node publishes diagnostics every second.
SERVING_TIMEOUT_S = 3.0


def prepare_domain() -> None:
    """Isolate this process and its children in a ROS domain, unless the user chose one."""
    from proxia_segmentation_ros.ros.environment import prepare_environment

    os.environ.update(isolate_environment())
    prepare_environment()


def name_camera_topic(node_name: str, camera: str) -> str:
    """Return the image topic of a camera of a benchmarked node."""
    return f"/{node_name}/{camera}/image"


def name_labels_topic(node_name: str, camera: str, cameras: int) -> str:
    """Return the label topic of a camera: a node with several inserts the camera's name."""
    return f"/{node_name}/labels" if cameras == 1 else f"/{node_name}/{camera}/labels"


def start_node(
    node_name: str,
    cameras: tuple[str, ...],
    parameters: Mapping[str, Any],
    stack: ExitStack,
    module: str = NODE_MODULE,
) -> NodeProcess:
    """Start a node with these cameras; the stack ends it.

    Raises:
        ConfigError: a parameter is unknown or out of its range.
    """
    chosen = {
        "camera_names": list(cameras),
        **parameters,
        **{
            f"cameras.{camera}.{name}": value
            for camera in cameras
            for name, value in (
                ("image_topic", name_camera_topic(node_name, camera)),
                ("transport", "raw"),
            )
        },
    }
    arguments = make_ros_arguments(NodeLaunch(parameters=chosen, node_name=node_name))
    return stack.enter_context(NodeProcess(arguments, env=os.environ, module=module))


def make_bare_variant(parameters: Mapping[str, Any]) -> Variant:
    """Return the bare model as the node with these parameters calls it.

    Raises:
        ConfigError: a parameter is unknown or out of its range.
    """
    settings = NodeSettings.from_flat(check_parameters(parameters))
    loading, _ = list_options()
    inference = settings.inference.model_dump()
    calling = {
        "with_confidence": settings.objects.with_confidence,
        "output_size": settings.output.size,
        "min_confidence": settings.output.min_confidence,
        "stream": settings.camera_names[0],
    }
    return Variant(
        name="bare model",
        kind="model",
        weights=settings.model.weights,
        loading={name: inference[name] for name in loading if name in inference},
        calling=calling,
    )


def collect_trace(
    listener: "BenchmarkListener", name: str, node_name: str, sent_s: Mapping[int, float]
) -> Trace:
    """Wait for the labels of the last frame, and return the trace of the frames that were sent."""
    if sent_s:
        listener.wait_for_frame(name, max(sent_s), LAST_LABELS_TIMEOUT_S)
    arrived_s = listener.arrivals(name)
    return Trace(
        sent_s=sent_s,
        received_s={stamp_ns: at_s for stamp_ns, at_s in arrived_s.items() if stamp_ns in sent_s},
        stages_ms=listener.stages_ms(node_name),
        gauges=listener.gauges(node_name),
    )


def describe_serving(listener: "BenchmarkListener", node_names: Sequence[str]) -> dict[str, str]:
    """Return the backend and precision that nodes report; `f32, int8` where they differ."""
    reports = [listener.wait_for_serving(name, SERVING_TIMEOUT_S) for name in node_names]
    values: dict[str, list[str]] = {}
    for report in reports:
        for key, value in report.items():
            values.setdefault(key, []).append(value)
    return {key: ", ".join(dict.fromkeys(found)) for key, found in values.items()}


def count_labels(trace: Trace) -> int:
    """Return the number of labelled frames.

    Raises:
        ProxiaError: there were none.
    """
    if not trace.received_s:
        raise ProxiaError.from_parts(
            f"no labels came back for {len(trace.sent_s)} frames",
            "labels for most of them",
            "run `proxia demo` to see why",
        )
    return len(trace.received_s)
