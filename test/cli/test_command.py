import itertools
import os
import re
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic_core import PydanticUndefined

from proxia_segmentation_ros.apps.evaluate.settings import EvaluationSettings
from proxia_segmentation_ros.apps.segment.settings import SegmentSettings
from proxia_segmentation_ros.cli import main
from proxia_segmentation_ros.cli.command import app, is_of_ros
from proxia_segmentation_ros.cli.evaluate import NAMES

COMMANDS = (
    "run",
    "play",
    "segment",
    "demo",
    "evaluate",
    "train",
    "convert",
    "weights",
    "benchmark",
)
HEAVY = ("torch", "cv2", "rclpy", "openvino", "numpy", "rich", "pydantic")


def call(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["proxia", *arguments])
    code = main()
    output = capsys.readouterr()
    return code, output.out, output.err


def test_help_names_every_command(monkeypatch, capsys):
    code, out, _ = call(monkeypatch, capsys, "--help")
    assert code == 0
    for name in COMMANDS:
        assert re.search(rf"^\W*{name}\b", out, re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(monkeypatch, capsys, name):
    code, out, _ = call(monkeypatch, capsys, name, "--help")
    assert code == 0
    assert "Usage: proxia " + name in out


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nsys.argv = ['proxia', '--help']\n"
        "from proxia_segmentation_ros.cli import main\nmain()\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stderr.strip().splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("arguments", "exit_code", "sentence"),
    [
        (["run", "--set", "inference.backend=abacus"], 2, "inference.backend is 'abacus'"),
        (["run", "--set", "nonsense"], 2, "--set 'nonsense' assigns nothing"),
        (["run", "--params-file", "/no/such.yaml"], 2, "/no/such.yaml"),
        (["play", "/no/such.mp4"], 3, "'/no/such.mp4' does not exist"),
        (["play", "--size", "large"], 2, "--size is 'large'"),
        (["play", "--transport", "theora"], 2, "transport is 'theora'"),
        (["segment", "/no/such", "-o", "unused"], 3, "'/no/such' does not exist"),
        (["demo", "--source", "/no/such"], 3, "'/no/such' does not exist"),
        (["demo", "--weights", "/no/such.safetensors"], 4, "'/no/such.safetensors'"),
        (["benchmark", "--weights", "/no/such.safetensors"], 4, "'/no/such.safetensors'"),
        (["benchmark", "--rounds", "9", "train"], 2, "--rounds stands before 'train'"),
        (["benchmark", "--backend", "abacus"], 2, "inference.backend is 'abacus'"),
        (["evaluate", "/no/images", "/no/masks"], 3, "'/no/images' does not exist"),
        (["train", "/no/such.yaml"], 2, "'/no/such.yaml' does not exist"),
    ],
)
def test_mistakes_of_the_user_are_one_sentence_and_an_exit_code(
    monkeypatch, capsys, arguments, exit_code, sentence
):
    code, _, err = call(monkeypatch, capsys, *arguments)
    assert (code, sentence in err) == (exit_code, True), err
    assert "Traceback" not in err
    assert err.startswith("proxia: ")


def test_unknown_option_is_refused(monkeypatch, capsys):
    code, _, err = call(monkeypatch, capsys, "demo", "--colour", "red")
    assert code == 2
    assert "--colour" in err


def test_run_hands_ros_arguments_to_the_node(monkeypatch):
    seen: list[Any] = []

    def run_node(arguments):
        seen.append(arguments)
        return 0

    node: Any = types.ModuleType("node")
    node.main = run_node
    monkeypatch.setitem(sys.modules, "proxia_segmentation_ros.ros.node.segmentation_node", node)
    options = ["--image-topic", "/front/image", "--weights", "synthetic", "--namespace", "robot"]
    monkeypatch.setattr(sys, "argv", ["proxia", "run", *options, "--set", "overlay.alpha=1"])
    assert main() == 0
    assert seen == [
        [
            "--ros-args",
            *("-p", "overlay.alpha:=1.0"),
            *("-p", 'cameras.camera.image_topic:="/front/image"'),
            *("-p", 'model.weights:="synthetic"'),
            *("-r", "__ns:=/robot"),
        ]
    ]


def test_run_sets_the_camera_that_is_named(monkeypatch):
    seen: list[Any] = []
    node: Any = types.ModuleType("node")
    node.main = seen.append
    monkeypatch.setitem(sys.modules, "proxia_segmentation_ros.ros.node.segmentation_node", node)
    options = ["--set", "camera_names=[rear]", "--transport", "compressed"]
    monkeypatch.setattr(sys, "argv", ["proxia", "run", *options])
    assert main() == 0
    assert 'cameras.rear.transport:="compressed"' in seen[0]


def test_module_runs_as_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "proxia_segmentation_ros.cli", "play", str(Path("/no/such.mp4"))],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 3


def test_missing_ros_is_one_sentence():
    code = (
        "import sys\nsys.modules['rclpy'] = None\nsys.argv = ['proxia', 'run']\n"
        "from proxia_segmentation_ros.cli import main\nsys.exit(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("proxia: the Python module 'rclpy")
    assert "env.sh" in done.stderr


def test_other_missing_modules_are_not_taken_for_ros():
    assert is_of_ros("proxia_segmentation_ros.msg")
    assert is_of_ros("sensor_msgs.msg")
    assert not is_of_ros("openvino")
    assert not is_of_ros("proxia_segmentation_ros.apps.nothing")


def list_commands(command: Any, name: str = "proxia") -> Iterator[tuple[str, Any]]:
    yield name, command
    for child_name, child in getattr(command, "commands", {}).items():
        yield from list_commands(child, f"{name} {child_name}")


ALL_COMMANDS = dict(list_commands(typer.main.get_command(app)))
# The benchmarks are for developers and have a document of their own.
USER_COMMANDS = [name for name in ALL_COMMANDS if not name.startswith("proxia benchmark")]


def test_version_is_printed(monkeypatch, capsys):
    code, out, _ = call(monkeypatch, capsys, "--version")
    assert code == 0
    assert re.fullmatch(r"proxia \d+\.\d+\.\d+\n", out)


@pytest.mark.parametrize("name", USER_COMMANDS)
def test_lists_show_whole_sentences(name):
    children = getattr(ALL_COMMANDS[name], "commands", {})
    # The width of a description on a terminal of 80 columns.
    width = 80 - 6 - max(map(len, children), default=0)
    for child_name, child in children.items():
        if f"{name} {child_name}" in USER_COMMANDS:
            sentence = child.get_short_help_str(width)
            assert re.search(r"[^.]\.\Z", sentence), f"{child_name}: {sentence}"


@pytest.mark.parametrize("name", USER_COMMANDS)
def test_examples_show_known_commands_and_options(name):
    lines = (ALL_COMMANDS[name].epilog or "").splitlines()
    assert lines[:2] == ["\b", "Examples:"]
    assert lines[2:]
    for line in lines[2:]:
        assert len(line) <= 78
        assert line.startswith(f"  {name}")
        shown = max(
            (known for known in ALL_COMMANDS if f"{line} ".startswith(f"  {known} ")), key=len
        )
        options = {option for param in ALL_COMMANDS[shown].params for option in param.opts}
        words = itertools.takewhile(lambda word: word != "--", line.split())
        used = {word for word in words if word.startswith("-")}
        assert used <= options | {"--help"}, line


@pytest.mark.parametrize(
    ("name", "model", "renamed"),
    [("segment", SegmentSettings, {}), ("evaluate", EvaluationSettings, NAMES)],
)
def test_help_shows_the_defaults_of_the_settings(name, model, renamed):
    for parameter in ALL_COMMANDS[f"proxia {name}"].params:
        field = model.model_fields.get(renamed.get(parameter.name, parameter.name))
        default = field.get_default() if field is not None else PydanticUndefined
        if default is PydanticUndefined:
            continue
        if isinstance(default, tuple):
            default = ",".join(map(str, default))
        assert parameter.default == default, parameter.name
