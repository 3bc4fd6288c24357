"""A cell of the matrix: requirement × backend × device × dtype, with its verdict and evidence."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, NamedTuple, get_args

Verdict = Literal["AAA", "AA", "A", "fails", "crashed", "timeout", "unsupported", "not measured"]
LEVELS: tuple[str, ...] = ("AAA", "AA", "A")
# Every verdict, best first; the last two say nothing about quality.
VERDICTS: tuple[str, ...] = get_args(Verdict)
Evidence = Literal["exhaustive", "searched"]
# The formats of logits, and the operands that an element has a value of, each in one order.
DTYPES: tuple[str, ...] = ("float16", "bfloat16", "float32", "float64")
OPERANDS: tuple[str, ...] = (
    "logits",
    "targets",
    "weight",
    "pos_weight",
    "cotangent",
    "tangent",
)


def is_better(verdict: str, than: str) -> bool:
    """Whether a verdict is better than another; a wrong result is not better than a refusal."""
    return VERDICTS.index(verdict) < VERDICTS.index(than) and not _is_wrong(verdict, than)


def is_worse(verdict: str, than: str) -> bool:
    """Whether a verdict is worse than another: a refusal than a result, and a wrong one than it."""
    return is_better(than, verdict) or _is_wrong(verdict, than)


def _is_wrong(verdict: str, than: str) -> bool:
    """Whether what was refused is answered now, and not well."""
    return than == "unsupported" and verdict in ("fails", "crashed", "timeout")


class Level(IntEnum):
    """The level of a result; ordered, so that a cell's level is the least of its parts."""

    FAILS = 0
    A = 1
    AA = 2
    AAA = 3

    @property
    def verdict(self) -> Verdict:
        """The level as it is written in results and ledger."""
        verdicts: dict[Level, Verdict] = {
            Level.FAILS: "fails",
            Level.A: "A",
            Level.AA: "AA",
            Level.AAA: "AAA",
        }
        return verdicts[self]


class Place(NamedTuple):
    """The place of a cell in the matrix, which names it; as text ``VAL-2/torch/cpu/float32``.

    Attributes:
        requirement: its number.
        backend: backend id.
        device: such as ``cpu`` or ``cuda:1``.
        dtype: the format of the logits.
    """

    requirement: str
    backend: str
    device: str
    dtype: str

    def __str__(self) -> str:
        return "/".join(self)

    @classmethod
    def parse(cls, text: str) -> Place:
        """The place that a text such as ``VAL-2/torch/cpu/float32`` names.

        A backend id may have slashes itself, as ``torch@python=/opt/venv/bin/python`` does.

        Raises:
            ValueError: it has fewer than four parts, or an empty one.
        """
        requirement, _, rest = text.partition("/")
        place = cls(requirement, *("", "", *rest.rsplit("/", 2))[-3:])
        if not all(place):
            raise ValueError(
                f"cell is {text!r}; accepted is requirement/backend/device/dtype, "
                "such as VAL-2/torch/cpu/float32"
            )
        return place


HISTOGRAM = (0.25, 0.5, 1.0, 2.0, 4.0, 16.0, 256.0, 2.0**16, 2.0**24, 2.0**53)
"""Errors in ULP up to which results are counted: the bounds of the levels, and a few beyond."""


@dataclass(frozen=True)
class UlpStatistics:
    """Errors in units in the last place of the exact value, over all results of a cell.

    ``histogram`` has the results with an error up to each bound of ``HISTOGRAM`` and above the one
    before, then those beyond the last, then the infinite ones; without the zeros at its end. Errors
    that were searched for are not counted. It is empty where it was not recorded.
    """

    max: float
    p99: float
    mean: float
    correctly_rounded: float
    histogram: tuple[int, ...] = ()


@dataclass(frozen=True)
class Worst:
    """The input with the worst result; every number in hex, exact to the bit."""

    logit: str
    target: str
    weight: str | None
    pos_weight: str | None
    got: str
    exact: str


@dataclass(frozen=True)
class Witness:
    """An input that shows a deviation which the draws that every run has do not show.

    A level that only the draws of one seed meet, or a search, is found by chance. The ledger keeps
    what showed it, and from then on every run tries it, so that every run finds the deviation.

    Attributes:
        pool: the name of the builder that draws it.
        dtype: the format of the logits.
        draw: the name of the draw, whose elements are summed; empty for an element.
        seed: that of the draw.
        element: operand → value in hex, of an element; empty for a draw.
    """

    pool: str
    dtype: str
    draw: str = ""
    seed: int = 0
    element: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Cell:
    """One verdict with its evidence.

    Attributes:
        requirement: its number, such as ``VAL-2``.
        backend: backend id.
        device: such as ``cpu``.
        dtype: the format of the logits.
        verdict: what was found.
        expected: whether it is no worse than what the ledger of known deviations says.
        reason: the ledger's reason where it has an entry for the cell, else the empty string.
        inputs: how many elements were evaluated for the verdict.
        evidence: ``exhaustive`` where every input that the requirement names was tried.
        ulp: error statistics; None where the requirement is not judged by error.
        worst: the worst input; None as above.
        detail: what was seen, in words.
        reproduce: a command line that shows it.
        flushed: how many results of a backend that flushes were subnormal and came back as zero;
            the error statistics leave them out.
        witness: what shows the verdict, where the draws that every run has do not show it.
        better: whether the verdict is better than what the ledger says.
        known: the verdict that the ledger says, AAA where it has no entry.
        elsewhere: in what the run differs from those that the ledger's word for the cell was
            measured in: ``version``, ``instruction set``, both, or nothing.
        defects: ids of the known defects behind it, from the ledger; of several, which of them a
            cell meets is not told apart.
        log: the end of the traceback of an error that ``detail`` tells of, or of what the process
            wrote before it died; else the empty string.
    """

    requirement: str
    backend: str
    device: str
    dtype: str
    verdict: Verdict
    expected: bool
    reason: str
    inputs: int
    evidence: Evidence
    ulp: UlpStatistics | None
    worst: Worst | None
    detail: str
    reproduce: str
    better: bool = False
    flushed: int = 0
    witness: Witness | None = None
    known: str = "AAA"
    elsewhere: tuple[str, ...] = ()
    log: str = ""
    defects: tuple[str, ...] = ()

    @property
    def stale(self) -> bool:
        """Whether the ledger's entry is out of date: better where the entry itself was measured."""
        return self.better and not self.elsewhere

    @property
    def place(self) -> Place:
        """Its place in the matrix, which names it within its run."""
        return Place(self.requirement, self.backend, self.device, self.dtype)

    @property
    def id(self) -> str:
        """Its name in one word, as ``bce-conformance reproduce`` takes it."""
        return str(self.place)
