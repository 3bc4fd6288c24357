"""The model: a results.json as types. ``schema.json`` beside this file describes each field.

Guarantees nothing by itself: ``reading`` checks what it makes of a file, and ``writing`` writes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from .cells import Cell

COLUMNS = (
    *("requirement", "family", "backend", "framework", "version", "instruction_set"),
    *("device", "dtype", "verdict", "expected", "known", "better", "inputs", "evidence"),
    *("ulp_max", "ulp_p99", "ulp_mean", "correctly_rounded", "flushed"),
    *("logit", "target", "weight", "pos_weight", "got", "exact"),
    *("defects", "reason", "detail", "reproduce"),
)
"""Of the table of cells, in their order."""

VERSION = 1
"""Of the format."""


@dataclass(frozen=True)
class Host:
    """The machine of a run; ``memory_bytes`` is 0 where the system does not tell.

    ``instruction_set`` is the highest that its processor has; empty where it was not recorded.
    """

    cpu: str
    cores: int
    memory_bytes: int
    os: str
    python: str
    instruction_set: str = ""


@dataclass(frozen=True)
class Run:
    """What was run, when, where, and on which commit.

    ``inputs`` is the number of input elements tried in the whole run; ``seed`` is None where the
    run did not state one; ``leaves_out`` says what a larger tier tries and this one does not;
    ``seconds`` has those of ``start_up`` and of ``measuring``, None where they were not recorded;
    ``identity`` is what a run that is resumed must agree in, likewise.
    """

    id: str
    started: str
    finished: str
    tier: str
    argv: tuple[str, ...]
    commit: str
    host: Host
    interrupted: bool
    inputs: int
    seed: int | None
    leaves_out: tuple[str, ...]
    seconds: Mapping[str, float] | None
    identity: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Device:
    """One device: its kind, such as ``cpu``, and the name that the framework gives it."""

    kind: str
    name: str


class Probed(NamedTuple):
    """What is probed for flushing: a backend on a device in a format."""

    backend: str
    device: str
    dtype: str


@dataclass(frozen=True)
class Flushes:
    """Which subnormal numbers count as zero; None where the probe could not tell.

    Attributes:
        inputs: whether a subnormal operand counts as zero.
        results: whether a subnormal result becomes zero.
    """

    inputs: bool | None
    results: bool | None

    def __str__(self) -> str:
        words = {True: "flushed", False: "kept", None: "unknown"}
        if self.inputs == self.results:
            return words[self.inputs]
        return f"operands {words[self.inputs]}, results {words[self.results]}"


@dataclass(frozen=True)
class Subnormals:
    """Whether subnormal operands and results count as zero on one device in one format."""

    device: str
    dtype: str
    inputs: bool | None
    results: bool | None

    def __str__(self) -> str:
        return f"{self.dtype} on {self.device}: {Flushes(self.inputs, self.results)}"


@dataclass(frozen=True)
class BackendEntry:
    """One backend; ``status`` is ``"ok"`` or the reason why it could not be measured.

    ``instruction_set`` is that which its code for the CPU was made for; empty where unknown.
    ``notes`` are what else a reader should know. ``source`` is a digest of the user's own file that
    was judged; empty where there was none, or it was not recorded.
    """

    id: str
    framework: str
    version: str
    variant: str
    devices: tuple[Device, ...]
    dtypes: tuple[str, ...]
    composed: tuple[str, ...]
    status: str
    subnormals: tuple[Subnormals, ...] = ()
    instruction_set: str = ""
    notes: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True)
class Requirement:
    """One numbered sentence of the specification, and its rationale where it was recorded."""

    id: str
    family: str
    text: str
    why: str = ""


@dataclass(frozen=True)
class Harm:
    """How much harm a defect does: a score, and the grades that it is the product of.

    Attributes:
        score: the product of the grades' weights; more is worse.
        wrong: how wrong the result is.
        inputs: how common the inputs are.
        noticed: whether anything shows it.
        reaches: what it spoils.
    """

    score: int
    wrong: str
    inputs: str
    noticed: str
    reaches: str


@dataclass(frozen=True)
class Defect:
    """One thing that is wrong in a framework, however many cells it costs.

    Attributes:
        id: the framework, and it in a few words: ``torch-gradient-saturates``.
        framework: the distribution that has it.
        title: what its users meet, in a sentence.
        operation: the framework's operation that has it.
        computed: the formula that is computed, or what is done.
        right: the one that would be right.
        source: where the former stands in the framework's source.
        link: the upstream report; empty where none is known.
        backends: those that have it.
        dtypes: the formats of the logits in which it was seen.
        requirement: the one that shows it.
        harm: how much it does.
        explain: a command that shows it; empty where the defect is no wrong number.
        expected: the exact value with its digits, or what should happen in words.
        returned: what came back, as a number or in words.
        script: a program of the framework alone that exits 1 while the defect is there.
    """

    id: str
    framework: str
    title: str
    operation: str
    computed: str
    right: str
    source: str
    link: str
    backends: tuple[str, ...]
    dtypes: tuple[str, ...]
    requirement: str
    harm: Harm
    explain: str
    expected: str
    returned: str
    script: str


@dataclass(frozen=True)
class Curve:
    """ULP error (possibly ``inf``) over ascending finite logits."""

    backend: str
    device: str
    dtype: str
    quantity: str
    target: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class ErrorMap:
    """The largest ULP error over logit and soft target.

    Attributes:
        backend, device, dtype, quantity: as of a curve.
        logits: edges of the columns, ascending.
        targets: edges of the rows, ascending.
        ulps: a row for each pair of targets, in it an error for each pair of logits, possibly
            ``inf``; None where nothing was tried.
    """

    backend: str
    device: str
    dtype: str
    quantity: str
    logits: tuple[float, ...]
    targets: tuple[float, ...]
    ulps: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True)
class Timing:
    """One measurement of speed.

    Attributes:
        group: what it was measured in turns with.
        series: a backend, its second process (``native again``), or ``limit``.
        device, dtype, what, size, regime, broadcasting, reduction, threads, cache: the workload.
        rounds: how many rounds there were.
        seconds: median over the rounds of each round's median time of a call; None where there is
            none.
        low, high: the smallest and the largest median of a round.
        ns_per_element: nanoseconds.
        gb_per_s: 10⁹ bytes of operands read and gradients written a second.
        to_fastest: over the time of the fastest framework on the same workload.
        to_limit: over the time of the memory limit on the same workload.
        status: ``ok``, or why there is no figure.
    """

    group: str
    series: str
    device: str
    dtype: str
    what: str
    size: int
    regime: str
    broadcasting: str
    reduction: str
    threads: int
    rounds: int
    seconds: float | None
    low: float | None
    high: float | None
    ns_per_element: float | None
    gb_per_s: float | None
    to_fastest: float | None
    to_limit: float | None
    status: str
    cache: str = "warm"

    @property
    def spread(self) -> float:
        """How far apart the rounds were, over the median; NaN without a figure."""
        if self.seconds is None or self.low is None or self.high is None:
            return float("nan")
        return (self.high - self.low) / self.seconds


@dataclass(frozen=True)
class Timings:
    """What a session of the benchmark measured, when, where, and on which commit.

    ``others`` is how many processors others kept busy meanwhile; None where it was not recorded.
    """

    started: str
    finished: str
    interrupted: bool
    argv: tuple[str, ...]
    commit: str
    host: Host
    rounds: int
    versions: Mapping[str, str]
    measurements: tuple[Timing, ...]
    others: float | None = None


@dataclass(frozen=True)
class Results:
    """One run: what was measured, of whom, against which requirements.

    ``defects`` are those known of the backends, to which cells refer.
    """

    run: Run
    backends: tuple[BackendEntry, ...]
    requirements: tuple[Requirement, ...]
    cells: tuple[Cell, ...]
    curves: tuple[Curve, ...]
    timings: Timings | None = None
    defects: tuple[Defect, ...] = ()
    maps: tuple[ErrorMap, ...] = ()

    def rows(self) -> list[dict[str, Any]]:
        """The cells as rows of a table, of which ``COLUMNS`` names the columns.

        Errors are floats, infinite ones ``inf``, and None where a cell is not judged by error; the
        worst input is in hex. ``defects`` are ids with a blank between them.
        """
        entries = {backend.id: backend for backend in self.backends}
        family = {requirement.id: requirement.family for requirement in self.requirements}
        return [_row(cell, entries[cell.backend], family[cell.requirement]) for cell in self.cells]

    def to_frame(self) -> Any:
        """The cells as a ``pandas.DataFrame``, one row a cell, with the columns of ``COLUMNS``.

        Example::

            frame = bce_conformance.results.read("reports/out").to_frame()
            frame[frame.verdict == "fails"].groupby("backend").size()

        Raises:
            ImportError: pandas is not installed; says what to do.
        """
        try:
            import pandas
        except ImportError as error:
            raise ImportError(
                "to_frame needs pandas: pip install pandas; rows() gives the same without it"
            ) from error
        return pandas.DataFrame(self.rows(), columns=list(COLUMNS))


def _row(cell: Cell, backend: BackendEntry, family: str) -> dict[str, Any]:
    ulp, worst = cell.ulp, cell.worst
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {name: getattr(cell, name) for name in COLUMNS if hasattr(cell, name)}
    row |= {"family": family, "defects": " ".join(cell.defects)}
    row |= {name: getattr(backend, name) for name in ("framework", "version", "instruction_set")}
    if ulp:
        row |= {"ulp_max": ulp.max, "ulp_p99": ulp.p99, "ulp_mean": ulp.mean}
        row["correctly_rounded"] = ulp.correctly_rounded
    if worst:
        row |= vars(worst)
    return row
