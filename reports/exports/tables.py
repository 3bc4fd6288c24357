"""Tables: a run as CSV with one row a cell, and its matrix and findings in Markdown and LaTeX."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence

from bce_conformance.reports.findings import distinct
from bce_conformance.reports.grid import families, grid
from bce_conformance.results.model import COLUMNS, Results

_LATEX = {character: f"\\{character}" for character in "&%$#_{}"} | {
    digit: f"$^{{{n}}}$" for n, digit in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")
}
_LATEX |= {"\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}"}
_LATEX |= {"<": "\\textless{}", ">": "\\textgreater{}", "|": "\\textbar{}", "⁻": "$^{-}$"}
_LATEX |= {"≫": "$\\gg$", "≪": "$\\ll$", "≥": "$\\ge$", "≤": "$\\le$", "±": "$\\pm$"}
_LATEX |= {"−": "$-$", "·": "$\\cdot$", "×": "$\\times$", "∞": "$\\infty$", "σ": "$\\sigma$"}
"""What LaTeX reads otherwise; any other character stands for itself."""

Table = list[list[str]]


def comma_separated(results: Results) -> str:
    """The cells as CSV: a line of names, then a line a cell; infinite errors are ``inf``."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(results.rows())
    return text.getvalue()


def markdown(results: Results) -> str:
    """The matrix and the findings as Markdown."""
    return "\n".join(
        [
            f"# bce-conformance, {_in_markdown(results.run.tier)} tier, {results.run.started[:10]}",
            "",
            _in_markdown(_sentence(results)),
            "",
            "The worst level of each family:",
            "",
            *_markdown(_matrix(results)),
            "",
            "## Findings",
            "",
            *_markdown(_findings(results)),
            "",
        ]
    )


def latex(results: Results) -> str:
    """The matrix and the findings as two LaTeX ``tabular``, for pdflatex with UTF-8."""
    lines = [f"% {_one_line(_sentence(results))}"]
    wide = ["r", "p{0.5\\linewidth}", "p{0.18\\linewidth}", "p{0.2\\linewidth}"]
    for table, columns in ((_matrix(results), None), (_findings(results), wide)):
        chosen = "".join(columns or ["l"] * len(table[0]))
        lines += [f"\\begin{{tabular}}{{{chosen}}}", "\\hline"]
        rows = [" & ".join(map(_in_latex, row)) + " \\\\" for row in table]
        lines += [rows[0], "\\hline", *rows[1:], "\\hline", "\\end{tabular}", ""]
    return "\n".join(lines)


def _sentence(results: Results) -> str:
    """What was run, where."""
    run, host = results.run, results.run.host
    interrupted = ", interrupted" if run.interrupted else ""
    return (
        f"{len(results.cells)} cells, {run.inputs:,} inputs tried{interrupted}; "
        f"{host.cpu or 'an unknown processor'}, {host.cores} cores, {host.os}, "
        f"Python {host.python}; commit {run.commit or 'unknown'}."
    )


def _matrix(results: Results) -> Table:
    """Backend × family: the worst level; empty where there is no cell."""
    squares, names = grid(results), families(results)
    rows = [["backend", "version", *names]]
    for backend in results.backends:
        found = [squares.get((backend.id, name)) for name in names]
        rows.append(
            [backend.id, backend.version or backend.status, *(s.worst if s else "" for s in found)]
        )
    return rows


def _findings(results: Results) -> Table:
    rows = [["harm", "finding", "backends", "evidence"]]
    for worst, group in distinct(results):
        harm = str(worst.defect.harm.score) if worst.defect else ""
        rows.append([harm, worst.text, ", ".join(group), worst.evidence])
    return rows


def _markdown(table: Table) -> Iterator[str]:
    first, *rest = table
    for row in (first, ["---"] * len(first), *rest):
        yield _row(row, _in_markdown)


def _row(row: Sequence[str], written: Callable[[str], str]) -> str:
    return f"| {' | '.join(map(written, row))} |"


def _in_markdown(text: str) -> str:
    """A text in a cell of a table, of which nothing is read as markup."""
    return re.sub(r"([\\|`*_\[\]])", r"\\\1", _one_line(text)).replace("<", "&lt;")


def _in_latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in _one_line(text))


def _one_line(text: str) -> str:
    return " ".join(text.split())
