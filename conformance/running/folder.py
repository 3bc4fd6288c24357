"""The folder of a run before it is measured: whether it can be written, and what would be lost.

Guarantees that no cell which was measured is lost unasked.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from bce_conformance.backends import DTYPES, installed
from bce_conformance.conformance.ledger.model import tries_less
from bce_conformance.conformance.settings import Settings
from bce_conformance.conformance.specification import requirements
from bce_conformance.conformance.tiers import TIERS
from bce_conformance.results.cells import Cell, Place
from bce_conformance.results.model import Results
from bce_conformance.results.reading import ResultsError, read

from . import journal
from .journal import JournalError
from .matrix import Matrix

_ROOM = 1 << 16  # bytes that must fit: the journal's first lines
_LOCK = ".run.lock"
_WAYS_OUT = "choose another --out FOLDER, or discard them with --overwrite"


class FolderError(ValueError):
    """A folder that a run may not be written into; says why and what to do."""


def require_writable(folder: Path) -> None:
    """Try to write into a folder, made where it does not exist.

    Raises:
        FolderError: it does not work.
    """
    tried = folder / f".writable.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            tried.write_bytes(bytes(_ROOM))
        finally:
            tried.unlink(missing_ok=True)
    except OSError as error:
        raise FolderError(
            f"--out {folder} cannot be written: {error.strerror}; choose another folder"
        ) from error


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder that can be written, so that no other run writes into it meanwhile.

    Raises:
        FolderError: another run holds it.
    """
    path = folder / _LOCK
    try:
        file = journal.open_alone(path)
    except BlockingIOError:
        raise FolderError(
            f"--out {folder} is being written by another run; choose another folder"
        ) from None
    except OSError as error:
        raise FolderError(
            f"{path} cannot be written: {error.strerror}; delete it, or choose another --out FOLDER"
        ) from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is held: later it may be another run's
        os.close(file)


def require_nothing_lost(folder: Path, settings: Settings) -> None:
    """Refuse to write over cells that a run of these settings does not measure again.

    Raises:
        FolderError: there are such cells, or a run to be resumed.
    """
    journaled = folder / journal.NAME
    if journaled.exists():
        _require_no_cells(journaled, folder)
    path = folder / "results.json"
    if not path.exists():
        return
    try:
        found = read(path)
    except ResultsError as error:
        raise FolderError(f"{error}. If it may be lost: --overwrite") from error
    if found.run.tier not in TIERS and any(_measured(found)):
        raise FolderError(
            f"{folder} holds cells of tier {found.run.tier!r}, which is none of "
            f"{', '.join(TIERS)}; {_WAYS_OUT}"
        )
    _refuse_loss(path, found, lambda cell: _measures(settings, cell, found.run.tier))


def require_none_left_out(results: Path, matrix: Matrix, places: Collection[Place]) -> None:
    """Refuse to write over cells that are not among those which are about to be measured.

    Asked once the backends have described themselves: a device may be gone.

    Args:
        results: the results.json that the run will write.
        matrix: knows which devices there are.
        places: what is about to be measured.

    Raises:
        FolderError: there are such cells.
    """
    if not results.exists():
        return
    measured = {place for place in places if matrix.is_measurable(place)}
    _refuse_loss(results, read(results), lambda cell: cell.place in measured)


def _refuse_loss(path: Path, found: Results, kept: Callable[[Cell], bool]) -> None:
    lost = [cell for cell in _measured(found) if not kept(cell)]
    if lost:
        raise FolderError(
            f"{path.parent} holds {len(lost)} cells that this run does not measure, such as "
            f"{'/'.join(lost[0].place)} in tier {found.run.tier}; {_WAYS_OUT}"
        )


def _require_no_cells(path: Path, folder: Path) -> None:
    try:
        count = len(journal.read(path).cells)
    except JournalError:
        return  # no run can go on from it
    if count:
        raise FolderError(
            f"{folder} holds {count} cells of a run that was interrupted: go on with --resume, "
            f"{_WAYS_OUT}"
        )


def _measured(found: Results) -> Iterator[Cell]:
    return (cell for cell in found.cells if cell.verdict != "not measured")


def _measures(settings: Settings, cell: Cell, tier: str) -> bool:
    """Whether a run of these settings measures a cell, at least as thoroughly as ``tier`` does."""
    specs = {spec.id: spec for spec in settings.specs()}
    requirement = requirements().get(cell.requirement)
    spec = specs.get(cell.backend)
    return (
        requirement is not None
        and spec is not None
        and not tries_less(settings.tier, tier)
        and settings.selects(requirement)
        and cell.dtype in (settings.dtypes or DTYPES)
        and cell.device in (settings.devices or (cell.device,))
        and settings.tries(requirement, spec, cell.dtype)
        and installed(spec)
    )
