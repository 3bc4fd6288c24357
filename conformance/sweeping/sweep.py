"""A sweep: pieces evaluated by the backend's process, beside the truth, into the journal.

Three stages run at once, each in a thread of its own: the backend evaluates the next pieces, the
truth of one is computed, and the one before is summed up. Guarantees that a piece is in the journal
before it counts, and that results are read from the journal alone, so that they do not depend on
how often a sweep was interrupted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path

import bce_conformance
from bce_conformance.backends import BackendInfo, BackendProcess, Failure, LossCall, LossResult

from .evaluating import Exact, Truths, call_of, summed_up, values_of
from .journal import Finished, Journal
from .plan import Group, Piece, Plan
from .summaries import Summary

_AHEAD = 2  # pieces that a stage may be ahead of the next
_PATIENCE = 0.2  # seconds between two looks whether the sweep is to end
_HOPELESS = 3  # failed pieces after which a sweep without a single result ends
# Packages, and patterns of their files.
_SOURCES = {
    "reference": ["*.py"],
    "backends": ["*.py"],
    "native": ["*.py"],
    "conformance.judging": ["judge.py"],
    "conformance.sweeping": ["plan.py", "kernels.py", "evaluating.py", "summaries.py"],
}

Outcome = LossResult | Failure
Report = Callable[[int, int], None]


class SweepError(Exception):
    """The sweep cannot go on; the text says why."""


class FormatError(SweepError):
    """The backend has no such format."""


@dataclass(frozen=True)
class Swept:
    """The results of one quantity with the targets of one group.

    Attributes:
        quantity: what was judged.
        group: the targets.
        summary: of all its pieces that gave results.
        failures: the other pieces, each with the reason in words.
    """

    quantity: str
    group: Group
    summary: Summary
    failures: tuple[tuple[Piece, str], ...]


@dataclass(frozen=True)
class _Work:
    """A piece on its way."""

    group: Group
    piece: Piece
    call: LossCall
    outcome: Future[Outcome]


@cache
def code_digest() -> str:
    """A digest of the sources that decide results: other code is another sweep."""
    return digest_of(_SOURCES)


def digest_of(sources: Mapping[str, Sequence[str]]) -> str:
    """A digest of sources: subpackage → patterns of its files."""
    digest = blake2b(digest_size=8)
    for name, patterns in sources.items():
        spec = find_spec(f"{bce_conformance.__name__}.{name}")
        folders = spec.submodule_search_locations if spec else None
        root = Path(next(iter(folders or [])))
        for path in sorted({path for pattern in patterns for path in root.rglob(pattern)}):
            digest.update(f"{name}/{path.relative_to(root).as_posix()}".encode())
            digest.update(b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def identity(
    info: BackendInfo, function: str, plan: Plan, group: Group, quantity: str
) -> dict[str, str]:
    """All that decides the results of one quantity with one group of targets, by name.

    Args:
        info: of the backend.
        function: ``path.py:name`` or ``module:name`` of a user's own; empty for a framework's.
        plan: what is swept; its range takes no part, so that ranges add up.
        group: the targets.
        quantity: what is judged.
    """
    path = Path(function.rpartition(":")[0])
    source = path.read_bytes() if path.suffix == ".py" and path.is_file() else b""
    return {
        "backend": info.id,
        "framework": info.framework,
        "version": info.version,
        "instruction_set": info.instruction_set,
        "dtype": plan.format.name,
        "quantity": quantity,
        "targets": group.name,
        "pos_weight": "" if plan.pos_weight is None else plan.pos_weight.hex(),
        "with": ",".join(plan.quantities),
        "sampled": str(plan.sampled),
        "function": blake2b(source, digest_size=8).hexdigest() if source else "",
        "code": code_digest(),
    }


class Sweep:
    """A plan on its way through one backend.

    Args:
        plan: what is swept.
        process: the backend.
        journal: where finished pieces go.

    Raises:
        SweepError: the backend does not start.
        FormatError: it has no such format.
    """

    def __init__(self, plan: Plan, process: BackendProcess, journal: Journal) -> None:
        self.plan, self._process, self._journal = plan, process, journal
        info = process.info()
        if isinstance(info, Failure):
            raise SweepError(f"{process.spec.id} does not start: {info.reason}")
        if plan.format.name not in info.dtypes:
            raise FormatError(
                f"{info.id} has no {plan.format.name}; it has {', '.join(info.dtypes)}"
            )
        self.info = info
        self._truths = Truths(plan)
        self._stopped = False
        self._keys = {
            (group, quantity): journal.open(
                identity(info, process.spec.function, plan, group, quantity)
            )
            for group in plan.groups
            for quantity in plan.quantities
        }
        self.done = sum(piece.points for group in plan.groups for piece in self._kept(group))
        self._any_result = self.done > 0

    def forget(self) -> None:
        """Delete what the journal has of this sweep."""
        for key in self._keys.values():
            self._journal.forget(key)
        self.done = 0

    def _kept(self, group: Group) -> set[Piece]:
        """The pieces of a group whose results are all in the journal."""
        planned = set(self.plan.pieces(group))
        for quantity in self.plan.quantities:
            rows = self._journal.finished(self._keys[group, quantity])
            planned &= {piece for piece, one in rows.items() if one.summary is not None}
        return planned

    def run(self, report: Report) -> None:
        """Evaluate what the journal does not have.

        Args:
            report: is told the points that are done and those that there are.

        Raises:
            SweepError: the backend gives no result for any piece.
            KeyboardInterrupt: it was told to stop.
            JournalError: the journal cannot be written.
        """
        backend, summing = ThreadPoolExecutor(1, "backend"), ThreadPoolExecutor(1, "summing")
        report(self.done, self.plan.points)
        ahead: deque[_Work] = deque()
        behind: deque[tuple[_Work, Future[Mapping[str, Finished]]]] = deque()
        failed = 0
        try:
            for work in self._works(backend):
                self._end_if_told()
                ahead.append(work)
                if len(ahead) > _AHEAD:
                    behind.append(self._judged(ahead.popleft(), summing))
                while len(behind) > _AHEAD:
                    failed += self._add(*behind.popleft(), report, failed)
            while ahead:
                behind.append(self._judged(ahead.popleft(), summing))
            while behind:
                failed += self._add(*behind.popleft(), report, failed)
        except BaseException:
            self._process.close()  # what the backend's thread waits for
            raise
        finally:
            backend.shutdown(wait=True, cancel_futures=True)
            summing.shutdown(wait=True, cancel_futures=True)

    def _works(self, backend: ThreadPoolExecutor) -> Iterator[_Work]:
        kept = {group: self._kept(group) for group in self.plan.groups}
        for group, piece in self.plan.in_order():
            if piece not in kept[group]:
                call = call_of(self.plan, group, piece)
                outcome = backend.submit(self._process.evaluate, call)
                yield _Work(group, piece, call, outcome)

    def _judged(
        self, work: _Work, summing: ThreadPoolExecutor
    ) -> tuple[_Work, Future[Mapping[str, Finished]]]:
        """Compute the truth of a piece, and have its results summed up."""
        exact = self._truths.of(work.call, work.group, work.piece)
        return work, summing.submit(self._finished, work, exact)

    def _finished(self, work: _Work, exact: Mapping[str, Exact]) -> dict[str, Finished]:
        """What came of a piece, by key of the sweep."""
        values = values_of(work.outcome.result(), work.call)
        found = {}
        for quantity, right in exact.items():
            key = self._keys[work.group, quantity]
            if isinstance(values, str):
                found[key] = Finished(None, values)
            else:
                got = values[quantity]
                summary = summed_up(work.call, quantity, got, right, self.plan.format)
                found[key] = Finished(summary.encoded())
        return found

    def _add(
        self, work: _Work, future: Future[Mapping[str, Finished]], report: Report, failed: int
    ) -> bool:
        """Put a piece into the journal; return whether it failed."""
        finished = self._waited_for(future)
        self._journal.add(work.piece, finished)
        self.done += work.piece.points
        report(self.done, self.plan.points)
        reason = next(iter(finished.values())).failure
        self._any_result |= not reason
        if failed + 1 >= _HOPELESS and not self._any_result:
            raise SweepError(f"{self.info.id} gives no result: {reason}")
        return bool(reason)

    def stop(self) -> None:
        """Let ``run`` end with a KeyboardInterrupt after what it does at the moment, a second."""
        self._stopped = True

    def _end_if_told(self) -> None:
        if self._stopped:
            raise KeyboardInterrupt

    def _waited_for(self, future: Future[Mapping[str, Finished]]) -> Mapping[str, Finished]:
        """What a future gives, unless the sweep is stopped meanwhile: a backend may hang."""
        while not wait([future], timeout=_PATIENCE).done:
            self._end_if_told()
        return future.result()

    def results(self) -> list[Swept]:
        """What the journal has of every quantity and group, failures included."""
        found = []
        for group in self.plan.groups:
            planned = set(self.plan.pieces(group))
            for quantity in self.plan.quantities:
                summary, failures = Summary(self.plan.format), []
                for piece, one in self._journal.finished(self._keys[group, quantity]).items():
                    if piece not in planned:
                        continue
                    if one.summary is None:
                        failures.append((piece, one.failure))
                    else:
                        summary.merge(Summary.decoded(one.summary, self.plan.format))
                found.append(Swept(quantity, group, summary, tuple(failures)))
        return found
