"""Code blocks of the documents, and the marks that say what checks each or what it needs.

On the line before a block of commands stands `<!-- tested by: path::name -->`, or
`<!-- needs: ... -->` with some of NEEDS.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from tables import PAGES, name_page

COMMANDS = ("sh", "bash", "console")
NEEDS = {"ROS", "GPU", "download", "data", "make setup", "quiet machine"}


@dataclass(frozen=True)
class Block:
    """One fenced block of a document."""

    page: Path
    line: int
    language: str
    mark: str
    text: str

    @property
    def name(self) -> str:
        return f"{name_page(self.page)}:{self.line}"

    @property
    def test(self) -> str | None:
        """The test that checks it, as path::name."""
        found = re.fullmatch(r"<!-- tested by: (\S+::\w+) -->", self.mark)
        return found[1] if found else None

    @property
    def needs(self) -> set[str]:
        found = re.fullmatch(r"<!-- needs: (.+) -->", self.mark)
        return set(found[1].split(", ")) if found else set()


def list_blocks() -> list[Block]:
    """Return the blocks of all pages; an indented one is found with an empty language."""
    return [block for page in PAGES for block in _read_blocks(page)]


def _read_blocks(page: Path) -> list[Block]:
    blocks: list[Block] = []
    lines = page.read_text().splitlines()
    start = None
    for number, line in enumerate(lines):
        if start is None and (line.startswith("    ") and not lines[number - 1].strip()):
            blocks.append(Block(page, number + 1, "", "", line))
        if not line.lstrip().startswith("```"):
            continue
        if start is None:
            start = number
            continue
        text = "\n".join(lines[start + 1 : number]) + "\n"
        language = lines[start].strip().removeprefix("```")
        blocks.append(Block(page, start + 1, language, lines[start - 1], text))
        start = None
    assert start is None, f"{name_page(page)}: a code block without an end"
    return blocks
