"""The record of a cell: what was tried, how far off it was, and where it was worst.

Guarantees that the verdict is the least level of all that it was told, and that a cell of which it
was told nothing is not measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from bce_conformance.backends.calls import Array, LossCall
from bce_conformance.conformance.inputs.inputs import Inputs
from bce_conformance.conformance.judging.error_curves import Curves
from bce_conformance.conformance.judging.judge import Judgement
from bce_conformance.conformance.judging.ulp_statistics import ErrorStatistics
from bce_conformance.conformance.judging.witnesses import Witnesses
from bce_conformance.conformance.judging.worst import WorstResult, worst_of
from bce_conformance.conformance.specification import Requirement
from bce_conformance.conformance.surveying.mechanisms import Finding
from bce_conformance.reference import Truth, flushed_to_zero
from bce_conformance.results.cells import Evidence, Level, UlpStatistics, Verdict, Witness

_DETAILS = 4  # as many single observations as a cell's detail tells in words


class Record:
    """What was seen of one backend × device × format under one requirement.

    Args:
        backend: backend id.
        device: such as ``cpu``.
        requirement: what is tested.
        curves: takes in the errors of this cell.
        flushes: whether the backend is known to make zero of subnormal results.

    Attributes:
        tried: how many elements were evaluated.
        flushed: how many results were subnormal and came back as zero from a backend that flushes.
    """

    def __init__(
        self,
        backend: str,
        device: str,
        requirement: Requirement,
        curves: Curves,
        *,
        flushes: bool = False,
    ) -> None:
        self.tried = 0
        self.flushed = 0
        self.curves = curves
        self._backend = backend
        self._device = device
        self._requirement = requirement
        self._flushes = flushes
        self._level = Level.AAA
        self._conditions = 0
        self._failures: list[str] = []
        self._notes: list[str] = []
        self._refusals: list[str] = []
        self._errors = ErrorStatistics()
        self._worst: WorstResult | None = None
        self._least: tuple[tuple[Level, float], str] | None = None
        self._exhaustive: list[bool] = []
        self._witnesses = Witnesses()
        self._causes = ""
        self._scope = ""
        self._smallest: LossCall | None = None

    # --- what is kept --------------------------------------------------------------------------

    def condition(self, holds: bool, detail: str) -> None:
        """Keep whether a condition holds; ``detail`` says what was seen where it does not."""
        self._conditions += 1
        if not holds:
            self._failures.append(detail)
            self._level = Level.FAILS
            self._witnesses.lasts(Level.FAILS)

    def exhaustive(self, is_exhaustive: bool) -> None:
        """Keep whether inputs are all that the requirement names."""
        self._exhaustive.append(is_exhaustive)

    def judged(
        self, inputs: Inputs, quantity: str, got: Array, truth: Truth, judgement: Judgement
    ) -> None:
        """Keep what was judged of one quantity against its truth."""
        if not judgement.levels.size:
            return
        self._conditions += 1
        self._level = min(self._level, judgement.level)
        # Zero for a subnormal result is a flush only of a backend that is known to flush.
        flushed = flushed_to_zero(got, truth).ravel() & self._flushes
        self.flushed += int(flushed.sum())
        self._witnesses.add(inputs, judgement)
        was_searched = inputs.source is not None and inputs.source.near
        take_in = self._errors.widen if was_searched else self._errors.add
        take_in(judgement.ulp[~flushed])
        self.curves.add(self._backend, self._device, inputs, quantity, judgement.ulp)
        # A flush is the last to stand for a cell: it says nothing of the formula.
        index = judgement.worst(apart=flushed)
        error = -1.0 if flushed[index] else float(judgement.ulp[index])
        if self._worst is None or (judgement.level, -error) < self._worst.rank:
            ulp = "flushed to zero" if flushed[index] else f"{error:.4g} ULP off"
            rank = (judgement.level, -error)
            self._worst = worst_of(inputs, quantity, index, got, truth.nearest, rank, ulp)

    def observed(self, judgement: Judgement, describe: Callable[[int], str]) -> None:
        """Keep results that were not judged against exact values.

        Args:
            judgement: their levels and errors.
            describe: says in words what was seen of the element with this index.
        """
        if not judgement.levels.size:
            return
        self._conditions += 1
        self._level = min(self._level, judgement.level)
        self._witnesses.lasts(judgement.level)
        self._errors.add(judgement.ulp, judgement.counts)
        rank = judgement.level, -float(judgement.ulp[judgement.worst()])
        if self._least is None or rank < self._least[0]:
            self._least = rank, describe(judgement.worst())

    def observed_draw(self, inputs: Inputs, level: Level, ulp: float, detail: str) -> None:
        """Keep one observation of one draw."""
        self._conditions += 1
        self._level = min(self._level, level)
        self._witnesses.add(inputs, Judgement(np.array([level], np.int8), np.array([ulp])))
        self._errors.add(np.array([ulp]))
        self._notes.append(detail)

    def caused(self, findings: Sequence[Finding], left: int) -> None:
        """Keep what is to blame for the levels of drawn calls, worst first."""
        if findings:
            self.shown_by(findings[0].smallest)
        others = [f"{left} calls more"] if left else []
        self._causes = ", ".join([*map(str, findings), *others])

    def shown_by(self, call: LossCall) -> None:
        """Keep the smallest call that shows what was seen: the first that is told."""
        self._smallest = self._smallest or call

    def scope(self, text: str) -> None:
        """Keep how much of a space was tried, which is told in any case."""
        self._scope = text

    def refusal(self, text: str) -> None:
        """Keep a refusal that the requirement allows: it says nothing about quality."""
        self._refusals += [text] * (text not in self._refusals)

    def note(self, detail: str) -> None:
        """Keep what is told where nothing failed."""
        self._notes.append(detail)

    # --- what the cell is made of --------------------------------------------------------------

    @property
    def fails(self) -> bool:
        """Whether the least level was met already."""
        return self._level is Level.FAILS

    def verdict(self) -> Verdict:
        """The least level of all that was tried; nothing tried is not measured.

        Where all was refused, as the requirement allows, the verdict is unsupported.
        """
        if not self.tried or not self._conditions:
            return "unsupported" if self._refusals else "not measured"
        if not self._requirement.graded and self._level is not Level.AAA:
            return "fails"
        return self._level.verdict

    def detail(self) -> str:
        """What was seen, in words: failures first."""
        more = len(self._failures) - _DETAILS
        seen = self._failures[:_DETAILS] + ([f"and {more} more"] if more > 0 else [])
        if not seen and self._worst is not None:
            seen = [self._worst.detail]
        if not seen and self._least is not None:
            seen = [self._least[1]]
        seen += [f"causes: {self._causes}"] if self._causes else []
        told = seen or self._notes[:_DETAILS] or self._refusals[:_DETAILS]
        return "; ".join([*told, self._scope] if self._scope else told)

    def evidence(self) -> Evidence:
        """``exhaustive`` if every input that the requirement names was tried."""
        return "exhaustive" if self._exhaustive and all(self._exhaustive) else "searched"

    def statistics(self) -> UlpStatistics | None:
        """Error statistics over all judged results."""
        return self._errors.summary()

    def worst(self) -> WorstResult | None:
        """The worst judged result; None where no result was judged by its error."""
        return self._worst

    def smallest(self) -> LossCall | None:
        """The smallest drawn call that shows what was seen; None where nothing was drawn."""
        return self._smallest

    def witness(self) -> Witness | None:
        """What shows the level, where the draws that every run has do not; else None."""
        return self._witnesses.witness()
