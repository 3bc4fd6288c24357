"""``bce-conformance findings``: what is wrong in the frameworks, each defect once."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from bce_conformance.backends.names import meant, nearest, similar
from bce_conformance.conformance.findings.reading import defects
from bce_conformance.results.model import Defect
from bce_conformance.terminal.console import console, misuse, print_json, read
from bce_conformance.terminal.help import Command

from .options import AsJson, backend_ids, defect_ids

Backends = Annotated[
    list[str], typer.Option(help="only what these have; repeatable", autocompletion=backend_ids)
]
WIDTH = 80


class ListedByDefault(TyperGroup):
    """A group of commands of which ``list`` is meant where none is named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put ``list`` before arguments that begin with no command, nor with one mistyped."""
        meant = [*self.commands, "--help"]
        if not args or not (args[0] in meant or self._mistyped(args[0])):
            args = ["list", *args]
        return super().parse_args(ctx, args)

    def _mistyped(self, word: str) -> bool:
        near = get_close_matches(word, self.commands, 1, cutoff=0.6)
        return bool(near) and not word.startswith("-") and not Path(word).exists()


findings_app = typer.Typer(
    help="List and export the defects of the frameworks, each once.\n\n"
    "The word list may be left out; its options are those of findings list --help.",
    cls=ListedByDefault,
    rich_markup_mode=None,
)


@findings_app.command(name="list", cls=Command)
def list_findings(
    results: Annotated[
        Path | None,
        typer.Argument(
            metavar="[RUN|DEFECT]",
            help="a run, or a defect's id; all known without",
            autocompletion=defect_ids,
        ),
    ] = None,
    backend: Backends = [],  # noqa: B006
    as_json: AsJson = False,
) -> None:
    """List the known defects, one of them, or what a run has found.

    The word ``list`` may be left out.
    """
    entries = list(_entries(results, backend))
    if as_json:
        print_json(entries)
        return
    for entry in entries:
        lines = [*_lines(entry), *(_mechanism(entry) if len(entries) == 1 else ()), ""]
        console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
    noun = "finding" if len(entries) == 1 else "findings"
    console.print(f"{len(entries)} {noun}, the most harmful first", highlight=False)


@findings_app.command(cls=Command)
def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="where the folders go")],
    backend: Backends = [],  # noqa: B006
) -> None:
    """Write a folder for each defect, to be sent.

    It has report.md to send and reproduce.py to run, which needs the framework alone, and exits 1
    while the defect is there.
    """
    from bce_conformance.conformance.ledger.reading import own
    from bce_conformance.reports.defects import described
    from bce_conformance.reports.defects import export as write

    chosen = _chosen(backend)
    try:
        written = write(described(chosen, own()), folder)
    except OSError as error:
        misuse(f"DIR is {str(folder)!r}: {error.strerror}; give a folder that can be written to")
    console.print(
        f"{len(written)} folders in {folder}", markup=False, highlight=False, soft_wrap=True
    )


def _chosen(backends: list[str]) -> list[Defect]:
    known = list(defects().values())
    every = {name for defect in known for name in defect.backends}
    for name in backends:
        if name not in every:
            misuse(f"--backend is {name!r}, of which no defect is known; {nearest(name, every)}")
    return [one for one in known if not backends or set(backends) & set(one.backends)]


def _entries(named: Path | None, backends: list[str]) -> Iterator[dict[str, Any]]:
    """What is listed: of a run, one known defect, or all of them."""
    if named is None:
        return _known(backends)
    defect = str(named)
    if defect in defects():
        return (entry for entry in _known(backends) if entry["id"] == defect)
    if not named.exists() and named.suffix != ".json" and len(named.parts) == 1:
        near = nearest(defect, defects())
        misuse(f"{defect!r} is no run{similar(named)}, and no known defect; {near}")
    return _of_run(named, backends)


def _known(backends: list[str]) -> Iterator[dict[str, Any]]:
    from bce_conformance.results.writing import plain

    yield from (plain(defect) for defect in _chosen(backends))


def _of_run(path: Path, backends: list[str]) -> Iterator[dict[str, Any]]:
    """The findings of a run, those without a known defect among them."""
    from bce_conformance.reports.exports.digest import finding
    from bce_conformance.reports.findings import distinct

    found = read(path)
    ids = [entry.id for entry in found.backends]
    for name in backends:
        if name not in ids:
            there = f"{', '.join(ids)}{meant(name, ids)}"
            misuse(f"--backend is {name!r}, which is not in the run; it has {there}")
    for worst, group in distinct(found):
        chosen = {n: one for n, one in group.items() if not backends or n in backends}
        if chosen:
            yield finding(worst, chosen, path)


def _lines(entry: Mapping[str, Any]) -> Iterator[str]:
    """An entry in lines that fit a terminal, commands and links unbroken."""
    name = entry.get("id", "not a known defect")
    harm = f", harm {entry['harm']['score']}" if "harm" in entry else ""
    yield f"{name}{harm}"
    yield from _wrapped(entry["title"])
    if "expected" in entry:
        yield from _wrapped(f"exact {entry['expected']}, returned {entry['returned']}")
    if "evidence" in entry:
        for backend, text in entry["evidence"].items():
            yield from _wrapped(f"{backend}: {text}")
    else:
        yield from _wrapped(f"in {', '.join(entry['backends'])}")
    for field in ("explain", "reproduce", "link"):
        if entry.get(field):
            yield f"  {entry[field]}"


def _mechanism(entry: Mapping[str, Any]) -> Iterator[str]:
    """What is done and what would be right; an entry of a run has its known defect's, if any."""
    for field in ("computed", "right", "source"):
        if entry.get(field):
            yield from _wrapped(f"{field}: {entry[field]}")


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False
    )
