"""The node under test in this process, and a robot around it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fake_segmenter import FakeSegmenter
from robot import Robot, Spinner

from proxia_segmentation_ros.ros.node.segmentation_node import SegmentationNode


class NodeUnderTest:
    """A node with a fake segmenter, spun by a thread of its own."""

    def __init__(
        self, parameters: dict[str, Any], factory: Any, args: list[str], finder: Any = None
    ) -> None:
        self.segmenter = FakeSegmenter()
        flags = [flag for name, value in parameters.items() for flag in ("-p", f"{name}:={value}")]
        self._spinner = Spinner(["--ros-args", *flags, *args])
        self.node = SegmentationNode(
            segmenter_factory=factory or self._get_segmenter,
            engine_finder=finder or (lambda settings: None),
            context=self._spinner.context,
        )
        self._spinner.start(self.node)
        self._is_open = True

    def _get_segmenter(self, _settings: Any) -> Any:
        return self.segmenter

    def count(self, name: str, camera: int = 0) -> int:
        """Return one of the camera's counters as of now."""
        stream = self.node.cameras[camera].stream
        return 0 if stream is None else getattr(stream.ledger.counts(), name)

    def close(self) -> None:
        if not self._is_open:
            return
        self._is_open = False
        self.segmenter.gate.set()
        self.node.request_stop()
        self._spinner.stop_spinning()
        self.node.close()
        self.node.destroy_node()
        # rclpy leaves the lifecycle services to the garbage collector, and with them the whole
        # participant: a second, deaf node of this name for the next test in this domain.
        self.node._state_machine.destroy_when_not_in_use()
        self._spinner.stop()


@pytest.fixture
def robot(ros_domain: int) -> Iterator[Robot]:
    """Return a camera and a user in the test's domain."""
    made = Robot()
    yield made
    made.close()


@pytest.fixture
def start_node(ros_domain: int) -> Iterator[Callable[..., NodeUnderTest]]:
    """Return a function that starts the node with parameters by their dotted names."""
    started: list[NodeUnderTest] = []

    def start(
        parameters: dict[str, Any] | None = None,
        *,
        factory: Any = None,
        args: list[str] | None = None,
        finder: Any = None,
    ) -> NodeUnderTest:
        started.append(NodeUnderTest(parameters or {}, factory, args or [], finder))
        return started[-1]

    yield start
    for under_test in started:
        under_test.close()
