"""The ledger's commands, after runs with real processes."""

import json
import subprocess
from pathlib import Path

import pytest

from bce_conformance.conformance.ledger.reading import LEDGER
from bce_conformance.conformance.ledger.reading import read_file as ledger_file
from tests.conformance.command_line import command, environment, run


@pytest.mark.slow
def test_a_run_that_may_miss_deviations_does_not_rewrite_the_ledger(tmp_path: Path) -> None:
    """The quick tier may find a cell better than its entry says: no reason to drop the entry."""
    code, document, output = run("--backend=torch", out=tmp_path)
    assert code == 0, output
    document["cells"][0]["verdict"] = "AA"
    (tmp_path / "results.json").write_text(json.dumps(document), "utf-8")

    def ledger(verb: str) -> tuple[int, str]:
        done = subprocess.run(
            command("ledger", verb, str(tmp_path)),
            env=environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    assert ledger("check") == (0, "every cell is as the ledger says\n")
    code, output = ledger("update")
    assert code == 2
    document["run"]["tier"] = "default"
    (measured_on, *_) = ledger_file(LEDGER / "torch.toml").instruction_sets
    document["backends"][0]["instruction_set"] = measured_on
    (tmp_path / "results.json").write_text(json.dumps(document), "utf-8")
    assert ledger("check")[0] == 1


@pytest.mark.slow
def test_a_ledger_of_ones_own(tmp_path: Path) -> None:
    """Red without it; filled by an update and explained, green; on another version, reported."""
    mine = tmp_path / "ledger.toml"
    plain = ("--backend=impaired:Sloppy", "--tier=default")
    sloppy = (*plain, f"--ledger={mine}")
    assert run(*plain, out=tmp_path)[0] == 1
    update = ["ledger", "update", str(tmp_path), f"--ledger={mine}"]
    subprocess.run(command(*update), env=environment(), check=True, timeout=60)
    assert run(*sloppy, out=tmp_path)[0] == 2  # nobody said why yet
    text = mine.read_text("utf-8").replace('text = ""', 'text = "six units off"')
    mine.write_text(text, "utf-8")
    code, document, output = run(*sloppy, out=tmp_path)
    assert code == 0, output
    assert {cell["reason"] for cell in document["cells"]} == {"six units off"}
    mine.write_text(text.replace("\nA = ", "\nfails = "), "utf-8")
    code, document, output = run(*sloppy, out=tmp_path)
    assert code == 0, output
    assert "its entry is stale: 1" in " ".join(output.split())
    assert run(*sloppy, "--strict", out=tmp_path)[0] == 1
    mine.write_text(text.replace("\nA = ", "\nfails = ").replace('"1"', '"0.9"'), "utf-8")
    code, document, output = run(*sloppy, "--strict", out=tmp_path)
    assert code == 0, output
    assert all(cell["better"] for cell in document["cells"])
    assert "better than known: 1 (1 on another version)" in output


@pytest.mark.slow
def test_what_a_search_found_is_found_by_every_run(tmp_path: Path) -> None:
    mine = tmp_path / "ledger.toml"
    peak = ("--backend=impaired:WrongAtAPeak",)
    _, plain, _ = run(*peak, "--tier=default", out=tmp_path)
    code, searched, _ = run(*peak, "--tier=thorough", out=tmp_path)
    assert code == 1
    assert (plain["cells"][0]["verdict"], searched["cells"][0]["verdict"]) == ("AA", "A")
    assert searched["cells"][0]["witness"]["pool"] == "test_values.moderate"
    update = ["ledger", "update", str(tmp_path), f"--ledger={mine}"]
    subprocess.run(command(*update), env=environment(), check=True, timeout=60)
    mine.write_text(mine.read_text("utf-8").replace('text = ""', 'text = "a peak"'), "utf-8")
    for seed in (1, 2):
        known = (*peak, f"--ledger={mine}", "--overwrite", f"--seed={seed}")
        code, found, output = run(*known, "--tier=default", out=tmp_path)
        assert code == 0, output
        assert (found["cells"][0]["verdict"], found["cells"][0]["witness"]) == ("A", None)
