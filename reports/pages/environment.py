"""The one environment of all templates, and the style sheets and scripts that go into pages.

Guarantees that every text is escaped in HTML, and that a name without a value is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from bce_conformance.reports.packing import as_json, compressed
from bce_conformance.reports.standing import standing
from bce_conformance.reports.timings import duration
from bce_conformance.timing.plan import title

TEMPLATES = Path(__file__).parents[1] / "templates"


def environment(**filters: Callable[..., Any]) -> Environment:
    """The templates with the filters that they use: HTML is escaped, Markdown is not.

    Args:
        filters: more of them, by name.
    """
    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(["html.j2"], default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.filters.update(count=count, slug=slug, part=partial(quote, safe=""))
    found.filters.update(compressed=compressed, as_json=as_json)
    found.filters.update(workload=title, duration=duration, standing=standing, **filters)
    return found


def count(number: int) -> str:
    """A count with a thin space between thousands."""
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def slug(verdict: str) -> str:
    """A verdict as the name of a style class."""
    return verdict.replace(" ", "-")


def asset(name: str) -> Markup:
    """A style sheet or script of this package, which goes into a page as it is."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))
