"""Pages of the site that lie outside docs/, the source files that pages link to, and those links.

Every document has one place, in the repository. The navigation in mkdocs.yml names a document
outside docs/ by its path in the repository. A file or folder that a page links to and that is no
page becomes one, under source/. Documents are written for CommonMark, and MkDocs reads another
dialect: `reader_dialect` says what is changed on the way.
"""

import ast
import os.path
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)\s#]+)(#[^)\s]*)?(?=\))")
ITEM = re.compile(r"([-*]|\d+\.) +")
IMAGES = (".png", ".svg")
UNSEARCHED = "---\nsearch:\n  exclude: true\n---\n\n"


def repository_path(uri: str) -> str:
    """Return where a page of the site lies in the repository: ``sweeps.md`` is docs/sweeps.md."""
    return f"docs/{uri}" if (ROOT / "docs" / uri).exists() else uri


def site_uri(path: str) -> str:
    """Return the page that a file or folder of the repository is, whether there is one or not."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return path if path.endswith((".md", *IMAGES)) else f"source/{path}.md"


def prose(text: str) -> Iterator[tuple[bool, str]]:
    """Yield each line of a document, and whether it is outside of fenced code."""
    fence = ""
    for line in text.splitlines():
        mark = line.lstrip()[:3]
        if not fence and mark == "```":
            fence = mark
            yield False, line
        else:
            yield not fence, line
            fence = "" if mark == fence else fence


def named(nav: Any) -> Iterator[str]:
    """Yield the paths that a navigation names."""
    if isinstance(nav, str):
        yield nav
    else:
        for entry in nav.values() if isinstance(nav, dict) else nav:
            yield from named(entry)


def linked(path: str, text: str) -> Iterator[str]:
    """Yield the paths in the repository that the document at a path links to."""
    for outside_code, line in prose(text):
        if outside_code:
            for target, _ in LINK.findall(line):
                yield os.path.normpath(os.path.join(os.path.dirname(path), target))


def first_sentence(path: Path) -> str:
    """Return the first line of a module's docstring; of another file nothing."""
    text = path.read_text("utf-8") if path.suffix == ".py" else ""
    return (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]


def source_page(path: str) -> str:
    """Return a page that shows a file, or lists a folder."""
    place = ROOT / path
    if place.is_dir():
        files = sorted(one for one in place.iterdir() if one.is_file() and one.name[0] not in "._")
        listed = [f"- `{one.name}`: {first_sentence(one)}".removesuffix(": ") for one in files]
        return f"{UNSEARCHED}# {path}/\n\n" + "\n".join(listed)
    language = {".py": "python", ".toml": "toml"}.get(place.suffix, "text")
    return f"{UNSEARCHED}# {path}\n\n````{language}\n{place.read_text('utf-8')}````\n"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the documents outside docs/, and the source files that any document links to."""
    for uri in named(config.nav):
        if uri not in files.src_uris and (ROOT / uri).exists():  # MkDocs tells of the others
            files.append(File.generated(config, uri, abs_src_path=str(ROOT / uri)))
    for page in files.documentation_pages():
        for path in linked(repository_path(page.src_uri), page.content_string):
            uri = site_uri(path)
            if uri in files.src_uris or not (ROOT / path).exists():
                continue
            if uri.endswith(IMAGES):
                files.append(File.generated(config, uri, abs_src_path=str(ROOT / path)))
            elif uri.startswith("source/"):
                files.append(File.generated(config, uri, content=source_page(path)))
    return files


def reader_dialect(text: str) -> str:
    """Write a CommonMark document so that Python-Markdown reads it alike.

    A list begins after a blank line, and what belongs to an item is indented by four columns.
    """
    written: list[str] = []
    indent = 0  # of what belongs to the item above; 0 outside of lists
    tight = False  # a list without a blank line so far
    for outside_code, line in prose(text):
        item = ITEM.match(line) if outside_code else None
        if item:
            if not tight and written and written[-1]:
                written.append("")
            tight = tight or not indent
            indent = len(item[1]) + 1
        elif line and not line.startswith(" ") and outside_code:
            indent = 0
        tight = tight and bool(indent and line)
        belongs = indent and line.startswith(" " * indent)
        written.append(" " * (4 - indent) + line if belongs else line)
    return "\n".join(written) + "\n"


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point the links of a document to the pages that their targets are."""
    uri = page.file.src_uri
    if uri.startswith("source/"):
        return markdown
    here = repository_path(uri)

    def pointed(link: re.Match[str]) -> str:
        path = os.path.normpath(os.path.join(os.path.dirname(here), link[1]))
        target = site_uri(path)
        return os.path.relpath(target, os.path.dirname(uri) or ".") + (link[2] or "")

    lines = [LINK.sub(pointed, line) if plain else line for plain, line in prose(markdown)]
    return reader_dialect("\n".join(lines))
