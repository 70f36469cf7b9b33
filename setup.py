"""`pip install .`: the modules, and the messages where a ROS 2 is found to build them with."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Distribution, find_packages, setup
from setuptools.command.build_py import build_py

NAME = "proxia_segmentation_ros"
ROOT = Path(__file__).resolve().parent
PYTHON_DIR = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
PACKAGE_DATA = ["py.typed", "evaluation/*.jinja", "label_sets/*.yaml", "recipes/*", "weights/*"]


def find_ros_prefixes() -> list[str]:
    """Return the ament prefixes: those of a sourced ROS first, then this interpreter's own."""
    sourced = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    candidates = dict.fromkeys([*filter(None, sourced), sys.prefix])
    return [prefix for prefix in candidates if Path(prefix, "share/ament_index").is_dir()]


def can_build_messages() -> bool:
    return any(
        Path(prefix, "share/rosidl_default_generators/package.xml").is_file()
        for prefix in find_ros_prefixes()
    )


def build_messages(work_dir: Path) -> Path:
    """Install the project with its own CMakeLists below `work_dir`; return the prefix made."""
    prefixes = find_ros_prefixes()
    prefix = work_dir / "prefix"
    shutil.rmtree(prefix, ignore_errors=True)
    env = dict(os.environ)
    # pip's isolated build hides the environment's packages from the generators that cmake starts
    env.pop("PYTHONNOUSERSITE", None)
    env["PYTHONPATH"] = os.pathsep.join(
        str(Path(each, PYTHON_DIR)) for each in prefixes if each != sys.prefix
    )
    env["AMENT_PREFIX_PATH"] = env["CMAKE_PREFIX_PATH"] = os.pathsep.join(prefixes)
    options = {
        "BUILD_TESTING": "OFF",
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_INSTALL_PREFIX": prefix,
        "PYTHON_INSTALL_DIR": PYTHON_DIR,
        "Python3_EXECUTABLE": sys.executable,
    }
    configure = ["cmake", "-S", str(ROOT), "-B", str(work_dir / "build")]
    configure += [f"-D{key}={value}" for key, value in options.items()]
    install = ["cmake", "--build", str(work_dir / "build"), "--target", "install"]
    install += ["--parallel", str(os.cpu_count() or 1)]
    for command in (configure, install):
        subprocess.run(command, env=env, check=True)
    return prefix


class BuildWithMessages(build_py):
    """Adds the generated modules and their libraries to what setuptools copies."""

    def run(self) -> None:
        # what an earlier build left here would go into the wheel
        shutil.rmtree(Path(self.build_lib, NAME), ignore_errors=True)
        super().run()
        if self.editable_mode or not can_build_messages():
            print(f"{NAME}: modules only; no ROS 2 found to build the messages with")
            return
        work_dir = Path(self.get_finalized_command("build").build_temp).resolve() / "ament"
        prefix = build_messages(work_dir)
        shutil.copytree(
            prefix / PYTHON_DIR / NAME,
            Path(self.build_lib, NAME),
            dirs_exist_ok=True,
            ignore=shutil.ignore_patterns("__pycache__", "*.c"),
        )
        # pip makes these two from the entry points
        shutil.rmtree(prefix / PYTHON_DIR)
        shutil.rmtree(prefix / "bin")
        by_folder: dict[str, list[str]] = {}
        for path in sorted(prefix.rglob("*")):
            if path.is_file():
                by_folder.setdefault(str(path.parent.relative_to(prefix)), []).append(str(path))
        self.distribution.data_files = sorted(by_folder.items())


class DistributionWithMessages(Distribution):
    """A wheel for this interpreter alone once it holds compiled messages."""

    def has_ext_modules(self) -> bool:
        return can_build_messages()


setup(
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={NAME: PACKAGE_DATA},
    cmdclass={"build_py": BuildWithMessages},
    distclass=DistributionWithMessages,
    options={"build": {"build_base": "build/pip"}},
)
