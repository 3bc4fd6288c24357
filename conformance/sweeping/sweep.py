"""A sweep: the pieces that an engine evaluates, into the journal.

Guarantees that a piece is in the journal before it counts, and that results are read from the
journal alone, so that they depend neither on how often a sweep was interrupted nor on the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path

import bce_conformance
from bce_conformance.backends import BackendInfo

from .journal import Journal
from .pipeline import Engine, FormatError, Outcomes, Place, SweepError
from .plan import Group, Piece, Plan
from .summaries import Summary

_HOPELESS = 3  # failed pieces after which a sweep without a single result ends
# Packages, and patterns of their files.
_SOURCES = {
    "reference": ["*.py"],
    "backends": ["*.py"],
    "native": ["*.py"],
    "results": ["cells.py"],
    "conformance.inputs": ["bounds.py", "truths.py"],
    "conformance.judging": ["judge.py"],
    "conformance.sweeping": ["plan.py", "kernels.py", "evaluating.py", "summaries.py"],
}

Report = Callable[[int, int], None]


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


@cache
def code_digest() -> str:
    """A digest of the sources that decide results: other code is another sweep."""
    return digest_of(_SOURCES)


def digest_of(sources: Mapping[str, Sequence[str]]) -> str:
    """A digest of sources: subpackage → patterns of its files.

    It is the same in a checkout, where the folder of ``native`` lies in that of ``backends``.
    """
    digest = blake2b(digest_size=8)
    folders = {name: _folder_of(name) for name in sources}
    for name, patterns in sources.items():
        root = folders[name]
        inner = [folder for folder in folders.values() if root in folder.parents]
        found = {path for pattern in patterns for path in root.rglob(pattern)}
        for path in sorted(found):
            if any(path.is_relative_to(folder) for folder in inner):
                continue
            digest.update(f"{name}/{path.relative_to(root).as_posix()}".encode())
            digest.update(b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _folder_of(name: str) -> Path:
    """The folder of a subpackage."""
    spec = find_spec(f"{bce_conformance.__name__}.{name}")
    return Path(next(iter((spec.submodule_search_locations if spec else None) or [])))


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
        engine: what evaluates it.
        journal: where finished pieces go.

    Raises:
        FormatError: the backend has no such format.
    """

    def __init__(self, plan: Plan, engine: Engine, journal: Journal) -> None:
        self.plan, self._engine, self._journal = plan, engine, journal
        info = engine.info
        if plan.format.name not in info.dtypes:
            raise FormatError(
                f"{info.id} has no {plan.format.name}; it has {', '.join(info.dtypes)}"
            )
        self.info = info
        self._stopped = False
        self._keys = {
            (group, quantity): journal.open(identity(info, engine.function, plan, group, quantity))
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
            ClusterError: the cluster is lost.
            KeyboardInterrupt: it was told to stop.
            JournalError: the journal cannot be written.
        """
        report(self.done, self.plan.points)
        failed = 0
        every = self._engine.outcomes(self.plan, self._missing(), lambda: self._stopped)
        with closing(every):
            for place, outcomes in every:
                failed += self._add(place, outcomes, report, failed)

    def _missing(self) -> Iterator[Place]:
        """What the journal does not have."""
        kept = {group: self._kept(group) for group in self.plan.groups}
        for group, piece in self.plan.in_order():
            if piece not in kept[group]:
                yield group, piece

    def _add(self, place: Place, outcomes: Outcomes, report: Report, failed: int) -> bool:
        """Put a piece into the journal; return whether it failed."""
        group, piece = place
        finished = {self._keys[group, quantity]: one for quantity, one in outcomes.items()}
        self._journal.add(piece, finished)
        self.done += piece.points
        report(self.done, self.plan.points)
        reason = next(iter(finished.values())).failure
        self._any_result |= not reason
        if failed + 1 >= _HOPELESS and not self._any_result:
            raise SweepError(f"{self.info.id} gives no result: {reason}")
        return bool(reason)

    def stop(self) -> None:
        """Let ``run`` end with a KeyboardInterrupt after what it does at the moment, a second."""
        self._stopped = True

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
