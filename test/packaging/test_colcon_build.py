"""A robot's workspace: `colcon build`, plain and with links, and `colcon test`."""

import os
from pathlib import Path

import pytest
from workspace import PACKAGE, copy_checkout, make_build_environment, run_checked

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


@pytest.fixture(scope="module", params=["plain", "symlinks"])
def workspace(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a workspace with the package in src/, built by colcon."""
    folder = tmp_path_factory.mktemp(request.param)
    copy_checkout(folder / "src" / PACKAGE)
    flags = ["--symlink-install"] if request.param == "symlinks" else []
    run_checked(["colcon", "build", *flags], folder, make_build_environment())
    return folder


def run_in_workspace(workspace: Path, command: str) -> str:
    env = make_build_environment()
    script = f". {workspace}/install/local_setup.sh && {command}"
    return run_checked(["sh", "-c", script], Path("/"), env)


def test_installation_holds_modules_messages_and_data(workspace: Path) -> None:
    prefix = workspace / "install" / PACKAGE
    report = run_in_workspace(workspace, f"python -c '{REPORT}'").splitlines()
    assert Path(report[0]).is_relative_to(prefix)
    assert Path(report[1]).is_relative_to(prefix)
    assert "camvid.yaml" in report[2]
    assert "camvid.yaml" in report[3]
    assert "default" in report[4]


def test_commands_are_where_ros_and_the_shell_look(workspace: Path) -> None:
    prefix = workspace / "install" / PACKAGE
    assert os.access(prefix / "lib" / PACKAGE / "segmentation_node", os.X_OK)
    assert run_in_workspace(workspace, "command -v proxia").strip() == str(prefix / "bin/proxia")
    assert "Commands:" in run_in_workspace(workspace, "proxia --help")


def test_what_ros_people_edit_is_in_share(workspace: Path) -> None:
    share = workspace / "install" / PACKAGE / "share" / PACKAGE
    assert (share / "config" / "fastdds_profile.xml").is_file()
    assert (share / "config" / "proxia.yaml").is_file()
    assert (share / "launch" / "proxia.launch.py").is_file()


def test_colcon_test_passes(workspace: Path) -> None:
    env = make_build_environment()
    run_checked(["colcon", "test", "--return-code-on-test-failure"], workspace, env)
    result = run_checked(["colcon", "test-result", "--all"], workspace, env)
    assert " 0 errors, 0 failures, 0 skipped" in result
    assert "Summary: 0 tests" not in result


def test_stand_in_for_vision_msgs_is_not_built_in_a_workspace(workspace: Path) -> None:
    assert not (workspace / "install" / "vision_msgs").exists()
