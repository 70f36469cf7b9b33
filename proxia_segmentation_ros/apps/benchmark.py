"""What DDS costs: frame in to labels out, against the bare model call beside a null subscriber.

Three processes besides this one: the node, a bare caller of the model and a null subscriber.
Rounds alternate, so that a slower minute of the machine slows both.
"""

import os
import platform
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from proxia_segmentation_ros.apps.bare_call import BareCall, draw_images
from proxia_segmentation_ros.apps.domain import isolate_environment
from proxia_segmentation_ros.apps.node_arguments import NodeLaunch, make_ros_arguments
from proxia_segmentation_ros.apps.node_process import NodeProcess
from proxia_segmentation_ros.apps.progress import Progress
from proxia_segmentation_ros.apps.sources import DEFAULT_SIZE_HW
from proxia_segmentation_ros.config import SizeHW
from proxia_segmentation_ros.errors import ProxiaError
from proxia_segmentation_ros.model.card import read_card

if TYPE_CHECKING:
    from proxia_segmentation_ros.ros.listener import StreamListener
    from proxia_segmentation_ros.ros.player import CameraPlayer, PublishedFrame

NODE_NAME = "proxia_benchmark"
NODE_TOPIC = "/benchmark/image"
NULL_TOPIC = "/benchmark/null/image"
NULL_MODULE = "proxia_segmentation_ros.ros.null_subscriber"
READY_TIMEOUT_S = 60.0
LAST_LABELS_TIMEOUT_S = 3.0
SEED = 0


@dataclass(frozen=True, kw_only=True)
class BenchmarkSettings:
    """`rate_hz` leaves the model time to rest between frames: this is latency, not throughput."""

    weights: str = "default"
    backend: str = "auto"
    precision: str = "auto"
    size_hw: SizeHW = DEFAULT_SIZE_HW
    rate_hz: float = 5.0
    rounds: int = 5
    frames: int = 30


def run_benchmark(settings: BenchmarkSettings, progress: Progress) -> dict[str, Any]:
    """Return medians of both, by round and over all, and what DDS adds in percent.

    Raises:
        WeightsError: the weights can't be read.
        ConfigError: a setting is out of its range.
        ProxiaError: a process did not start or no labels came back.
    """
    from proxia_segmentation_ros.ros.environment import prepare_environment

    read_card(settings.weights)
    arguments = _list_node_arguments(settings)
    os.environ.update(isolate_environment())
    prepare_environment()
    progress.begin("starting the processes")
    with (
        NodeProcess(arguments, env=os.environ) as node,
        NodeProcess([NULL_TOPIC], env=os.environ, module=NULL_MODULE) as null,
        BareCall(_describe_call(settings), os.environ) as bare,
    ):
        node_ms, bare_ms = _alternate(settings, node, null, bare, progress)
        return summarize_rounds(settings, bare.description, node_ms, bare_ms)


def summarize_rounds(
    settings: BenchmarkSettings,
    description: dict[str, Any],
    node_ms: Sequence[Sequence[float]],
    bare_ms: Sequence[Sequence[float]],
) -> dict[str, Any]:
    """Return the figures of all rounds; the overhead compares the medians over all frames."""
    all_node_ms, all_bare_ms = np.concatenate(node_ms), np.concatenate(bare_ms)
    through_dds_ms, alone_ms = float(np.median(all_node_ms)), float(np.median(all_bare_ms))
    height, width = settings.size_hw
    return {
        "weights": settings.weights,
        **description,
        "size": f"{width}x{height}",
        "rate_hz": settings.rate_hz,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load_average": round(os.getloadavg()[0], 2),
        "frames": len(all_node_ms),
        "dds_ms": {"p50": round(through_dds_ms, 2), "p95": _round_percentile(all_node_ms)},
        "bare_ms": {"p50": round(alone_ms, 2), "p95": _round_percentile(all_bare_ms)},
        "overhead_percent": round(100 * (through_dds_ms / alone_ms - 1), 1),
        "rounds": [
            {"dds_ms": round(float(np.median(a)), 2), "bare_ms": round(float(np.median(b)), 2)}
            for a, b in zip(node_ms, bare_ms, strict=True)
        ],
    }


def _round_percentile(values_ms: np.ndarray) -> float:
    return round(float(np.percentile(values_ms, 95)), 2)


def _list_node_arguments(settings: BenchmarkSettings) -> list[str]:
    parameters = {
        "model.weights": settings.weights,
        "inference.backend": settings.backend,
        "inference.precision": settings.precision,
        "cameras.camera.image_topic": NODE_TOPIC,
    }
    return make_ros_arguments(NodeLaunch(parameters=parameters, node_name=NODE_NAME))


def _describe_call(settings: BenchmarkSettings) -> dict[str, Any]:
    return {
        "weights": settings.weights,
        "backend": settings.backend,
        "precision": settings.precision,
        "seed": SEED,
        "size_hw": list(settings.size_hw),
    }


def _alternate(
    settings: BenchmarkSettings,
    node: NodeProcess,
    null: NodeProcess,
    bare: BareCall,
    progress: Progress,
) -> tuple[list[list[float]], list[list[float]]]:
    from proxia_segmentation_ros.ros.frames import PlayedFrame
    from proxia_segmentation_ros.ros.listener import StreamListener
    from proxia_segmentation_ros.ros.player import CameraPlayer
    from proxia_segmentation_ros.ros.session import RosSession

    images = draw_images(SEED, settings.size_hw)
    frames = [PlayedFrame.from_rgb(images[i % len(images)]) for i in range(settings.frames)]
    node_ms: list[list[float]] = []
    bare_ms: list[list[float]] = []
    with RosSession("proxia_benchmark_user") as session:
        listener = StreamListener(session, f"/{NODE_NAME}")
        to_node, to_null = (
            CameraPlayer(
                session, frames, rate_hz=settings.rate_hz, topic=topic, node_name_to_wait=name
            )
            for topic, name in ((NODE_TOPIC, f"/{NODE_NAME}"), (NULL_TOPIC, ""))
        )
        to_node.wait_until_ready(READY_TIMEOUT_S, node.check_alive)
        to_null.wait_until_ready(READY_TIMEOUT_S, null.check_alive)
        _time_node(to_node, listener)
        progress.begin("measuring", settings.rounds)
        for _ in range(settings.rounds):
            node_ms.append(_time_node(to_node, listener))
            bare_ms.append(_time_bare(to_null, bare, settings))
            progress.advance()
    return node_ms, bare_ms


def _time_node(player: "CameraPlayer", listener: "StreamListener") -> list[float]:
    """Publish one round; returns milliseconds from publishing to labels in, frame by frame."""
    published: list[PublishedFrame] = []
    player.play(published.append)
    last_ns = published[-1].stamp_ns
    listener.wait_for(lambda heard: last_ns in heard.labels, LAST_LABELS_TIMEOUT_S)
    labels = listener.labels
    arrived = [(one.sent_at_s, labels[one.stamp_ns]) for one in published if one.stamp_ns in labels]
    if not arrived:
        raise ProxiaError.from_parts(
            f"no labels came back for {len(published)} frames",
            "labels for most of them",
            "run `proxia demo` to see why",
        )
    return [1000 * (one.arrived_at_s - sent_at_s) for sent_at_s, one in arrived]


def _time_bare(player: "CameraPlayer", bare: BareCall, settings: BenchmarkSettings) -> list[float]:
    """Time the bare call while the same publisher feeds the null subscriber."""
    with ThreadPoolExecutor(1) as pool:
        playing = pool.submit(player.play)
        calls_ms = bare.measure(settings.frames, settings.rate_hz)
        playing.result()
    return calls_ms
