"""Commands in the documents exist, and run where nothing but this package is needed."""

import ast
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from code_blocks import COMMANDS, NEEDS, Block, list_blocks
from tables import DOCS, PAGES, ROOT, name_page

BLOCKS = list_blocks()
THIS_TEST = "test/docs/test_commands.py::test_block_runs"
TO_RUN = [block for block in BLOCKS if block.test == THIS_TEST]
COMMAND = re.compile(
    r"(?:^|`|: |; |\| )(?:proxia|.*-m proxia_segmentation_ros\.cli) ([a-z][^`\n#|]*)", re.M
)
# Options in the text that belong to other programs.
FOREIGN_OPTIONS = {"--nproc-per-node", "--update-docs"}


def list_command_options() -> dict[str, set[str]]:
    """Return the options of each command; those of a group's command by `group command`."""
    import typer

    from proxia_segmentation_ros.cli.command import app

    found: dict[str, set[str]] = {}

    def add(name: str, command) -> None:
        options = [o for one in command.params for o in (*one.opts, *one.secondary_opts)]
        found[name] = {option for option in options if option.startswith("-")}
        for child, further in getattr(command, "commands", {}).items():
            add(f"{name} {child}".strip(), further)

    add("", typer.main.get_command(app))
    return found


OPTIONS = list_command_options()


def list_commands(page: Path) -> list[str]:
    return COMMAND.findall(page.read_text())


@pytest.mark.parametrize("page", [page for page in PAGES if list_commands(page)], ids=name_page)
def test_commands_parse(page: Path) -> None:
    """Every `proxia ...` names a command and options that exist."""
    for line in list_commands(page):
        name, *words = line.split()
        assert name in OPTIONS, line
        if words and f"{name} {words[0]}" in OPTIONS:
            name = f"{name} {words[0]}"
        options = {word.partition("=")[0] for word in words if word.startswith("-")}
        assert options <= OPTIONS[name], line


def test_commands_are_found() -> None:
    """The check above looks at something."""
    found = [line for page in PAGES for line in list_commands(page)]
    assert len(found) >= 80
    assert {line.split()[0] for line in found} == {name.split()[0] for name in OPTIONS if name}


@pytest.mark.parametrize("page", PAGES, ids=name_page)
def test_options_in_the_text_belong_to_a_command(page: Path) -> None:
    known = set().union(*OPTIONS.values()) | FOREIGN_OPTIONS
    assert set(re.findall(r"`(--[a-z][a-z-]*)", page.read_text())) <= known


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name)
def test_block_says_what_checks_it_or_what_it_needs(block: Block) -> None:
    assert block.language in {*COMMANDS, "python", "yaml", "text"}
    if block.language in {*COMMANDS, "python"}:
        is_rendered = block.mark == "<!-- python -->"  # compared by test_documents.py
        assert block.test or block.needs or is_rendered, "mark it: see test/support/code_blocks.py"
        assert block.needs <= NEEDS


def test_tests_that_blocks_name_exist() -> None:
    named = {block.test for block in BLOCKS if block.test}
    assert THIS_TEST in named
    for path, _, name in (test.partition("::") for test in named):
        tree = ast.parse((ROOT / path).read_text())
        assert name in {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}, path


@pytest.fixture(scope="module")
def reader_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the files that the documents name: pictures, masks, a recipe."""
    import cv2

    from proxia_segmentation_ros.synthetic import StreetScene

    folder = tmp_path_factory.mktemp("reader")
    scenes = iter(StreetScene(seed=3, size_hw=(240, 320)))
    images = ["IMAGES", "FOLDER", "DATA/train", "DATA/val"]
    masks = ["MASKS", "DATA/trainannot", "DATA/valannot"]
    for name in [*images, *masks]:
        (folder / name).mkdir(parents=True)
    for number in range(8):
        image_HWC, labels_HW = next(scenes)
        shown = image_HWC[:, :, ::-1]
        for name in images if number < 2 else images[2:]:
            cv2.imwrite(str(folder / name / f"{number}.png"), shown)
        cv2.imwrite(str(folder / "MASKS" / f"{number}.png"), labels_HW)
        for name in masks[1:]:
            cv2.imwrite(str(folder / name / f"{number}.png"), (labels_HW == 5).astype("uint8"))
        cv2.imwrite(str(folder / "street.png"), shown)
    for text in re.findall(r"^```yaml\n(.*?)^```", (DOCS / "training.md").read_text(), re.M | re.S):
        (folder / text.split()[1].rstrip(":")).write_text(text)
    command = folder / "bin/proxia"
    command.parent.mkdir()
    command.write_text(
        f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m proxia_segmentation_ros.cli "$@"\n'
    )
    command.chmod(0o755)
    return folder


@pytest.mark.parametrize("block", TO_RUN, ids=lambda block: block.name)
@pytest.mark.slow
def test_block_runs(block: Block, reader_folder: Path) -> None:
    environment = os.environ | {
        "PATH": f"{reader_folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        "PROXIA_CACHE_DIR": str(reader_folder / "cache"),
        "PROXIA_WEIGHTS_DIR": str(reader_folder / "weights"),
    }
    done = subprocess.run(
        ["bash", "-e", "-u", "-c", block.text],
        cwd=reader_folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
