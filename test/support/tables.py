"""Tables of the documents, rendered from the code; `pytest test/docs --update-docs` writes them.

A rendered part of a document stands between `<!-- name -->` and `<!-- end -->`.
"""

import ast
import inspect
import re
from importlib import import_module
from pathlib import Path
from typing import Any

from proxia_segmentation_ros.config import NodeSettings, ParameterRow, list_parameters

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
INTERFACES = DOCS / "interfaces.md"
ARCHITECTURE = DOCS / "architecture.md"
WEIGHTS = DOCS / "weights.md"
ROOT_PAGES = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")]
ROOT_PAGES.append(ROOT / "QUALITY_DECLARATION.md")
PAGES = [*ROOT_PAGES, *sorted(DOCS.rglob("*.md"))]
DATA_FOLDERS = {
    "label_sets": "classes, colours and ids as YAML",
    "recipes": "training recipes as YAML",
    "weights": "what ships, as safetensors with a model card",
}
LAUNCH_FILE = ROOT / "launch" / "proxia.launch.py"
MAP_COLUMN = 34
PYTHON_SURFACE = (
    ("model", "build_model"),
    ("model", "load_weights"),
    ("inference", "Segmenter.from_weights"),
    ("inference", "Segmenter.segment"),
    ("inference", "Segmenter.warm_up"),
    ("inference", "Segmenter.close"),
    ("inference", "summarize"),
    ("synthetic", "StreetScene"),
)
MESSAGES = sorted((ROOT / "msg").glob("*.msg"))


def name_page(page: Path) -> str:
    """Return a page's path as test ids show it."""
    return str(page.relative_to(ROOT))


def read_block(document: Path, name: str) -> str:
    """Return what stands between the marks of `name`."""
    return _find_block(document.read_text(), name)[2]


def write_block(document: Path, name: str, text: str) -> None:
    """Replace what stands between the marks of `name`."""
    before, after, _ = _find_block(document.read_text(), name)
    document.write_text(f"{before}{text}{after}")


def _find_block(text: str, name: str) -> tuple[str, str, str]:
    found = re.search(rf"<!-- {name} -->\n(.*?)<!-- end -->", text, re.DOTALL)
    assert found, f"no block <!-- {name} --> ... <!-- end -->"
    return text[: found.start(1)], text[found.end(1) :], found[1]


def list_rows() -> list[ParameterRow]:
    """Return the parameters of a node with the default cameras."""
    return list_parameters(NodeSettings().camera_names)


def describe_range(row: ParameterRow) -> str:
    """Return the allowed values in a few characters, empty when the description says them."""
    if row.choices:
        return ", ".join(row.choices)
    return "" if row.maximum is None else f"{row.minimum}..{row.maximum}"


def render_parameters() -> str:
    """Return the table of parameters."""
    lines = ["| parameter | default | range | change | meaning |", "|---|---|---|---|---|"]
    for row in list_parameters(["<name>"]):
        default = (
            "true" if row.default is True else "false" if row.default is False else row.default
        )
        lines.append(
            f"| `{row.name}` | `{default!s}` | {describe_range(row)} | {row.change} "
            f"| {row.description} |".replace("``", '`""`').replace("  ", " ")
        )
    return "\n".join(lines) + "\n"


def render_launch_arguments() -> str:
    """Return the table of launch arguments, read from the launch file without running it."""
    lines = ["| argument | default | meaning |", "|---|---|---|"]
    for name, default, description in list_launch_arguments():
        lines.append(f"| `{name}` | {f'`{default}`' if default else 'empty'} | {description} |")
    return "\n".join(lines) + "\n"


def list_launch_arguments() -> list[tuple[str, str, str]]:
    """Return name, default and description of each."""
    nodes: list[Any] = list(ast.walk(ast.parse(LAUNCH_FILE.read_text())))
    calls = [node for node in nodes if _is_argument(node)]
    found: list[tuple[str, str, str]] = []
    for call in calls:
        keywords: dict[str, Any] = {option.arg: option.value for option in call.keywords}
        default: Any = keywords["default_value"]
        shown: str = (
            str(default.value)
            if isinstance(default, ast.Constant)
            else "config/" + ast.literal_eval(default.args[0].elts[-1])
        )
        choices = [
            choice.value for choice in getattr(keywords.get("choices"), "elts", []) if choice.value
        ]
        listed = f"; {', '.join(choices)}" if choices else ""
        found.append((call.args[0].value, shown, keywords["description"].value + listed))
    return found


def _is_argument(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and getattr(node.func, "id", "") == "DeclareLaunchArgument"


def render_messages() -> str:
    """Return the fields of every message; the files themselves say units and ranges."""
    parts = []
    for path in MESSAGES:
        fields = [line for line in path.read_text().splitlines() if line and line[0] != "#"]
        parts.append("\n".join([f"`{path.stem}`", "```text", *fields, "```"]))
    return "\n\n".join(parts) + "\n"


def render_python() -> str:
    """Return the signatures of the public functions, without their types."""
    lines = ["```python"]
    for module, name in PYTHON_SURFACE:
        target: Any = import_module(f"proxia_segmentation_ros.{module}")
        for part in name.split("."):
            target = getattr(target, part)
        signature = inspect.signature(target)
        shown = [
            parameter.replace(annotation=inspect.Parameter.empty)
            for parameter in signature.parameters.values()
            if parameter.name != "self"
        ]
        bare = signature.replace(parameters=shown, return_annotation=inspect.Signature.empty)
        lines.append(f"{module}.{name}{bare}")
    return "\n".join([*lines, "```"]) + "\n"


def render_map() -> str:
    """Return the package's tree; comments are the first lines of the docstrings."""
    package = ROOT / "proxia_segmentation_ros"
    lines = [_describe("proxia_segmentation_ros/", package / "__init__.py", 0)]
    lines += _describe_files(package, 2)
    for room in sorted(path for path in package.iterdir() if (path / "__init__.py").is_file()):
        lines.append(_describe(f"{room.name}/", room / "__init__.py", 2))
        lines += _describe_files(room, 4)
    folders = sorted(path.name for path in package.iterdir() if path.name in DATA_FOLDERS)
    lines += [f"  {name + '/':<{MAP_COLUMN - 2}}{DATA_FOLDERS[name]}" for name in folders]
    return "\n".join(["```text", *lines, "```"]) + "\n"


def _describe_files(folder: Path, indent: int) -> list[str]:
    """Return a line for each module, and one for a whole folder of them within a room."""
    files = {path.name: path for path in folder.glob("*.py") if not path.name.startswith("__")}
    if folder.parent.name == "proxia_segmentation_ros":
        files |= {f"{path.parent.name}/": path for path in folder.glob("*/__init__.py")}
    return [_describe(name, files[name], indent) for name in sorted(files)]


def _describe(name: str, path: Path, indent: int) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    comment = docstring.partition("\n")[0].rstrip(".")
    return f"{' ' * indent}{name:<{MAP_COLUMN - indent}}{comment}".rstrip()
