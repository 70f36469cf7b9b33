"""Full names of the node's topics, and the checks that no two of them collide."""

from collections.abc import Collection, Iterator

from rclpy.exceptions import InvalidTopicNameException
from rclpy.node import Node
from rclpy.validate_topic_name import validate_topic_name

from proxia_segmentation_ros.config import CameraSettings, NodeSettings
from proxia_segmentation_ros.errors import ConfigError

COMPRESSED_SUFFIX = "/compressed"
# What `CameraOutput` publishes for each camera.
OUTPUT_NAMES = (
    "labels",
    "label_info",
    "confidence",
    "overlay",
    "colored",
    "objects",
    "camera_info",
    "stats",
    "heartbeat",
)


def find_prefix(settings: NodeSettings, camera: str) -> str:
    """Return what stands before the names of a camera's outputs."""
    return "~/" if len(settings.camera_names) == 1 else f"~/{camera}/"


def find_image_topic(node: Node, camera: str, settings: CameraSettings) -> str:
    """Return the full name of the image topic, after remapping.

    As in image_transport the base name is remapped, then the suffix is appended.

    Raises:
        ConfigError: the setting is not a valid topic name.
    """
    topic = _resolve(node, f"cameras.{camera}.image_topic", settings.image_topic)
    if settings.transport == "raw" or topic.endswith(COMPRESSED_SUFFIX):
        return topic
    return topic + COMPRESSED_SUFFIX


def check_topics(node: Node, settings: NodeSettings) -> None:
    """Check that every input has a valid name and is no output, and every image a topic of its own.

    Raises:
        ConfigError: the first problem.
    """
    check_inputs(node, settings)
    seen: dict[str, str] = {}
    for name in settings.camera_names:
        topic = find_image_topic(node, name, settings.camera(name))
        other = seen.setdefault(topic, name)
        if other != name:
            both = " and ".join(
                f"cameras.{each}.image_topic ({settings.camera(each).image_topic!r})"
                for each in (other, name)
            )
            raise ConfigError.from_parts(
                f"{both} are both {topic}", "a topic for each camera alone", "set one of them"
            )


def check_inputs(node: Node, settings: NodeSettings, only: Collection[str] | None = None) -> None:
    """Check that inputs have valid names and are not what the node itself publishes.

    Only those whose parameters are named in `only`, if given.

    Raises:
        ConfigError: the first problem.
    """
    outputs = {
        node.resolve_topic_name(find_prefix(settings, camera) + name)
        for camera in settings.camera_names
        for name in OUTPUT_NAMES
    }
    for parameter, name, topic in _list_inputs(node, settings, only):
        # With transport "compressed" too: an output that somebody compresses is still ours.
        if {topic, topic.removesuffix(COMPRESSED_SUFFIX)} & outputs:
            raise ConfigError.from_parts(
                f"{parameter} is {name!r}, which is {topic}: this node publishes it itself",
                "a topic of the camera",
                "name the topic on which the camera's driver publishes",
            )


def _list_inputs(
    node: Node, settings: NodeSettings, only: Collection[str] | None
) -> Iterator[tuple[str, str, str]]:
    """Yield parameter, value and full name of each topic that is subscribed to."""
    for camera in settings.camera_names:
        chosen = settings.camera(camera)
        for leaf in ("image_topic", "camera_info_topic", "depth_topic"):
            parameter, name = f"cameras.{camera}.{leaf}", getattr(chosen, leaf)
            if not name or (only is not None and parameter not in only):
                continue
            yield parameter, name, _resolve(node, parameter, name)


def _resolve(node: Node, parameter: str, name: str) -> str:
    try:
        validate_topic_name(name)
        return str(node.resolve_topic_name(name))
    except InvalidTopicNameException as error:
        raise ConfigError.from_parts(
            f"{parameter} is {name!r}",
            "a topic name",
            f"correct it ({' '.join(str(error).split())})",
        ) from error
