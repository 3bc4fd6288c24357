"""Exact results and bounds of any call, against their definitions evaluated element by element."""

from dataclasses import replace
from itertools import product
from math import log2, prod
from typing import Any

import ml_dtypes
import mpmath
import numpy as np
import pytest

from bce_conformance.backends.calls import QUANTITIES, Array, LossCall
from bce_conformance.conformance.inputs.bounds import Bounds, bounds_for
from bce_conformance.conformance.inputs.inputs import Inputs
from bce_conformance.conformance.inputs.truths import plain, result_format, result_shape, truth_of
from bce_conformance.reference import FLOAT32
from bce_conformance.reference.verify import formula

DIGITS = 60
# Logits, and the weights that broadcast to them.
SHAPES = (
    ((), ()),
    ((1,), ()),
    ((3,), (1,)),
    ((2, 3), (3,)),
    ((2, 3), (2, 1)),
    ((2, 3), (1, 1)),
    ((2, 3), (2, 3)),
    ((2, 3, 2), (3, 1)),
    ((2, 1, 2), (1, 1, 2)),
)
REDUCTIONS = ("none", "sum", "mean")


def a_call(shape: tuple[int, ...], broadcast: tuple[int, ...], reduction: str) -> LossCall:
    """A call with every operand, each in a format of its own."""
    rng = np.random.default_rng([len(shape), len(broadcast), REDUCTIONS.index(reduction)])
    size = shape if reduction == "none" else ()
    return LossCall(
        np.asarray(rng.normal(size=shape) * 4, np.float32),
        np.asarray(rng.choice([0, 1, 0.25, 0.7], shape), np.float64),
        np.asarray(rng.uniform(0.25, 4, broadcast[::-1] if broadcast == (1, 1) else broadcast)),
        np.asarray(rng.uniform(0.25, 4, broadcast), ml_dtypes.bfloat16),
        reduction,
        QUANTITIES,
        np.asarray(rng.normal(size=size) * 3, np.float16),
        np.asarray(rng.normal(size=shape) * 3, np.float32),
    )


def at(operand: Array | None, shape: tuple[int, ...], index: tuple[int, ...]) -> mpmath.mpf:
    """The entry of an operand that an element has; 1 without the operand."""
    if operand is None:
        return mpmath.mpf(1)
    return mpmath.mpf(float(np.broadcast_to(operand, shape)[index]))


def derivative(quantity: str, x: float, y: float, w: float, p: float) -> mpmath.mpf:
    names = {"jvp_logits": "grad_logits", "hvp_logits": "hess_logits"}
    value = formula.FORMULAS[names.get(quantity, quantity)](x, y, w, p)
    return mpmath.mpf(value)


def scale(quantity: str, x: float, w: float, p: float) -> float:
    """S of one element, as the table of SPEC.md has it, without cotangent and tangent."""
    s = 1.0
    s *= abs(w) if quantity != "grad_weight" else 1
    s *= max(1, abs(p)) if quantity != "grad_pos_weight" else 1
    logits = quantity in ("grad_logits", "jvp_logits", "hvp_logits")
    return s if logits else s * max(1, abs(x))


def brute_force(call: LossCall, quantity: str) -> tuple[dict, dict, dict]:
    """Exact value, S and number of terms of each result, by its index."""
    exact: dict[tuple[int, ...], mpmath.mpf] = {}
    scales: dict[tuple[int, ...], float] = {}
    terms: dict[tuple[int, ...], int] = {}
    shape, target = call.logits.shape, result_shape(call, quantity)
    for index in product(*map(range, shape)):
        x, y, w, p = (
            at(operand, shape, index)
            for operand in (call.logits, call.targets, call.weight, call.pos_weight)
        )
        factor = mpmath.mpf(1)
        if quantity not in ("loss", "jvp_logits"):
            factor *= at(call.cotangent, shape, index)
        if quantity in ("jvp_logits", "hvp_logits"):
            factor *= at(call.tangent, shape, index)
        if call.reduction == "mean":
            factor /= prod(shape)
        trailing = index[len(shape) - len(target) :]
        key = tuple(0 if n == 1 else i for i, n in zip(trailing, target, strict=True))
        exact[key] = exact.get(key, mpmath.mpf(0)) + factor * derivative(quantity, x, y, w, p)
        scales[key] = scales.get(key, 0) + abs(float(factor)) * scale(quantity, x, w, p)
        terms[key] = terms.get(key, 0) + 1
    return exact, scales, terms


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("shape", "broadcast"), SHAPES)
def test_every_quantity_under_every_reduction_and_broadcast(
    shape: tuple[int, ...], broadcast: tuple[int, ...], reduction: str
) -> None:
    call = a_call(shape, broadcast, reduction)
    with mpmath.workdps(DIGITS):
        for quantity in QUANTITIES:
            exact, scales, terms = brute_force(call, quantity)
            truth, bounds = truth_of(call, quantity), bounds_for(call, quantity)
            assert truth.format is result_format(call, quantity)
            assert truth.nearest.dtype == truth.format.dtype
            assert truth.nearest.shape == result_shape(call, quantity) == bounds.scale.shape
            assert truth.nearest.size == len(exact)
            for index, value in exact.items():
                assert abs(truth.exact(index) - value) <= abs(value) * mpmath.mpf(10) ** -45
                off = (value - float(truth.nearest[index])) / float(truth.ulp[index])
                assert abs(off) <= 0.5
                assert float(off) == pytest.approx(float(truth.offset[index]), abs=2.0**-10)
                assert np.exp2(bounds.scale[index]) == pytest.approx(scales[index], rel=1e-12)
                assert bounds.terms == terms[index]
                assert bounds.growth == 1 + log2(terms[index])


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_the_larger_term_is_that_of_the_difference(reduction: str) -> None:
    call = a_call((2, 3), (3,), reduction)
    for quantity in QUANTITIES:
        larger = bounds_for(call, quantity).larger_term
        if quantity not in ("grad_logits", "grad_targets"):
            assert larger is None
            continue
        assert larger is not None
        with mpmath.workdps(DIGITS):
            for index in product(range(2), range(3)):
                x, y, w, p, c = (
                    at(operand, (2, 3), index)
                    for operand in (
                        call.logits,
                        call.targets,
                        call.weight,
                        call.pos_weight,
                        call.cotangent,
                    )
                )
                terms = {
                    "grad_logits": ((1 - y) * formula.sigmoid(x), p * y * formula.sigmoid(-x)),
                    "grad_targets": (formula.softplus(x), p * formula.softplus(-x)),
                }[quantity]
                expected = float(max(terms) * w * abs(c) / (6 if reduction == "mean" else 1))
                if quantity == "grad_logits" and y in (0, 1):
                    expected = 0.0
                assert np.exp2(larger[index]) == pytest.approx(expected, rel=1e-12)


def test_a_gradient_by_a_backward_pass_is_that_of_the_gradient_along_the_tangent() -> None:
    call = replace(a_call((2, 3), (2, 3), "none"), cotangent=None, autograd="twice")
    kinds = {"logits": "hess_logits"}
    for name in ("logits", "targets", "weight", "pos_weight"):
        quantity = f"grad_{name}"
        truth, bounds = truth_of(call, quantity), bounds_for(call, quantity)
        assert truth.format.name == getattr(call, name).dtype.name
        assert (bounds.larger_term is None) == (name != "weight")
        for index in product(range(2), range(3)):
            operands = call.logits, call.targets, call.weight, call.pos_weight, call.tangent
            with mpmath.workdps(DIGITS):
                x, y, w, p, t = (at(operand, (2, 3), index) for operand in operands)
                exact = formula.FORMULAS[kinds.get(name, f"hess_logits_{name}")](x, y, w, p) * t
                assert truth.nearest[index] == np.dtype(truth.format.dtype).type(float(exact))
                scale = abs(t) * (1 if name == "weight" else w)
                scale *= 1 if name == "pos_weight" else max(1, p)
                assert np.exp2(bounds.scale[index]) == pytest.approx(float(scale), rel=1e-12)
                terms = (1 - y) * formula.sigmoid(x), p * y * formula.sigmoid(-x)
                if bounds.larger_term is not None and y not in (0, 1):
                    larger = float(max(terms) * abs(t))
                    assert np.exp2(bounds.larger_term[index]) == pytest.approx(larger, rel=1e-12)


@pytest.mark.parametrize(
    "changed",
    [
        {"reduction": "sum"},
        {"tangent": None, "quantities": ("grad_weight",)},
        {"weight": np.ones(3)},
        {"cotangent": np.ones((2, 3))},
    ],
)
def test_a_backward_pass_needs_a_tangent_and_full_operands(changed: dict[str, Any]) -> None:
    call = replace(a_call((2, 3), (2, 3), "none"), cotangent=None, autograd="twice")
    with pytest.raises(
        ValueError, match="'twice': grad_weight takes reduction none, a tangent, no"
    ):
        truth_of(replace(call, **changed), "grad_weight")


def test_the_larger_term_survives_a_product_that_underflows() -> None:
    """p·y is 1e-360 here, and (1 − y)·σ(x) 1e-391: the former is the larger."""
    x, y, p = (np.array([value]) for value in (-900.0, 1e-180, 1e-180))
    larger = bounds_for(LossCall(x, y, None, p, "none"), "grad_logits").larger_term
    assert larger is not None
    assert larger[0] == pytest.approx(-360 * log2(10))


def test_what_is_infinite_and_exact_leaves_room_for_the_rest_of_a_sum() -> None:
    x = np.array([np.inf, 2.0, -np.inf, np.inf], np.float32)
    y = np.array([1, 0, 0, 1], np.float32)
    w = np.array([1, 3, 1, 0], np.float32)
    call = LossCall(x, y, w, None, "sum")
    bounds = bounds_for(call, "loss")
    assert np.exp2(bounds.scale) == pytest.approx(2 * 3)
    assert bounds.terms == 4
    column = LossCall(x.reshape(2, 2), y.reshape(2, 2), np.ones((2, 1), np.float32), None, "none")
    scales = np.exp2(bounds_for(column, "grad_weight").scale)
    assert scales.ravel().tolist() == pytest.approx([2, 0])
    assert np.isinf(bounds_for(LossCall(x, y, None, None, "none"), "loss").scale[0])


def test_nothing_has_truths_and_bounds() -> None:
    x = np.zeros((0, 3), np.float32)
    for reduction, empty in (("none", []), ("sum", 0.0), ("mean", np.nan)):
        p = np.ones(3, np.float32)
        call = LossCall(x, x, None, p, reduction, ("loss",), tangent=x)
        for quantity in ("loss", "jvp_logits"):
            expected = np.zeros((0, 3)) if reduction == "none" else np.array(empty)
            truth = truth_of(call, quantity)
            assert np.array_equal(truth.nearest, expected, equal_nan=True)
            assert bounds_for(call, quantity).scale.shape == expected.shape
        for quantity in ("grad_logits", "grad_targets", "hvp_logits"):
            assert truth_of(call, quantity).nearest.shape == (0, 3)
        assert truth_of(call, "grad_pos_weight").nearest.tolist() == [0, 0, 0]
        assert bounds_for(call, "grad_pos_weight").scale.tolist() == [-np.inf] * 3


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.bool_])
def test_what_is_no_floating_format_has_no_gradient(dtype: type) -> None:
    x, w = np.zeros(2, np.float32), np.ones(2, dtype)
    call = LossCall(x, x, w, w)
    assert truth_of(call, "grad_logits").format is FLOAT32
    for name in ("weight", "pos_weight"):
        with pytest.raises(ValueError, match=rf"{name} has dtype .*, in which there is no grad_"):
            truth_of(call, f"grad_{name}")
    with pytest.raises(ValueError, match=r"logits has dtype .*, in which there is no loss"):
        truth_of(LossCall(w, x), "loss")


def test_swapped_bytes_are_the_same_numbers() -> None:
    x = np.array([0.5, -2], np.float32)
    truth = truth_of(LossCall(x.astype(">f4"), x.astype(">f4"), reduction="none"), "grad_targets")
    assert truth.nearest.dtype == np.dtype(np.float32)
    assert truth.nearest.dtype.isnative
    assert np.array_equal(truth.nearest, -x)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, "none"),
        ({"name": "loss"}, "none"),
        ({"reduce": None, "size_average": None}, "none"),
        ({"reduce": False}, "none"),
        ({"reduce": False, "size_average": False}, "none"),
        ({"size_average": False}, "sum"),
        ({"reduce": True, "size_average": False}, "sum"),
        ({"reduce": True}, "mean"),
        ({"size_average": True}, "mean"),
    ],
)
def test_deprecated_arguments_override_the_reduction(arguments: dict, expected: str) -> None:
    x = np.zeros(2, np.float32)
    call = plain(LossCall(x, x, reduction="none", arguments=arguments))
    assert (call.reduction, call.arguments) == (expected, {})


def test_inputs_have_the_truths_of_their_call() -> None:
    """Those of a gradient in the format of its operand, those of a derivative under a reduction."""
    call = a_call((2, 3), (3,), "mean")
    names = ("logits", "targets", "weight", "pos_weight", "cotangent", "tangent", "reduction")
    inputs = Inputs("x", FLOAT32, **{name: getattr(call, name) for name in names})
    for quantity in QUANTITIES:
        expected = truth_of(call, quantity)
        assert inputs.truth(quantity).format is expected.format
        assert np.array_equal(inputs.truth(quantity).nearest, expected.nearest)
        assert isinstance(inputs.bounds(quantity), Bounds)
