"""package.xml, pyproject.toml and the requirement files say the same and name real things."""

import ast
import re
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import tomllib
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from workspace import PACKAGE, ROOT

# Looked up in github.com/ros/rosdistro (August 2026): released packages of Humble, Jazzy and
# Kilted, and the rosdep keys of python.yaml.
ROSDEP_KEYS = set(
    """ament_cmake ament_cmake_pytest ament_cmake_python ament_index_python builtin_interfaces
    cv_bridge diagnostic_msgs geometry_msgs launch launch_ros lifecycle_msgs python3-jinja2
    python3-numpy python3-pil python3-pytest rcl_interfaces rclpy rosgraph_msgs
    rosidl_default_generators
    rosidl_default_runtime sensor_msgs std_msgs vision_msgs""".split()
)
# Import names that ROS provides and that no package.xml names one by one.
ROS_MODULES = re.compile(r"ament_\w+|cv_bridge|launch|launch_ros|rclpy|\w+_(msgs|interfaces)")


def read_package_xml(folder: Path = ROOT) -> ElementTree.Element:
    return ElementTree.parse(folder / "package.xml").getroot()


def list_dependencies(folder: Path = ROOT) -> set[str]:
    return {e.text or "" for e in read_package_xml(folder) if e.tag.endswith("depend")}


def read_project() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project


def read_extra(name: str) -> list[Requirement]:
    return [Requirement(line) for line in read_project()["optional-dependencies"][name]]


def read_requirements(name: str) -> list[Requirement]:
    lines = [line.split("#")[0].strip() for line in (ROOT / name).read_text().splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


def list_imports(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    nodes = list(ast.walk(tree))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("folder", [ROOT, ROOT / "compat" / "vision_msgs"], ids=["ours", "compat"])
def test_every_dependency_is_a_rosdep_key(folder: Path) -> None:
    assert list_dependencies(folder) <= ROSDEP_KEYS


def test_every_ros_import_is_a_declared_dependency() -> None:
    files = [*(ROOT / PACKAGE).rglob("*.py"), *(ROOT / "launch").rglob("*.py")]
    imported = {name for path in files for name in list_imports(path)}
    ros = {name for name in imported if ROS_MODULES.fullmatch(name)}
    assert "rclpy" in ros
    assert ros <= list_dependencies()


def test_every_other_import_is_a_declared_requirement() -> None:
    import_names = {"opencv-python-headless": "cv2"}
    import_names |= {"pyyaml": "yaml", "pillow": "PIL"}
    requirements = [*read_requirements("requirements.txt"), *read_extra("benchmark")]
    declared = {canonicalize_name(r.name) for r in requirements}
    allowed = {import_names.get(name, name.replace("-", "_")) for name in declared}
    imported = {n for path in (ROOT / PACKAGE).rglob("*.py") for n in list_imports(path)}
    third_party = imported - sys.stdlib_module_names - {PACKAGE}
    assert {n for n in third_party if not ROS_MODULES.fullmatch(n)} <= allowed


def test_name_version_and_license_agree() -> None:
    manifest, project = read_package_xml(), read_project()
    assert manifest.findtext("name") == project["name"] == PACKAGE
    assert manifest.findtext("version") == project["version"]
    assert manifest.findtext("license") == project["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()


def test_requirements_of_robots_and_of_pip_agree() -> None:
    robots = {canonicalize_name(r.name): r for r in read_requirements("requirements.txt")}
    pip = {canonicalize_name(r.name): r for r in map(Requirement, read_project()["dependencies"])}
    assert robots.keys() == pip.keys()
    for name in robots.keys() - {"numpy"}:
        assert robots[name].specifier == pip[name].specifier


def test_robots_keep_the_numpy_that_cv_bridge_was_compiled_against() -> None:
    numpy = [r for r in read_requirements("requirements.txt") if r.name == "numpy"]
    for python, allowed in {"3.10": False, "3.11": True, "3.12": False, "3.14": True}.items():
        (chosen,) = [r for r in numpy if r.marker and r.marker.evaluate({"python_version": python})]
        assert chosen.specifier.contains("1.26.4")
        assert chosen.specifier.contains("2.4.6") is allowed


def test_locked_versions_satisfy_the_ranges() -> None:
    locked = {canonicalize_name(r.name): r for r in read_requirements("requirements/lock.txt")}
    dependencies = map(Requirement, read_project()["dependencies"])
    for requirement in (*dependencies, *read_extra("benchmark")):
        (pin,) = locked[canonicalize_name(requirement.name)].specifier
        assert pin.operator == "=="
        assert requirement.specifier.contains(pin.version)


@pytest.mark.parametrize("name", ["lock", "tools", "standalone", "lint", "hooks"])
def test_own_environment_is_pinned(name: str) -> None:
    for requirement in read_requirements(f"requirements/{name}.txt"):
        assert [pin.operator for pin in requirement.specifier] == ["=="], requirement


def test_pytest_stays_where_launch_testing_works() -> None:
    tools = {r.name: r for r in read_requirements("requirements/tools.txt")}
    assert str(tools["pytest"].specifier) == "==8.3.5"


def test_hooks_run_only_tools_that_are_pinned_here() -> None:
    """What a hook starts stands in build/lint-venv, so nothing has to be cloned."""
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repository["repo"] for repository in config["repos"]] == ["local"]
    hooks = config["repos"][0]["hooks"]
    assert {hook["language"] for hook in hooks} == {"system"}
    assert [hook["id"] for hook in hooks if "build/lint-venv/bin/" not in hook["entry"]] == []


def test_hooks_and_make_lint_agree() -> None:
    """Each tool of `make lint` is a hook as well."""
    lint = re.findall(r"\$\(LINT\)/([\w-]+)", (ROOT / "Makefile").read_text())
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    entries = " ".join(hook["entry"] for hook in config["repos"][0]["hooks"])
    assert {"ruff", "codespell", "lint-imports"} <= set(lint)
    assert [tool for tool in set(lint) - {"pre-commit"} if f"bin/{tool}" not in entries] == []
