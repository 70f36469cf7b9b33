import pytest

from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.ros.client.node_arguments import (
    NodeLaunch,
    make_ros_arguments,
    parse_assignments,
)


def test_assignments_are_read_as_yaml():
    values = parse_assignments(
        ["inference.backend=torch", "output.min_confidence=0.5", "camera_names=[front, rear]"]
    )
    assert values == {
        "inference.backend": "torch",
        "output.min_confidence": 0.5,
        "camera_names": ["front", "rear"],
    }


@pytest.mark.parametrize("wrong", ["inference.backend", "=3", "a=[1"])
def test_what_assigns_nothing_is_refused_by_name(wrong):
    with pytest.raises(ConfigError, match="--set"):
        parse_assignments([wrong])


def test_parameters_become_ros_arguments_in_their_declared_type():
    launch = NodeLaunch(
        parameters={"inference.max_rate_hz": 10, "inference.size": "480x360"},
        namespace="/robot",
        use_sim_time=True,
        log_level="debug",
    )
    assert make_ros_arguments(launch) == [
        "--ros-args",
        *("-p", "inference.max_rate_hz:=10.0"),
        *("-p", 'inference.size:="480x360"'),
        *("-p", "use_sim_time:=true"),
        *("-r", "__ns:=/robot"),
        *("--log-level", "debug"),
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [("inference.backend", "abacus"), ("overlay.alpha", 7.0), ("inference.speed", "high")],
)
def test_wrong_parameter_is_refused_before_the_node_starts(name, value):
    with pytest.raises(ConfigError, match=name):
        make_ros_arguments(NodeLaunch(parameters={name: value}))


def test_camera_of_any_name_may_be_set():
    launch = NodeLaunch(parameters={"cameras.rear.transport": "compressed"})
    assert make_ros_arguments(launch)[-1] == 'cameras.rear.transport:="compressed"'


def test_missing_params_file_is_named():
    with pytest.raises(ConfigError, match=r"/no/such\.yaml"):
        make_ros_arguments(NodeLaunch(params_file="/no/such.yaml"))
