"""A robot around the node under test: a camera that publishes and a user that subscribes."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import GetParameters, SetParametersAtomically
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

BEST_EFFORT = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
RELIABLE = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
SERVICES = {
    "change_state": ChangeState,
    "get_parameters": GetParameters,
    "get_state": GetState,
    "set_parameters_atomically": SetParametersAtomically,
}
# For what is sure to come: a busy machine may take long, and loses some of what DDS announces
# until its next heartbeat, 3 s later.
TIMEOUT_S = 60.0
ASK_AGAIN_AFTER_S = 4.0
SHOW_AGAIN_AFTER_S = 1.0
LOG = logging.getLogger("robot")


class Spinner:
    """A context and an executor in a thread of their own."""

    def __init__(self, args: list[str] | None = None) -> None:
        self.context = Context()
        rclpy.init(args=args, context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self._thread = threading.Thread(target=self._spin, daemon=True)

    def start(self, node: Any) -> None:
        self.executor.add_node(node)
        self._thread.start()

    def stop_spinning(self) -> None:
        self.executor.shutdown(timeout_sec=5)
        self._thread.join(5)

    def stop(self) -> None:
        self.stop_spinning()
        rclpy.try_shutdown(context=self.context)

    def _spin(self) -> None:
        try:
            self.executor.spin()
        except ExternalShutdownException:
            return


class Robot:
    """Publish images, remember what comes back, call the node's services."""

    def __init__(self, node_name: str = "proxia") -> None:
        self.name = node_name
        self._spinner = Spinner()
        self.node = rclpy.create_node("robot", context=self._spinner.context)
        self.changed = threading.Condition()
        self.heard: dict[str, list[Any]] = {}
        self._publishers: dict[str, Any] = {}
        # Made before the node starts: an answer to a client that the node has not met yet is lost.
        self._clients = {service: self._make_client(service) for service in SERVICES}
        self.listen("/diagnostics", DiagnosticArray)
        self._spinner.start(self.node)

    def close(self) -> None:
        self._spinner.stop()

    def wait_for(
        self, condition: Callable[[], Any], what: str, timeout_s: float | None = None
    ) -> Any:
        """Return the condition's first true value."""
        timeout_s = TIMEOUT_S if timeout_s is None else timeout_s
        value = self._poll(condition, timeout_s)
        if value:
            return value
        raise AssertionError(f"waited {timeout_s} s for {what}; heard {self.tell_heard()}")

    def _poll(self, condition: Callable[[], Any], timeout_s: float) -> Any:
        """Return the condition's first true value, or its last one when the time is over."""
        give_up_s = time.monotonic() + timeout_s
        with self.changed:
            while not (value := condition()) and time.monotonic() < give_up_s:
                # Graph changes come without a message, hence the short wait.
                self.changed.wait(0.02)
        return value

    def tell_heard(self) -> dict[str, int]:
        return {topic: len(messages) for topic, messages in self.heard.items()}

    def listen(self, topic: str, message_type: Any, qos: QoSProfile = RELIABLE) -> list[Any]:
        """Subscribe; return the list that fills."""
        messages = self.heard.setdefault(topic, [])

        def store(message: Any) -> None:
            with self.changed:
                messages.append(message)
                self.changed.notify_all()

        self.node.create_subscription(message_type, topic, store, qos)
        return messages

    def publish(self, topic: str, message: Any, qos: QoSProfile = BEST_EFFORT) -> None:
        """Publish, the first time after somebody subscribed."""
        if topic not in self._publishers:
            self._publishers[topic] = self.node.create_publisher(type(message), topic, qos)
            self.wait_for(self._publishers[topic].get_subscription_count, f"a listener of {topic}")
        self._publishers[topic].publish(message)

    def hang_up(self, topic: str) -> None:
        """Take this topic's publisher away."""
        self.node.destroy_publisher(self._publishers.pop(topic))

    def show(self, image: Any, topic: str = "/image", answer: str = "/proxia/labels") -> Any:
        """Publish an image until its labels come back; return them.

        A best-effort message that is sent before its receiver knows the sender is lost, so the
        first one may take several attempts.
        """
        stamp = image.header.stamp
        attempts = 0

        def find() -> Any:
            nonlocal attempts
            attempts += 1
            self.publish(topic, image)
            return self.wait_briefly(
                lambda: next(
                    (message for message in self.heard[answer] if message.header.stamp == stamp),
                    None,
                )
            )

        found = self.wait_for(find, f"the answer to stamp {stamp.sec} on {answer}")
        if attempts > 1 and self._clients["get_state"].service_is_ready():
            # A copy may be on its way: the node takes it before it answers, and a test that
            # counts frames from here on does not meet it.
            self.ask_once("get_state", GetState.Request())
        return found

    def wait_briefly(self, condition: Callable[[], Any]) -> Any:
        """Return the condition's value as soon as it is true, or what it is after a while."""
        return self._poll(condition, SHOW_AGAIN_AFTER_S)

    def wait_for_stamp(self, topic: str, sec: int) -> Any:
        """Return the message on this topic whose header has these seconds."""
        return self.wait_for(
            lambda: next(
                (message for message in self.heard[topic] if message.header.stamp.sec == sec), None
            ),
            f"stamp {sec} on {topic}",
        )

    def wait_for_state(self, label: str) -> None:
        """Wait until the node is in this state."""
        self.wait_for(lambda: self._ask_state() == label, f"state {label}")

    def state(self) -> str:
        return str(self.wait_for(self._ask_state, "an answer of get_state"))

    def _ask_state(self) -> str | None:
        answer = self.ask_once("get_state", GetState.Request())
        return None if answer is None else answer.current_state.label

    def change_state(self, transition_id: int, goal: str) -> bool:
        request = ChangeState.Request(transition=Transition(id=transition_id))

        def is_done() -> str | None:
            answer = self.ask_once("change_state", request)
            if answer is not None:
                return "yes" if answer.success else "no"
            # The transition may have happened although its answer was lost.
            return "yes" if self._ask_state() == goal else None

        return bool(self.wait_for(is_done, f"the way to {goal}") == "yes")

    def configure(self) -> bool:
        return self.change_state(Transition.TRANSITION_CONFIGURE, "inactive")

    def activate(self) -> bool:
        return self.change_state(Transition.TRANSITION_ACTIVATE, "active")

    def deactivate(self) -> bool:
        return self.change_state(Transition.TRANSITION_DEACTIVATE, "inactive")

    def clean_up(self) -> bool:
        return self.change_state(Transition.TRANSITION_CLEANUP, "unconfigured")

    def set_parameters(self, **values: Any) -> Any:
        """Set a group at once; `__` stands for the dot."""
        return self.set_named({name.replace("__", "."): value for name, value in values.items()})

    def set_named(self, values: dict[str, Any]) -> Any:
        request = SetParametersAtomically.Request()
        for name, value in values.items():
            request.parameters.append(Parameter(name, value=value).to_parameter_msg())
        return self._call("set_parameters_atomically", request).result

    def get_parameter(self, name: str) -> Any:
        response = self._call("get_parameters", GetParameters.Request(names=[name]))
        return rclpy.parameter.parameter_value_to_python(response.values[0])

    def find_diagnostic(self, part: str) -> Any:
        """Return the newest status of `model` or `camera <name>`."""
        name = f"{self.name}: {part}"
        for array in reversed(self.heard["/diagnostics"]):
            for status in array.status:
                if status.name == name:
                    return status
        return None

    def wait_for_diagnostic(self, part: str, text: str) -> Any:
        """Return the status once its message holds the text."""

        def find() -> Any:
            status = self.find_diagnostic(part)
            return status if status is not None and text in status.message else None

        return self.wait_for(find, f"{text!r} in the diagnostics of {part}")

    def _call(self, service: str, request: Any) -> Any:
        """Return the answer; ask again where none comes."""
        return self.wait_for(lambda: self.ask_once(service, request), f"an answer of {service}")

    def ask_once(self, service: str, request: Any) -> Any:
        """Return the answer, or None when it took too long: then the next is asked anew.

        Never raises, so that whoever asks again has his own time limit. A server that does not
        know its client yet loses the answer.
        """
        client = self._clients[service]
        future = None
        if self._poll(client.service_is_ready, ASK_AGAIN_AFTER_S):
            future = client.call_async(request)
            future.add_done_callback(self._notice)
            if self._poll(future.done, ASK_AGAIN_AFTER_S):
                return future.result()
        told = "not ready" if future is None else "silent"
        LOG.warning("%s was %s for %s s: a new client", service, told, ASK_AGAIN_AFTER_S)
        self.node.destroy_client(client)
        self._clients[service] = self._make_client(service)
        return None

    def _make_client(self, service: str) -> Any:
        return self.node.create_client(SERVICES[service], f"/{self.name}/{service}")

    def _notice(self, _event: Any) -> None:
        with self.changed:
            self.changed.notify_all()


def make_image(
    pixels: np.ndarray, sec: int = 1, nanosec: int = 7, encoding: str = "rgb8", frame: str = "cam"
) -> Image:
    message = Image(encoding=encoding, height=pixels.shape[0], width=pixels.shape[1])
    message.header = make_header(sec, nanosec, frame)
    message.step = pixels.strides[0]
    message.data.frombytes(np.ascontiguousarray(pixels).data.cast("B"))
    return message


def make_compressed(data: bytes, sec: int = 1, image_format: str = "jpeg") -> CompressedImage:
    message = CompressedImage(header=make_header(sec), format=image_format)
    message.data.frombytes(data)
    return message


def make_header(sec: int, nanosec: int = 7, frame: str = "cam") -> Header:
    header = Header(frame_id=frame)
    header.stamp.sec, header.stamp.nanosec = sec, nanosec
    return header


def make_scene(seed: int = 0, size_hw: tuple[int, int] = (96, 128)) -> np.ndarray:
    """Vertical bands of every class, shifted by the seed."""
    columns = (np.arange(size_hw[1]) * 11 // size_hw[1] + seed) % 11
    image_HWC = np.zeros((*size_hw, 3), np.uint8)
    image_HWC[..., 0] = columns[None, :] * 20 + 5
    image_HWC[..., 1] = 77
    return image_HWC


def read_pixels(message: Image) -> np.ndarray:
    """Return the message's pixels, trusting its fields."""
    channels = {"mono8": 1, "rgb8": 3}[message.encoding]
    pixels = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, channels)
    return pixels[..., 0] if channels == 1 else pixels
