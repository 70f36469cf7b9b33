"""Start the segmentation node, which activates itself, and RViz if requested.

An empty argument leaves its parameter to `params_file`.
"""

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

PACKAGE = "proxia_segmentation_ros"
CONFIG = PathJoinSubstitution([FindPackageShare(PACKAGE), "config"])
PROFILE = PathJoinSubstitution([CONFIG, "fastdds_profile.xml"])
# Fast DDS 2 (Humble, Jazzy) reads the second name.
PROFILE_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")

RESPAWN_DELAY_S = 2.0

# No `choices` for values that the node validates: its errors say more.
ARGUMENTS = [
    DeclareLaunchArgument(
        "params_file",
        default_value=PathJoinSubstitution([CONFIG, "proxia.yaml"]),
        description="YAML file with the node's parameters",
    ),
    DeclareLaunchArgument(
        "namespace", default_value="", description="namespace of the node and its topics"
    ),
    DeclareLaunchArgument(
        "image_topic",
        default_value="",
        description="image topic of the camera named camera; others are set in params_file",
    ),
    DeclareLaunchArgument(
        "transport",
        default_value="",
        description="raw or compressed, of the same camera; empty leaves it to params_file",
    ),
    DeclareLaunchArgument(
        "weights",
        default_value="",
        description="shipped name or path of the weights; empty leaves it to params_file",
    ),
    DeclareLaunchArgument(
        "backend",
        default_value="",
        description="auto, openvino, tensorrt or torch; empty leaves it to params_file",
    ),
    DeclareLaunchArgument(
        "rviz", default_value="false", description="true also opens RViz with the results"
    ),
    DeclareLaunchArgument(
        "use_sim_time",
        default_value="",
        choices=["", "true", "false"],
        description="true takes the time from /clock; empty leaves it to params_file",
    ),
    DeclareLaunchArgument(
        "log_level", default_value="info", description="debug, info, warn, error or fatal"
    ),
    DeclareLaunchArgument(
        "respawn",
        default_value="true",
        choices=["true", "false"],
        description="true starts the node anew, after two seconds, whenever its process ends",
    ),
    DeclareLaunchArgument(
        "compat",
        default_value="none",
        choices=["none", "nav2", "isaac"],
        description="topic names: our own, or those that nav2 or Isaac ROS tools expect",
    ),
]

# launch argument -> (parameter of the node, its type)
PARAMETERS = {
    "image_topic": ("cameras.camera.image_topic", str),
    "transport": ("cameras.camera.transport", str),
    "weights": ("model.weights", str),
    "backend": ("inference.backend", str),
    "use_sim_time": ("use_sim_time", bool),
}

REMAPS = {
    "none": {},
    "nav2": {
        "~/labels": "/segmentation/mask",
        "~/confidence": "/segmentation/confidence",
        "~/label_info": "/segmentation/label_info",
        "~/overlay": "/segmentation/overlay",
    },
    "isaac": {
        "~/labels": "unet/raw_segmentation_mask",
        "~/colored": "unet/colored_segmentation_mask",
        "~/overlay": "/segmentation_image_overlay",
    },
}

# Topics of the RViz displays, relative to the node's namespace.
DISPLAYED = {"~/overlay": "proxia/overlay", "~/colored": "proxia/colored"}


def make_nodes(context: LaunchContext) -> list[Node]:
    """Return the segmentation node and RViz; called when the argument values are known."""
    values = {name: text for name, text in context.launch_configurations.items() if text}
    chosen = {
        parameter: ParameterValue(LaunchConfiguration(argument), value_type=kind)
        for argument, (parameter, kind) in PARAMETERS.items()
        if argument in values
    }
    remaps = REMAPS[values.get("compat", "none")]
    node = Node(
        package=PACKAGE,
        executable="segmentation_node",
        name="proxia",
        namespace=values.get("namespace", ""),
        parameters=[values[name] for name in ("params_file",) if name in values] + [chosen],
        remappings=list(remaps.items()),
        ros_arguments=["--log-level", values.get("log_level", "info")],
        output="screen",
        respawn=values.get("respawn", "true") == "true",
        respawn_delay=RESPAWN_DELAY_S,
    )
    displayed = {**DISPLAYED, **remaps, "/image": values.get("image_topic", "image")}
    viewer = Node(
        package="rviz2",
        executable="rviz2",
        namespace=values.get("namespace", ""),
        arguments=["-d", PathJoinSubstitution([CONFIG, "proxia.rviz"])],
        parameters=[{name: chosen[name] for name in ("use_sim_time",) if name in chosen}],
        remappings=[(own.replace("~", "/proxia"), topic) for own, topic in displayed.items()],
        condition=IfCondition(values.get("rviz", "false")),
    )
    return [node, viewer]


def set_profile(context: LaunchContext) -> list[SetEnvironmentVariable]:
    """Set the Fast DDS profile for large images, unless the user has set one."""
    if any(name in context.environment for name in PROFILE_VARIABLES):
        return []
    return [SetEnvironmentVariable(name, PROFILE) for name in PROFILE_VARIABLES]


def generate_launch_description() -> LaunchDescription:
    """Return the description for `ros2 launch proxia_segmentation_ros proxia.launch.py`."""
    steps = [OpaqueFunction(function=step) for step in (set_profile, make_nodes)]
    return LaunchDescription([*ARGUMENTS, *steps])
