"""README and docs/interfaces.md say what the code says."""

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tables import (
    INTERFACES,
    README,
    ROOT,
    read_block,
    render_launch_arguments,
    render_map,
    render_messages,
    render_parameters,
    render_python,
    write_block,
)

from proxia_segmentation_ros.config import CameraSettings
from proxia_segmentation_ros.model.lookup import list_shipped_weights
from proxia_segmentation_ros.wire.encodings import SUPPORTED_ENCODINGS

DOCUMENTS = [README, INTERFACES, *sorted((ROOT / "docs").glob("decisions/*.md"))]
RENDERED = [
    (README, "launch", render_launch_arguments),
    (README, "map", render_map),
    (README, "parameters", render_parameters),
    (INTERFACES, "launch", render_launch_arguments),
    (INTERFACES, "messages", render_messages),
    (INTERFACES, "parameters", render_parameters),
    (INTERFACES, "python", render_python),
]


@pytest.mark.parametrize(
    ("document", "name", "render"),
    RENDERED,
    ids=[f"{document.stem}-{name}" for document, name, _ in RENDERED],
)
def test_rendered_part_is_up_to_date(
    document: Path, name: str, render: Callable[[], str], request: pytest.FixtureRequest
) -> None:
    if request.config.getoption("--update-docs", default=False):
        write_block(document, name, render())
    assert read_block(document, name) == render(), "run: python -m pytest test/docs --update-docs"


@pytest.mark.parametrize(
    "document", [README, *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda one: one.stem
)
def test_rows_of_a_table_have_as_many_cells_as_its_header(document: Path) -> None:
    """A page shows neither what lies in a cell too many nor that one lacks."""
    text = re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.M | re.S)
    for table in re.findall(r"(?:^\|.*\n)+", text, re.M):
        rows = [re.sub(r"`[^`]*`|\\\|", "", row).count("|") for row in table.splitlines()]
        assert set(rows) == {rows[0]}, table.splitlines()[0]


def _read_topics(document: Path) -> dict[str, str]:
    """Return topic -> type of the table of published topics."""
    rows = re.findall(r"^\| `(~/\w+|/diagnostics)` \| `(\w+/\w+)` \|", document.read_text(), re.M)
    return dict(rows)


def _read_publishers() -> dict[str, str]:
    """Return topic -> name of the message class, from the node's source."""
    tree = ast.parse((ROOT / "proxia_segmentation_ros/ros/node/camera_output.py").read_text())
    calls = [
        node.args
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "_create"
    ]
    found = {f"~/{leaf.value}": kind.id for kind, leaf, *_ in calls}
    return {**found, "/diagnostics": "DiagnosticArray"}


@pytest.mark.parametrize("document", [README, INTERFACES], ids=lambda path: path.stem)
def test_published_topics_are_those_of_the_node(document: Path) -> None:
    written = {topic: kind.rpartition("/")[2] for topic, kind in _read_topics(document).items()}
    assert written == _read_publishers()


@pytest.mark.parametrize("document", [README, INTERFACES], ids=lambda path: path.stem)
def test_subscribed_topics_are_those_of_the_settings(document: Path) -> None:
    written = re.findall(r"^\| `cameras\.<name>\.(\w+_topic)`", document.read_text(), re.M)
    known = [name for name in CameraSettings.model_fields if name.endswith("_topic")]
    assert list(dict.fromkeys(written)) == known


def test_encodings_are_those_that_are_decoded() -> None:
    line = re.search(r"^Encodings of raw images: (.*)$", INTERFACES.read_text(), re.M)
    assert set(re.findall(r"`(\w+)`", line[1])) == set(SUPPORTED_ENCODINGS)


def test_compat_table_is_that_of_the_launch_file() -> None:
    tree = ast.parse((ROOT / "launch/proxia.launch.py").read_text())
    remaps = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "REMAPS"
    )
    expected = [(name, *pair) for name, pairs in remaps.items() for pair in pairs.items()]
    written = re.findall(
        r"^\| `(\w+)` \| `(~/\w+)` \| `([\w/]+)` \|$", INTERFACES.read_text(), re.M
    )
    assert written == expected


def test_weights_table_names_what_is_shipped() -> None:
    table = README.read_text().partition("## Weights")[2].partition("\n## ")[0]
    named = re.findall(r"^\| `(\w+)` \|", table, re.M)
    assert sorted(named) == list_shipped_weights()


def test_make_targets_in_the_readme_exist() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M))
    named = set(re.findall(r"(?:^|`)make (\w+)", README.read_text(), re.M))
    assert {"demo", "test", "setup"} <= named <= targets


def test_commands_in_the_readme_parse() -> None:
    """Every `proxia ...` of the README names a command and options that exist."""
    import typer

    from proxia_segmentation_ros.cli.command import app

    tree = typer.main.get_command(app)
    lines = re.findall(r"(?:^|`|: )(proxia [a-z][^`\n#]*)", README.read_text(), re.M)
    assert len(lines) >= 6
    for line in lines:
        _, name, *words = line.split()
        command = tree.commands[name]
        further = getattr(command, "commands", {})
        command = further.get(words[0], command) if words else command
        known = {option for one in command.params for option in (*one.opts, *one.secondary_opts)}
        assert {word for word in words if word.startswith("-")} <= known, line


def test_files_that_documents_link_to_exist() -> None:
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_first_screen_has_two_commands_and_one_picture() -> None:
    first_screen = README.read_text().partition("## Without ROS")[0]
    commands = re.findall(r"^```\n(.*?)^```", first_screen, re.M | re.S)
    assert commands == ["make demo\nmake test\n"]
    assert first_screen.count("![") == 1
    assert first_screen.count("\n") <= 45


def test_no_path_of_one_machine_is_written_down() -> None:
    files = [*DOCUMENTS, *(ROOT / "config").iterdir(), *(ROOT / "launch").glob("*.py")]
    for path in files:
        assert not re.search(r"(?<![\w.~])/(home|root|work|tmp|Users)/", path.read_text()), path


def test_recipe_of_the_readme_trains_on_its_label_set(tmp_path: Path) -> None:
    from proxia_segmentation_ros.labels import load_label_set
    from proxia_segmentation_ros.training.recipe import load_recipe

    for text in re.findall(r"^```yaml\n(.*?)^```", README.read_text(), re.M | re.S):
        name = re.match(r"# (\w+\.yaml)", text)
        assert name is not None
        (tmp_path / name[1]).write_text(text)
    recipe = load_recipe(str(tmp_path / "yard.yaml"))
    assert recipe.data.synthetic_weight == 0
    label_set = load_label_set(str(tmp_path / recipe.data.label_set))
    assert label_set.names == ("ground", "plant")


def test_python_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import cv2

    from proxia_segmentation_ros.synthetic import StreetScene

    image_HWC, _ = next(iter(StreetScene(seed=1, size_hw=(240, 320))))
    cv2.imwrite(str(tmp_path / "street.png"), cv2.cvtColor(image_HWC, cv2.COLOR_RGB2BGR))
    monkeypatch.chdir(tmp_path)
    code = re.search(r"^```python\n(.*?)^```", README.read_text(), re.M | re.S)[1]
    exec(compile(code, str(README), "exec"), {})
    assert "road" in capsys.readouterr().out
