"""Runs of the matrix in this process, with a record of which check found what.

Guarantees that the tests, the inputs and the judge are those of the matrix: a subject of the matrix
is given an impostor instead of a process, and everything that crosses the boundary to a process
crosses it here too, as built-in types.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from bce_conformance import conformance
from bce_conformance.backends import transport, worker
from bce_conformance.backends.calls import Array, Backend, Failure, LossCall, LossResult
from bce_conformance.conformance.cells import VERDICTS, Level
from bce_conformance.conformance.curves import Curves
from bce_conformance.conformance.inputs import Inputs, PoolStore
from bce_conformance.conformance.matrix import VERDICT_OF_FAILURE
from bce_conformance.conformance.specification import Requirement, requirements
from bce_conformance.conformance.subject import CallFailed, Subject
from bce_conformance.conformance.tiers import TIERS
from bce_conformance.reference import FORMATS

from .impostor import Crash

FOLDER = Path(conformance.__file__).parent
# Small sums, so that the whole table takes a minute; every bit pattern, so that one is found.
TIER = replace(TIERS["quick"], exhaustive=True)
SEED = 0
CALL_ENDED = "the call failed"
_SIZE = re.compile(r", [\d,]+ elements$")  # the tier says how many, not the check

Check = Callable[[Subject], None]


@cache
def checks() -> dict[str, Check]:
    """The test of each requirement, as the matrix runs it."""
    found: dict[str, Check] = {}
    for module in pkgutil.iter_modules(conformance.__path__):
        if module.name.startswith("test_"):
            loaded = importlib.import_module(f"{conformance.__name__}.{module.name}")
            for name, function in vars(loaded).items():
                marks = getattr(function, "pytestmark", [])
                if name.startswith("test_"):
                    found |= {m.args[0]: function for m in marks if m.name == "requirement"}
    return {requirement: found[requirement] for requirement in requirements()}


@dataclass(frozen=True)
class Finding:
    """What one check site of a test found in one cell.

    Attributes:
        site: the lines of the test that lead to the check, and the inputs that it judges.
        level: the least level that it gave.
    """

    site: str
    level: Level


@dataclass(frozen=True)
class Outcome:
    """One cell: its verdict, and what each check site contributed."""

    verdict: str
    findings: tuple[Finding, ...]
    detail: str

    @property
    def sites(self) -> set[str]:
        """The check sites that ran."""
        return {finding.site for finding in self.findings}


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


class RecordingSubject(Subject):
    """A subject that remembers which check site gave which level, and can leave one out."""

    left_out: str | None = None

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.findings: dict[str, Level] = {}
        self._judging: str | None = None

    def judge(self, inputs: Inputs, *quantities: str) -> None:
        """Judge, unless this site is left out."""
        self._judging = f"{site()} · {_SIZE.sub('', inputs.name)}"
        try:
            if self._judging != self.left_out:
                super().judge(inputs, *quantities)
        finally:
            self._judging = None

    def require(self, condition: bool, detail: str) -> bool:
        """Require, unless this site is left out."""
        here = self._judging or site()
        if here == self.left_out:
            return True
        self._find(here, Level.AAA if condition else Level.FAILS)
        return super().require(condition, detail)

    def value(self, result: LossResult, quantity: str, shape: tuple[int, ...]) -> Array | None:
        """Check shape and format, unless this site is left out."""
        if self._judging is None and site() == self.left_out:
            return result.values.get(quantity)
        return super().value(result, quantity, shape)

    def record(self, level: Level, ulp: float, detail: str) -> None:
        """Record, unless this site is left out."""
        if site() != self.left_out:
            self._find(site(), level)
            super().record(level, ulp, detail)

    def _record(self, inputs: Inputs, quantity: str, got: Array, *more: Any) -> None:
        super()._record(inputs, quantity, got, *more)
        if got.size:
            self._find(self._judging or site(), more[-1].level)

    def _find(self, here: str, level: Level) -> None:
        self.findings[here] = min(level, self.findings.get(here, Level.AAA))


def site() -> str:
    """The lines in test modules of the matrix that are being executed, outermost first."""
    lines = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        module = _test_module(frame.f_code.co_filename)
        if module:
            lines.append(f"{module}:{frame.f_lineno}")
        frame = frame.f_back
    return " > ".join(reversed(lines))


@cache
def _test_module(filename: str) -> str | None:
    path = Path(filename)
    return path.stem if path.parent == FOLDER and path.name.startswith("test_") else None


class Cells:
    """The cells of one backend after the other, over the same pools.

    Args:
        seed: of the inputs.
    """

    def __init__(self, seed: int = SEED) -> None:
        self.pools = PoolStore(seed, TIER, keep=10_000)

    def run(
        self, backend: Backend, requirement: Requirement, dtype: str, *, left_out: str | None = None
    ) -> Outcome:
        """Run the test of one requirement in one format.

        Args:
            backend: what is tested.
            requirement: what is asked of it.
            dtype: the format.
            left_out: a check site that does nothing.
        """
        format_ = FORMATS[dtype]
        subject = RecordingSubject(
            InProcess(backend), "impostor", "cpu", format_, requirement, self.pools, NoCurves()
        )
        subject.left_out = left_out
        failure = None
        try:
            checks()[requirement.id](subject)
        except CallFailed as failed:
            failure = failed.failure
        verdict = VERDICT_OF_FAILURE[failure.kind] if failure else subject.verdict()
        findings = [Finding(*pair) for pair in subject.findings.items()]
        if failure:
            findings.append(Finding(CALL_ENDED, Level.FAILS))
        detail = "; ".join(filter(None, [str(failure or ""), subject.detail()]))
        return Outcome(verdict, tuple(findings), detail)


def is_worse(verdict: str, than: str) -> bool:
    """Whether a verdict finds more fault with a backend than another one.

    What is unsupported or was not measured is no fault that was found.
    """
    faults = VERDICTS[: VERDICTS.index("unsupported")]
    return verdict in faults and VERDICTS.index(verdict) > VERDICTS.index(than)


def check_calls() -> Iterator[tuple[str, str]]:
    """Every call of a check in the tests of the matrix: its line and the method."""
    for path in sorted(FOLDER.glob("test_*.py")):
        yield from _check_calls(path)


def _check_calls(path: Path) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            of_subject = isinstance(node.func.value, ast.Name) and node.func.value.id == "subject"
            if of_subject and node.func.attr in ("judge", "require", "value", "record"):
                yield f"{path.stem}:{node.lineno}", node.func.attr
