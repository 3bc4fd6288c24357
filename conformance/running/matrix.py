"""The matrix of one run: which cells there are, and what each of them became.

Guarantees that every cell that was begun has a verdict, whatever its backend did, and that no
process outlives the matrix.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from threading import Lock
from typing import Any, Protocol

from bce_conformance.backends import (
    DTYPES,
    BackendInfo,
    BackendSpec,
    Failure,
    LossCall,
    not_installed,
)
from bce_conformance.backends.names import meant_device
from bce_conformance.conformance.inputs.pools import PoolStore
from bce_conformance.conformance.judging import flush_probe
from bce_conformance.conformance.judging.error_curves import Curves, Key, Points
from bce_conformance.conformance.judging.worst import WorstResult
from bce_conformance.conformance.ledger.standing import Conditions
from bce_conformance.conformance.memory import SHARE
from bce_conformance.conformance.settings import Settings
from bce_conformance.conformance.specification import Requirement, requirements
from bce_conformance.conformance.surveying.calls import CallStore
from bce_conformance.conformance.surveying.first_calls import first_calls
from bce_conformance.conformance.surveying.survey import Surveyor
from bce_conformance.conformance.tiers import TIERS
from bce_conformance.reference import format_of
from bce_conformance.results.cells import Cell, Place, Verdict
from bce_conformance.results.model import Flushes, Host, Probed

from .call_slots import CallSlots, SlottedProcess
from .journal import Kept
from .processes import NOT_INSTALLED, Processes
from .progress import Progress
from .record import Record
from .reproduce import MOST_SHOWN, call_line, explain_line, reproduce_line
from .subject import Subject

VERDICT_OF_FAILURE: dict[str, Verdict] = {
    "raised": "fails",
    "crashed": "crashed",
    "timeout": "timeout",
    "unsupported": "unsupported",
}


class Keeper(Protocol):
    """What a matrix has its findings kept by, each before it counts: a journal."""

    def cell(self, cell: Cell, curves: Mapping[Key, Points]) -> None:
        """Keep a finished cell, with the points that it added to the error curves."""

    def flushes(self, probed: Probed, flushes: Flushes) -> None:
        """Keep what a probe found."""


class Matrix:
    """All cells of one run.

    Args:
        settings: what is measured.
        progress: is told how far the run is.
        room: bytes that there are for this process and the backends; 0 for all of the machine.
        one_by_one: whether a backend starts when it is first needed, and not all at once.

    Attributes:
        host: where it is measured; None for this machine.
        identity: what a run that goes on with this one must agree in; None where nothing is kept.
    """

    def __init__(
        self,
        settings: Settings,
        progress: Progress | None = None,
        *,
        room: int = 0,
        one_by_one: bool = False,
    ) -> None:
        self.settings = settings
        self.progress = progress or Progress()
        self.cells: dict[Place, Cell] = {}
        self.curves = Curves()
        memory = min(settings.memory, room // SHARE) if room else settings.memory
        # One more than there are processors: a call that is handed over computes nothing.
        self.slots = CallSlots((os.cpu_count() or 1) + 1)
        self.pools = PoolStore(
            settings.seed,
            TIERS[settings.tier],
            settings.ledger.witnesses,
            found=settings.ledger.found,
            memory=memory,
        )
        self.specs: dict[str, BackendSpec] = {spec.id: spec for spec in settings.specs()}
        self.processes = Processes(
            self.specs,
            settings.time_limit,
            self.slots,
            self.progress,
            memory,
            room=room,
            one_by_one=one_by_one,
        )
        self.host: Host | None = None
        self.identity: Mapping[str, Any] | None = None
        self.flushes: dict[Probed, Flushes] = {}
        self.calls = {few: CallStore(settings.seed, few_shapes=few) for few in (False, True)}
        self._surveyors: dict[Probed, Surveyor] = {}
        self.journal: Keeper | None = None
        self.lock = Lock()  # of the cells and curves, which each backend's thread adds to

    def begin_anew(self, journal: Keeper) -> None:
        """Forget what was measured; inputs, their exact results and processes stay."""
        self.journal = journal
        self.cells, self.curves = {}, Curves()
        self.flushes.clear()
        self._surveyors.clear()

    def resume(self, kept: Kept) -> None:
        """Take over what an interrupted run of the same settings has measured."""
        self.identity = kept.identity
        for cell in kept.cells:
            self.cells[cell.place] = cell
        for points in kept.curves:
            self.curves.take(points)
        self.flushes.update(kept.flushes)

    def demanded(self) -> list[str]:
        """The backends that must be there: those asked for by name, else the installed ones."""
        return [
            backend
            for backend in self.specs
            if backend in self.settings.backends or self.processes.info(backend) is not None
        ]

    def places(self, requirement: Requirement) -> list[Place]:
        """Where a requirement is still to be measured, one format after the other."""
        dtypes = [dtype for dtype in self.settings.dtypes or DTYPES if dtype in requirement.dtypes]
        places = (
            Place(requirement.id, backend, device, dtype)
            for dtype in dtypes
            for backend in self.demanded()
            if self.settings.tries(requirement, self.specs[backend], dtype)
            for device in self._devices(backend)
        )
        return [place for place in places if place not in self.cells]

    def why_nothing(self, places: Sequence[Place]) -> str:
        """Why none of the places can be measured, and what can."""
        if not places:
            return self._why_not_tried()
        if not self.settings.devices:
            named = [spec for name, spec in self.specs.items() if name in self.settings.backends]
            return "; ".join(map(not_installed, named)) or "none of the backends is installed"
        there = "; ".join(
            f"{backend} has {', '.join(device.kind for device in info.devices)}"
            for backend in self.specs
            if isinstance(info := self.processes.info(backend), BackendInfo)
        )
        near = "".join(map(meant_device, self.settings.devices))
        return f"no backend has device {', '.join(self.settings.devices)} ({there}){near}"

    def _why_not_tried(self) -> str:
        """Which tier tries anything of what was asked for, if one does."""
        asked = filter(self.settings.selects, requirements().values())
        cells = [
            (requirement, spec, dtype)
            for requirement, spec in product(asked, self.specs.values())
            for dtype in self.settings.dtypes or DTYPES
            if dtype in requirement.dtypes
        ]
        for name, tier in TIERS.items():
            if any(tier.tries(*cell) for cell in cells):
                tries = f"the {self.settings.tier} tier tries none of it with these backends"
                return f"{tries}; --tier={name} does"
        return "no requirement that was asked for is about these formats"

    def _devices(self, backend: str) -> Sequence[str]:
        info = self.processes.info(backend)
        present = [d.kind for d in info.devices] if isinstance(info, BackendInfo) else ["cpu"]
        return self.settings.devices or list(dict.fromkeys(present))

    def subject(self, place: Place) -> Subject:
        """The subject of a cell whose backend is there."""
        evaluator = self.processes.own(place.backend)
        format_ = format_of(place.dtype)
        probed = Probed(place.backend, place.device, place.dtype)
        if probed not in self.flushes:
            if not self.specs[place.backend].few_shapes:
                for call in first_calls(format_, place.device):
                    evaluator.evaluate(call)
            outcome = evaluator.evaluate(flush_probe.probe(format_, place.device))
            self.keep_flushes(probed, flush_probe.read(outcome, format_))
        requirement = requirements()[place.requirement]
        return Subject(
            evaluator,
            place.backend,
            place.device,
            format_,
            requirement,
            self.pools,
            Curves(),
            flushes=bool(self.flushes[probed].results),
            sibling=self.processes.sibling(place.backend),
            lower=self._lower(requirement, place.backend),
            surveyor=self._surveyor(probed, evaluator),
        )

    def _surveyor(self, probed: Probed, evaluator: SlottedProcess) -> Surveyor:
        """What evaluates drawn calls, for all requirements about them."""
        if probed not in self._surveyors:
            tier, spec = self.pools.tier, self.specs[probed.backend]
            calls, causes = self.calls[spec.few_shapes], 0 if spec.compiles else tier.causes
            plan = partial(calls.planned, tier, probed.dtype)
            kin = [
                other
                for at, other in self._surveyors.items()
                if (at.backend, at.device) == (probed.backend, probed.device)
            ]
            told = partial(self.progress.drawn, probed)
            surveyor = Surveyor(evaluator, probed.device, calls, plan, causes, kin, told)
            self._surveyors[probed] = surveyor
        return self._surveyors[probed]

    def keep_flushes(self, probed: Probed, flushes: Flushes) -> None:
        """Keep what a probe found, unless it is known."""
        if probed in self.flushes:
            return
        if self.journal:
            self.journal.flushes(probed, flushes)
        self.flushes[probed] = flushes

    def _lower(self, requirement: Requirement, backend: str) -> dict[str, SlottedProcess]:
        """The backend held to each instruction set below its own, where the requirement asks."""
        if requirement.each_instruction_set:
            return self.processes.lower(backend)
        self.processes.end_lower(backend)
        return {}

    def is_measurable(self, place: Place) -> bool:
        """Whether something can be found out at a place: at least that its backend fails there."""
        info = self.processes.info(place.backend)
        if not isinstance(info, BackendInfo):
            return info is not None
        return info.has_device(place.device)

    def absent(self, place: Place) -> Cell | None:
        """The cell of a place where nothing can be tried; None where something can."""
        info = self.processes.info(place.backend)
        if info is None:
            return self._keep(place, "not measured", NOT_INSTALLED)
        if isinstance(info, Failure):
            verdict = VERDICT_OF_FAILURE[info.kind]
            return self._keep(place, verdict, f"does not start: {info}", log=info.log)
        if not info.has_device(place.device):
            return self._keep(place, "not measured", f"no device {place.device}")
        if place.dtype not in info.dtypes:
            return self._keep(place, "unsupported", f"takes no {place.dtype} logits")
        return None

    def close_cell(self, subject: Subject, place: Place, failure: Failure | None) -> Cell:
        """Turn what a subject recorded into its cell, and keep it.

        Args:
            subject: what was measured.
            place: where.
            failure: what ended the test early; None where it came to its end.
        """
        verdict, detail = subject.kept.verdict(), subject.kept.detail()
        if failure is not None:
            verdict = VERDICT_OF_FAILURE[failure.kind]
            detail = "; ".join(filter(None, [str(failure), detail]))
        return self._keep(place, verdict, detail, subject.kept, subject.log_of(detail))

    def _keep(
        self,
        place: Place,
        verdict: Verdict,
        detail: str,
        record: Record | None = None,
        log: str = "",
    ) -> Cell:
        worst = record.worst() if record else None
        again = self._again(place, worst, record.smallest() if record else None)
        standing = self.settings.ledger.standing(place, verdict, self._conditions(place.backend))
        cell = Cell(
            *place,
            verdict,
            not standing.worse,
            standing.reason,
            record.tried if record else 0,
            record.evidence() if record else "searched",
            record.statistics() if record else None,
            worst.element if worst else None,
            detail,
            again,
            standing.better,
            record.flushed if record else 0,
            record.witness() if record else None,
            standing.known,
            standing.elsewhere,
            log,
            standing.defects,
        )
        self.keep(cell, record.curves if record else Curves())
        return cell

    def keep(self, cell: Cell, curves: Curves | Mapping[Key, Points]) -> None:
        """Keep a cell, with the points that it adds to the error curves."""
        with self.lock:
            added = self.curves.take(curves)
            if self.journal:
                self.journal.cell(cell, added)
            self.cells[cell.place] = cell

    def _again(self, place: Place, worst: WorstResult | None, smallest: LossCall | None) -> str:
        """The command that shows a cell again, or its worst element, or its smallest call."""
        held = self.settings.instruction_set
        backend = place.backend
        if held and "@isa=" not in backend:
            backend += f"@isa={held}"
        line = explain_line(backend, place.device, worst) if worst else None
        if smallest is not None and smallest.logits.size <= MOST_SHOWN:
            line = call_line(backend, replace(smallest, device=place.device))
        return line or reproduce_line(place, self.settings.tier, self.settings.seed, held)

    def _conditions(self, backend: str) -> Conditions:
        info = self.processes.info(backend)
        version, set_ = (
            (info.version, info.instruction_set) if isinstance(info, BackendInfo) else ("", "")
        )
        return Conditions(version, set_, self.settings.tier)
