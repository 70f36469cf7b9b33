"""Rules of the house that ruff cannot check."""

import ast
import re
from pathlib import Path

import pytest
from mirror import CROSS_CUTTING, FOLDERS_WITHOUT_MODULES, TESTED_BY, TYPES_ALONE
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


def list_modules() -> set[str]:
    """Return the modules that a test file may be named after, from the package's folder."""
    package = ROOT / PACKAGE
    modules = [path for path in SOURCES if path.stem not in {"__init__", "__main__"}]
    return {path.relative_to(package).as_posix() for path in modules}


def name_test(module: str) -> str:
    """Return the test file that mirrors a module, from the folder of tests."""
    folder, slash, name = module.rpartition("/")
    return f"{folder}{slash}test_{name}"


def test_every_module_has_a_test_file_or_a_reason() -> None:
    tested = {module for module in list_modules() if (ROOT / "test" / name_test(module)).is_file()}
    excused = {module for modules in TESTED_BY.values() for module in modules}
    assert list_modules() - tested - excused == set(), "write test/<folder>/test_<name>.py"
    assert excused & tested == set(), "take it off the list: it has a test file by now"
    assert excused - list_modules() == set(), "take it off the list: it is gone"
    files = {place for place in TESTED_BY if place != TYPES_ALONE}
    assert {place for place in files if not (ROOT / place).is_file()} == set()


def test_every_test_file_is_named_after_a_module_or_has_a_reason() -> None:
    folder = ROOT / "test"
    tests = {path.relative_to(folder).as_posix() for path in folder.rglob("test_*.py")}
    tests = {test for test in tests if test.split("/")[0] not in FOLDERS_WITHOUT_MODULES}
    mirrors = {name_test(module) for module in list_modules()}
    assert tests - mirrors - set(CROSS_CUTTING) == set(), "name it after a module"
    assert set(CROSS_CUTTING) & mirrors == set(), "take it off the list: it mirrors a module"
    assert set(CROSS_CUTTING) - tests == set(), "take it off the list: it is gone"
