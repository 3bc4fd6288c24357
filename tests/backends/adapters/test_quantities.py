"""Adapters against a float64 formula: what the frameworks compute, and what they leave out."""

from collections.abc import Callable

import numpy as np
import pytest

from bce_conformance.backends import (
    DTYPES,
    BackendInfo,
    BackendProcess,
    Failure,
    LossCall,
    LossResult,
)
from tests.backends.adapters.formula import (
    DEFAULT,
    DTYPES_TAKEN,
    UNIT_ROUNDOFF,
    array_type,
    formula,
    moderate,
    with_quantities,
)

GRADIENTS = ("grad_logits", "grad_targets", "grad_weight", "grad_pos_weight")
QUANTITIES = ("loss", *GRADIENTS, "jvp_logits", "hvp_logits")


# What each framework does not give, with the versions of constraints.txt: the kind and the start of
# the failure, or "absent" where the framework says nothing and leaves the gradient out.
NOT_GIVEN = {
    "native": {},
    "torch": {
        f"grad_{name}": "raised RuntimeError: The function 'binary_cross_entropy_with_logits' is "
        f"not differentiable with respect to argument '{name}'"
        for name in ("weight", "pos_weight")
    },
    "paddle": {
        "grad_targets": "absent",
        "grad_pos_weight": "absent",
        "jvp_logits": "unsupported: paddle has no forward mode for this loss",
        "hvp_logits": "raised RuntimeError: (Unavailable) The Op ",
    },
    "tensorflow": {},
    "jax": {},
    "optax": {},
}


@pytest.mark.parametrize("name", DEFAULT)
def test_description(process: Callable[[str], BackendProcess], name: str) -> None:
    info = process(name).info()
    assert isinstance(info, BackendInfo), info
    assert (info.id, info.framework, info.variant) == (name, name, "")
    assert info.version[0].isdigit()
    assert info.devices[0].kind == "cpu"
    assert info.dtypes == DTYPES_TAKEN[name]


@pytest.mark.parametrize(
    ("dtype", "reduction"),
    [*((dtype, "mean") for dtype in DTYPES), ("float64", "none"), ("float64", "sum")],
)
@pytest.mark.parametrize("name", DEFAULT)
def test_every_quantity_meets_the_formula_or_is_known_not_to_be_given(
    process: Callable[[str], BackendProcess], name: str, dtype: str, reduction: str
) -> None:
    if dtype not in DTYPES_TAKEN[name]:
        answer = process(name).evaluate(moderate(dtype, reduction=reduction))
        assert isinstance(answer, Failure)
        assert answer.kind == "raised"
        return
    call = moderate(dtype, reduction=reduction)
    expected = formula(call)
    not_given = {}
    lacking = NOT_GIVEN[name]
    given = [quantity for quantity in QUANTITIES if quantity not in lacking]
    for wanted in (tuple(given), *((quantity,) for quantity in lacking)):
        answer = process(name).evaluate(with_quantities(call, *wanted))
        if isinstance(answer, Failure):
            assert len(wanted) == 1, answer
            not_given[wanted[0]] = str(answer)
            continue
        not_given.update(dict.fromkeys(set(wanted) - set(answer.values), "absent"))
        for quantity, got in answer.values.items():
            exact, size = expected[quantity]
            assert got.dtype == array_type(dtype)
            assert got.shape == exact.shape
            # Level A of the specification: 16·u of the largest term.
            bound = 16 * UNIT_ROUNDOFF[dtype] * size
            assert np.all(np.abs(got.astype(np.float64) - exact) <= bound), (quantity, got, exact)
    assert not_given.keys() == lacking.keys()
    for quantity, start in lacking.items():
        assert not_given[quantity].startswith(start)


@pytest.mark.parametrize("name", DEFAULT)
def test_a_cotangent_of_none_is_ones(process: Callable[[str], BackendProcess], name: str) -> None:
    ones = np.ones((4, 3), np.float32)
    call = with_quantities(moderate("float32", reduction="none"), "grad_logits")
    without = process(name).evaluate(LossCall(**{**vars(call), "cotangent": None}))
    with_ones = process(name).evaluate(LossCall(**{**vars(call), "cotangent": ones}))
    assert isinstance(without, LossResult)
    assert isinstance(with_ones, LossResult)
    np.testing.assert_array_equal(without.values["grad_logits"], with_ones.values["grad_logits"])


@pytest.mark.parametrize("name", DEFAULT)
def test_without_weights_and_with_one_of_them(
    process: Callable[[str], BackendProcess], name: str
) -> None:
    call = moderate("float64")
    for weight in (None, call.weight):
        for pos_weight in (None, call.pos_weight):
            x, y = call.logits, call.targets
            answer = process(name).evaluate(LossCall(x, y, weight, pos_weight, "sum"))
            assert isinstance(answer, LossResult), answer
            w = 1.0 if weight is None else weight
            p = 1.0 if pos_weight is None else pos_weight
            exact = (w * ((1 - y) * np.log1p(np.exp(x)) + p * y * np.log1p(np.exp(-x)))).sum()
            assert float(answer.values["loss"]) == pytest.approx(exact, rel=1e-13)


@pytest.mark.parametrize("shape", [(), (0,), (1,), (2, 0)])
@pytest.mark.parametrize("name", DEFAULT)
def test_scalars_and_empty_arrays(
    process: Callable[[str], BackendProcess], name: str, shape: tuple[int, ...]
) -> None:
    x, y = np.full(shape, 1.5, np.float32), np.ones(shape, np.float32)
    for reduction in ("none", "mean", "sum"):
        call = LossCall(x, y, reduction=reduction, quantities=("loss", "grad_logits"))
        answer = process(name).evaluate(call)
        assert isinstance(answer, LossResult), answer
        loss, gradient = answer.values["loss"], answer.values["grad_logits"]
        assert loss.shape == (shape if reduction == "none" else ())
        assert gradient.shape == shape
        if x.size:
            # The documentation example: logits of 1.5 with targets of 1 give 0.2014.
            np.testing.assert_allclose(loss, 0.2014133, rtol=1e-6)
            np.testing.assert_allclose(gradient, -0.1824255, rtol=1e-6)
        elif reduction != "none":
            np.testing.assert_array_equal(loss, np.nan if reduction == "mean" else 0.0)


@pytest.mark.parametrize("name", DEFAULT)
def test_an_absent_device_is_unsupported(
    process: Callable[[str], BackendProcess], name: str
) -> None:
    call = LossCall(np.zeros(1), np.zeros(1), device="cuda:7")
    assert process(name).evaluate(call) == Failure("unsupported", "no device cuda:7")


@pytest.mark.parametrize("name", DEFAULT)
def test_results_say_where_they_were_left(
    process: Callable[[str], BackendProcess], name: str
) -> None:
    answer = process(name).evaluate(LossCall(np.zeros(1), np.zeros(1)))
    assert isinstance(answer, LossResult)
    assert answer.device == "cpu"


@pytest.mark.parametrize("name", DEFAULT)
def test_an_unknown_reduction_is_refused(
    process: Callable[[str], BackendProcess], name: str
) -> None:
    answer = process(name).evaluate(LossCall(np.zeros(1), np.zeros(1), reduction="median"))
    assert isinstance(answer, Failure)
    composed = name in ("tensorflow", "jax", "optax")
    assert (answer.kind, answer.error_type) == (
        ("unsupported", "") if composed else ("raised", "ValueError")
    )


@pytest.mark.parametrize("name", DEFAULT)
def test_the_number_of_threads_can_be_set_or_the_framework_has_no_such_switch(
    process: Callable[[str], BackendProcess], name: str
) -> None:
    answer = process(name).evaluate(LossCall(np.zeros(1), np.zeros(1), threads=1))
    if name in ("native", "torch"):
        assert isinstance(answer, LossResult), answer
    else:
        assert answer == Failure("unsupported", "its adapter has no threads")


@pytest.mark.parametrize("name", ["native", "torch", "paddle", "tensorflow", "optax"])
def test_composed_is_what_the_framework_has_no_argument_for(
    process: Callable[[str], BackendProcess], name: str
) -> None:
    said = process(name).info()
    found = process(f"probes:{name.capitalize()}").info()
    assert isinstance(said, BackendInfo)
    assert isinstance(found, BackendInfo), found
    assert set(said.composed) - set(QUANTITIES) == set(found.composed)


def test_jax_has_no_such_loss_at_all(process: Callable[[str], BackendProcess]) -> None:
    info = process("jax").info()
    assert isinstance(info, BackendInfo)
    assert info.composed == ("loss", "weight", "pos_weight", "reduction")


@pytest.mark.parametrize(
    "name",
    [
        *("native:torch", "native:jax"),
        pytest.param("torch:compile", marks=pytest.mark.slow),
        *("paddle:static", "tensorflow:xla", "jax:jit", "optax:jit"),
    ],
)
def test_variants_compute_the_same_loss_and_gradient(
    process: Callable[[str], BackendProcess], name: str
) -> None:
    info = process(name).info()
    assert isinstance(info, BackendInfo), info
    framework, _, variant = name.partition(":")
    assert (info.id, info.framework, info.variant) == (name, framework, variant)
    call = moderate("float32")
    answer = process(name).evaluate(with_quantities(call, "loss", "grad_logits"), time_limit=120)
    assert isinstance(answer, LossResult), answer
    for quantity, got in answer.values.items():
        exact, size = formula(call)[quantity]
        bound = 16 * UNIT_ROUNDOFF["float32"] * size
        assert np.all(np.abs(got.astype(np.float64) - exact) <= bound)
