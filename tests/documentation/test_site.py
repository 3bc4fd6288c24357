"""The site: it is built without a warning, has every document, and reads without a network."""

import importlib.util
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from tests.documentation.blocks import ROOT, documents

pytest.importorskip("mkdocs", reason="pip install 'bce-conformance[docs]'")
pytest.importorskip("material", reason="pip install 'bce-conformance[docs]'")

QUIET = {"NO_MKDOCS_2_WARNING": "true", "DISABLE_MKDOCS_2_WARNING": "true"}
LOADED = {"script": "src", "img": "src", "source": "src", "iframe": "src", "link": "href"}
URL = re.compile(r"url\(\s*['\"]?([^)'\"]+)|@import\s+['\"]([^'\"]+)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, as `make docs` builds it, in a folder of this test."""
    folder = tmp_path_factory.mktemp("site")
    command = ["mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**os.environ, **QUIET},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")
    return folder


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs" / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Tags(HTMLParser):
    """What a page loads, what it links to, and the names of its places."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.places: set[str] = set()
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.places.update(one for one in (named.get("id"), named.get("name")) if one)
        if tag == "a" and named.get("href"):
            self.links.append(str(named["href"]))
        elif named.get(LOADED.get(tag, "")):
            self.loaded.append(str(named[LOADED[tag]]))


def foreign(address: str) -> bool:
    """Whether an address is on another host: data: is none."""
    return bool(urlsplit(address).netloc)


def test_the_navigation_names_every_document_once(hooks: ModuleType) -> None:
    from mkdocs.config import load_config

    named = list(hooks.named(load_config(str(ROOT / "mkdocs.yml")).nav))
    assert len(named) == len(set(named))
    assert sorted(map(hooks.repository_path, named)) == documents()


def test_pages_load_nothing_from_another_host(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 50
    loaded = {(page.name, one) for page in pages for one in Tags(page).loaded}
    assert {one for one in loaded if foreign(one[1])} == set()
    styles = list(site.rglob("*.css"))
    assert styles
    for style in styles:
        addresses = ["".join(found) for found in URL.findall(style.read_text("utf-8"))]
        assert [one for one in addresses if foreign(one)] == []


def test_what_is_foreign_is_told() -> None:
    assert foreign("https://example.org/a.js")
    assert foreign("//example.org/a.js")
    assert not foreign("assets/a.js")
    assert not foreign("data:image/svg+xml;base64,a")
    assert URL.findall("url('//a/b.woff2')") == [("//a/b.woff2", "")]


def test_every_link_leads_somewhere(site: Path) -> None:
    """MkDocs checks the links of documents; these are those of the pages, whoever made them."""
    tags = {page: Tags(page) for page in site.rglob("*.html") if page.name != "404.html"}
    broken = []
    for page, has in tags.items():
        for link in (*has.links, *has.loaded):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            if not target.is_file() or (
                target in tags and unquote(parts.fragment) not in {"", *tags[target].places}
            ):
                broken.append((page.name, link))
    assert broken == []


def test_the_search_needs_no_server(site: Path) -> None:
    index = (site / "search" / "search_index.js").read_text("utf-8")
    assert "Moderate logits, hard targets" in index  # a requirement
    assert "source/" not in index


def test_the_search_finds_in_a_page_from_a_file(site: Path, the_browser: Any) -> None:
    page = the_browser.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((site / "index.html").as_uri())
    page.focus("input[name=query]")
    page.keyboard.type("witness")
    found = page.locator(".md-search-result__item h1")
    found.first.wait_for(state="attached", timeout=120_000)
    assert "Glossary" in found.all_text_contents()
    assert errors == []
    page.close()


def test_lists_and_code_are_read_as_they_are_meant(site: Path) -> None:
    specification = (site / "conformance" / "SPEC.html").read_text("utf-8")
    written = (ROOT / "conformance" / "SPEC.md").read_text("utf-8")
    assert specification.count("<li>Levels: ") == written.count("\n- Levels: ") > 100
    for page in site.rglob("*.html"):
        text = re.sub(r"(?s)<(pre|script|style)\b.*?</\1>", "", page.read_text("utf-8"))
        assert not re.search(r"```|^- |^\| |^\d+\. ", text, re.MULTILINE), page.name


def test_the_dialect_is_changed_outside_of_code_only(hooks: ModuleType) -> None:
    loose = "- a\n- b\n\n  c\n- d\n"
    assert hooks.reader_dialect(loose) == "- a\n- b\n\n    c\n\n- d\n"
    text = "a\n- b\n  c\n\n1. d\n   ```python\n   - e\n   ```\n\n```\nf\n- g\n```\n"
    changed = "a\n\n- b\n    c\n\n1. d\n    ```python\n    - e\n    ```\n\n```\nf\n- g\n```\n"
    assert hooks.reader_dialect(text) == changed
