"""The matrix of one session: which cells there are, the processes that fill them, and the results.

Guarantees that every cell that was begun has a verdict, whatever its backend did, and that no
process outlives the session.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock

from bce_conformance.backends import (
    DTYPES,
    BackendInfo,
    BackendProcess,
    BackendSpec,
    Failure,
    builtin_backends,
    installed,
    instruction_sets,
    resolve,
    sibling,
)
from bce_conformance.backends.isolation.process import TIME_LIMIT
from bce_conformance.backends.names import nearest
from bce_conformance.conformance.inputs.pools import PoolStore
from bce_conformance.conformance.judging import flush_probe
from bce_conformance.conformance.judging.error_curves import Curves
from bce_conformance.conformance.judging.worst import WorstResult
from bce_conformance.conformance.ledger.reading import read
from bce_conformance.conformance.ledger.standing import Conditions, Ledger
from bce_conformance.conformance.specification import Requirement, requirements
from bce_conformance.conformance.tiers import TIERS
from bce_conformance.reference import format_of
from bce_conformance.results.cells import Cell, Place, Verdict
from bce_conformance.results.model import Flushes, Probed

from .call_slots import CallSlots, SlottedProcess
from .journal import Journal, Kept
from .memory import default_bound
from .progress import Progress
from .record import Record
from .reproduce import explain_line, reproduce_line
from .subject import Subject

# On a busy machine a call that compiles takes seconds many times over, and is no hang.
COMPILING = 4
ALL = "all"  # among the backends: every built-in one that is installed, variants included
NOT_INSTALLED = "not installed"
NO_LEDGER = (
    "ledger {} does not exist; `ledger update --ledger FILE` makes one of what a run has found"
)
# Backends share the processors: threads of one that wait for work sleep, where by default they
# would take a third of its time from the others.
_PATIENT = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
# They share the memory, too: glibc gives large blocks back at once, where by default it comes to
# keep those of up to 32 MiB.
_FRUGAL = {"MALLOC_MMAP_THRESHOLD_": str(1 << 20), "MALLOC_TRIM_THRESHOLD_": str(8 << 20)}
VERDICT_OF_FAILURE: dict[str, Verdict] = {
    "raised": "fails",
    "crashed": "crashed",
    "timeout": "timeout",
    "unsupported": "unsupported",
}


@dataclass(frozen=True)
class Settings:
    """What a session measures.

    Attributes:
        backends: ids, or ``ALL``; none means those that the tier tries and that are installed.
        devices: kinds; none means every device that a backend has.
        dtypes: formats; none means all.
        requirements: numbers or families; none means all.
        tier: how much is tried.
        seed: of all random inputs.
        time_limit: seconds that one call may take; a call may have to compile first, for which
            backends that do have ``COMPILING`` times as long.
        ledgers: ledger files beside the suite's own.
        memory: bytes that the suite's own process may take; what of inputs and truths does not fit
            is computed again.
        instruction_set: that the code of all backends is held to; empty for all that the processor
            has.
        strict: whether a cell is an error that is better than an entry of the ledger which was
            measured on the same version and instruction set.
    """

    backends: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    tier: str = "default"
    seed: int = 0
    time_limit: float = TIME_LIMIT
    ledgers: tuple[Path, ...] = ()
    memory: int = field(default_factory=default_bound)
    instruction_set: str = ""
    strict: bool = False

    def __post_init__(self) -> None:
        known = {*requirements(), *(r.family for r in requirements().values())}
        for name, given, accepted in (
            ("dtype", self.dtypes, set(DTYPES)),
            ("requirement", self.requirements, known),
            ("tier", (self.tier,), set(TIERS)),
        ):
            unknown = sorted(set(given) - accepted)
            if unknown:
                raise ValueError(
                    f"{name} {unknown[0]!r} is unknown; {nearest(unknown[0], accepted)}"
                )
        if self.instruction_set:
            instruction_sets.check(self.instruction_set)
        self.specs()  # raises ValueError where a backend is unknown
        if not self.time_limit > 0:
            raise ValueError(f"time_limit is {self.time_limit}; it must be positive")
        absent = [path for path in self.ledgers if not path.exists()]
        if absent:
            raise ValueError(NO_LEDGER.format(absent[0]))
        read(self.ledgers)  # raises LedgerError where a file is not valid

    def specs(self) -> list[BackendSpec]:
        """The backends to measure, each once.

        Raises:
            ValueError: one is unknown.
        """
        chosen = [resolve(backend) for backend in self.backends if backend != ALL]
        if not chosen or ALL in self.backends:
            variants = ALL in self.backends or TIERS[self.tier].variants
            builtin = (spec for spec in builtin_backends() if variants or not spec.variant)
            chosen = [*builtin, *chosen]
        held = (
            spec if spec.instruction_set else replace(spec, instruction_set=self.instruction_set)
            for spec in chosen
        )
        return list(dict.fromkeys(held))

    def names(self, requirement: Requirement) -> bool:
        """Whether a requirement is asked for by its number."""
        return requirement.id in self.requirements

    def accepts(self, cell: Cell) -> bool:
        """Whether a cell is no error: not worse than known, and where that is asked not stale."""
        return cell.expected and not (self.strict and cell.stale)

    def selects(self, requirement: Requirement) -> bool:
        """Whether a requirement is to be measured."""
        chosen = self.requirements
        return not chosen or requirement.id in chosen or requirement.family in chosen


class Matrix:
    """All cells of one session.

    Args:
        settings: what is measured.
        ledger: what is expected.
        progress: is told how far the session is.
    """

    def __init__(
        self, settings: Settings, ledger: Ledger, progress: Progress | None = None
    ) -> None:
        self.settings = settings
        self.progress = progress or Progress()
        self.ledger = ledger
        self.cells: dict[Place, Cell] = {}
        self.curves = Curves()
        # One more than there are processors: a call that is handed over computes nothing.
        self.slots = CallSlots((os.cpu_count() or 1) + 1)
        self.pools = PoolStore(
            settings.seed, TIERS[settings.tier], ledger.witnesses, memory=settings.memory
        )
        self.specs: dict[str, BackendSpec] = {spec.id: spec for spec in settings.specs()}
        self.start_up = 0.0  # seconds that the backends took to start
        self.flushes: dict[Probed, Flushes] = {}
        self.journal: Journal | None = None
        self._releasing = Lock()
        self._processes: dict[str, BackendProcess] = {}
        self._siblings: dict[str, BackendProcess] = {}
        self._held: dict[str, dict[str, BackendProcess]] = {}  # by backend and instruction set
        self._infos: dict[str, BackendInfo | Failure | None] | None = None
        # Its threads live as long as the matrix: a worker ends with the thread that started it.
        self._starters = ThreadPoolExecutor(thread_name_prefix="start-backend")

    def resume(self, kept: Kept) -> None:
        """Take over what an interrupted run of the same settings has measured."""
        for cell in kept.cells:
            self.cells[cell.place] = cell
        for points in kept.curves:
            self.curves.take(points)
        self.flushes.update(kept.flushes)

    # --- backends ------------------------------------------------------------------------------

    def info(self, backend: str) -> BackendInfo | Failure | None:
        """What a backend says of itself, why it cannot, or None where it is not installed."""
        self._start()
        assert self._infos is not None
        return self._infos[backend]

    def status(self, backend: str) -> str:
        """``ok``, or why a backend cannot be measured."""
        info = self.info(backend)
        return "ok" if isinstance(info, BackendInfo) else str(info or NOT_INSTALLED)

    def demanded(self) -> list[str]:
        """The backends that must be there: those asked for by name, else the installed ones."""
        return [
            backend
            for backend in self.specs
            if backend in self.settings.backends or self.info(backend) is not None
        ]

    def _start(self) -> None:
        """Start all backends at once, the first time: importing a framework takes seconds."""
        if self._infos is not None:
            return
        begin = time.monotonic()
        self._infos = dict.fromkeys(self.specs)
        self._processes = {
            backend: self._process_of(spec)
            for backend, spec in self.specs.items()
            if installed(spec)
        }
        self.progress.starting(tuple(self._processes))
        infos = self._starters.map(self._start_one, self._processes)
        self._infos.update(zip(self._processes, infos, strict=True))
        self.start_up = time.monotonic() - begin

    def _start_one(self, backend: str) -> BackendInfo | Failure:
        info = self._processes[backend].info()
        self.progress.up(backend)
        return info

    def release(self) -> None:
        """End the processes of backends that have nothing left to do: each holds much memory."""
        with self._releasing:
            busy = [spec for backend, spec in self.specs.items() if self.slots.left[backend]]
            needed = {spec.id for spec in busy}
            needed |= {eager.id for spec in busy if (eager := sibling(spec))}
            for processes in (self._processes, self._siblings):
                for backend in processes.keys() - needed:
                    processes[backend].close()
            for backend in self._held.keys() - needed:
                self._end_held(backend)

    def close(self) -> None:
        """End all processes, also those that are being started."""
        held = (process for by_level in self._held.values() for process in by_level.values())
        for process in (*self._processes.values(), *self._siblings.values(), *held):
            process.close()
        self._starters.shutdown(wait=True, cancel_futures=True)

    # --- cells ---------------------------------------------------------------------------------

    def places(self, requirement: Requirement) -> list[Place]:
        """Where a requirement is still to be measured, one format after the other."""
        dtypes = [dtype for dtype in self.settings.dtypes or DTYPES if dtype in requirement.dtypes]
        places = (
            Place(requirement.id, backend, device, dtype)
            for dtype in dtypes
            for backend in self.demanded()
            if self._tries(requirement, backend, dtype)
            for device in self._devices(backend)
        )
        return [place for place in places if place not in self.cells]

    def _tries(self, requirement: Requirement, backend: str, dtype: str) -> bool:
        asked = requirement.each_instruction_set and self.settings.names(requirement)
        return asked or self.pools.tier.tries(requirement, self.specs[backend], dtype)

    def _devices(self, backend: str) -> Sequence[str]:
        info = self.info(backend)
        present = [d.kind for d in info.devices] if isinstance(info, BackendInfo) else ["cpu"]
        return self.settings.devices or list(dict.fromkeys(present))

    def subject(self, place: Place) -> Subject:
        """The subject of a cell whose backend is there."""
        evaluator = SlottedProcess(place.backend, self._processes[place.backend], self.slots)
        format_ = format_of(place.dtype)
        probed = Probed(place.backend, place.device, place.dtype)
        if probed not in self.flushes:
            outcome = evaluator.evaluate(flush_probe.probe(format_, place.device))
            self._keep_flushes(probed, flush_probe.read(outcome, format_))
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
            sibling=self._sibling(place.backend),
            lower=self._lower(requirement, place.backend),
        )

    def _keep_flushes(self, probed: Probed, flushes: Flushes) -> None:
        if self.journal:
            self.journal.flushes(probed, flushes)
        self.flushes[probed] = flushes

    def _sibling(self, backend: str) -> SlottedProcess | None:
        """The process of the backend that this one is a variant of, asked in this one's slots."""
        eager = sibling(self.specs[backend])
        if eager is None:
            return None
        process = self._processes.get(eager.id) or self._siblings.get(eager.id)
        if process is None:
            process = self._process_of(eager)
            self._siblings[eager.id] = process
        return SlottedProcess(backend, process, self.slots)

    def _lower(self, requirement: Requirement, backend: str) -> dict[str, SlottedProcess]:
        """The backend held to each instruction set below its own, where the requirement asks.

        Their processes end when the backend goes on to other requirements: each is a framework in
        memory.
        """
        if not requirement.each_instruction_set:
            self._end_held(backend)
            return {}
        if backend not in self._held:
            info = self.info(backend)
            levels = instruction_sets.below(
                info.instruction_set if isinstance(info, BackendInfo) else ""
            )
            spec = self.specs[backend]
            self._held[backend] = {
                level: self._process_of(replace(spec, instruction_set=level)) for level in levels
            }
        held = self._held[backend]
        return {level: SlottedProcess(backend, held[level], self.slots) for level in held}

    def _end_held(self, backend: str) -> None:
        for process in self._held.pop(backend, {}).values():
            process.close()

    def _process_of(self, spec: BackendSpec) -> BackendProcess:
        limit = self.settings.time_limit * (COMPILING if spec.compiles else 1)
        return BackendProcess(spec, time_limit=limit, environment=_PATIENT | _FRUGAL)

    def is_measurable(self, place: Place) -> bool:
        """Whether something can be found out at a place: at least that its backend fails there."""
        info = self.info(place.backend)
        if not isinstance(info, BackendInfo):
            return info is not None
        return place.device.partition(":")[0] in {device.kind for device in info.devices}

    def absent(self, place: Place) -> Cell | None:
        """The cell of a place where nothing can be tried; None where something can."""
        info = self.info(place.backend)
        if info is None:
            return self._keep(place, "not measured", NOT_INSTALLED)
        if isinstance(info, Failure):
            verdict = VERDICT_OF_FAILURE[info.kind]
            return self._keep(place, verdict, f"does not start: {info}")
        if place.device.partition(":")[0] not in {device.kind for device in info.devices}:
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
        return self._keep(place, verdict, detail, subject.kept)

    def _keep(
        self,
        place: Place,
        verdict: Verdict,
        detail: str,
        record: Record | None = None,
    ) -> Cell:
        worst = record.worst() if record else None
        again = self._again(place, worst)
        standing = self.ledger.standing(place, verdict, self._conditions(place.backend))
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
        )
        added = self.curves.take(record.curves) if record else {}
        if self.journal:
            self.journal.cell(cell, added)
        self.cells[place] = cell
        return cell

    def _again(self, place: Place, worst: WorstResult | None) -> str:
        """The command that shows a cell again, or its worst element."""
        held = self.settings.instruction_set
        backend = place.backend
        if held and "@isa=" not in backend:
            backend += f"@isa={held}"
        line = explain_line(backend, place.device, worst) if worst else None
        return line or reproduce_line(place, self.settings.tier, self.settings.seed, held)

    def _conditions(self, backend: str) -> Conditions:
        info = self.info(backend)
        version, set_ = (
            (info.version, info.instruction_set) if isinstance(info, BackendInfo) else ("", "")
        )
        return Conditions(version, set_, self.settings.tier)
