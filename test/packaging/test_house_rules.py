"""Rules of the house that ruff cannot check."""

import ast
import re
from pathlib import Path

import pytest
from workspace import PACKAGE, ROOT

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 40
MAX_FOLDER_MODULES = 20
BANNED = re.compile(r"(utils?|common|helpers?|misc|manager|handler|processor|base|.*_v2)")
RESERVED = {"msg", "srv", "action"}
SOURCES = sorted((ROOT / PACKAGE).rglob("*.py"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_file_is_short_and_well_named(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_FILE_LINES
    assert not BANNED.fullmatch(path.stem)


def count_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function, without those of its docstring."""
    docstring = ast.get_docstring(function, clean=False) or ""
    documented = len(docstring.splitlines())
    return (function.end_lineno or 0) - function.lineno + 1 - documented


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_functions_are_short(path: Path) -> None:
    nodes = ast.walk(ast.parse(path.read_text()))
    functions = [n for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    lengths = {function.name: count_lines(function) for function in functions}
    assert {name: n for name, n in lengths.items() if n > MAX_FUNCTION_LINES} == {}


def test_every_room_is_a_package_and_none_hides_the_messages() -> None:
    rooms = {path.parent for path in SOURCES}
    assert {name_of(room) for room in rooms if not (room / "__init__.py").is_file()} == set()
    assert not RESERVED & {room.name for room in rooms}


def test_no_folder_is_a_junk_drawer() -> None:
    """A stranger finds nothing among more than 20 modules."""
    rooms = {path.parent for path in SOURCES}
    counts = {name_of(room): len(list(room.glob("*.py"))) for room in rooms}
    assert {name: count for name, count in counts.items() if count > MAX_FOLDER_MODULES} == {}
