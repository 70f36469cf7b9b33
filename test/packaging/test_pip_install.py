"""`pip install .` in a second environment: messages where ROS is found, modules alone elsewhere.

The second environment borrows the packages of the first, so that nothing is downloaded.
"""

import os
import site
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from workspace import PACKAGE, copy_checkout, make_build_environment, run_checked

pytestmark = pytest.mark.slow

PIP_OPTIONS = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
REPORT = f"""
import importlib.resources
import {PACKAGE}.labels
from {PACKAGE}.msg import SceneSummary
from rclpy.serialization import deserialize_message, serialize_message
scene = deserialize_message(serialize_message(SceneSummary(camera="rear")), SceneSummary)
print({PACKAGE}.labels.__file__)
print(scene.camera)
print(sorted(f.name for f in (importlib.resources.files({PACKAGE!r}) / "label_sets").iterdir()))
"""


def make_pip_environment(*prefixes: Path) -> dict[str, str]:
    """Return an environment that finds ROS and libraries, but not colcon's installation."""
    env = make_build_environment()
    for name in ("VIRTUAL_ENV", "PYTHONPATH"):
        env.pop(name, None)
    libraries = [str(prefix / "lib") for prefix in prefixes]
    env["LD_LIBRARY_PATH"] = os.pathsep.join([*libraries, env.get("LD_LIBRARY_PATH", "")])
    return env


@pytest.fixture(scope="module")
def second_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the interpreter of a new environment that borrows this one's packages."""
    folder = tmp_path_factory.mktemp("second") / "venv"
    venv.create(folder, symlinks=True)
    library = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    outer = [*site.getsitepackages(), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    lines = [f"import site; site.addsitedir({each!r})" for each in outer if PACKAGE not in each]
    (library / "borrowed.pth").write_text("\n".join(lines) + "\n")
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_checkout(tmp_path_factory.mktemp("source") / PACKAGE)


def test_installation_holds_modules_messages_and_command(
    second_python: Path, source: Path, tmp_path: Path
) -> None:
    prefix = second_python.parent.parent
    env = make_pip_environment(prefix)
    command = [str(second_python), "-m", "pip", "install", *PIP_OPTIONS, str(source)]
    run_checked(command, tmp_path, env)
    report = run_checked([str(second_python), "-c", REPORT], tmp_path, env).splitlines()
    assert Path(report[0]).is_relative_to(prefix)
    assert report[1] == "rear"
    assert "camvid.yaml" in report[2]
    assert "Commands:" in run_checked([str(prefix / "bin" / "proxia"), "--help"], tmp_path, env)
    assert (prefix / "share" / PACKAGE / "config" / "fastdds_profile.xml").is_file()


def test_wheel_made_without_ros_holds_the_modules_and_their_data(
    second_python: Path, source: Path, tmp_path: Path
) -> None:
    env = make_pip_environment()
    env["AMENT_PREFIX_PATH"] = ""
    command = [str(second_python), "-m", "pip", "wheel", *PIP_OPTIONS, "-w", str(tmp_path)]
    run_checked([*command, str(source)], tmp_path, env)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        f"{PACKAGE}/py.typed",
        f"{PACKAGE}/labels.py",
        f"{PACKAGE}/evaluation/page.html.jinja",
        f"{PACKAGE}/label_sets/camvid.yaml",
        f"{PACKAGE}/recipes/camvid.yaml",
        f"{PACKAGE}/ros/node/segmentation_node.py",
    } <= names
    assert not any(name.startswith(f"{PACKAGE}/msg") for name in names)
