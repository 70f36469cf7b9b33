"""`make setup` redoes only what changed, and says what a machine lacks."""

import http.server
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from workspace import PACKAGE, ROOT

INPUTS = ("scripts", "requirements", "requirements.txt", "msg", "cmake", "CMakeLists.txt")


class Machine:
    """A small checkout with the set-up script, whose commands are noted instead of run."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.commands: list[str] = []
        for name in INPUTS:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, folder / name)
        self.write(f"{PACKAGE}/errors.py", "")
        monkeypatch.setenv("AMENT_PREFIX_PATH", "")
        spec = importlib.util.spec_from_file_location("set_up", folder / "scripts" / "set_up.py")
        assert spec is not None
        assert spec.loader is not None
        self.script: ModuleType = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.script)
        monkeypatch.setattr(self.script, "WHEELS_PYTHON", sys.version_info[:2])
        monkeypatch.setattr(self.script.platform, "machine", lambda: "x86_64")
        monkeypatch.setattr(self.script, "run_logged", self._note)

    def _note(
        self, name: str, command: list[str], env: dict[str, str], progress: object = None
    ) -> None:
        self.commands.append(name)
        made = {"venv": [".venv"], "colcon": ["install", f"build/{PACKAGE}"]}
        made["lint-venv"] = ["build/lint-venv"]
        for folder in made.get(name, []):
            (self.folder / folder).mkdir(exist_ok=True)

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def set_up(self, *arguments: str) -> list[str]:
        """Run the set-up and return what it ran."""
        self.commands.clear()
        self.script.main(*arguments)
        return list(self.commands)

    def load_afresh(self) -> ModuleType:
        """Return the script with its real commands, and a folder for their logs."""
        (self.folder / "build").mkdir()
        spec = importlib.util.spec_from_file_location("set_up", self.script.__file__)
        assert spec is not None
        assert spec.loader is not None
        fresh = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(fresh)
        return fresh


class Clock:
    """Stands still until it is put forward."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def source_environment(script: str, **variables: str) -> list[str]:
    """Source the checkout's own build/env.sh in a bare POSIX shell, then run a script."""
    command = ["sh", "-c", f'set -eu; . "{ROOT}/build/env.sh"; {script}']
    env = {"PATH": "/usr/bin:/bin"} | variables
    done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


def test_fresh_checkout_is_set_up_once(machine: Machine) -> None:
    assert machine.set_up() == ["venv", "pip", "pip-standalone", "colcon"]
    assert machine.set_up() == []


def test_changed_module_needs_nothing(machine: Machine) -> None:
    machine.set_up()
    machine.write(f"{PACKAGE}/errors.py", "LIMIT = 1\n")
    assert machine.set_up() == []


def test_new_or_removed_module_is_linked_again(machine: Machine) -> None:
    machine.set_up()
    machine.write(f"{PACKAGE}/labels.py", "")
    assert machine.set_up() == ["colcon"]
    (machine.folder / PACKAGE / "labels.py").unlink()
    assert machine.set_up() == ["colcon"]


def test_links_to_removed_files_go(machine: Machine) -> None:
    machine.set_up()
    link = machine.folder / "install" / "removed.py"
    link.symlink_to(machine.folder / "absent.py")
    machine.write(f"{PACKAGE}/labels.py", "")
    machine.set_up()
    assert not link.is_symlink()


def test_changed_message_is_built_again(machine: Machine) -> None:
    machine.set_up()
    machine.write("msg/StreamStats.msg", "uint64 received\n")
    assert machine.set_up() == ["colcon"]


def test_removed_build_folder_is_made_again(machine: Machine) -> None:
    machine.set_up()
    shutil.rmtree(machine.folder / "build")
    assert machine.set_up() == ["colcon"]


def test_changed_requirements_keep_the_environment(machine: Machine) -> None:
    machine.set_up()
    machine.write("requirements/lock.txt", "numpy==2.4.6\n")
    assert machine.set_up() == ["pip", "pip-standalone", "colcon"]


def test_changed_tool_of_its_own_is_installed(machine: Machine) -> None:
    machine.set_up()
    machine.write("requirements/standalone.txt", "cityscapesScripts==2.2.4\n")
    assert machine.set_up() == ["pip", "pip-standalone", "colcon"]


def test_environment_of_another_place_is_made_anew(machine: Machine) -> None:
    machine.set_up()
    machine.write(".venv/proxia_ground", "made elsewhere")
    assert machine.set_up() == ["venv", "pip", "pip-standalone", "colcon"]


def test_interrupted_set_up_goes_on(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(name: str, command: list[str], env: dict[str, str], progress: object = None) -> None:
        machine._note(name, command, env)
        if name == "pip":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(machine.script, "run_logged", stop)
        with pytest.raises(KeyboardInterrupt):
            machine.set_up()
    assert machine.set_up() == ["pip", "pip-standalone", "colcon"]


@pytest.mark.parametrize("tool", ["cmake", "make", "gcc", "g++"])
def test_missing_tool_is_named_with_its_package(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tool: str
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None if name == tool else f"/usr/bin/{name}")
    with pytest.raises(SystemExit, match=f"no {tool} on PATH".replace("+", r"\+")) as raised:
        machine.set_up()
    assert str(raised.value.code).endswith(f"apt install {tool}")


def test_missing_venv_is_named_with_its_package(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine.script.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=r"cannot make a venv.*apt install python3\.\d+-venv"):
        machine.set_up()


def test_machine_without_wheels_is_sent_to_a_ros_installation(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine.script.platform, "machine", lambda: "aarch64")
    with pytest.raises(SystemExit, match=r"Linux aarch64.*source a ROS installation"):
        machine.set_up()


def test_sourced_ros_of_another_python_is_refused(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "ros" / "share" / "ament_index").mkdir(parents=True)
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path / "ros"))
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.setattr(machine.script.sys, "executable", "/bin/false")
    with pytest.raises(SystemExit, match=r"/bin/false cannot import rclpy.*expected the Python"):
        machine.set_up()


def test_failed_command_shows_the_end_of_its_log(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    script = machine.load_afresh()
    with pytest.raises(SystemExit, match=r"ended with 3; expected 0; read build/probe\.log"):
        script.run_logged("probe", ["sh", "-c", "echo no room left; exit 3"], dict(os.environ))
    assert "no room left" in capsys.readouterr().err


def test_command_that_stops_itself_is_left_to_its_end(machine: Machine) -> None:
    script = machine.load_afresh()
    script.run_logged("probe", ["sh", "-c", "exec >&- 2>&-; sleep 0.1"], dict(os.environ))
    assert (machine.folder / "build" / "probe.log").read_text() == ""


def test_interrupted_command_is_ended(machine: Machine) -> None:
    script = machine.load_afresh()

    class Interrupting:
        def see(self, line: str) -> None:
            raise KeyboardInterrupt

    command = ["sh", "-c", "echo $$; exec sleep 60"]
    with pytest.raises(KeyboardInterrupt):
        script.run_logged("probe", command, dict(os.environ), Interrupting())
    pid = int((machine.folder / "build" / "probe.log").read_text())
    assert not Path(f"/proc/{pid}").exists()


def test_long_installation_says_how_far_it_is(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    monkeypatch.setattr(machine.script, "time", clock)
    progress = machine.script.Progress("starting pip")
    progress.see("Collecting ruff==0.17.6 (from -r requirements/tools.txt (line 8))\n")
    progress.see("  Downloading ruff-0.17.6-py3-none-manylinux2014_x86_64.whl (10.6 MB)\n")
    assert capsys.readouterr().out == ""
    progress.see("Processing /wheels/rich-15.0.0-py3-none-any.whl (from -r lock.txt (line 12))\n")
    clock.seconds += 20
    progress.see("")
    progress.see("")
    progress.see("  Downloading torch-2.13.0-cp311-none-linux_x86_64.whl (1.2 GB)\n")
    clock.seconds += 40
    progress.see("Installing collected packages: ruff, rich, torch\n")
    clock.seconds += 20
    progress.see("Starting >>> vision_msgs\n")
    assert capsys.readouterr().out.splitlines() == [
        "make setup:   package 2, rich-15.0.0-py3-none-any.whl (after 20 s)",
        "make setup:   downloading torch-2.13.0-cp311-none-linux_x86_64.whl, 1200 MB (after 20 s)",
        "make setup:   unpacking 3 packages (after 60 s)",
        "make setup:   Starting >>> vision_msgs (after 80 s)",
    ]


class Index(http.server.BaseHTTPRequestHandler):
    """A package index that has nothing."""

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def index() -> Iterator[str]:
    with http.server.HTTPServer(("127.0.0.1", 0), Index) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/simple"
        server.shutdown()
        thread.join()


def test_index_that_answers_is_not_spoken_of(
    machine: Machine, index: str, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.script.probe_extra_indexes({"PIP_EXTRA_INDEX_URL": f"{index} file:///opt/wheels"})
    machine.script.probe_extra_indexes({})
    assert capsys.readouterr().out == ""


def test_index_out_of_reach_is_named_without_its_password(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://me:secret@127.0.0.1:{closed.getsockname()[1]}/simple"
        machine.script.probe_extra_indexes({"PIP_EXTRA_INDEX_URL": url})
    told = capsys.readouterr().out
    assert "PIP_EXTRA_INDEX_URL: http://127.0.0.1:" in told
    assert "refused" in told
    assert "secret" not in told


def test_index_that_keeps_silent_is_given_up(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.modules["index_probe"], "PROBE_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        machine.script.probe_extra_indexes({"PIP_EXTRA_INDEX_URL": url})
    assert f"PIP_EXTRA_INDEX_URL: {url} can't be reached (" in capsys.readouterr().out


def test_checks_of_style_have_an_environment_of_their_own(machine: Machine) -> None:
    assert machine.set_up("lint") == ["lint-venv", "lint-pip"]
    assert machine.set_up("lint") == []
    machine.write("requirements/hooks.txt", "pre-commit==4.7.0\n")
    assert machine.set_up("lint") == ["lint-venv", "lint-pip"]
    assert not (machine.folder / ".venv").exists()
    pins = (machine.folder / "build" / "lint-constraints.txt").read_text()
    assert "rich==" in pins
    assert "-r " not in pins


def test_changed_style_tool_comes_into_the_environment_too(machine: Machine) -> None:
    machine.set_up()
    machine.write("requirements/lint.txt", "ruff==0.17.5\n")
    assert machine.set_up() == ["pip", "pip-standalone", "colcon"]


def test_sourcing_twice_adds_nothing() -> None:
    names = "PATH PYTHONPATH LD_LIBRARY_PATH AMENT_PREFIX_PATH CMAKE_PREFIX_PATH"
    show = "".join(f'echo "{name}=${name}"; ' for name in names.split())
    assert source_environment(f'. "{ROOT}/build/env.sh"; {show}') == source_environment(show)


def test_environment_gives_the_commands_and_leaves_no_names_behind() -> None:
    lines = source_environment(
        "command -v proxia; command -v python; set | grep -c ^proxia_ || true"
    )
    assert lines == [f"{ROOT}/install/{PACKAGE}/bin/proxia", f"{ROOT}/.venv/bin/python", "0"]


@pytest.mark.parametrize(
    "name", ["FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"]
)
def test_profile_of_the_user_stays(name: str) -> None:
    show = "env | grep DEFAULT_PROFILES_FILE"
    assert source_environment(show, **{name: "/mine.xml"}) == [f"{name}=/mine.xml"]


def test_large_segment_profile_is_set_where_the_user_has_none() -> None:
    profile = f"{ROOT}/config/fastdds_profile.xml"
    assert source_environment('echo "$FASTDDS_DEFAULT_PROFILES_FILE"') == [profile]
