"""The launch file on a real launch_ros, with the real node."""

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from launched import LaunchedNode, install_fake_viewer, write_including_file
from sensor_msgs.msg import Image

from proxia_segmentation_ros.config import NodeSettings, list_parameters
from proxia_segmentation_ros.labels import load_label_set
from proxia_segmentation_ros.model import build_model
from proxia_segmentation_ros.model.card import CardLabelSet, ModelCard
from proxia_segmentation_ros.model.checkpoint import save_weights
from proxia_segmentation_ros.ros.client.lifecycle_probe import LifecycleProbe
from proxia_segmentation_ros.ros.client.session import RosSession

pytestmark = pytest.mark.needs_ros_install

ROOT = Path(__file__).resolve().parents[2]
LAUNCH_FILE = ROOT / "launch" / "proxia.launch.py"
CONFIG = ROOT / "config"
PROFILE_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
NODE_PARAMETERS = {
    "model.weights": "some_weights",
    "inference.backend": "torch",
    "cameras.camera.image_topic": "/from/file",
    "cameras.camera.transport": "compressed",
    "autostart": False,
}


@pytest.fixture(scope="module")
def launch_file() -> ModuleType:
    spec = importlib.util.spec_from_file_location("proxia_launch_file", LAUNCH_FILE)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def session(ros_domain: int) -> Iterator[RosSession]:
    with RosSession("launch_tester", domain_id=ros_domain) as one:
        yield one


def _write_params(path: Path, node_name: str) -> Path:
    lines = [f"{node_name}:", "  ros__parameters:"]
    lines += [f"    {name}: {str(value).lower()}" for name, value in NODE_PARAMETERS.items()]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return small weights that nobody trained."""
    model = build_model("hrnet_w18_small_v1_ocr", 11, ocr_mid=16, ocr_key=8)
    card = ModelCard(
        name="untrained",
        architecture="hrnet_w18_small_v1_ocr",
        ocr_mid=16,
        ocr_key=8,
        size_hw=(64, 96),
        label_set=CardLabelSet.from_label_set(load_label_set("camvid")),
    )
    path = tmp_path_factory.mktemp("weights") / "untrained.safetensors"
    save_weights(path, model, card)
    return path


def test_arguments_are_those_of_the_contract(launch_file: ModuleType) -> None:
    from launch import LaunchContext
    from launch.utilities import perform_substitutions

    arguments = launch_file.generate_launch_description().get_launch_arguments()
    context = LaunchContext()
    defaults = {
        argument.name: perform_substitutions(context, argument.default_value)
        for argument in arguments
    }
    params_file = defaults.pop("params_file")
    assert defaults == {
        "namespace": "",
        "image_topic": "",
        "transport": "",
        "weights": "",
        "backend": "",
        "rviz": "false",
        "use_sim_time": "",
        "log_level": "info",
        "respawn": "true",
        "compat": "none",
    }
    assert Path(params_file).parts[-4:] == (
        "share",
        "proxia_segmentation_ros",
        "config",
        "proxia.yaml",
    )
    assert all(argument.description for argument in arguments)


def test_unknown_compat_is_refused_with_the_choices(launch_file: ModuleType) -> None:
    from launch import LaunchContext

    compat = next(argument for argument in launch_file.ARGUMENTS if argument.name == "compat")
    context = LaunchContext()
    context.launch_configurations["compat"] = "nav3"
    with pytest.raises(RuntimeError, match="'none', 'nav2', 'isaac'"):
        compat.execute(context)


def test_parameters_that_arguments_set_exist(launch_file: ModuleType) -> None:
    known = {row.name for row in list_parameters(NodeSettings().camera_names)} | {"use_sim_time"}
    assert {name for name, _ in launch_file.PARAMETERS.values()} <= known


@pytest.mark.slow
def test_node_labels_images_until_ctrl_c_ends_it_cleanly(
    session: RosSession, weights_file: Path
) -> None:
    probe = LifecycleProbe(session, "/proxia")
    image = Image(height=48, width=64, encoding="mono8", step=64, data=bytes(48 * 64))
    image.header.frame_id = "eye"
    camera = session.node.create_publisher(Image, "/image", 1)
    received: list[Image] = []
    session.node.create_subscription(Image, "/proxia/labels", received.append, 1)

    def show() -> bool:
        camera.publish(image)
        return bool(received)

    with LaunchedNode(f"weights:={weights_file}", "backend:=torch") as launched:
        launched.wait_until(lambda: probe.poll_state() == "active")
        launched.wait_until(show)
        assert launched.press_ctrl_c() == 0, launched.log
    assert received[0].header == image.header
    assert (received[0].height, received[0].width) == (48, 64)
    assert "process has finished cleanly" in launched.log
    assert "Traceback" not in launched.log


@pytest.mark.slow
def test_empty_arguments_leave_params_file_alone(
    session: RosSession, launch_file: ModuleType, tmp_path: Path
) -> None:
    params_file = _write_params(tmp_path / "params.yaml", "/**")
    file = write_including_file(
        tmp_path / "including.launch.py",
        **{**dict.fromkeys(launch_file.PARAMETERS, ""), "params_file": str(params_file)},
    )
    with LaunchedNode(file=file) as launched:
        values = launched.read_parameters(session, *NODE_PARAMETERS, "use_sim_time")
    assert values == [*NODE_PARAMETERS.values(), False]


@pytest.mark.parametrize("node_name", ["/**", "/proxia", "proxia"])
@pytest.mark.slow
def test_given_arguments_override_params_file(
    session: RosSession, tmp_path: Path, node_name: str
) -> None:
    params_file = _write_params(tmp_path / "params.yaml", node_name)
    chosen = ["image_topic:=/from/argument", "transport:=raw", "weights:=12", "backend:=openvino"]
    with LaunchedNode(f"params_file:={params_file}", *chosen, "use_sim_time:=true") as launched:
        values = launched.read_parameters(session, *NODE_PARAMETERS, "use_sim_time")
    assert values == ["12", "openvino", "/from/argument", "raw", False, True]


@pytest.mark.slow
def test_no_params_file_leaves_the_defaults(session: RosSession, tmp_path: Path) -> None:
    file = write_including_file(
        tmp_path / "including.launch.py", params_file="", weights="absent", log_level=""
    )
    with LaunchedNode(file=file) as launched:
        values = launched.read_parameters(session, "model.weights", "output.size")
        launched.wait_until(lambda: "can't configure" in launched.log)
    assert values == ["absent", NodeSettings().output.size]


@pytest.mark.parametrize(
    ("compat", "expected"),
    [
        ("none", {"/bot/proxia/labels", "/bot/proxia/label_info", "/bot/proxia/objects"}),
        (
            "nav2",
            {
                "/segmentation/mask",
                "/segmentation/confidence",
                "/segmentation/label_info",
                "/segmentation/overlay",
                "/bot/proxia/objects",
            },
        ),
        (
            "isaac",
            {
                "/bot/unet/raw_segmentation_mask",
                "/bot/unet/colored_segmentation_mask",
                "/segmentation_image_overlay",
                "/bot/proxia/objects",
            },
        ),
    ],
)
@pytest.mark.slow
def test_topics_follow_namespace_and_compat(
    session: RosSession, weights_file: Path, compat: str, expected: set[str]
) -> None:
    chosen = [f"compat:={compat}", "namespace:=bot", f"weights:={weights_file}", "backend:=torch"]

    def list_topics() -> set[str]:
        return {name for name, _ in session.node.get_topic_names_and_types()}

    with LaunchedNode(*chosen, "image_topic:=/eye") as launched:
        launched.wait_until(lambda: expected <= list_topics())
        launched.wait_until(lambda: session.node.get_subscriptions_info_by_topic("/eye"))
        leaf_names = {name.rpartition("/")[2] for name in list_topics() if "proxia" in name}
    assert ("labels" in leaf_names) == (compat == "none")


@pytest.mark.slow
def test_parameter_file_for_nav2_reaches_the_node(session: RosSession) -> None:
    file = CONFIG / "nav2.yaml"
    with LaunchedNode(f"params_file:={file}", "compat:=nav2", "weights:=absent") as launched:
        values = launched.read_parameters(session, "output.size", "cameras.camera.image_topic")
    assert values == ["640x480", "/rgbd_camera/image"]


@pytest.mark.slow
def test_parameter_file_for_two_cameras_makes_two_streams(
    session: RosSession, weights_file: Path
) -> None:
    file = CONFIG / "two_cameras.yaml"
    chosen = [f"params_file:={file}", f"weights:={weights_file}", "backend:=torch"]

    def count_subscriptions(topic: str) -> int:
        return len(session.node.get_subscriptions_info_by_topic(topic))

    def list_topics() -> set[str]:
        return {name for name, _ in session.node.get_topic_names_and_types()}

    with LaunchedNode(*chosen) as launched:
        launched.wait_until(lambda: count_subscriptions("/left/image_raw"))
        launched.wait_until(lambda: count_subscriptions("/right/image_raw/compressed"))
        launched.wait_until(
            lambda: {"/proxia/left/labels", "/proxia/right/labels"} <= list_topics()
        )


@pytest.mark.parametrize("own_profile", [None, *PROFILE_VARIABLES])
@pytest.mark.slow
def test_viewer_opens_on_the_nodes_topics_with_our_profile_unless_the_user_has_one(
    ros_domain: int, tmp_path: Path, own_profile: str | None
) -> None:
    install_fake_viewer(tmp_path)
    env = {name: value for name, value in os.environ.items() if name not in PROFILE_VARIABLES}
    env["AMENT_PREFIX_PATH"] = f"{tmp_path}:{env['AMENT_PREFIX_PATH']}"
    if own_profile is not None:
        env[own_profile] = "/own/profile.xml"
    chosen = ["namespace:=bot", "image_topic:=/eye", "compat:=nav2", "use_sim_time:=true"]
    with LaunchedNode(*chosen, "rviz:=true", "weights:=absent", env=env) as launched:
        launched.wait_until(lambda: "viewer legacy profile:" in launched.log)
    said = next(line for line in launched.lines if "viewer arguments:" in line)
    assert "config/proxia.rviz" in said
    for remap in (
        "/image:=/eye",
        "/proxia/overlay:=/segmentation/overlay",
        "/proxia/colored:=proxia/colored",
        "__ns:=/bot",
    ):
        assert remap in said
    profiles = [
        line.rpartition("profile:")[2].strip() for line in launched.lines if "viewer" in line
    ][1:]
    if own_profile is None:
        assert all(profile.endswith("config/fastdds_profile.xml") for profile in profiles)
        assert all(Path(profile).is_file() for profile in profiles)
    else:
        expected = ["/own/profile.xml" if name == own_profile else "" for name in PROFILE_VARIABLES]
        assert profiles == expected
