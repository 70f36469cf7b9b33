"""A copy of the checkout and the environment to build it in, as a robot's workspace has them."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "proxia_segmentation_ros"
LEFT_OUT = (".git", ".venv", "build", "install", "log", "dist", "__pycache__", "*.egg-info")


def copy_checkout(target: Path) -> Path:
    return Path(shutil.copytree(ROOT, target, ignore=shutil.ignore_patterns(*LEFT_OUT)))


def make_build_environment() -> dict[str, str]:
    """Return this environment without the checkout's own installation of the package."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    own = str(ROOT / "install" / PACKAGE)
    for name, value in env.items():
        if own in value:
            env[name] = os.pathsep.join(e for e in value.split(os.pathsep) if not e.startswith(own))
    return env


def run_checked(command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> str:
    """Run a command and return what it printed; an error shows all of it."""
    done = subprocess.run(
        command,
        check=False,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout
