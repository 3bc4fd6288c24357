"""Backends that are measured on request: against the formula, and what each does not give."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from bce_conformance.backends import (
    BackendInfo,
    BackendProcess,
    Failure,
    LossCall,
    LossResult,
    builtin_backends,
)
from bce_conformance.backends.calls import GRADIENTS, QUANTITIES
from tests.backends.adapters.formula import (
    UNIT_ROUNDOFF,
    array_type,
    formula,
    moderate,
    with_quantities,
)

# MindSpore, 1 GB of wheels, is not in the environment of the tests: the ledger has what it gives.
IDS = [s.id for s in builtin_backends() if s.on_request and s.id != "mindspore"]
OF_16_BITS = ("float16", "bfloat16", "float32", "float64")
WITHOUT_BFLOAT16 = ("float16", "float32", "float64")
DTYPES_TAKEN = dict.fromkeys(IDS, OF_16_BITS) | {
    "sklearn": ("float32", "float64"),
    **dict.fromkeys(("onnxruntime", "onnxruntime:torch", "pytensor", "tinygrad"), WITHOUT_BFLOAT16),
}
COMPOSED = ("loss", "weight", "pos_weight", "reduction")
NOT_DIFFERENTIABLE = (
    "The function 'binary_cross_entropy_with_logits' is not differentiable with respect to argument"
)
OF_TORCH = {f"grad_{name}": NOT_DIFFERENTIABLE for name in ("weight", "pos_weight")}
OF_A_GRAPH = dict.fromkeys(QUANTITIES[1:], "has no derivatives of a graph")
# What each does not give: a part of the failure.
NOT_GIVEN = {
    **dict.fromkeys(("torch:module", "torch:jit"), OF_TORCH),
    **dict.fromkeys(("torch:autocast-bfloat16", "torch:autocast-float16"), OF_TORCH),
    **dict.fromkeys(("onnxruntime", "onnxruntime:torch", "openvino", "openvino:torch"), OF_A_GRAPH),
    "scipy": {q: f"scipy has no {q}" for q in (*GRADIENTS[1:], "jvp_logits", "hvp_logits")},
    "sklearn": {q: f"sklearn has no {q}" for q in (*GRADIENTS[1:], "jvp_logits")},
    "tinygrad": {"jvp_logits": "tinygrad has no forward mode"},
}
# MLX has its loss of float64 from functions of float32's accuracy, OpenVINO computes it in float32;
# and where it approximates the exponential, it is a few millionths off.
COARSE = {"mlx": 2**-24, "openvino": 2**-18, "openvino:torch": 2**-18}
# Autograd divides by an integer, which makes the gradient of a mean float64; scikit-learn has no
# gradients but in the logits.
WIDENED = {"autograd"}


def call_of(dtype: str, reduction: str) -> LossCall:
    """A moderate call whose weight has the shape of the logits: MLX takes no other one."""
    call = moderate(dtype, reduction=reduction)
    assert call.weight is not None
    return replace(call, weight=np.ascontiguousarray(np.broadcast_to(call.weight, (4, 3))))


@pytest.mark.parametrize("name", IDS)
def test_description(process: Callable[[str], BackendProcess], name: str) -> None:
    info = process(name).info()
    assert isinstance(info, BackendInfo), info
    framework, _, variant = name.partition(":")
    assert (info.id, info.framework, info.variant) == (name, framework, variant)
    assert info.version[0].isdigit()
    assert info.dtypes == DTYPES_TAKEN[name]
    absent = LossCall(np.zeros(1), np.zeros(1), device="cuda:7")
    assert process(name).evaluate(absent) == Failure("unsupported", "no device cuda:7")


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", IDS)
def test_every_quantity_meets_the_formula_or_is_known_not_to_be_given(
    process: Callable[[str], BackendProcess], name: str, dtype: str, reduction: str
) -> None:
    call, lacking = call_of(dtype, reduction), NOT_GIVEN.get(name, {})
    for quantity, (exact, size) in formula(call).items():
        answer = process(name).evaluate(with_quantities(call, quantity), time_limit=120)
        if quantity in lacking:
            assert isinstance(answer, Failure), (quantity, answer)
            assert lacking[quantity] in f"{answer.detail} {answer.message}"
            continue
        assert isinstance(answer, LossResult), (quantity, answer)
        got = answer.values[quantity]
        assert got.dtype == array_type(dtype) or name in WIDENED
        assert got.shape == exact.shape
        unit = max(UNIT_ROUNDOFF[dtype], COARSE.get(name, 0))
        assert np.all(np.abs(got - exact) <= 16 * unit * size), (quantity, got, exact)


@pytest.mark.parametrize("name", IDS)
def test_scalars_empty_arrays_and_an_unknown_reduction(
    process: Callable[[str], BackendProcess], name: str
) -> None:
    backend = process(name)
    for shape in ((), (0,), (2, 0)):
        x, y = np.full(shape, 1.5, np.float32), np.ones(shape, np.float32)
        for reduction in ("none", "sum"):
            answer = backend.evaluate(LossCall(x, y, reduction=reduction), time_limit=120)
            assert isinstance(answer, LossResult), answer
            assert answer.values["loss"].shape == (shape if reduction == "none" else ())
            np.testing.assert_allclose(answer.values["loss"], 0.2014133 if x.size else 0, rtol=1e-4)
    answer = backend.evaluate(LossCall(np.zeros(1), np.zeros(1), reduction="median"))
    assert isinstance(answer, Failure)
    composed = "reduction" in backend.info().composed or name in ("onnxruntime:torch",)
    assert (answer.kind == "unsupported") == (composed or name == "openvino:torch")


@pytest.mark.parametrize("name", ["torch:autocast-bfloat16", "torch:autocast-float16"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_under_autocast_the_loss_of_half_logits_is_float32(
    process: Callable[[str], BackendProcess], name: str, dtype: str
) -> None:
    call = with_quantities(call_of(dtype, "mean"), "loss", "grad_logits")
    answer = process(name).evaluate(replace(call, cotangent=None))
    assert isinstance(answer, LossResult), answer
    assert answer.values["loss"].dtype == np.float32
    assert answer.values["grad_logits"].dtype == array_type(dtype)


def test_vmap_differentiates_in_the_weights_where_the_function_does_not(
    process: Callable[[str], BackendProcess],
) -> None:
    call = with_quantities(call_of("float64", "sum"), "grad_weight", "grad_pos_weight")
    assert isinstance(process("torch:vmap").evaluate(call), LossResult)
    assert isinstance(process("torch").evaluate(call), Failure)
