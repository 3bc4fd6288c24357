"""``explain`` shows any call, by its parts, as a file or inline: exact, and as returned."""

import importlib
import importlib.metadata
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from bce_conformance.backends.call_files.calls import dumps, loads
from bce_conformance.backends.calls import LossCall, LossResult
from bce_conformance.backends.isolation import process
from bce_conformance.cli import app
from bce_conformance.conformance.judging.calls import expectations, judge_call
from bce_conformance.conformance.surveying.explain import Explanation
from bce_conformance.terminal.explanation import FEW, render

runner = CliRunner()
command = importlib.import_module("bce_conformance.commands.explain")


def invoke(*arguments: str) -> tuple[int, str]:
    environment = {"COLUMNS": "200", "NO_COLOR": "1"}
    result = runner.invoke(app, ["explain", *arguments], env=environment)
    return result.exit_code, result.output


def written(folder: Path, *arguments: str) -> LossCall:
    """The call that options stand for, whether or not native evaluates such a call."""
    path = folder / "call.json"
    invoke(*arguments, f"--write={path}")
    return loads(path.read_text("utf-8"))


def test_numbers_are_a_shorthand_for_a_call(tmp_path: Path) -> None:
    call = written(
        tmp_path, "--logit=-3", "--target=0.1", "--quantity=grad_weight", "--dtype=float16"
    )
    assert (call.logits.shape, call.logits.dtype) == ((1,), np.float16)
    assert call.targets.tolist() == [np.float16(0.1)]
    assert call.weight is not None
    assert call.weight.tolist() == [1]
    assert (call.reduction, call.quantities, call.device) == ("none", ("grad_weight",), "cpu")


def test_parts_of_every_kind(tmp_path: Path) -> None:
    call = written(
        tmp_path,
        *("--logits=[[0.5, -3], [1, 0]]", "--targets=1", "--targets-dtype=bool"),
        *("--weight=[2, 3]", "--weight-dtype=int8", "--pos-weight=0x1.8p+0"),
        *("--cotangent=-0", '--tangent={"values": [[1, 2], [3, 4]], "strides": [4, 8]}'),
        *("--reduction=mean", "--quantity=jvp_logits", "--quantity=hvp_logits"),
    )
    assert call.targets.dtype == np.bool_
    assert call.targets.all()
    assert call.weight is not None
    assert (call.weight.dtype, call.weight.tolist()) == (np.int8, [2, 3])
    assert call.pos_weight is not None
    assert call.pos_weight.tolist() == [[1.5, 1.5], [1.5, 1.5]]
    assert call.cotangent is not None
    assert call.cotangent.shape == ()
    assert np.signbit(call.cotangent)
    assert call.tangent is not None
    assert call.tangent.strides == (4, 8)
    assert call.quantities == ("jvp_logits", "hvp_logits")


CALL = LossCall(
    np.array([0.5, -3, 20], np.float32),
    np.array([1, 0, 1], np.float32),
    np.full(1, 2.0),
    reduction="sum",
    quantities=("loss", "grad_logits", "grad_targets"),
)


def test_a_call_from_a_file_and_inline(tmp_path: Path) -> None:
    path = tmp_path / "call.json"
    path.write_text(dumps(CALL), "utf-8")
    code, output = invoke(f"--call={path}")
    assert code == 0, output
    assert invoke("--call", dumps(CALL, inline=True)) == (0, output)
    words = " ".join(output.split())
    assert "logits float32 [3]: 0.5, -3, 20 " in words
    assert "weight float64 [1]: 2 " in words
    assert "reduction sum" in words
    assert "exact loss 1.04532867563000471989260795635 (30 digits)" in words
    assert "grad_logits float32 [3] native, worst at [" in words
    assert words.count(" level AAA") == 3  # one a quantity
    for index in range(3):
        assert len(re.findall(rf"\[{index}\] +-?\d.* AAA", output)) == 2


def test_every_backend_that_is_named(tmp_path: Path) -> None:
    pytest.importorskip("importlib.metadata").version("torch")
    code, output = invoke("torch", "--backend=native", "--call", dumps(CALL, inline=True))
    assert code == 0, output
    for backend in ("torch", "native"):
        assert output.count(f"{backend} returned") == 5  # one a quantity, and two tables
    assert re.search(r"\[2\] +0 +-4\.1223072\d+e-9 +[\d.e+]+ +A ", output)


def test_a_call_without_an_exact_result_is_evaluated_all_the_same() -> None:
    code, output = invoke("--call", '{"logits": [1, 2], "targets": [1]}')
    assert code == 1
    assert re.search(r"exact +none: targets has shape \(1,\); it must be the shape", output)
    assert re.search("native returned +nothing: raised ValueError", output)
    integers = '{"logits": [1, 2], "targets": [1, 0], "forms": {"logits": "list"}}'
    code, output = invoke("--call", integers)
    assert code == 0, output
    assert re.search(r"native returned +loss: float\d\d \[\], \d", output)


def test_a_layout_is_told() -> None:
    document = json.dumps(
        {
            "logits": {"values": [1, 2], "strides": [-8], "readonly": True},
            "targets": {"values": [1, 0], "skew": 2},
        }
    )
    output = " ".join(invoke("--call", document)[1].split())
    assert "logits float32 [2], strides [-8], read-only: 1, 2 " in output
    assert "targets float32 [2], unaligned: 1, 0 " in output


def shown(call: LossCall, outcome: LossResult) -> str:
    wanted = expectations(call, cached=False)
    judged = {"it": judge_call(wanted, outcome)}
    explanation = Explanation(wanted, "", {"it": outcome}, judged, {"it": "1.0"})
    console = Console(width=200)
    with console.capture() as captured:
        console.print(render(call, explanation))
    return " ".join(captured.get().split())


def test_the_version_of_what_was_evaluated_is_told() -> None:
    wanted = importlib.metadata.version("bce-conformance")
    code, output = invoke("--logit=1", "--target=1")
    assert code == 0
    assert re.search(rf"native +version {re.escape(wanted)} ", output)
    document = json.loads(invoke("--logit=1", "--target=1", "--json")[1])
    assert document["backends"]["native"]["version"] == wanted


def test_what_hangs_is_told_and_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "late.py"
    file.write_text(
        "import time\n\ndef loss(logits, targets, reduction='mean'):\n    time.sleep(600)\n",
        "utf-8",
    )
    monkeypatch.setattr(command, "PATIENCE", 0.01)
    monkeypatch.setattr(process, "FUNCTION_START_LIMIT", 1.0)
    named = f"numpy::{file}:loss"
    code, output = invoke(named, "--logit=1", "--target=1", "--time-limit=0.2")
    assert code == 2
    assert f"waiting for {named}: --time-limit 0.2\n" in output
    assert "does not start: timeout: after 2 s" in output


def of_numbers(
    logit: str, target: str, dtype: str = "float32", targets: str | None = None
) -> LossCall:
    """The call that two numbers stand for."""
    given = {"logits": command.number(logit), "targets": command.number(target)}
    found: LossCall = command.call_of(given, dtype, {"targets": targets}, "none", ("loss",))
    return found


@pytest.mark.parametrize(
    ("dtype", "text", "nearest"),
    [
        ("bfloat16", "1.00390625000001", 1.0078125),  # beyond the middle by less than float32 has
        ("bfloat16", "1.00390625", 1.0),
        ("bfloat16", "1.01171875", 1.015625),
        ("float32", "1.0000000596046447754", 1 + 2.0**-23),  # likewise, and than float64 has
        ("float32", "-1.0000000596046447753", -1.0),
        ("float16", "1.000488281250000000000000000001", 1 + 2.0**-10),
        ("float16", "2.98023223876953125e-8", 0.0),  # half of the smallest number
        ("float16", "2.98023223876953126e-8", 2.0**-24),
        ("float16", "65519.99999999999999999999", 65504.0),
        ("float64", "0.1", 0.1),
        ("float32", "1e-400", 0.0),
        ("float32", "16777217", 16777216.0),
        ("bfloat16", "-0.0", -0.0),
        ("float16", "-6.5e4", -64992.0),
    ],
)
def test_a_decimal_is_rounded_once(dtype: str, text: str, nearest: float) -> None:
    call = of_numbers(text, "0", dtype)
    inline = loads(f'{{"dtype": "{dtype}", "logits": [{text}], "targets": [0]}}')
    for found in (call, inline):
        assert float(found.logits[0]) == nearest
        assert np.signbit(found.logits[0]) == np.signbit(nearest)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_infinity_and_nan_are_numbers(dtype: str) -> None:
    assert of_numbers("-inf", "0", dtype).logits.tolist() == [-np.inf]
    assert np.isnan(of_numbers("nan", "0", dtype).logits).all()


def test_a_zero_is_an_integer_and_minus_zero_none() -> None:
    call = of_numbers("20", "0", targets="int8")
    assert (call.targets.dtype, call.targets.tolist()) == (np.int8, [0])
    assert np.signbit(of_numbers("20", "-0").targets[0])


@pytest.mark.parametrize(
    "option",
    ["quantity=grad_logits", "reduction=none", "dtype=float32", "targets-dtype=int8"],
)
def test_no_option_is_ignored_beside_a_call(option: str) -> None:
    code, output = invoke("--call", dumps(CALL, inline=True), f"--{option}")
    assert code == 2
    assert f"--call is a whole call: leave out --{option.partition('=')[0]}" in output


def test_whatever_is_wrong_is_told() -> None:
    call = replace(CALL, quantities=("loss", "grad_logits", "grad_weight"))
    outcome = LossResult(
        {"loss": np.zeros(3, np.float32), "grad_weight": np.zeros(1, np.float16)},
        "cuda",
        modified=("targets",),
    )
    output = shown(call, outcome)
    assert "it returned wrong shape: loss has shape (3,) instead of (): 0, 0, 0 " in output
    assert "it returned absent: grad_logits is absent" in output
    assert "it returned wrong format: grad_weight is float16, not float64: 0 " in output
    assert "it wrong device: results are on cuda, not cpu" in output
    assert output.endswith("it inputs changed: it changed targets")


def test_of_a_large_result_the_worst_is_shown() -> None:
    x = np.linspace(-4, 4, FEW + 1, dtype=np.float32)
    call = LossCall(x, x * 0, reduction="none")
    got = expectations(call, cached=False).results["loss"].truth.nearest.copy()
    got[5] *= np.float32(1.5)
    output = shown(call, LossResult({"loss": got}))
    assert "it, worst at [5] logits -0x1.8000000000000p+0 (-1.5) targets" in output
    assert "level fails" in output
    assert "[6]" not in output
    empty = LossCall(x[:0], x[:0], reduction="none")
    assert "it returned no element, as it should" in shown(empty, LossResult({"loss": x[:0]}))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--call=nowhere.json"], "--call is 'nowhere.json': No such file"),
        (["--call={"], "Expecting property name"),
        (['--call={"logits": [1]}'], "the call has no targets"),
        (['--call={"logits": [1], "targets": [1]}', "--pos-weight=1"], "leave out --pos-weight"),
        (["--logits=[1"], "'[1' is no JSON"),
        (["--logits=[1]"], "--targets is missing"),
        (["--logits=1", "--targets=[1, 0]", "--weight=[1]", "--weight-dtype=int3"], "int3"),
        (
            [
                *("--logits=1", "--targets=1", "--weight-dtype=int8"),
                '--weight={"dtype": "int8", "values": 1}',
            ],
            "--weight-dtype is given, and a dtype in its object: give one",
        ),
        (["--logits=1", "--targets=0.5", "--targets-dtype=bool"], "is 0.5, no number of bool"),
        (["--logits=70000", "--targets=0", "--dtype=float16"], "which is beyond float16"),
        (["--logits=1e400", "--targets=0"], "1e400, which is beyond every format; infinity is"),
        (["--logits=[1e400]", "--targets=0"], "1e400, which is beyond every format; infinity is"),
        (["--logits=65520", "--targets=0", "--dtype=float16"], "which is beyond float16"),
        (["--logits=1", "--targets=0", "--quantity=jvp_logits"], "tangent is None"),
        (["--logits=1", "--targets=0", "--write=/nowhere/x.json"], "No such file"),
    ],
)
def test_misuse_exits_2(arguments: list[str], message: str) -> None:
    code, output = invoke(*arguments)
    assert code == 2, output
    assert message in " ".join(output.split())
