"""The pytest plugin: parametrises the matrix, reports cells as tests, and writes results.json.

The checks themselves run ahead of pytest, in threads; each test waits for its own cell. The plugin
does nothing in a session that has no test of a requirement. The pytest process imports no
framework: each lives in a process of its own.
"""

from __future__ import annotations

import sys
import uuid
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bce_conformance.backends import DTYPES, BackendInfo
from bce_conformance.backends.isolation.process import TIME_LIMIT
from bce_conformance.conformance.ledger.claims import claimed
from bce_conformance.conformance.running import folder, journal, outcome
from bce_conformance.conformance.running.journal import Journal, JournalError, Kept
from bce_conformance.conformance.running.matrix import Matrix
from bce_conformance.conformance.running.progress import Progress, Snapshots
from bce_conformance.conformance.running.scheduler import Cells, Check, Engine
from bce_conformance.results.cells import Cell, Place
from bce_conformance.results.host import now
from bce_conformance.results.model import Results
from bce_conformance.results.reading import timings_in
from bce_conformance.results.writing import write

from . import memory
from .cluster import ClusterError
from .settings import Settings
from .specification import Requirement, requirements
from .tiers import DRAWN, TIERS

MATRIX = pytest.StashKey[Matrix]()
KEPT = pytest.StashKey[Kept]()
CELLS = pytest.StashKey[Cells]()
JOURNAL = pytest.StashKey[Journal]()
SNAPSHOTS = pytest.StashKey[Snapshots]()
SUITE_FAILED = 3  # exit status, with or without pytest's own words for it

_IN_ONE_PROCESS = (
    "-n is given; accepted is one process of pytest: the checks already run several backends at a "
    "time, and each process would measure all of them"
)


@dataclass(frozen=True)
class RunOptions:
    """All that a run is told.

    Attributes:
        settings: what is measured.
        results: where results.json goes; None where nothing is to be written.
        resume: whether to go on from the journal beside it.
        progress: is told how far the run is.
        so_far: is given what was measured so far, from time to time.
        engine: where the checks run.
        keeps: whether a run is refused that would lose cells of the results.json that is there.
    """

    settings: Settings
    results: Path | None
    resume: bool
    progress: Progress = field(default_factory=Progress)
    so_far: Callable[[Results], None] | None = None
    engine: Engine = field(default_factory=Engine)
    keeps: bool = False


OPTIONS = pytest.StashKey[RunOptions]()
"""Of the session: put there by ``run``, else made of the options of pytest's command line."""


class Unexpected(pytest.fail.Exception):  # type: ignore[name-defined,misc]
    """A finding about a backend, as opposed to a failure of the suite."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the matrix."""
    group = parser.getgroup("bce-conformance", "conformance of binary cross-entropy with logits")
    many: dict[str, Any] = {"action": "append", "default": []}
    group.addoption("--backend", metavar="ID", help="backend, all or every (repeatable)", **many)
    group.addoption("--device", metavar="KIND", help="device, or all (repeatable)", **many)
    group.addoption("--dtype", choices=DTYPES, help="format of the logits (repeatable)", **many)
    group.addoption("--requirement", metavar="ID", help="requirement or family", **many)
    group.addoption("--tier", choices=list(TIERS), default="default", help="how much is tried")
    group.addoption("--seed", type=int, default=0, help="seed of all random inputs")
    group.addoption(
        "--time-limit", type=float, default=TIME_LIMIT, metavar="SECONDS", help="for one call"
    )
    group.addoption(
        "--ledger", type=Path, metavar="FILE", help="ledger of a backend (repeatable)", **many
    )
    group.addoption("--claims", metavar="LEVEL|FILE", help="what a backend of your own reaches")
    group.addoption("--memory", metavar="AMOUNT", help="for the suite's own process, as in 2GiB")
    group.addoption(
        "--isa", default="", metavar="NAME", help="instruction set that all code is held to"
    )
    group.addoption(
        "--strict-ledger", action="store_true", help="a stale entry of the ledger is an error too"
    )
    group.addoption("--results", type=Path, metavar="FILE", help="write results.json here")
    group.addoption("--resume", action="store_true", help="go on with what was left of --results")


def pytest_configure(config: pytest.Config) -> None:
    """Read the options, where the session was not handed any; nothing is started yet."""
    config.addinivalue_line("markers", "requirement(id): the requirement of SPEC.md that it checks")
    if OPTIONS not in config.stash:
        config.stash[OPTIONS] = read_options(config.option)
    config.stash[KEPT] = Kept({}, str(uuid.uuid4()), now())


def read_options(option: Namespace) -> RunOptions:
    """What the options of pytest's command line say.

    Raises:
        UsageError: one is not valid.
    """
    try:
        settings = Settings(
            tuple(option.backend),
            tuple(option.device),
            tuple(option.dtype),
            tuple(option.requirement),
            option.tier,
            option.seed,
            option.time_limit,
            tuple(option.ledger),
            memory.default_bound() if option.memory is None else memory.parse(option.memory),
            option.isa,
            option.strict_ledger,
            claimed(option.claims) if option.claims else None,
        )
    except ValueError as error:
        raise pytest.UsageError(str(error)) from error
    if option.resume and option.results is None:
        raise pytest.UsageError("--resume needs --results FILE: the journal lies beside it")
    return RunOptions(settings, option.results, option.resume)


def matrix_of(config: pytest.Config) -> Matrix:
    """The session's matrix, made when the first test asks for it.

    Raises:
        CollectError: pytest-xdist has split the session; each part would measure everything.
    """
    if hasattr(config, "workerinput"):
        raise pytest.Collector.CollectError(_IN_ONE_PROCESS)
    if MATRIX not in config.stash:
        options = config.stash[OPTIONS]
        config.stash[MATRIX] = Matrix(options.settings, options.progress)
        options.engine.prepare(config.stash[MATRIX])
    return config.stash[MATRIX]


def pytest_sessionstart(session: pytest.Session) -> None:
    """Take over what an interrupted run has measured, if that is asked for."""
    config = session.config
    options = config.stash[OPTIONS]
    if not options.resume or options.results is None:
        return
    try:
        kept = journal.read(options.results.with_name(journal.NAME))
        journal.require_same(kept, outcome.identity_of_settings(options.settings))
        matrix = matrix_of(config)
        journal.require_same(kept, outcome.identity_of_backends(matrix))
    except JournalError as error:
        raise pytest.UsageError(f"--resume: {error}") from error
    matrix.resume(kept)
    config.stash[KEPT] = kept


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """Say what is measured, with versions."""
    if MATRIX not in config.stash:
        return []
    matrix = config.stash[MATRIX]
    lines = [f"bce-conformance: tier {matrix.settings.tier}, seed {matrix.settings.seed}"]
    for backend in matrix.specs:
        info = matrix.processes.info(backend)
        text = matrix.processes.status(backend)
        if isinstance(info, BackendInfo):
            devices = ", ".join(device.kind for device in info.devices)
            text = f"{info.framework} {info.version} on {devices} ({info.instruction_set})"
            text = "; ".join([text, *info.notes])
        lines.append(f"  {backend}: {text}")
    kept = config.stash[KEPT]
    if kept.cells:
        torn = "; its last line was torn, and is left out" if kept.torn else ""
        lines.append(f"  {len(kept.cells)} cells are in the journal{torn}")
    return lines


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test a cell."""
    if "demanded_backend" in metafunc.fixturenames:
        metafunc.parametrize("demanded_backend", matrix_of(metafunc.config).demanded())
    if "place" not in metafunc.fixturenames:
        return
    requirement = _requirement(metafunc.definition)
    selected = metafunc.config.stash[OPTIONS].settings.selects(requirement)
    places = matrix_of(metafunc.config).places(requirement) if selected else []
    metafunc.parametrize("place", places, ids=["-".join(place[1:]) for place in places])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take out the tests of requirements that were not asked for, which have no place.

    Drawn calls come last: they take half of a run, and the report of all else is there before. Not
    so where memory is short: the largest sums would come while every backend is still there.
    """
    chosen = [item for item in items if not _is_placeless(item)]
    left_out = [item for item in items if _is_placeless(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
    if MATRIX in config.stash and config.stash[MATRIX].processes.ample:
        chosen.sort(key=_is_drawn)
    items[:] = chosen


def _is_placeless(item: pytest.Item) -> bool:
    return "place" in getattr(item, "fixturenames", ()) and not isinstance(
        item.callspec.params.get("place"),  # type: ignore[attr-defined]
        Place,
    )


def _is_drawn(item: pytest.Item) -> bool:
    marker = item.get_closest_marker("requirement")
    return marker is not None and requirements()[marker.args[0]].family == DRAWN


def _requirement(node: Any) -> Requirement:
    marker = node.get_closest_marker("requirement")
    if marker is None:
        raise pytest.UsageError(f"{node.nodeid} has no mark pytest.mark.requirement(…)")
    return requirements()[marker.args[0]]


@pytest.fixture
def subject(place: Place) -> Place:
    """Stands for the Subject that the check gets where it is run, ahead of pytest."""
    return place


@pytest.fixture
def matrix(request: pytest.FixtureRequest) -> Matrix:
    """The session's matrix."""
    return matrix_of(request.config)


def _check(item: pytest.Item) -> Check | None:
    """The check of a test; None where it is no test of a requirement."""
    place = item.callspec.params.get("place") if hasattr(item, "callspec") else None
    if not isinstance(item, pytest.Function) or not isinstance(place, Place):
        return None
    return Check(place, item.obj)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Begin with all checks."""
    config = session.config
    if MATRIX in config.stash and not config.option.collectonly:
        checks = [check for item in session.items if (check := _check(item))]
        matrix = config.stash[MATRIX]
        if why := matrix.processes.why_not_started(matrix.settings.backends):
            raise pytest.exit.Exception(why, returncode=pytest.ExitCode.USAGE_ERROR)
        options = config.stash[OPTIONS]
        places = [check.place for check in checks]
        _require_measurable(options, matrix, places)
        if options.results is not None:
            config.stash[JOURNAL] = _open_journal(config, matrix, options.results)
            matrix.journal = config.stash[JOURNAL]
        matrix.progress.measuring(pytest_report_collectionfinish(config), places)
        config.stash[CELLS] = options.engine.begin(matrix, checks)
        if options.so_far is not None:
            take = partial(_measured, config, matrix, interrupted=True)
            config.stash[SNAPSHOTS] = Snapshots(take, options.so_far)


def _require_measurable(options: RunOptions, matrix: Matrix, places: list[Place]) -> None:
    """Refuse a run of which nothing can be measured, or that would lose what was.

    Raises:
        pytest.UsageError: so it is; says which devices there are, or what would be lost.
    """
    if matrix.cells or any(map(matrix.is_measurable, places)):
        try:
            if options.keeps and options.results is not None:
                folder.require_none_left_out(options.results, matrix, places)
        except ValueError as error:
            raise pytest.UsageError(str(error)) from error
        return
    if not places and options.results is None:
        return  # somebody runs a test by hand that is none of a requirement
    raise pytest.UsageError(f"nothing can be measured: {matrix.why_nothing(places)}")


def _open_journal(config: pytest.Config, matrix: Matrix, results: Path) -> Journal:
    kept, path = config.stash[KEPT], results.with_name(journal.NAME)
    start_up = matrix.processes.start_up
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if config.stash[OPTIONS].resume:
            return Journal.go_on(path, kept, start_up)
        matrix.identity = outcome.identity(matrix)
        return Journal.begin(path, matrix.identity, kept.run_id, kept.started, start_up)
    except (JournalError, OSError) as error:
        raise pytest.exit.Exception(str(error), returncode=SUITE_FAILED) from error


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Wait for the cell of a test, and fail the test where the ledger says otherwise."""
    check = _check(pyfuncitem)
    if check is None:
        return None
    config = pyfuncitem.config
    try:
        cell = config.stash[CELLS].cell(check.place)
    except (JournalError, ClusterError) as error:
        raise pytest.exit.Exception(str(error), returncode=SUITE_FAILED) from error
    _settle(config.stash[MATRIX], cell)
    return True


def _settle(matrix: Matrix, cell: Cell) -> None:
    """End a test as its cell says."""
    if not matrix.settings.accepts(cell):
        known = f"{cell.known} ({cell.reason or 'no entry in the ledger'})"
        raise Unexpected(
            f"{cell.id}: {cell.verdict}, known is {known}\n  {cell.detail}\n  {cell.reproduce}",
            pytrace=False,
        )
    if cell.verdict in ("unsupported", "not measured"):
        pytest.skip(f"{cell.verdict}: {cell.detail}")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """End all processes and write what was measured, also after an interruption."""
    config = session.config
    if MATRIX not in config.stash:
        return
    matrix = config.stash[MATRIX]
    try:
        if SNAPSHOTS in config.stash:
            config.stash[SNAPSHOTS].close()
        if CELLS in config.stash:
            config.stash[CELLS].close()
        path = config.stash[OPTIONS].results
        if JOURNAL in config.stash and path is not None:
            with config.stash[JOURNAL] as kept_in:
                _finish(config, matrix, kept_in, path, exitstatus)
    finally:
        matrix.processes.close()


def _measured(config: pytest.Config, matrix: Matrix, *, interrupted: bool) -> Results:
    """What was measured so far."""
    kept, kept_in = config.stash[KEPT], config.stash.get(JOURNAL, None)
    with matrix.lock:
        return outcome.outcome(
            matrix,
            run_id=kept.run_id,
            started=kept.started,
            start_up=kept.start_up + matrix.processes.start_up,
            measuring=kept.measuring + (kept_in.measuring() if kept_in else 0.0),
            interrupted=interrupted,
            argv=sys.argv,
        )


def _finish(
    config: pytest.Config, matrix: Matrix, kept_in: Journal, path: Path, exitstatus: int
) -> None:
    """Write results.json; the journal goes when nothing is left to measure."""
    came_to_its_end = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    if not matrix.cells:
        kept_in.path.unlink(missing_ok=True)
        return
    found = _measured(config, matrix, interrupted=not came_to_its_end)
    try:
        write(replace(found, timings=timings_in(path)), path)
    except OSError as error:
        if exitstatus != SUITE_FAILED:  # else it was said of the journal
            message = f"{path} cannot be written: {error.strerror}. What was measured is in "
            message += f"{kept_in.path}: free some space, then go on with --resume"
            raise pytest.exit.Exception(message, returncode=SUITE_FAILED) from error
    else:
        if came_to_its_end and config.stash[CELLS].is_complete():
            kept_in.path.unlink()
