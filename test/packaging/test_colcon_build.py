"""A robot's workspace: `colcon build`, plain and with links, and `colcon test`."""

import os
import shutil
from pathlib import Path

import pytest
from workspace import PACKAGE, copy_checkout, make_build_environment, run_checked

pytestmark = pytest.mark.slow

# Says, one a line: where the modules and the messages come from, and the data that they find.
REPORT = f"""
import importlib.resources
import {PACKAGE}.labels
import {PACKAGE}.msg
print({PACKAGE}.labels.__file__)
print({PACKAGE}.msg.__file__)
files = importlib.resources.files({PACKAGE!r})
for folder in ("label_sets", "recipes", "weights"):
    print(folder, sorted(each.name for each in (files / folder).iterdir()))
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a workspace with the package in src/."""
    folder = tmp_path_factory.mktemp("workspace")
    copy_checkout(folder / "src" / PACKAGE)
    return folder


@pytest.fixture(scope="module", params=["plain", "links"])
def installation(request: pytest.FixtureRequest, workspace: Path) -> Path:
    """Return what colcon installed; both ways share build/, to compile the messages once."""
    # folders of a build without links, which links cannot replace
    shutil.rmtree(workspace / "build" / PACKAGE / "ament_cmake_python", ignore_errors=True)
    flags = {"plain": [], "links": ["--symlink-install"]}[request.param]
    command = ["colcon", "build", "--install-base", request.param, *flags]
    run_checked(command, workspace, make_build_environment())
    return workspace / str(request.param)


def run_in(installation: Path, command: str) -> str:
    env = make_build_environment()
    script = f". {installation}/local_setup.sh && {command}"
    return run_checked(["sh", "-c", script], Path("/"), env)


def test_installation_holds_modules_messages_and_data(installation: Path) -> None:
    report = run_in(installation, f"python -c '{REPORT}'").splitlines()
    assert Path(report[0]).is_relative_to(installation / PACKAGE)
    assert Path(report[1]).is_relative_to(installation / PACKAGE)
    assert "camvid.yaml" in report[2]
    assert "camvid.yaml" in report[3]
    assert "default" in report[4]


def test_modules_are_links_only_where_links_were_asked_for(installation: Path) -> None:
    (module,) = installation.glob(f"{PACKAGE}/**/{PACKAGE}/labels.py")
    assert module.is_symlink() is (installation.name == "links")


def test_commands_are_where_ros_and_the_shell_look(installation: Path) -> None:
    prefix = installation / PACKAGE
    assert os.access(prefix / "lib" / PACKAGE / "segmentation_node", os.X_OK)
    assert run_in(installation, "command -v proxia").strip() == str(prefix / "bin/proxia")
    assert "Commands:" in run_in(installation, "proxia --help")


def test_what_ros_people_edit_is_in_share(installation: Path) -> None:
    share = installation / PACKAGE / "share" / PACKAGE
    assert (share / "config" / "fastdds_profile.xml").is_file()
    assert (share / "config" / "proxia.yaml").is_file()
    assert (share / "launch" / "proxia.launch.py").is_file()


def test_colcon_test_passes(installation: Path) -> None:
    env = make_build_environment()
    base = ["--install-base", installation.name]
    run_checked(
        ["colcon", "test", "--return-code-on-test-failure", *base], installation.parent, env
    )
    result = run_checked(["colcon", "test-result", "--all"], installation.parent, env)
    assert " 0 errors, 0 failures, 0 skipped" in result
    assert "Summary: 0 tests" not in result


def test_stand_in_for_vision_msgs_is_not_built_in_a_workspace(installation: Path) -> None:
    assert not (installation / "vision_msgs").exists()
