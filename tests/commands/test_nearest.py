"""A wrong id is answered with the right one wherever an id is taken; every example is accepted."""

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from bce_conformance.cli import app
from bce_conformance.terminal.help import EXAMPLES

TESTS = Path(__file__).parents[1]
ZERO = "--logit=0 --target=0"
WRONG = {
    "rnu": "run",
    "findings exprot x": "export",
    "cache claer": "clear",
    "run --bakend=torch": "--backend",
    "run --backend=torhc": "torch",
    "run --backend=torch:complie": "torch:compile",
    "run --backend=torch@ias=x86-64-v3": "isa=",
    "run --backend=torch::math:sqr": "sqrt",
    "run --backend=torhc::math:sqrt": "torch",
    "run --requirement=VLA-1": "VAL-1",
    "run --requirement=val": "VAL",
    "run --requirement=GRD": "GRAD",
    "run --dtype=flot32": "perhaps float32 is meant",
    "run --tier=quik": "perhaps quick is meant",
    "run --device=gpu --backend=impaired:Right": "a GPU of NVIDIA is cuda",
    "run --isa=avx2": "perhaps x86-64-v3 is meant",
    "run --ledger=leger.toml": "there is ledger.toml",
    "run --backend=torch::math:sqrt --claims=AA --dtypes=flot32": "float32",
    "run --backend=torch::math:sqrt --claims=AA --without=second-ordr": "second-order",
    f"explain torhc {ZERO}": "torch",
    f"explain impaired:Right {ZERO} --quantity=grad_logit": "perhaps grad_logits is meant",
    f"explain impaired:Right {ZERO} --reduction=maen": "perhaps mean is meant",
    f"explain impaired:Right {ZERO} --targets-dtype=flot32": "perhaps float32 is meant",
    f"explain numpy::numpy:add {ZERO} --device=cdua": "perhaps cuda is meant",
    "explain native --call=cal.json": "there is call.json",
    "sweep torhc": "torch",
    "sweep native --quantity=los": "perhaps loss is meant",
    "sweep native --dtype=float16 --targets=unti": "perhaps unit is meant",
    "sweep native --isa=x86-64-vv2": "perhaps x86-64-v2 is meant",
    "sweep native --status --out=swpet": "there is swept",
    "reproduce GRDA-3/torch/cpu/float32": "GRAD-3",
    "reproduce GRAD-3/torhc/cpu/float32": "torch",
    "reproduce GRAD-3/torch/cpu/flot32": "float32",
    "reproduce torch-gradient-saturates": "bce-conformance findings torch-gradient-saturates",
    "findings --backend=torhc": "torch",
    "findings torch-gradient-saturate": "torch-gradient-saturates",
    "findings mesaured": "there is measured",
    "report mesaured": "there is measured",
    "report measured --format=htlm": "perhaps html is meant",
    "compare measured torhc": "torch",
    "compare torhc torch": "torch",
    "bench --backend=torhc": "torch",
    "bench --backend=numpy::numpy:add --device=gpu --size=32 --rounds=1": "a GPU of NVIDIA is cuda",
    "history torhc": "torch",
    "history torch VLA": "VAL",
    "history native": "which has no releases",
    "ledger check mesaured": "there is measured",
    "ledger check measured --ledger=leger.toml": "there is ledger.toml",
    "ledger update mesaured": "there is measured",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("measured", "swept"):
        (tmp_path / name).mkdir()
    for name in ("ledger.toml", "call.json"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(TESTS / "conformance")])
    return tmp_path


@pytest.mark.parametrize("line", WRONG)
@pytest.mark.usefixtures("folder")
def test_a_wrong_id_is_answered_with_the_right_one(line: str) -> None:
    done = CliRunner().invoke(app, shlex.split(line), env={"COLUMNS": "300", "NO_COLOR": "1"})
    told = " ".join(done.stderr.split())
    assert done.exit_code in (1, 2), done.output
    assert done.exit_code == 2 or "--device" in line
    assert WRONG[line] in told, done.output
    assert "Traceback" not in done.output


def named(command: Any, words: tuple[str, ...] = ()) -> dict[str, Any]:
    """The commands below one, by what is typed."""
    below = getattr(command, "commands", {})
    if not below:
        return {" ".join(words): command}
    return {
        name: one for word, sub in below.items() for name, one in named(sub, (*words, word)).items()
    }


COMMANDS = named(typer.main.get_command(app))


def test_every_command_has_examples() -> None:
    assert set(COMMANDS) == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_are_shown_and_are_accepted(name: str) -> None:
    shown = CliRunner().invoke(app, [*name.split(), "--help"]).output
    for arguments in EXAMPLES[name]:
        typed = f"  bce-conformance {name.removesuffix(' list')} {arguments}".rstrip()
        assert typed in shown.splitlines()
        COMMANDS[name].make_context(name, shlex.split(arguments))  # raises what is misuse


def test_examples_are_shown_to_whoever_runs_the_package_by_its_name() -> None:
    line = [sys.executable, "-m", "bce_conformance", "findings", "export", "--help"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: bce-conformance findings export ")
    assert f"bce-conformance findings export {EXAMPLES['findings export'][0]}" in done.stdout


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("run --backend tor", {"torch", "torch:compile"}),
        ("run --requirement GRAD-2", {"GRAD-2", "GRAD-20"}),
        ("explain opt", {"optax", "optax:jit"}),
        ("sweep nat", {"native"}),
        ("hunt nat", {"native"}),
        ("findings list torch-grad", {"torch-gradient-saturates"}),
        ("history jax VA", {"VAL", "VAL-1"}),
        ("run --dtype float", {"float16", "float32", "float64"}),
    ],
)
def test_the_shell_completes_names(typed: str, offered: set[str]) -> None:
    words = f"bce-conformance {typed}"
    environment = {
        "_BCE_CONFORMANCE_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    done = CliRunner().invoke(app, [], env=environment, prog_name="bce-conformance")
    assert offered <= set(done.output.split()), done.output
