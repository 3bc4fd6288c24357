"""Runs that cannot be meant so: they end with 2, say why, and write over nothing."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.conformance.command_line import RIGHT, command, environment, run, verdicts


@pytest.mark.slow
def test_a_run_of_which_nothing_can_be_measured_is_misuse(tmp_path: Path) -> None:
    """A typing error, or a device that is absent: nothing that was measured is written over."""
    assert run(*RIGHT, out=tmp_path)[0] == 0
    code, document, output = run(*RIGHT, "--device=gpu", "--overwrite", out=tmp_path)
    assert code == 2
    assert "no backend has device gpu (impaired:Right has cpu)" in output
    assert verdicts(document) == {"impaired:Right": "AAA"}
    code, _, output = run(*RIGHT, "--device=cpu", "--device=cuda", "--overwrite", out=tmp_path)
    assert code == 0, output  # something was


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            ("--requirement=VAL-9", "--dtype=float32", *RIGHT),
            "no requirement that was asked for is about these formats",
        ),
        (
            ("--requirement=ANY", "--backend=jax:jit"),
            "the default tier tries none of it with these backends; --tier=thorough does",
        ),
        (
            ("--requirement=VAL-1", "--device=cuda", *RIGHT),
            "has device cuda",
        ),
    ],
)
def test_a_run_that_can_measure_nothing_says_what_can(
    tmp_path: Path, asked: tuple[str, ...], message: str
) -> None:
    done = subprocess.run(
        [*command("run", *asked), f"--out={tmp_path}"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "wrong",
    [
        ["--backend=nope"],
        ["--requirement=VAL-999"],
        ["--dtype=float8"],
        ["--tier=huge"],
        ["--time-limit=-1"],
        ["--memory=2"],
        ["--ledger=nope.toml"],
    ],
)
def test_misuse_exits_2_and_names_what_is_wrong(tmp_path: Path, wrong: list[str]) -> None:
    code, document, output = run(*RIGHT, *wrong, out=tmp_path)
    assert code == 2
    assert document == {}
    assert wrong[0].partition("=")[2] in output


@pytest.mark.parametrize(
    ("wrong", "meant"), [("--requirement=VLA-1", "VAL-1"), ("--backend=tensorfow", "tensorflow")]
)
def test_an_unknown_name_brings_the_nearest_few(tmp_path: Path, wrong: str, meant: str) -> None:
    code, _, output = run(wrong, out=tmp_path)
    assert code == 2
    assert meant in output
    told = output.partition("the nearest are ")[2].partition(";")[0]
    assert 1 <= len(told.split(", ")) <= 4
    assert len(told) < 80
    assert len(output) < 300


@pytest.mark.parametrize("command_of", ["run", "ledger check"])
def test_a_ledger_that_does_not_exist_is_misuse(tmp_path: Path, command_of: str) -> None:
    assert run(*RIGHT, out=tmp_path)[0] == 0
    done = subprocess.run(
        command(
            *command_of.split(), *([str(tmp_path)] * (command_of != "run")), "--ledger=no.toml"
        ),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "ledger no.toml does not exist" in done.stderr


@pytest.mark.parametrize(
    "smaller",
    [
        ["--tier=quick"],
        pytest.param(["--dtype=float16"], marks=pytest.mark.slow),
        pytest.param(["--backend=native"], marks=pytest.mark.slow),
        pytest.param(["--device=cuda"], marks=pytest.mark.slow),
    ],
)
def test_a_smaller_run_does_not_overwrite_a_larger_one(tmp_path: Path, smaller: list[str]) -> None:
    """The results are written as a run would, which takes no time."""
    _, document, _ = run(*RIGHT, out=tmp_path)
    document["run"]["tier"] = "default"
    (tmp_path / "results.json").write_text(json.dumps(document), "utf-8")
    before = (tmp_path / "results.json").read_bytes()
    backend = [] if smaller == ["--backend=native"] else RIGHT
    # The last one of an option counts where it takes one value.
    done = subprocess.run(
        command("run", *backend, "--requirement=VAL-1", f"--out={tmp_path}", *smaller),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "does not measure, such as VAL-1/impaired:Right/cpu/float32" in done.stderr
    assert "--out FOLDER" in done.stderr
    assert (tmp_path / "results.json").read_bytes() == before


@pytest.mark.slow
def test_a_run_of_as_much_or_more_goes_ahead(tmp_path: Path) -> None:
    assert run(*RIGHT, out=tmp_path)[0] == 0
    assert run(*RIGHT, out=tmp_path)[0] == 0
    code, document, output = run(*RIGHT, "--requirement=VAL-2", "--seed=1", out=tmp_path)
    assert code == 0, output
    assert len(document["cells"]) == 2
    assert run(*RIGHT, out=tmp_path)[0] == 2
    assert run(*RIGHT, "--overwrite", out=tmp_path)[0] == 0


def test_an_out_that_cannot_be_written_is_noticed_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, _, output = run(*RIGHT, out=tmp_path / "file")
    assert code == 2
    assert "cannot be written" in output
    assert "on cpu" not in output  # no backend was started
