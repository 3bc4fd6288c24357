"""The pytest plugin: parametrises the matrix, reports cells as tests, and writes results.json.

The checks themselves run ahead of pytest, in threads; each test waits for its own cell. The plugin
does nothing in a session that has no test of a requirement. The pytest process imports no
framework: each lives in a process of its own.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bce_conformance.backends import DTYPES, BackendInfo
from bce_conformance.backends.process import TIME_LIMIT

from . import document, ledger
from .ahead import Ahead, Check
from .cells import Cell, Place
from .matrix import Earlier, Matrix, Settings
from .progress import Progress
from .specification import Requirement, requirements
from .tiers import TIERS

MATRIX = pytest.StashKey[Matrix]()
SETTINGS = pytest.StashKey[Settings]()
EARLIER = pytest.StashKey[Earlier]()
PROGRESS = pytest.StashKey[Progress]()
STARTED = pytest.StashKey[str]()
AHEAD = pytest.StashKey[Ahead]()
BEGIN = pytest.StashKey[float]()

# hypothesis compares the state of `random` before and after a draw; meanwhile any other thread
# may have drawn from it, if only by an import. The shapes do not come from there.
_OF_ANOTHER_THREAD = (
    "ignore:Do not use the .random. module:hypothesis.errors.HypothesisDeprecationWarning"
)

_IN_ONE_PROCESS = (
    "-n is given; accepted is one process of pytest: the checks already run several backends at a "
    "time, and each process would measure all of them"
)


class Unexpected(pytest.fail.Exception):  # type: ignore[name-defined,misc]
    """A finding about a backend, as opposed to a failure of the suite."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the matrix."""
    group = parser.getgroup("bce-conformance", "conformance of binary cross-entropy with logits")
    many: dict[str, Any] = {"action": "append", "default": []}
    group.addoption("--backend", metavar="ID", help="backend, or all (repeatable)", **many)
    group.addoption("--device", metavar="KIND", help="device, such as cpu (repeatable)", **many)
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
    group.addoption(
        "--isa", default="", metavar="NAME", help="instruction set that all code is held to"
    )
    group.addoption(
        "--strict-ledger", action="store_true", help="a stale entry of the ledger is an error too"
    )
    group.addoption("--results", type=Path, metavar="FILE", help="write results.json here")


def pytest_configure(config: pytest.Config) -> None:
    """Read the options; nothing is started yet."""
    config.addinivalue_line("markers", "requirement(id): the requirement of SPEC.md that it checks")
    option = config.option
    try:
        config.stash[SETTINGS] = Settings(
            tuple(option.backend),
            tuple(option.device),
            tuple(option.dtype),
            tuple(option.requirement),
            option.tier,
            option.seed,
            option.time_limit,
            tuple(option.ledger),
            option.isa,
            option.strict_ledger,
        )
    except ValueError as error:
        raise pytest.UsageError(str(error)) from error
    config.stash[STARTED] = document.now()


def matrix_of(config: pytest.Config) -> Matrix:
    """The session's matrix, made when the first test asks for it.

    Raises:
        CollectError: pytest-xdist has split the session; each part would measure everything.
    """
    if hasattr(config, "workerinput"):
        raise pytest.Collector.CollectError(_IN_ONE_PROCESS)
    if MATRIX not in config.stash:
        settings = config.stash[SETTINGS]
        progress = config.stash.get(PROGRESS, None)
        config.stash[MATRIX] = Matrix(settings, ledger.read(settings.ledgers), progress)
        config.stash[MATRIX].resume(config.stash.get(EARLIER, Earlier()))
    return config.stash[MATRIX]


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """Say what is measured, with versions."""
    if MATRIX not in config.stash:
        return []
    matrix = config.stash[MATRIX]
    lines = [f"bce-conformance: tier {matrix.settings.tier}, seed {matrix.settings.seed}"]
    for backend in matrix.specs:
        info = matrix.info(backend)
        text = matrix.status(backend)
        if isinstance(info, BackendInfo):
            devices = ", ".join(device.kind for device in info.devices)
            text = f"{info.framework} {info.version} on {devices}"
        lines.append(f"  {backend}: {text}")
    return lines


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test a cell."""
    if "demanded_backend" in metafunc.fixturenames:
        metafunc.parametrize("demanded_backend", matrix_of(metafunc.config).demanded())
    if "place" not in metafunc.fixturenames:
        return
    requirement = _requirement(metafunc.definition)
    if not metafunc.config.stash[SETTINGS].selects(requirement):
        places: list[Place] = []
    else:
        places = matrix_of(metafunc.config).places(requirement)
    metafunc.parametrize("place", places, ids=str)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take out the tests of requirements that were not asked for, which have no place."""
    chosen = [item for item in items if not _is_placeless(item)]
    left_out = [item for item in items if _is_placeless(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = chosen


def _is_placeless(item: pytest.Item) -> bool:
    return "place" in getattr(item, "fixturenames", ()) and not isinstance(
        item.callspec.params.get("place"),  # type: ignore[attr-defined]
        Place,
    )


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
    return Check(_requirement(item), place, item.obj)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Begin with all checks."""
    config = session.config
    if MATRIX in config.stash and not config.option.collectonly:
        config.addinivalue_line("filterwarnings", _OF_ANOTHER_THREAD)
        checks = [check for item in session.items if (check := _check(item))]
        config.stash[BEGIN] = time.monotonic()
        matrix = config.stash[MATRIX]
        cells = Counter(check.place.backend for check in checks)
        matrix.progress.measuring(pytest_report_collectionfinish(config), cells)
        config.stash[AHEAD] = Ahead(matrix, checks)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Wait for the cell of a test, and fail the test where the ledger says otherwise."""
    check = _check(pyfuncitem)
    if check is None:
        return None
    config = pyfuncitem.config
    _settle(config.stash[MATRIX], config.stash[AHEAD].cell(check.requirement, check.place))
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
        if AHEAD in config.stash:
            config.stash[AHEAD].close()
        if config.option.results is not None and matrix.cells:
            results = document.document(
                matrix,
                started=config.stash[STARTED],
                measuring=time.monotonic() - config.stash.get(BEGIN, time.monotonic()),
                interrupted=exitstatus == pytest.ExitCode.INTERRUPTED,
                argv=sys.argv,
            )
            document.write(results, config.option.results)
    finally:
        matrix.close()
