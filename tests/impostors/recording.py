"""Runs of the matrix in this process, with a record of which check found what.

Guarantees that the tests, the inputs and the judge are those of the matrix: a subject of the matrix
is given an impostor instead of a process, and everything that crosses the boundary to a process
crosses it here too, as built-in types.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bce_conformance import conformance
from bce_conformance.backends.calls import Array, Backend, Failure, LossCall, LossResult
from bce_conformance.backends.isolation import transport, worker
from bce_conformance.conformance.inputs.inputs import Inputs
from bce_conformance.conformance.inputs.pools import PoolStore
from bce_conformance.conformance.judging.error_curves import Curves
from bce_conformance.conformance.judging.judge import Judgement
from bce_conformance.conformance.judging.ulp_statistics import ErrorStatistics
from bce_conformance.conformance.running.matrix import VERDICT_OF_FAILURE
from bce_conformance.conformance.running.record import Record
from bce_conformance.conformance.running.subject import CallFailed, Evaluator, Subject
from bce_conformance.conformance.specification import Requirement, requirements
from bce_conformance.conformance.tiers import TIERS
from bce_conformance.reference import FORMATS, Format, Truth
from bce_conformance.results.cells import VERDICTS, Level, is_better
from tests.conformance.check_modules import check_modules

from .impostor import NATIVE, PRETENDED, Crash

FOLDER = Path(conformance.__file__).parent
# Small sums, so that the whole table takes a minute; every bit pattern, so that one is found.
TIER = replace(
    TIERS["quick"],
    pool_draws=(0, 1),
    sum_draws=(1, 0),
    few_draws=6,
    float32_stride=2**18,
    exhaustive=True,
)
SEED = 0
DEVICES = {"DET-4": PRETENDED}  # of the requirements that are not measured on the CPU
_CHECKS = ("judge", "judge_values", "require", "value", "values", "agree", "observe", "record")
_SIZE = re.compile(r", [\d,]+ elements$")  # the tier says how many, not the check

Check = Callable[[Subject], None]


@cache
def checks() -> dict[str, Check]:
    """The test of each requirement, as the matrix runs it."""
    found: dict[str, Check] = {}
    for module in check_modules():
        for name, function in vars(module).items():
            marks = getattr(function, "pytestmark", [])
            if name.startswith("test_"):
                found |= {m.args[0]: function for m in marks if m.name == "requirement"}
    return {requirement: found[requirement] for requirement in requirements()}


@dataclass(frozen=True)
class Site:
    """Where a check is made.

    Attributes:
        lines: the lines from the test down to the call of the check, as ``module:line``.
        inputs: the name of the inputs that are judged, or the empty string.
    """

    lines: tuple[str, ...]
    inputs: str = ""

    @property
    def part(self) -> str:
        """The part of the test that makes the check: a line of it, with the inputs."""
        return f"{self.lines[0]} {self.inputs}".strip()

    @property
    def call(self) -> str:
        """The line that calls the check."""
        return self.lines[-1]


LeftOut = Callable[[Site], bool]
CALL_ENDED = Site(("the call failed",))


@dataclass(frozen=True)
class Outcome:
    """One cell: its verdict, and the least level that each check site gave."""

    verdict: str
    levels: Mapping[Site, Level]

    @property
    def faults(self) -> list[Site]:
        """The check sites that found a fault."""
        return [site for site, level in self.levels.items() if level < Level.AAA]


class InProcess:
    """What stands in for a backend's process: the same messages, without the process."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def evaluate(self, call: LossCall) -> LossResult | Failure:
        """Evaluate one call as a worker does."""
        with np.errstate(all="ignore"):
            try:
                message = worker.evaluate(self._backend, transport.pack_call(call))
            except Crash:
                return Failure("crashed", "SIGSEGV")
            except Exception as error:
                message = worker.failure(error)
        return transport.unpack_result(message)


class NoCurves(Curves):
    """Error curves that nobody looks at."""

    def add(self, *arguments: Any) -> None:
        """Forget the errors of one judged array."""


class NoStatistics(ErrorStatistics):
    """Error statistics that nobody looks at."""

    def __init__(self) -> None:
        """Keep nothing."""

    def add(self, ulp: NDArray[np.float64], counts: NDArray[np.int64] | None = None) -> None:
        """Forget errors."""


class FindingRecord(Record):
    """A record that tells the level of what is judged, and has no statistics."""

    def __init__(self, record: Record, find: Callable[[Level], None]) -> None:
        self.__dict__.update(record.__dict__)
        self._errors = NoStatistics()
        self._find = find

    def judged(
        self, inputs: Inputs, quantity: str, got: Array, truth: Truth, judgement: Judgement
    ) -> None:
        """Keep, and tell the level."""
        super().judged(inputs, quantity, got, truth, judgement)
        if got.size:
            self._find(judgement.level)


class RecordingSubject(Subject):
    """A subject that remembers which check site gave which level, and can leave sites out."""

    def __init__(
        self,
        *arguments: Any,
        sibling: Evaluator,
        lower: Mapping[str, Evaluator],
        left_out: LeftOut | None = None,
    ) -> None:
        super().__init__(*arguments, sibling=sibling, lower=lower)
        self.levels: dict[Site, Level] = {}
        self.kept = FindingRecord(self.kept, self._find)
        self._left_out = left_out or (lambda site: False)
        self._judging: Site | None = None

    def judge(self, inputs: Inputs, *quantities: str) -> None:
        """Judge, unless this site is left out."""
        with self._judging_of(inputs) as wanted:
            if wanted:
                super().judge(inputs, *quantities)

    def judge_values(self, inputs: Inputs, quantity: str, got: Array) -> None:
        """Judge values, unless this site is left out."""
        with self._judging_of(inputs) as wanted:
            if wanted:
                super().judge_values(inputs, quantity, got)

    def require(self, condition: bool, detail: str) -> bool:
        """Require, unless this site is left out."""
        if self._left_out(self._here()):
            return True
        self._find(Level.AAA if condition else Level.FAILS)
        return super().require(condition, detail)

    def value(
        self,
        result: LossResult,
        quantity: str,
        shape: tuple[int, ...],
        format_: Format | None = None,
    ) -> Array | None:
        """Check shape and format, unless this site is left out."""
        if self._left_out(self._here()):
            return result.values.get(quantity)
        return super().value(result, quantity, shape, format_)

    def observe(self, judgement: Judgement, describe: Callable[[int], str]) -> None:
        """Record, unless this site is left out."""
        if judgement.levels.size and not self._left_out(self._here()):
            self._find(judgement.level)
            super().observe(judgement, describe)

    def record(self, inputs: Inputs, level: Level, ulp: float, detail: str) -> None:
        """Record, unless this site is left out."""
        if not self._left_out(self._here()):
            self._find(level)
            super().record(inputs, level, ulp, detail)

    def _find(self, level: Level) -> None:
        here = self._here()
        self.levels[here] = min(level, self.levels.get(here, Level.AAA))

    def _here(self) -> Site:
        return self._judging or Site(current_lines())

    @contextmanager
    def _judging_of(self, inputs: Inputs) -> Iterator[bool]:
        """Remember what is judged; whether that is wanted."""
        outer = self._judging
        self._judging = outer or Site(current_lines(), _SIZE.sub("", inputs.name))
        try:
            yield not self._left_out(self._judging)
        finally:
            self._judging = outer


def current_lines() -> tuple[str, ...]:
    """The lines of the matrix's checks that are being executed, outermost first."""
    lines = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        module = _module_of_checks(frame.f_code.co_filename)
        if module:
            lines.append(f"{module}:{frame.f_lineno}")
        frame = frame.f_back
    return tuple(reversed(lines))


@cache
def _module_of_checks(filename: str) -> str | None:
    path = Path(filename)
    return path.stem if path in _modules_of_checks() else None


@cache
def _modules_of_checks() -> frozenset[Path]:
    """The modules that check something: the tests, and whatever takes a subject as they do."""
    own = {FOLDER / "running/subject.py"}
    return frozenset(path for path in set(FOLDER.rglob("*.py")) - own if any(_check_calls(path)))


class EveryPool(PoolStore):
    """Pools that are all kept, a quarter of a gigabyte.

    To count their bytes whenever one is asked for would take longer than the checks.
    """

    def _is_full(self) -> bool:
        return False


class Cells:
    """The cells of one backend after the other, over the same pools.

    Args:
        seed: of the inputs.
    """

    def __init__(self, seed: int = SEED) -> None:
        self.pools = EveryPool(seed, TIER, keep=10_000)

    def run(
        self,
        backend: Backend,
        requirement: Requirement,
        dtype: str,
        *,
        left_out: LeftOut | None = None,
    ) -> Outcome:
        """Run the test of one requirement in one format.

        Args:
            backend: what is tested, as if it were a compiled variant of native.
            requirement: what is asked of it.
            dtype: the format.
            left_out: tells which check sites do nothing.
        """
        process, format_ = InProcess(backend), FORMATS[dtype]
        device = DEVICES.get(requirement.id, "cpu")
        record = (process, "impostor", device, format_, requirement, self.pools, NoCurves())
        right = InProcess(NATIVE)
        subject = RecordingSubject(
            *record, sibling=right, lower={"x86-64-v2": right}, left_out=left_out
        )
        try:
            checks()[requirement.id](subject)
        except CallFailed as failed:
            verdict = VERDICT_OF_FAILURE[failed.failure.kind]
            return Outcome(verdict, {**subject.levels, CALL_ENDED: Level.FAILS})
        return Outcome(subject.kept.verdict(), subject.levels)


def is_worse(verdict: str, than: str) -> bool:
    """Whether a verdict finds more fault with a backend than another one.

    What is unsupported or was not measured is no fault that was found.
    """
    faults = VERDICTS[: VERDICTS.index("unsupported")]
    return verdict in faults and is_better(than, verdict)


def check_calls() -> Iterator[tuple[str, str]]:
    """Every call of a check: its line and the method."""
    for path in sorted(_modules_of_checks()):
        yield from _check_calls(path)


def _check_calls(path: Path) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            of_subject = isinstance(node.func.value, ast.Name) and node.func.value.id == "subject"
            if of_subject and node.func.attr in _CHECKS:
                yield f"{path.stem}:{node.lineno}", node.func.attr
