"""docs/findings.md and README's table are those of the known defects; exports are complete."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bce_conformance.cli import app
from bce_conformance.conformance.findings.reading import defects
from bce_conformance.conformance.ledger.evidence import evidence
from bce_conformance.conformance.ledger.reading import own
from tests.findings.pages import DOCUMENTS

runner = CliRunner()
KNOWN = list(defects().values())


def invoke(*arguments: str) -> tuple[int, str]:
    result = runner.invoke(app, list(arguments), env={"COLUMNS": "80", "NO_COLOR": "1"})
    return result.exit_code, result.output


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_a_document_is_up_to_date(path: Path) -> None:
    text = path.read_text("utf-8")
    stale = f"{path.name} is stale: run python -m tests.findings --write"
    assert text == DOCUMENTS[path](text), stale


def test_each_defect_has_a_folder(tmp_path: Path) -> None:
    code, output = invoke("findings", "export", str(tmp_path))
    assert (code, output) == (0, f"{len(KNOWN)} folders in {tmp_path}\n")
    assert {path.name for path in tmp_path.iterdir()} == set(defects())
    for defect in KNOWN:
        folder = tmp_path / defect.id
        assert (folder / "reproduce.py").read_text("utf-8") == defect.script
        text = (folder / "report.md").read_text("utf-8")
        for part in (defect.title, defect.computed, defect.right, defect.source, defect.script):
            assert part in text
        assert f"`{defect.expected}`" in text
        assert f"`{defect.returned}`" in text
        assert text.count("NaN") >= defect.harm.wrong.count("useless")
        assert (defect.link or "not reported as far as we know") in text
        if defect.id != "paddle-hidden-ignore-index":
            assert "not recorded" not in text.partition("| instruction sets")[0]


def test_the_versions_are_those_of_the_framework() -> None:
    found = evidence(defects()["jax-gradient-of-log-sigmoid"], own())
    assert len(found.versions) == 1
    assert "optax" in defects()["jax-gradient-of-log-sigmoid"].backends
    assert found.alone
    assert found.levels["GRAD-1"] == "A"
    hidden = evidence(defects()["paddle-hidden-ignore-index"], own())
    assert (len(hidden.versions), hidden.levels, hidden.alone) == (1, {}, False)


def test_the_list_has_every_defect_once(tmp_path: Path) -> None:
    code, output = invoke("findings")
    assert code == 0
    assert [line for line in output.splitlines() if len(line) > 80 and "  bce" not in line] == []
    assert [output.count(f"\n{one.id}, harm") + output.startswith(one.id) for one in KNOWN] == [
        1
    ] * len(KNOWN)
    code, output = invoke("findings", "--json", "--backend", "optax")
    found = json.loads(output)
    assert [one["id"] for one in found] == [o.id for o in KNOWN if "optax" in o.backends]
    assert found[0]["harm"]["score"] == 96


def test_what_is_unknown_is_named(tmp_path: Path) -> None:
    code, output = invoke("findings", "--backend", "mxnet")
    assert code == 2
    assert "--backend is 'mxnet', of which no defect is known; known are 17, from jax to" in output
    (tmp_path / "file").write_text("")
    code, output = invoke("findings", "export", str(tmp_path / "file" / "below"))
    assert code == 2
    assert "give a folder that can be written to" in output
