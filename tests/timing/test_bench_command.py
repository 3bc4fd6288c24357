"""``bce-conformance bench``: what it writes, and what it refuses."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bce_conformance.backends.measuring import real_time as priority
from bce_conformance.cli import app
from bce_conformance.commands.bench import bench
from bce_conformance.conformance.running.folder import held
from bce_conformance.results.reading import from_document, read, timings_in
from bce_conformance.results.writing import write
from bce_conformance.timing import unpaired_goals
from bce_conformance.timing.goals import NAME
from bce_conformance.timing.unpaired_goals import START

FAST = "faulty:Echo"
runner = CliRunner()


def invoke(*arguments: str) -> tuple[int, str]:
    result = runner.invoke(app, ["bench", *arguments], env={"COLUMNS": "120", "NO_COLOR": "1"})
    return result.exit_code, result.output


def test_bench_writes_results_and_keeps_the_run_that_is_there(tmp_path, document_of_a_run) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps(document_of_a_run), "utf-8")
    arguments = ("--backend", FAST, "--size", "32", "--rounds", "1", "--out", str(tmp_path))
    code, output = invoke(*arguments)
    assert code == 0, output
    assert "forward · float32 · 32" in output
    assert "A/A" in output
    found = read(path)
    assert found.run.id == document_of_a_run["run"]["id"]
    assert len(found.cells) == len(document_of_a_run["cells"])
    assert found.timings is not None
    assert {row.series for row in found.timings.measurements} == {FAST, f"{FAST} again"}
    assert (tmp_path / "report.html").read_text("utf-8").count('id="timing-chart"') == 1
    # A run of the matrix into the same folder keeps the timings.
    write(replace(from_document(document_of_a_run), timings=timings_in(path)), path)
    assert read(path).timings == found.timings


def test_a_size_or_backend_given_twice_is_measured_once(tmp_path: Path) -> None:
    twice = ("--backend", FAST, "--size", "32") * 2
    code, output = invoke(*twice, "--rounds", "1", "--out", str(tmp_path))
    assert code == 0, output
    timings = read(tmp_path / "results.json").timings
    assert timings is not None
    assert len(timings.measurements) == len(set(timings.measurements))


def test_a_folder_that_a_run_holds_is_refused(tmp_path: Path) -> None:
    with held(tmp_path):
        code, output = invoke("--backend", FAST, "--size", "32", "--out", str(tmp_path))
    assert code == 2
    assert "is being written by another run; choose another folder" in output


def test_goals_go_into_a_file_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpaired_goals, "measure", lambda process: iter(()))
    sizes = ("--size", "32", "--rounds", "1")
    code, output = invoke("--backend", "native", *sizes, "--out", str(tmp_path))
    assert code == 0, output
    verdicts = {
        goal["goal"]: goal["verdict"]
        for goal in json.loads((tmp_path / NAME).read_text("utf-8"))["goals"]
    }
    assert verdicts[START] == "not measured"
    assert verdicts["forward · float32 · 32: µs a call"] in ("met", "missed")
    assert "goals of the native implementation" in output
    assert "not measured" not in output.partition("goals of the native")[2].partition("more")[0]
    assert re.search(r"\d+ more were not measured: goals\.json has them", output)
    assert "goals" not in json.loads((tmp_path / "results.json").read_text("utf-8"))["timings"]


def test_bench_alone_writes_a_report_without_cells(tmp_path) -> None:
    arguments = ("--backend", FAST, "--size", "32", "--rounds", "1", "--out", str(tmp_path))
    assert invoke(*arguments)[0] == 0
    assert read(tmp_path / "results.json").cells == ()
    result = runner.invoke(app, ["ledger", "check", str(tmp_path)])
    assert result.exit_code == 2
    assert "timings only" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--backend", "nope"], "backend 'nope' is unknown"),
        (["--size", "33"], "size is 33; accepted are multiples of 8"),
        (["--rounds", "0"], "--rounds"),
    ],
)
def test_misuse_exits_2(arguments: list[str], message: str) -> None:
    code, output = invoke(*arguments)
    assert code == 2
    assert message in " ".join(output.split())


@pytest.mark.slow
def test_another_device_is_measured_where_there_is_one(tmp_path) -> None:
    backends = ("--backend", "native", "--backend", "faulty:OnCuda")
    arguments = (*backends, "--device", "cuda", "--size", "1000000", "--rounds", "2")
    code, output = invoke(*arguments, "--out", str(tmp_path))
    assert code == 0, output
    assert "cuda · cold cache" in output
    timings = read(tmp_path / "results.json").timings
    assert timings is not None
    assert not (tmp_path / NAME).exists()
    assert timings.others is not None
    status = {row.series: row.status for row in timings.measurements}
    assert status["native"] == "unsupported: no device cuda"
    rows = [row for row in timings.measurements if row.series != "native"]
    assert {row.series for row in rows} == {"faulty:OnCuda", "faulty:OnCuda again"}
    assert {(row.device, row.status) for row in rows} == {("cuda", "ok")}
    assert {row.cache for row in rows if row.group == "sizes"} == {"warm", "cold"}
    # The cold ones have thrown 128 MB through the cache, which is not in their time.
    assert all(row.seconds is not None and row.seconds < 0.005 for row in rows)


def test_a_device_that_nobody_has_is_named(tmp_path) -> None:
    arguments = ("--backend", "native", "--size", "32", "--device", "cuda", "--out", str(tmp_path))
    code, output = invoke(*arguments)
    assert code == 1
    assert "nothing was measured: unsupported: no device cuda" in output


def test_real_time_that_is_not_permitted_is_misuse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(priority, "permitted", lambda: False)
    code, output = invoke("--backend", FAST, "--real-time")
    assert code == 2
    assert "CAP_SYS_NICE" in output


def test_a_named_backend_that_does_not_start_is_misuse(tmp_path) -> None:
    arguments = ("--backend", "faulty:NotInstalled", "--size", "32", "--out", str(tmp_path))
    code, output = invoke(*arguments)
    assert code == 2
    assert "backend faulty:NotInstalled does not start: raised ModuleNotFoundError" in output
    assert not (tmp_path / "results.json").exists()


def test_the_command_says_what_it_does() -> None:
    assert bench.__doc__ is not None
    assert runner.invoke(app, ["bench", "--help"]).exit_code == 0
