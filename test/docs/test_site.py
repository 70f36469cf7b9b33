"""The site of the documents: it builds without a warning, has no dead link and asks nobody."""

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from tables import DOCS, ROOT, ROOT_PAGES

LOADS = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}


class PageReader(HTMLParser):
    """Collects a page's links, what it loads, and its anchors."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.anchors |= {values[name] or "" for name in ("id", "name") if name in values}
        if tag == "a" and values.get("href"):
            self.links.append(values["href"] or "")
        if tag in LOADS and values.get(LOADS[tag]):
            self.loads.append(values[LOADS[tag]] or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def read_pages(site: Path) -> Iterator[tuple[Path, PageReader]]:
    for path in sorted(site.rglob("*.html")):
        if path.name != "404.html":
            yield path, PageReader(path.read_text())


def test_site_builds_strictly(site: Path) -> None:
    assert "Run it" in (site / "index.html").read_text()


def test_every_document_is_a_page(site: Path) -> None:
    pages = {str(path.relative_to(site).with_suffix("")) for path, _ in read_pages(site)}
    documents = {str(path.relative_to(DOCS).with_suffix("")) for path in DOCS.rglob("*.md")}
    assert pages == documents | {
        "index" if path.stem == "README" else path.stem.lower() for path in ROOT_PAGES
    }


def test_links_and_anchors_lead_somewhere(site: Path) -> None:
    pages = dict(read_pages(site))
    seen = 0
    for path, page in pages.items():
        for link in page.links:
            target = urlsplit(link)
            if target.scheme:
                continue
            to = (path.parent / unquote(target.path)).resolve() if target.path else path
            assert to.is_file() or (to / "index.html").is_file(), f"{path.name}: {link}"
            if target.fragment and to in pages:
                assert unquote(target.fragment) in pages[to].anchors, f"{path.name}: {link}"
            seen += 1
    assert seen > 200


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for path, page in read_pages(site):
        for address in page.loads:
            assert not urlsplit(address).netloc, f"{path.name}: {address}"
            if not address.startswith("data:"):
                assert (path.parent / urlsplit(address).path).exists(), f"{path.name}: {address}"
    for style in site.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", style.read_text()), style
