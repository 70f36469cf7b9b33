"""Pages of the site that lie outside docs/: the README as its first page, and a few beside it."""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
# File of the repository -> page of the site.
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "QUALITY_DECLARATION.md": "quality_declaration.md",
}
PLAIN_FILES = {"LICENSE": "LICENSE.txt"}
LINK = re.compile(r"(\]\()(?!\w+:|#)([^)#\s]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages; their links change in `on_page_markdown`."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text()))
    for source, name in PLAIN_FILES.items():
        files.append(File.generated(config, name, content=(ROOT / source).read_text()))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Turn links between files of the repository into links between pages of the site."""
    sources = {name: source for source, name in PAGES.items()}
    here = sources.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def replace(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(here), link[2]))
        name = {**PAGES, **PLAIN_FILES}.get(target, target.removeprefix("docs/"))
        return link[1] + posixpath.relpath(name, posixpath.dirname(page.file.src_uri) or ".")

    return LINK.sub(replace, markdown)
