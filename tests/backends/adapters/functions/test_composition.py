"""Composing is mathematically the same: every subset of arguments gives the same results."""

from itertools import chain, combinations
from pathlib import Path

import numpy as np
import pytest

from bce_conformance.backends import LossCall, LossResult, UnsupportedCall
from bce_conformance.backends.adapters.functions.numpy import NumpyFunction
from bce_conformance.backends.adapters.functions.target import TargetError
from tests.backends.adapters.formula import formula, moderate, with_quantities

OPTIONS = ("weight", "pos_weight", "reduction")
GRADIENTS = ("grad_logits", "grad_targets", "grad_weight", "grad_pos_weight")
CLOSE = 1e-13
SUBSETS = [*chain.from_iterable(combinations(OPTIONS, size) for size in range(4))]

# The loss and its gradients with everything, of which functions with less are made.
SOURCE = """
import numpy as np

def elements(x, y, w=1.0, p=1.0):
    return w * ((1 - y) * np.logaddexp(0, x) + p * y * np.logaddexp(0, -x))

def reduced(loss, reduction):
    return loss if reduction == "none" else getattr(np, reduction)(loss)

def loss({arguments}):
    w = 1.0 if weight is None else weight
    p = 1.0 if pos_weight is None else pos_weight
    return reduced(elements(logits, targets, w, p), reduction)

def sum_to(values, operand):
    shape = np.shape(operand)
    values = values.sum(tuple(range(values.ndim - len(shape))))
    axes = tuple(i for i, n in enumerate(shape) if n == 1)
    return values.sum(axes, keepdims=True)

def loss_backward({backward}):
    x, y = logits, targets
    w = 1.0 if weight is None else weight
    p = 1.0 if pos_weight is None else pos_weight
    c = cotangent * np.ones_like(x) / (x.size if reduction == "mean" else 1)
    near, far = 1 / (1 + np.exp(-x)), 1 / (1 + np.exp(x))
    each = {{
        "logits": c * w * ((1 - y) * near - p * y * far),
        "targets": c * w * (p * np.logaddexp(0, -x) - np.logaddexp(0, x)),
        "weight": sum_to(c * elements(x, y, 1.0, p), w),
        "pos_weight": sum_to(c * w * y * np.logaddexp(0, -x), p),
    }}
    return {returned}
"""
DEFAULTS = {
    "weight": "weight=None",
    "pos_weight": "pos_weight=None",
    "reduction": 'reduction="mean"',
    "cotangent": "cotangent=1.0",
}


def written(folder: Path, forward: tuple[str, ...], backward: tuple[str, ...] | None) -> str:
    """A file of functions with some of the arguments; those that are lacking are constants."""

    def arguments(names: tuple[str, ...]) -> str:
        return ", ".join(["logits", "targets", *(DEFAULTS[name] for name in names)])

    source = SOURCE.format(
        arguments=arguments(forward),
        backward=arguments(backward or ()),
        returned="each",
    )
    constants = 'weight, pos_weight, reduction, cotangent = None, None, "none", 1.0\n'
    source = constants + source
    if backward is None:
        source = source[: source.index("def loss_backward")]
    path = folder / f"losses_{'_'.join(forward)}_{backward}.py".replace("'", "").replace(" ", "")
    path.write_text(source, "utf-8")
    return f"{path}:loss"


def evaluate(adapter: NumpyFunction, call: LossCall) -> LossResult:
    return adapter.fetch(adapter.bind(call)())


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("has", SUBSETS, ids="-".join)
def test_whatever_a_function_has_the_loss_is_the_same(
    tmp_path: Path, has: tuple[str, ...], reduction: str
) -> None:
    adapter = NumpyFunction(written(tmp_path, has, None))
    info = adapter.info()
    assert info.composed == tuple(name for name in OPTIONS if name not in has)
    assert info.dtypes == ("float16", "bfloat16", "float32", "float64")
    call = moderate("float64", reduction=reduction)
    got = evaluate(adapter, call).values["loss"]
    right, _ = formula(call)["loss"]
    np.testing.assert_allclose(got, right, rtol=CLOSE)
    assert got.shape == right.shape


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("has", SUBSETS, ids="-".join)
@pytest.mark.parametrize("own", SUBSETS, ids=lambda names: f"own-{'-'.join(names)}")
def test_whatever_a_gradient_has_the_gradients_are_the_same(
    tmp_path: Path, own: tuple[str, ...], has: tuple[str, ...], reduction: str
) -> None:
    adapter = NumpyFunction(written(tmp_path, has, (*own, "cotangent")))
    call = with_quantities(moderate("float64", reduction=reduction), "loss", *GRADIENTS)
    values = evaluate(adapter, call).values
    for quantity in call.quantities:
        right, size = formula(call)[quantity]
        assert values[quantity].shape == right.shape, quantity
        assert np.all(np.abs(values[quantity] - right) <= CLOSE * size), quantity


def test_a_gradient_without_a_cotangent_is_scaled_where_that_is_the_same(tmp_path: Path) -> None:
    adapter = NumpyFunction(written(tmp_path, OPTIONS, OPTIONS))
    for reduction in ("none", "sum"):
        call = moderate("float64", reduction=reduction)
        got = evaluate(adapter, with_quantities(call, "grad_logits")).values["grad_logits"]
        right, size = formula(call)["grad_logits"]
        assert np.all(np.abs(got - right) <= CLOSE * size)
    summed = with_quantities(call, "grad_weight")
    np.testing.assert_allclose(
        evaluate(adapter, summed).values["grad_weight"], formula(call)["grad_weight"][0], rtol=1e-12
    )
    each = with_quantities(moderate("float64", reduction="none"), "grad_weight")
    with pytest.raises(UnsupportedCall, match="loss_backward gives no gradient in weight"):
        evaluate(adapter, each)


MEAN = """
import numpy as np
def loss(logits, targets):
    return np.mean(np.logaddexp(0, logits) - targets * logits)
def total(logits, targets, weight=1.0):
    return np.sum(weight * (np.logaddexp(0, logits) - targets * logits))
def odd(logits, targets, reduction="mean"):
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction is {reduction}")
    return np.asarray(0.0)
"""


@pytest.mark.parametrize(
    ("name", "reduction", "word"), [("loss", "mean", "mean"), ("total", "sum", "sum")]
)
def test_a_loss_that_is_always_reduced_has_that_reduction_alone(
    tmp_path: Path, name: str, reduction: str, word: str
) -> None:
    path = tmp_path / "losses.py"
    path.write_text(MEAN, "utf-8")
    adapter = NumpyFunction(f"{path}:{name}")
    assert adapter.info().composed == ()
    assert f"{name} returns a {word} alone: elements are unsupported" in adapter.info().notes
    call = moderate("float64", reduction=reduction)
    plain = LossCall(call.logits, call.targets, reduction=reduction)
    right = np.logaddexp(0, plain.logits) - plain.targets * plain.logits
    got = evaluate(adapter, plain).values["loss"]
    np.testing.assert_allclose(got, getattr(np, reduction)(right), rtol=1e-14)
    other = LossCall(call.logits, call.targets, reduction="none")
    with pytest.raises(UnsupportedCall, match="no argument reduction, and returns a"):
        evaluate(adapter, other)
    with pytest.raises(UnsupportedCall, match="no argument pos_weight, and returns a"):
        evaluate(adapter, LossCall(**{**vars(plain), "pos_weight": call.pos_weight}))


def test_a_reduction_that_nobody_knows_is_the_functions_own_to_refuse(tmp_path: Path) -> None:
    path = tmp_path / "losses.py"
    path.write_text(MEAN, "utf-8")
    call = LossCall(np.zeros(3), np.zeros(3), reduction="median")
    with pytest.raises(ValueError, match="reduction is median"):
        evaluate(NumpyFunction(f"{path}:odd"), call)
    with pytest.raises(UnsupportedCall, match="total has no argument reduction"):
        evaluate(NumpyFunction(f"{path}:total"), call)


@pytest.mark.parametrize(
    ("operand", "value", "error", "told"),
    [
        ("weight", np.ones((2, 3)), ValueError, r"weight has shape \(2, 3\).*shape \(3,\)"),
        ("pos_weight", np.ones(2), ValueError, r"pos_weight has shape \(2,\)"),
        ("weight", np.ones(3, complex), TypeError, "weight has dtype complex128"),
        ("pos_weight", np.array([1, None, 2], object), TypeError, "pos_weight has dtype object"),
    ],
)
def test_what_is_composed_refuses_what_is_no_factor(
    tmp_path: Path, operand: str, value: np.ndarray, error: type[Exception], told: str
) -> None:
    adapter = NumpyFunction(written(tmp_path, (), None))
    with pytest.raises(error, match=told):
        evaluate(adapter, LossCall(np.zeros(3), np.zeros(3), **{operand: value}))


def test_a_composed_weight_of_another_format_leaves_the_format(tmp_path: Path) -> None:
    adapter = NumpyFunction(written(tmp_path, (), None))
    zeros = np.zeros(3, np.float32)
    for weight in (np.full(3, 1e-30), np.array([2, 3, 4]), np.array([True, False, True])):
        call = LossCall(zeros, zeros, weight, reduction="none")
        got = evaluate(adapter, call).values["loss"]
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, weight * np.log(2), rtol=1e-6)


def test_without_a_gradient_numpy_has_none(tmp_path: Path) -> None:
    adapter = NumpyFunction(written(tmp_path, (), None))
    call = with_quantities(moderate("float64"), "grad_logits")
    with pytest.raises(UnsupportedCall, match="the file has no loss_backward"):
        evaluate(adapter, call)


def test_a_gradient_has_no_second_order(tmp_path: Path) -> None:
    adapter = NumpyFunction(written(tmp_path, OPTIONS, (*OPTIONS, "cotangent")))
    assert "gradients by loss_backward, and no second order or forward mode" in adapter.info().notes
    with pytest.raises(UnsupportedCall, match="loss_backward is a gradient"):
        evaluate(adapter, with_quantities(moderate("float64"), "hvp_logits"))


def test_a_function_that_returns_nothing_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "losses.py"
    path.write_text("def loss(logits, targets):\n    logits - targets\n", "utf-8")
    with pytest.raises(TargetError, match="TypeError: loss returned an object of type NoneType"):
        NumpyFunction(f"{path}:loss").info()
