"""Defects on paper: a folder for each to send upstream, and the page that lists them all.

Guarantees that everything written comes from the defects and the evidence of the ledger: the same
data give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, Template

from bce_conformance.conformance.findings.harm import meaning, rule
from bce_conformance.conformance.ledger.evidence import Evidence, evidence
from bce_conformance.conformance.ledger.model import LedgerFile
from bce_conformance.conformance.specification import requirements
from bce_conformance.reports.pages.environment import environment
from bce_conformance.results.model import Defect
from bce_conformance.results.writing import write_text

GRADES = ("wrong", "inputs", "noticed", "reaches")


@dataclass(frozen=True)
class Described:
    """A defect with what the ledger knows of it."""

    defect: Defect
    evidence: Evidence

    @property
    def harm(self) -> list[str]:
        """What its grades mean, a sentence each."""
        grades = asdict(self.defect.harm)
        return meaning({factor: grades[factor] for factor in GRADES})


def described(defects: Iterable[Defect], files: Sequence[LedgerFile]) -> list[Described]:
    """Defects with their evidence in ledger files, in their order."""
    return [Described(defect, evidence(defect, files)) for defect in defects]


def export(found: Iterable[Described], folder: Path) -> list[Path]:
    """Write a folder for each defect, with report.md and reproduce.py.

    Args:
        found: the defects.
        folder: where their folders go; files of the same names are replaced.

    Returns:
        The folders, in order.

    Raises:
        OSError: one cannot be written.
    """
    folders = []
    for one in found:
        place = folder / one.defect.id
        write_text(report(one), place / "report.md")
        write_text(one.defect.script, place / "reproduce.py")
        folders.append(place)
    return folders


def report(found: Described) -> str:
    """The report of one defect, as Markdown, ready to be sent."""
    requirement = requirements()[found.defect.requirement]
    return _template("defect.md.j2").render(
        defect=found.defect, evidence=found.evidence, harm=found.harm, requirement=requirement
    )


def page(found: Sequence[Described]) -> str:
    """The page that lists all defects, as Markdown, the most harmful first."""
    frameworks = sorted({one.defect.framework for one in found})
    counts = {f: sum(one.defect.framework == f for one in found) for f in frameworks}
    return _template("defects.md.j2").render(found=found, counts=counts, rule=rule())


def table(found: Sequence[Described], number: int, link: str) -> str:
    """The most harmful defects as a Markdown table.

    Args:
        found: the defects, the most harmful first.
        number: of rows.
        link: the page that has them all.
    """
    lines = ["| harm | what a user meets | exact | returned |", "|---|---|---|---|"]
    for one in found[:number]:
        defect = one.defect
        title = f"[{', '.join(defect.backends)}]({link}#{defect.id}): {cell(defect.title)}"
        values = f"{shortened(defect.expected)} | {shortened(defect.returned)}"
        lines.append(f"| {defect.harm.score} | {title} | {values} |")
    return "\n".join(lines) + "\n"


def cell(text: str) -> str:
    """A text as it stands in a cell of a Markdown table."""
    return text.replace("|", "\\|")


def sentence(text: str) -> str:
    """A text that begins with a capital letter, the rest as it is."""
    return text[:1].upper() + text[1:]


def shortened(text: str) -> str:
    """A number to eight digits; words as they are."""
    try:
        return f"{float(text):.8g}"
    except ValueError:
        return cell(text)


@cache
def _environment() -> Environment:
    return environment(cell=cell, shortened=shortened, sentence=sentence)


def _template(name: str) -> Template:
    return _environment().get_template(name)
