"""How a user's function is called: its formats, the order and the need of its arguments."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bce_conformance.backends import LossCall
from bce_conformance.backends.adapters.functions.numpy import NumpyFunction

ELEMENTS = """
import numpy as np

def elements(x, y):
    return np.logaddexp(0, x) - x * y
"""
X = np.array([0.5, -1.0, 2.0])
Y = np.array([1.0, 0.0, 1.0])
EXACT = np.logaddexp(0, X) - X * Y

Function = Callable[..., NumpyFunction]


@pytest.fixture
def function(tmp_path: Path) -> Function:
    def write(source: str, name: str = "loss") -> NumpyFunction:
        path = tmp_path / "kernel.py"
        path.write_text(ELEMENTS + source, "utf-8")
        return NumpyFunction(f"{path}:{name}")

    return write


def values_of(adapter: NumpyFunction, **call: Any) -> Any:
    asked = LossCall(**{"logits": X, "targets": Y, "reduction": "none"} | call)
    return adapter.fetch(adapter.bind(asked)()).values


def test_weights_without_a_default_are_none_where_a_call_has_none(function: Function) -> None:
    adapter = function("""
def loss(logits, targets, weight, pos_weight, reduction):
    assert weight is None and pos_weight is None
    loss = elements(logits, targets)
    return loss if reduction == "none" else getattr(np, reduction)(loss)
""")
    assert set(adapter.info().dtypes) >= {"float32", "float64"}
    assert values_of(adapter)["loss"] == pytest.approx(EXACT)


def test_targets_come_first_where_only_their_name_says_so(function: Function) -> None:
    adapter = function("def loss(target, output):\n    return elements(output, target)\n")
    assert values_of(adapter)["loss"] == pytest.approx(EXACT)
    assert "called with the targets first, as its arguments are named" in adapter.info().notes
    for first in ("y, t", "output, target", "a, b"):
        names = first.split(", ")
        source = f"def loss({first}):\n    return elements({names[0]}, {names[1]})\n"
        assert values_of(function(source))["loss"] == pytest.approx(EXACT), first


def test_a_mean_is_known_in_whatever_format_it_is_taken(function: Function) -> None:
    adapter = function("""
def loss(logits, targets):
    if logits.dtype != np.float64:
        raise TypeError("float64 only")
    return elements(logits, targets).mean()
""")
    info = adapter.info()
    assert info.dtypes == ("float64",)
    assert "loss returns a mean alone: elements are unsupported" in info.notes


def test_the_own_gradient_of_a_dotted_name(function: Function) -> None:
    source = """
class Kernels:
    @staticmethod
    def loss(logits, targets):
        return elements(logits, targets)

    @staticmethod
    def loss_backward(logits, targets, cotangent):
        return cotangent * 7
"""
    adapter = function(source, "Kernels.loss")
    found = values_of(adapter, quantities=("grad_logits",))
    assert found["grad_logits"].tolist() == [7, 7, 7]


GRADIENT = """
def loss(logits, targets):
    return elements(logits, targets)

def loss_backward(logits, targets, cotangent):
    slope = 1 / (1 + np.exp(-logits)) - targets
    return cotangent * slope, -cotangent * logits
"""


@pytest.mark.parametrize("count", [3, 70_000, 2**18 + 1])
def test_a_mean_over_more_elements_than_its_format_holds(function: Function, count: int) -> None:
    logits = np.full(count, 0.5, np.float16)
    found = values_of(
        function(GRADIENT),
        logits=logits,
        targets=np.zeros_like(logits),
        reduction="mean",
        quantities=("grad_logits",),
        cotangent=np.float16(32768),
    )["grad_logits"]
    exact = 32768 / count / (1 + np.exp(-0.5))
    assert found.astype(float) == pytest.approx(exact, rel=2**-9)


def test_boolean_targets_and_numbers_as_weights_are_composed(function: Function) -> None:
    found = values_of(
        function(GRADIENT),
        targets=Y.astype(bool),
        weight=np.array(2.0),
        pos_weight=np.array(3.0),
        forms={"weight": "number", "pos_weight": "number"},
        quantities=("loss", "grad_logits"),
    )
    assert found["loss"] == pytest.approx(2 * np.where(Y == 1, 3, 1) * EXACT)
    slope = 2 * np.where(Y == 1, -3 / (1 + np.exp(X)), 1 / (1 + np.exp(-X)))
    assert found["grad_logits"] == pytest.approx(slope)


@pytest.mark.slow
def test_a_boolean_weight_is_a_factor_in_tensorflow(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    from bce_conformance.backends.adapters.functions.tensorflow import TensorflowFunction

    path = tmp_path / "kernel.py"
    source = "import tensorflow as tf\ndef loss(x, y): return tf.nn.softplus(x) - x * y\n"
    path.write_text(source, "utf-8")
    adapter = TensorflowFunction(f"{path}:loss")
    weight = np.array([True, False, True])
    call = LossCall(np.float32(X), np.float32(Y), weight, reduction="none")
    found = adapter.fetch(adapter.bind(call)()).values["loss"]
    assert found == pytest.approx(weight * EXACT, rel=1e-5)
