"""The command line: what it prints, what it accepts, how it exits."""

import json
import re

import pytest
from typer.testing import CliRunner

from bce_conformance import __version__
from bce_conformance.backends import DTYPES, BackendSpec, builtin_backends
from bce_conformance.backends.calls import QUANTITIES
from bce_conformance.cli import app
from bce_conformance.commands import backends as commands
from bce_conformance.commands.explain import QuantityName
from bce_conformance.commands.options import DtypeName, TierName
from bce_conformance.conformance.tiers import TIERS

runner = CliRunner()


def invoke(*arguments: str) -> tuple[int, str]:
    result = runner.invoke(app, list(arguments), env={"COLUMNS": "200", "NO_COLOR": "1"})
    return result.exit_code, result.output


def test_choices_are_those_of_the_tables() -> None:
    assert tuple(TierName) == tuple(TIERS)
    assert tuple(DtypeName) == DTYPES
    assert tuple(QuantityName) == QUANTITIES


def test_version() -> None:
    assert invoke("--version") == (0, f"{__version__}\n")


def test_explain_shows_a_gradient_that_vanishes_in_torch() -> None:
    pytest.importorskip("importlib.metadata").version("torch")
    code, output = invoke(
        "explain", "torch", "--logit", "20", "--target", "1", "--quantity", "grad_logits"
    )
    assert code == 0
    assert "-2.0611536181902035814308621294" in output
    assert re.search(r"torch returned\s+-?0x0\.0p\+0", output)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--logit=0x1.8p+1", "--target=1"], "0x1.8000000000000p+1"),
        (["--logit=inf", "--target=0"], "nearest float32  inf"),
        (["--logit=nan", "--target=0"], "nearest float32  nan"),
        (["--logit=-0", "--target=0"], "-0x0.0p+0"),
        (["--logit=-3", "--target=0", "--dtype=bfloat16"], "nearest bfloat16"),
        (["--logit=1", "--target=1", "--weight=2", "--pos-weight=3"], "exact loss"),
        (["--logit=1", "--target=1", "--quantity=grad_weight"], "weight"),
        (["--logit=1", "--target=1", "--quantity=grad_pos_weight"], "pos_weight"),
        (["--logit=1", "--target=1", "--quantity=grad_targets"], "exact grad_targets"),
    ],
)
def test_explain_reads_numbers_and_quantities(arguments: list[str], expected: str) -> None:
    code, output = invoke("explain", "native", *arguments)
    assert code == 0, output
    assert expected in output
    assert "level" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope", "--logit=1", "--target=1"], "backend 'nope' is unknown"),
        (["native", "--logit=abc", "--target=1"], "'abc' is no number"),
        (["native", "--logit=1", "--target=1", "--dtype=float8"], "float8"),
        (["native", "--logit=1", "--target=1", "--quantity=grad"], "grad"),
        (["native", "--logit=1"], "--target"),
    ],
)
def test_misuse_of_explain_exits_2(arguments: list[str], message: str) -> None:
    code, output = invoke("explain", *arguments)
    assert code == 2
    assert message in " ".join(output.split())


def test_explain_on_an_absent_device_exits_1() -> None:
    code, output = invoke("explain", "native", "--logit=1", "--target=1", "--device=tpu")
    assert code == 1
    assert "no device" in output


def test_cache_is_described_and_cleared(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("BCE_CONFORMANCE_CACHE", str(tmp_path))
    (tmp_path / "compiled").mkdir()
    (tmp_path / "compiled" / "code").write_bytes(b"x" * 1000)
    code, output = invoke("cache", "info")
    assert code == 0
    assert str(tmp_path) in output
    assert "1.0 kB" in output
    code, output = invoke("cache", "clear")
    assert (code, output) == (0, "deleted 0 truths and compiled code, 1.0 kB in all\n")
    assert not (tmp_path / "compiled").exists()
    for name in ("environments", "history"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(b"x" * 3000)
    assert len(re.findall(r"(?:environments|history) +3.0 kB", invoke("cache", "info")[1])) == 2
    invoke("cache", "clear")
    assert (tmp_path / "environments" / "file").exists()
    code, output = invoke("cache", "clear", "--environments", "--history")
    told = "deleted 0 truths, compiled code, environments and history, 6.0 kB in all\n"
    assert (code, output) == (0, told)
    assert not list(tmp_path.iterdir())


def test_report_without_results_exits_2(tmp_path) -> None:
    code, output = invoke("report", str(tmp_path))
    assert code == 2
    assert "results.json" in output.replace("\n", "")


def test_explain_as_json_says_what_the_table_says() -> None:
    code, output = invoke("explain", "native", "--logit=[0.5,-3]", "--target=1", "--json")
    assert code == 0
    found = json.loads(output)
    assert found["call"]["logits"] == [0.5, -3]
    loss = found["backends"]["native"]["quantities"]["loss"]
    assert (loss["level"], loss["size"]) == ("AAA", 2)
    worst = loss["worst"]
    assert worst["got"] == worst["nearest"] or worst["ulp"] > 0.5
    assert worst["inputs"]["targets"] == "0x1.0000000000000p+0"
    assert float(worst["exact"]) == pytest.approx(float.fromhex(worst["nearest"]), rel=1e-7)


def test_explain_as_json_tells_a_failure() -> None:
    code, output = invoke("explain", "native", "--logit=[1,2]", "--target=[1,2,3]", "--json")
    assert code == 1
    found = json.loads(output)
    assert found["no_truth"]
    assert found["backends"]["native"]["failure"].startswith("raised ValueError")


def test_backends_fit_a_narrow_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    described = {
        "version": "2.13.0+cpu",
        "dtypes": DTYPES,
        "devices": [{"kind": "cpu", "name": "a processor"}],
        "instruction_set": "x86-64-v4/amd",
        "flushes": "float32 kept on cpu",
        "notes": [],
        "status": "ok",
    }
    commands.print_listed(
        [
            {"id": "torch:autocast-bfloat16", "composed": [], **described},
            {"id": "keras:tensorflow", "composed": ["weight"], **described, "dtypes": ["float32"]},
            {"id": "scipy", "status": "not installed"},
            {"id": "faulty", "status": "raised ValueError: no"},
        ]
    )
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert max(map(len, lines)) <= 80
    assert [line.split() for line in lines[1:5]] == [
        ["torch:autocast-bfloat16", "2.13.0+cpu", "all", "four"],
        ["keras:tensorflow", "2.13.0+cpu", "float32"],
        ["scipy", "not", "installed"],
        ["faulty", "does", "not", "start"],
    ]
    assert lines[5:] == [
        "faulty: raised ValueError: no",
        "on cpu (a processor): all",
        "instruction set x86-64-v4/amd: all",
        "subnormal numbers of float32 kept on cpu: all",
        "composed by the adapter, weight: keras:tensorflow",
    ]


def test_backends_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    some = [spec for spec in builtin_backends() if spec.id == "native"]
    absent = BackendSpec("absent", "absent:Adapter", distributions=("no-such-package",))
    monkeypatch.setattr(commands, "builtin_backends", lambda: [*some, absent])
    monkeypatch.setattr(commands, "entry_point_backends", list)
    code, output = invoke("backends", "--json")
    assert code == 0
    native, other = json.loads(output)
    assert (native["id"], native["status"], native["version"]) == ("native", "ok", __version__)
    assert native["dtypes"] == list(DTYPES)
    assert other == {"id": "absent", "status": "not installed"}
