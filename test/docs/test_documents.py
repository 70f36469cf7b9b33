"""README and docs/ say what the code says."""

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tables import (
    ARCHITECTURE,
    DOCS,
    INTERFACES,
    PAGES,
    README,
    ROOT,
    WEIGHTS,
    name_page,
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

RENDERED = [
    (ARCHITECTURE, "map", render_map),
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


@pytest.mark.parametrize("document", PAGES, ids=name_page)
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
    found = {f"~/{ast.literal_eval(leaf)}": ast.unparse(kind) for kind, leaf, *_ in calls}
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
    assert set(re.findall(r"`(\w+)`", line[1] if line else "")) == set(SUPPORTED_ENCODINGS)


def test_compat_table_is_that_of_the_launch_file() -> None:
    nodes = ast.parse((ROOT / "launch/proxia.launch.py").read_text()).body
    remaps = next(
        ast.literal_eval(node.value)
        for node in nodes
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "REMAPS"
    )
    expected = [(name, *pair) for name, pairs in remaps.items() for pair in pairs.items()]
    written = re.findall(
        r"^\| `(\w+)` \| `(~/\w+)` \| `([\w/]+)` \|$", INTERFACES.read_text(), re.M
    )
    assert written == expected


@pytest.mark.parametrize(
    ("document", "heading"),
    [(README, "## Weights"), (WEIGHTS, "## Shipped weights")],
    ids=["README", "weights"],
)
def test_weights_table_names_what_is_shipped(document: Path, heading: str) -> None:
    table = document.read_text().partition(heading)[2].partition("\n## ")[0]
    named = re.findall(r"^\| `(\w+)` \|", table, re.M)
    assert sorted(named) == list_shipped_weights()


def test_make_targets_in_the_documents_exist() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M))
    named = {page: set(re.findall(r"(?:^|`)make (\w+)", page.read_text(), re.M)) for page in PAGES}
    assert {"demo", "test", "setup", "docs"} <= named[README]
    assert set().union(*named.values()) <= targets


def test_files_that_documents_link_to_exist() -> None:
    for document in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_readme_is_one_page_with_one_light_picture() -> None:
    text = README.read_text()
    assert text.count("\n") <= 150
    (picture,) = re.findall(r"!\[[^\]]+\]\((.*?)\)", text)
    assert (README.parent / picture).suffix in {".jpg", ".webp"}
    assert (README.parent / picture).stat().st_size < 300_000


def test_first_screen_has_two_commands_and_the_picture() -> None:
    first_screen = README.read_text().partition("## On a robot")[0]
    commands = re.findall(r"^```sh\n(.*?)^```", first_screen, re.M | re.S)
    assert commands == ["make demo\nmake test\n"]
    assert first_screen.count("![") == 1
    assert first_screen.count("\n") <= 25


def test_readme_leads_to_every_document_for_users() -> None:
    linked = set(re.findall(r"\]\(docs/(\w+)\.md", README.read_text()))
    by_task = {"robot", "segment", "python", "training", "evaluation", "weights", "benchmark"}
    assert by_task | {"install", "interfaces", "troubleshooting", "glossary"} <= linked


def test_no_path_of_one_machine_is_written_down() -> None:
    files = [
        *PAGES,
        ROOT / "mkdocs.yml",
        *(ROOT / "config").iterdir(),
        *(ROOT / "launch").glob("*.py"),
    ]
    for path in files:
        assert not re.search(r"(?<![\w.~])/(home|root|work|tmp|Users)/", path.read_text()), path


def test_recipe_of_the_training_page_trains_on_its_label_set(tmp_path: Path) -> None:
    from proxia_segmentation_ros.labels import load_label_set
    from proxia_segmentation_ros.training.recipe import load_recipe

    for text in re.findall(r"^```yaml\n(.*?)^```", (DOCS / "training.md").read_text(), re.M | re.S):
        name = re.match(r"# (\w+\.yaml)", text)
        assert name is not None
        (tmp_path / name[1]).write_text(text)
    recipe = load_recipe(str(tmp_path / "yard.yaml"))
    assert recipe.data.synthetic_weight == 0
    label_set = load_label_set(str(tmp_path / recipe.data.label_set))
    assert label_set.names == ("ground", "plant")


def test_python_of_the_documents_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import cv2

    from proxia_segmentation_ros.synthetic import StreetScene

    image_HWC, _ = next(iter(StreetScene(seed=1, size_hw=(240, 320))))
    cv2.imwrite(str(tmp_path / "street.png"), cv2.cvtColor(image_HWC, cv2.COLOR_RGB2BGR))
    monkeypatch.chdir(tmp_path)
    page = DOCS / "python.md"
    (code,) = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S)
    exec(compile(code, str(page), "exec"), {})
    assert "road" in capsys.readouterr().out


SOURCE_SUFFIXES = (".py", ".msg", ".cmake", ".sh")
SOURCE_FOLDERS = ("test/", "proxia_segmentation_ros/", "docs/", "config/", "launch/", "scripts/")
NO_SOURCES = {"build", "__pycache__", ".git", ".venv"}


def expand_braces(path: str) -> list[str]:
    """Return `a/b` and `a/c` for `a/{b,c}`."""
    head, brace, rest = path.partition("{")
    middle, _, tail = rest.partition("}")
    return [f"{head}{part}{tail}" for part in middle.split(",")] if brace else [path]


def is_source(path: str, test_name: str) -> bool:
    """Whether a path, with placeholders allowed, is a file of ours that defines a test."""
    pattern = re.sub(r"<[^<>]+>", "*", path).strip("/")
    # A message type, as ROS writes it.
    pattern = re.sub(r"^proxia_segmentation_ros/([A-Z]\w+)$", r"msg/\1.msg", pattern)
    found = (
        file
        for file in ROOT.rglob(pattern)
        if not NO_SOURCES & set(file.relative_to(ROOT).parts[:-1])
    )
    defined = re.compile(rf"^(async )?(def|class) {re.escape(test_name.split('[')[0])}\b", re.M)
    return any(
        not test_name or (file.is_file() and defined.search(file.read_text())) for file in found
    )


def find_missing_sources(text: str) -> list[str]:
    """Return the code spans that name a source file or folder which does not exist.

    A path may begin at the root or in any folder, hold `*`, `{a,b}` or a placeholder such as
    `<name>`, and be followed by `::test_name`.
    """
    spans = re.findall(r"`([^`\s]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S))
    missing = []
    for span in spans:
        path, _, test_name = span.partition("::")
        if not path.endswith(SOURCE_SUFFIXES) and not path.startswith(SOURCE_FOLDERS):
            continue
        if not all(is_source(part, test_name) for part in expand_braces(path)):
            missing.append(span)
    return missing


@pytest.mark.parametrize(
    "document", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=name_page
)
def test_source_files_that_a_document_names_exist(document: Path) -> None:
    assert find_missing_sources(document.read_text()) == []


def test_missing_source_files_are_found() -> None:
    text = (
        "`wire/cdr.py` `test_*.py` `docs/decisions/<name>.md` `test/docs/test_documents.py::STATUS`"
    )
    assert find_missing_sources(text) == ["test/docs/test_documents.py::STATUS"]
    text = "`wire/gone.py` `test/gone/` `config/gone_*.yaml` `test/docs/test_site.py::test_gone`"
    assert len(find_missing_sources(text)) == 4


STATUS = re.compile(
    r"accepted(, in part superseded by \d{3}(, \d{3})*)?|superseded by \d{3}|proposed"
)


def test_every_decision_has_its_status_and_a_row_in_the_index() -> None:
    index = (DOCS / "decisions/index.md").read_text()
    rows = dict(re.findall(r"^\| \[\d{3}\]\(([\w-]+\.md)\) \|.*\| ([^|]+) \|$", index, re.M))
    notes = sorted((DOCS / "decisions").glob("[0-9]*.md"))[1:]
    assert list(rows) == [note.name for note in notes]
    known = {note.name[:3] for note in notes}
    for note in notes:
        status = re.search(r"^# \d{3}: .*\n\nStatus: (.*)\n", note.read_text())
        assert status, note.name
        assert STATUS.fullmatch(status[1]), note.name
        assert status[1] == rows[note.name]
        assert set(re.findall(r"\d{3}", status[1])) <= known - {note.name[:3]}
