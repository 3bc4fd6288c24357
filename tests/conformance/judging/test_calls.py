"""A whole call is judged: each array by its own format, and everything that can be wrong beside."""

from collections.abc import Mapping
from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest

from bce_conformance.backends.calls import QUANTITIES, Array, Failure, LossCall, LossResult
from bce_conformance.conformance.judging.calls import (
    CallJudgement,
    ExpectedCall,
    Fault,
    expectations,
    judge_call,
)
from bce_conformance.conformance.judging.judge import Judgement
from bce_conformance.reference import format_of
from bce_conformance.results.cells import Level

X = np.array([[0.5, -3, 20], [-0.25, 8, 1]], np.float32)
CALL = LossCall(
    X,
    np.array([[0.5, 0, 1], [1, 0.25, 0]], np.float64),
    np.array([[0.5], [2]], np.float16),
    np.array([2, 3, 0.5], ml_dtypes.bfloat16),
    "mean",
    QUANTITIES,
    np.array(3.0, np.float32),
    X[::-1] / 4,
)


def expected() -> ExpectedCall:
    return expectations(CALL, cached=False)


def right(wanted: ExpectedCall) -> dict[str, Array]:
    return {quantity: found.truth.nearest for quantity, found in wanted.results.items()}


def judged(changed: Mapping[str, Array | None] | None = None, **fields: object) -> CallJudgement:
    """The judgement of the right results with some changed, None standing for absent."""
    wanted = expected()
    values = {**right(wanted), **(changed or {})}
    given = {quantity: value for quantity, value in values.items() if value is not None}
    return judge_call(wanted, LossResult(given, **fields))  # type: ignore[arg-type]


def off_by(quantity: str, ulps: int) -> Array:
    nearest = right(expected())[quantity]
    format_ = format_of(nearest.dtype)
    values: Array = format_.from_ordinal(format_.ordinal(nearest) + ulps)
    return values


def test_right_results_are_faithful() -> None:
    judgement = judged()
    assert tuple(judgement.results) == QUANTITIES
    assert {judgement.level(quantity) for quantity in QUANTITIES} == {Level.AAA}
    assert (judgement.least, judgement.faults) == (Level.AAA, ())
    formats = {q: e.truth.format.name for q, e in expected().results.items()}
    assert formats == {
        "loss": "float32",
        "grad_logits": "float32",
        "grad_targets": "float64",
        "grad_weight": "float16",
        "grad_pos_weight": "bfloat16",
        "jvp_logits": "float32",
        "hvp_logits": "float32",
    }
    shapes = {q: e.truth.nearest.shape for q, e in expected().results.items()}
    assert shapes["loss"] == shapes["jvp_logits"] == ()
    assert (shapes["grad_weight"], shapes["grad_pos_weight"]) == ((2, 1), (3,))
    assert shapes["grad_targets"] == shapes["hvp_logits"] == X.shape


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_levels_are_those_of_the_quantity_in_its_own_format(quantity: str) -> None:
    for ulps, level in ((0, Level.AAA), (3, Level.AA), (10**4, Level.FAILS)):
        judgement = judged({quantity: off_by(quantity, ulps)})
        assert judgement.level(quantity) is level
        assert judgement.least is level
        others = {judgement.level(other) for other in QUANTITIES if other != quantity}
        assert others == {Level.AAA}
    found = judged({quantity: off_by(quantity, 2)}).results[quantity]
    assert isinstance(found, Judgement)
    assert found.ulp.min() > 1.4


@pytest.mark.parametrize("quantity", QUANTITIES)
@pytest.mark.parametrize("kind", ["absent", "wrong shape", "wrong format"])
def test_what_is_wrong_with_an_array(quantity: str, kind: str) -> None:
    nearest = right(expected())[quantity]
    wider = np.float64 if nearest.dtype != np.float64 else np.float32
    wrong = {
        "absent": (None, "is absent"),
        "wrong shape": (nearest.reshape(*nearest.shape, 1), "has shape "),
        "wrong format": (nearest.astype(wider), f"not {nearest.dtype}"),
    }
    array, detail = wrong[kind]
    judgement = judged({quantity: array})
    fault = judgement.results[quantity]
    assert isinstance(fault, Fault)
    assert fault.kind == kind
    assert str(fault).startswith(f"{kind}: {quantity}")
    assert detail in fault.detail
    assert judgement.level(quantity) is judgement.least is Level.FAILS
    assert all(isinstance(judgement.results[q], Judgement) for q in QUANTITIES if q != quantity)


@pytest.mark.parametrize("kind", ["raised", "crashed", "timeout", "unsupported"])
def test_a_failure_is_the_fault_of_every_quantity(kind: str) -> None:
    judgement = judge_call(expected(), Failure(kind, "why"))  # type: ignore[arg-type]
    assert judgement.results == dict.fromkeys(QUANTITIES, Fault(kind, "why"))  # type: ignore[arg-type]
    assert judgement.least is Level.FAILS


def test_faults_of_the_call_leave_the_levels_of_its_values() -> None:
    judgement = judged(modified=("logits", "weight"), device="cpu+cuda")
    assert [str(fault) for fault in judgement.faults] == [
        "wrong device: results are on cpu+cuda, not cpu",
        "inputs changed: it changed logits, weight",
    ]
    assert {judgement.level(quantity) for quantity in QUANTITIES} == {Level.AAA}
    assert judgement.least is Level.FAILS
    on_cuda = replace(expected(), call=replace(CALL, device="cuda:1"))
    assert judge_call(on_cuda, LossResult(right(on_cuda), "cuda:1")).faults == ()
    assert judge_call(on_cuda, LossResult(right(on_cuda), "cuda")).faults == (
        Fault("wrong device", "results are on cuda, not cuda:1"),
    )
    assert judge_call(on_cuda, LossResult({}, "")).faults == ()


def test_a_gradient_beyond_the_format_of_the_logits() -> None:
    """Three losses of 60000 sum to 180000, which float16 has no number for and float32 has."""
    x = np.full(3, 60000, np.float16)
    call = LossCall(x, x * 0, np.ones((), np.float32), None, "sum", ("grad_weight",))
    wanted = expectations(call, cached=False)
    assert judge_call(wanted, LossResult({"grad_weight": np.array(180000, np.float32)})).least == 3
    for value, level in (
        (np.array(np.inf, np.float32), Level.FAILS),
        (np.array(180000.1, np.float32), Level.AA),
        (np.array(np.inf, np.float16), Level.FAILS),
    ):
        assert judge_call(wanted, LossResult({"grad_weight": value})).least is level


def test_an_empty_result_is_judged_by_shape_and_format() -> None:
    x = np.zeros((0, 3), np.float32)
    wanted = expectations(LossCall(x, x, reduction="none", quantities=("loss", "grad_logits")))
    assert judge_call(wanted, LossResult({"loss": x, "grad_logits": x})).least is Level.AAA
    wrong = judge_call(wanted, LossResult({"loss": x.T, "grad_logits": x.astype(np.float64)}))
    kinds = [fault.kind for fault in wrong.results.values() if isinstance(fault, Fault)]
    assert kinds == ["wrong shape", "wrong format"]


def test_arguments_may_override_the_reduction() -> None:
    y = np.zeros_like(X)
    call = LossCall(X, y, reduction="none", arguments={"size_average": False})
    wanted = expectations(call, cached=False)
    assert wanted.call is call
    total = expectations(LossCall(X, y, reduction="sum"), cached=False)
    assert judge_call(wanted, LossResult(right(total))).least is Level.AAA


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            LossCall(X, X * 0, np.ones(3, np.int32), quantities=("grad_weight",)),
            "weight has dtype int32, in which there is no grad_weight",
        ),
        (
            LossCall(X, X > 0, quantities=("grad_targets",)),
            "targets has dtype bool, in which there is no grad_targets",
        ),
        (LossCall(X.astype(np.int64), X), "logits has dtype int64, in which there is no loss"),
        (LossCall(X, X, reduction="average"), "reduction is 'average'"),
        (LossCall(X, X[0]), "targets has shape"),
        (LossCall(X, X, forms={"targets": "text"}), "targets is handed over as text: such a call"),
        (LossCall(X, X, forms={"targets": "none"}), "targets is handed over as none"),
        (LossCall(X, X, forms={"logits": "list"}), "logits is handed over as list, which has no"),
        (
            LossCall(X, X, quantities=("grad_targets",), forms={"targets": "list"}),
            "targets is handed over as list, which has no format",
        ),
        (
            replace(CALL, cotangent=np.array(0.1), tangent=np.full_like(X, 0.1)),
            "float64 does not hold their product",
        ),
    ],
)
def test_what_has_no_exact_result_is_refused(call: LossCall, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        expectations(call, cached=False)


def test_operands_in_another_form_have_the_same_results() -> None:
    call = LossCall(X, X * 0, np.ones(3, np.int32), forms={"weight": "list", "targets": "list"})
    wanted = expectations(call, cached=False)
    plain = expectations(LossCall(X, X * 0), cached=False)
    assert wanted.results["loss"].truth.nearest == plain.results["loss"].truth.nearest
