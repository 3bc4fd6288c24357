"""A function of each framework, in its process: values, derivatives, and what goes wrong."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from bce_conformance.backends import (
    BackendInfo,
    BackendProcess,
    Failure,
    LossCall,
    LossResult,
    installed,
    resolve,
    sibling,
)
from tests.backends.adapters.formula import formula, moderate, with_quantities

GRADIENTS = ("grad_logits", "grad_targets", "grad_weight", "grad_pos_weight")
SOFTPLUS = {
    "torch": "from torch.nn.functional import sigmoid, softplus",
    "jax": "from jax.nn import sigmoid, softplus",
    "tensorflow": "from tensorflow.nn import sigmoid, softplus",
    "paddle": "from paddle.nn.functional import sigmoid, softplus",
}
PLAIN = """
{softplus}

def loss(logits, targets):
    return (1 - targets) * softplus(logits) + targets * softplus(-logits)

class Criterion:
    def __init__(self, pos_weight=None):
        self.pos_weight = 1 if pos_weight is None else pos_weight

    def __call__(self, labels, logits):
        positive = self.pos_weight * labels * softplus(-logits)
        return (1 - labels) * softplus(logits) + positive

def raises(logits, targets, reduction="mean"):
    if logits.shape[0] > 1:
        raise ValueError("one element only")
    return logits

criterion = Criterion()

def by_hand(logits, targets):
    return loss(logits, targets)

def by_hand_backward(logits, targets, cotangent):
    near, far = sigmoid(logits), sigmoid(-logits)
    slope = (1 - targets) * near - targets * far
    return cotangent * slope, cotangent * (softplus(-logits) - softplus(logits))
"""
FRAMEWORKS = ("torch", "jax", "jax:jit", "tensorflow", "paddle")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("functions")
    for framework, softplus in SOFTPLUS.items():
        text = PLAIN.format(softplus=softplus)
        (folder / f"{framework}_losses.py").write_text(text, "utf-8")
    return folder


@pytest.fixture(scope="module")
def function(folder: Path) -> Iterator[Callable[[str, str], BackendProcess]]:
    """Return what starts the process of a function of a framework, once."""
    running: dict[str, BackendProcess] = {}

    def get(framework: str, name: str) -> BackendProcess:
        where = folder / f"{framework.partition(':')[0]}_losses.py"
        spec = resolve(f"{framework}::{where}:{name}")
        if not installed(spec):
            pytest.skip(f"{framework} is not installed")
        return running.setdefault(spec.id, BackendProcess(spec))

    yield get
    for process in running.values():
        process.close()


def require_formula(process: BackendProcess, call: LossCall) -> None:
    answer = process.evaluate(call)
    assert isinstance(answer, LossResult), answer
    for quantity in call.quantities:
        right, size = formula(call)[quantity]
        got = answer.values[quantity]
        assert got.shape == right.shape, quantity
        assert np.all(np.abs(got - right) <= 2.0**-45 * size), quantity


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_plain_function_has_everything_composed(
    function: Callable[[str, str], BackendProcess], framework: str
) -> None:
    process = function(framework, "loss")
    info = process.info()
    assert isinstance(info, BackendInfo), info
    assert info.framework == framework.partition(":")[0]
    assert info.composed == ("weight", "pos_weight", "reduction")
    assert info.notes == ("composed: weight, pos_weight, reduction",)
    directed = ("jvp_logits", "hvp_logits") if framework != "paddle" else ()
    for reduction in ("none", "mean"):
        call = moderate("float64", reduction=reduction)
        require_formula(process, with_quantities(call, "loss", *GRADIENTS, *directed))


def test_a_function_that_moves_the_framework_s_random_numbers_says_so(tmp_path: Path) -> None:
    path = tmp_path / "dropping.py"
    lines = (
        "import torch",
        "def loss(logits, targets):",
        " torch.rand(1)",
        " return logits * targets",
    )
    path.write_text("\n".join(lines), "utf-8")
    with BackendProcess(resolve(f"torch::{path}:loss")) as process:
        answer = process.evaluate(moderate("float32"))
    assert isinstance(answer, LossResult), answer
    assert answer.modified == ("torch's random numbers",)


@pytest.mark.parametrize("framework", ["torch", "jax", "tensorflow", "paddle"])
@pytest.mark.parametrize("name", ["Criterion", "criterion"])
def test_a_class_and_an_object(
    function: Callable[[str, str], BackendProcess], framework: str, name: str
) -> None:
    process = function(framework, name)
    info = process.info()
    assert isinstance(info, BackendInfo), info
    made = () if name == "Criterion" else ("pos_weight",)
    assert info.composed == ("weight", *made, "reduction")
    require_formula(process, with_quantities(moderate("float64"), "loss", *GRADIENTS))


@pytest.mark.parametrize("framework", ["torch", "jax", "tensorflow", "paddle"])
def test_a_gradient_of_ones_own_is_composed_in_the_frameworks_operations(
    function: Callable[[str, str], BackendProcess], framework: str
) -> None:
    process = function(framework, "by_hand")
    for reduction in ("none", "mean", "sum"):
        call = moderate("float64", reduction=reduction)
        require_formula(process, with_quantities(call, "loss", *GRADIENTS))
    failure = process.evaluate(with_quantities(call, "hvp_logits"))
    assert failure == Failure(
        "unsupported", "by_hand_backward is a gradient: there is no hvp_logits"
    )


def test_what_a_function_raised_has_its_line_and_its_traceback(
    function: Callable[[str, str], BackendProcess], folder: Path
) -> None:
    process = function("torch", "raises")
    failure = process.evaluate(LossCall(np.zeros(2), np.zeros(2)))
    assert isinstance(failure, Failure)
    lines = (folder / "torch_losses.py").read_text("utf-8").splitlines()
    line = next(number for number, text in enumerate(lines, start=1) if "raise " in text)
    assert failure.detail == f"ValueError: one element only (torch_losses.py, line {line})"
    assert failure.log.startswith("Traceback (most recent call last):\n  File ")
    first = failure.log.splitlines()[1]
    assert "torch_losses.py" in first, "frames of the suite itself come before the user's"
    assert failure.log.endswith("ValueError: one element only")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("lss", r"torch_losses\.py has no lss; the nearest are loss"),
        ("SOFTPLUS", r"torch_losses\.py has no SOFTPLUS; "),
    ],
)
def test_what_does_not_start_says_why(
    function: Callable[[str, str], BackendProcess], name: str, told: str
) -> None:
    failure = function("torch", name).info()
    assert isinstance(failure, Failure)
    assert re.search(told, failure.reason)
    assert not failure.reason.startswith("raised")


def test_a_module_of_the_working_directory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    with BackendProcess(resolve("torch::torch_losses:loss")) as process:
        assert isinstance(process.info(), BackendInfo), process.info()


def test_the_sibling_of_a_compiled_function_is_the_function(folder: Path) -> None:
    where = f"{folder}/jax_losses.py:loss"
    assert sibling(resolve(f"jax:jit::{where}")) == resolve(f"jax::{where}")
    assert resolve(f"jax:jit::{where}").compiles
    assert not resolve(f"torch::{folder}/torch_losses.py:loss").compiles
    assert sibling(resolve(f"torch::{folder}/torch_losses.py:loss")) is None
