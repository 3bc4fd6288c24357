"""The engine of a cluster, with a client that needs none: what is lost, fails or differs."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bce_conformance.backends import BackendInfo
from bce_conformance.conformance.cluster import ClusterError
from bce_conformance.conformance.distributing.cluster import CellError, Distributed
from bce_conformance.conformance.distributing.on_worker import (
    Answer,
    Asked,
    Finished,
    code_digest,
    end,
)
from bce_conformance.conformance.running.matrix import Matrix
from bce_conformance.conformance.running.progress import Progress, Spent
from bce_conformance.conformance.running.scheduler import Cells, Check
from bce_conformance.conformance.settings import Settings
from bce_conformance.results.cells import Cell, Place
from bce_conformance.results.model import Flushes, Host, Probed
from tests.clusters import Client

INFO = BackendInfo("native", "native", "1", instruction_set="x86-64-v3/intel")
HOST = Host("a processor", 2, 1 << 30, "an os", "3.11")
PLACES = [Place(f"RED-{number}", "native", "cpu", "float32") for number in range(1, 9)]
PROBED = Probed("native", "cpu", "float32")
CURVE = ("native", "cpu", "float32", "loss", "0")
SETTINGS = Settings(backends=("native",))


def answer(batch: tuple[Place, ...] = (), **more: Any) -> Answer:
    cells = {
        place: Finished(
            Cell(*place, "AAA", True, "", 1, "searched", None, None, "", ""),
            {CURVE: {number: (float(number), 1.0)}},
            Spent(2.0, 1.0),
        )
        for number, place in enumerate(batch)
    }
    flushes = {PROBED: Flushes(False, True)} if batch else {}
    return replace(Answer("one", code_digest(), HOST, INFO, cells, flushes), **more)


Answered = Callable[[tuple[Place, ...]], Answer | Exception]


def begun(answered: Answered) -> tuple[Matrix, Cells, Client]:
    """All cells measured; the first question only describes the backend."""

    def told(number: int, asked: Asked, what: Any, batch: Any = ()) -> Answer | Exception:
        assert asked.settings().backends == ("native",)
        assert what == ((code_digest(), INFO) if batch else "native")
        return answered(batch) if batch else answer()

    client = Client(told)
    engine = Distributed(client, SETTINGS, Progress(), limit=0.01)
    matrix = Matrix(SETTINGS)
    engine.prepare(matrix)
    cells = engine.begin(matrix, [Check(place, lambda subject: None) for place in PLACES])
    for future in cells.coming.values():
        future.exception(timeout=10)
    cells.close()
    return matrix, cells, client


def test_finished_cells_come_back_with_all_that_belongs_to_them() -> None:
    matrix, cells, client = begun(answer)
    assert cells.is_complete()
    assert list(matrix.cells) == [cells.cell(place).place for place in PLACES] == PLACES
    assert matrix.flushes == {PROBED: Flushes(False, True)}
    assert [curve.target for curve in matrix.curves.curves()] == ["0"]
    assert matrix.processes.info("native") == INFO
    assert matrix.host == HOST
    assert client.told == [end]


def test_a_batch_that_ends_its_workers_is_a_failure_of_the_suite_and_the_others_go_on() -> None:
    distributed = pytest.importorskip("distributed")

    def deadly(batch: tuple[Place, ...]) -> Answer | Exception:
        return distributed.KilledWorker("task", None, 3) if PLACES[2] in batch else answer(batch)

    matrix, cells, _ = begun(deadly)
    assert 0 < len(matrix.cells) < len(PLACES)
    assert not cells.is_complete()
    with pytest.raises(CellError, match="lost: 4 workers ended while they evaluated it"):
        cells.cell(PLACES[2])


def test_a_check_that_fails_is_a_failure_of_the_suite_with_its_traceback() -> None:
    def failing(batch: tuple[Place, ...]) -> Answer:
        right = answer(batch)
        failed = {place: "Traceback: x" for place in batch if place == PLACES[0]}
        return replace(right, cells={**right.cells, **failed})

    matrix, cells, _ = begun(failing)
    assert list(matrix.cells) == PLACES[1:]
    with pytest.raises(CellError, match="Traceback: x"):
        cells.cell(PLACES[0])


OTHERS = {
    "differ: one has version 2, another version 1; use": {"info": replace(INFO, version="2")},
    "one has instruction_set x86-64-v4/amd, another instruction_set x86-64-v3/intel": {
        "info": replace(INFO, instruction_set="x86-64-v4/amd")
    },
    "one has status not installed": {"info": None},
    "has other code, of digest abc instead of": {"code": "abc"},
}


@pytest.mark.parametrize("message", OTHERS)
def test_workers_that_differ_end_the_run_and_add_nothing_to_it(message: str) -> None:
    def differing(batch: tuple[Place, ...]) -> Answer:
        return answer(batch) if PLACES[0] in batch else answer(**OTHERS[message])

    matrix, cells, _ = begun(differing)
    assert 0 < len(matrix.cells) < len(PLACES)
    with pytest.raises(ClusterError, match=message):
        cells.cell(PLACES[-1])


def test_a_worker_that_fails_ends_the_run() -> None:
    matrix, cells, _ = begun(lambda batch: ValueError("no such thing"))
    assert not matrix.cells
    with pytest.raises(ClusterError, match="a worker of tcp://there:8786 failed: no such thing"):
        cells.cell(PLACES[0])


def test_the_results_name_the_processors_of_all_machines() -> None:
    hosts = iter([HOST, HOST, replace(HOST, cpu="another")])
    matrix, _, _ = begun(lambda batch: answer(batch, host=next(hosts, HOST)))
    assert matrix.host == replace(HOST, cpu="a processor and another")
