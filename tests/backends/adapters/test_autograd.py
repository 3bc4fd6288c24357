"""The ways to differentiate and the modes: all give the same, and what breaks one shows."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from bce_conformance.backends import BackendProcess, Failure, LossCall, LossResult
from bce_conformance.backends.calls import AUTOGRAD, MODES, QUANTITIES
from bce_conformance.conformance.inputs.truths import truth_of

GRADIENT = ("loss", "grad_logits")
WAYS = {
    way: ("loss",) if way == "off" else GRADIENT
    for way in AUTOGRAD
    if way not in ("forward", "twice")
}
TAPED = f"torch::{Path(__file__).with_name('taped.py')}"


def evaluated(
    process: BackendProcess, way: str, quantities: tuple[str, ...], mode: str = "usual"
) -> LossResult:
    random = np.random.default_rng(0)
    logits, targets, cotangent = random.random((3, 4, 5)).astype(np.float32)
    call = LossCall(
        *(logits, targets),
        reduction="none",
        quantities=quantities,
        cotangent=cotangent if "grad_logits" in quantities else None,
        autograd=way,
        mode=mode,
    )
    found = process.evaluate(call)
    assert isinstance(found, LossResult), found
    assert found.modified == ()
    return found


def differing(process: BackendProcess) -> set[str]:
    """The ways in which a backend gives other bits."""
    return {
        way
        for way, quantities in WAYS.items()
        for expected in [evaluated(process, "usual", quantities)]
        for got in [evaluated(process, way, quantities)]
        if {q: a.tobytes() for q, a in got.values.items()}
        != {q: a.tobytes() for q, a in expected.values.items()}
    }


@pytest.mark.parametrize("name", ["torch", "native:torch", "paddle"])
def test_all_ways_give_the_same(process: Callable[[str], BackendProcess], name: str) -> None:
    assert differing(process(name)) == set()


def test_operands_without_a_gradient_have_none(process: Callable[[str], BackendProcess]) -> None:
    for way in ("usual", "retained", "accumulated"):
        got = evaluated(process("paddle"), way, ("grad_logits", "grad_targets"))
        assert set(got.values) == {"grad_logits"}


@pytest.mark.parametrize(
    ("fault", "shown"),
    [
        ("pooled", {"interleaved"}),
        ("counted", {"interleaved"}),
        ("scaled", {"retained", "accumulated"}),
        ("fused", {"retained", "overwritten"}),
        ("late", {"overwritten"}),
        ("evaluating", {"off"}),
    ],
)
def test_a_fault_shows(
    process: Callable[[str], BackendProcess], fault: str, shown: set[str]
) -> None:
    assert differing(process(f"{TAPED}:{fault}")) == shown


def operands_of(rank: int) -> LossCall:
    """A call whose weights are full, of as many dimensions as the logits or of one."""
    random = np.random.default_rng(1)
    logits, targets, cotangent, tangent = random.random((4, *[1] * (rank - 1), 5), np.float32)
    weight, pos_weight = random.random((2, 5), np.float32) + np.float32(0.5)
    return LossCall(
        *(logits, targets, weight, pos_weight, "none"), cotangent=cotangent, tangent=tangent
    )


@pytest.mark.parametrize("name", ["native:torch", "torch", "native:jax", "jax", "tensorflow"])
@pytest.mark.parametrize("quantity", QUANTITIES)
def test_a_backward_pass_is_differentiated(
    process: Callable[[str], BackendProcess], quantity: str, name: str
) -> None:
    random = np.random.default_rng(2)
    operands = random.random((5, 2, 3), np.float32) + np.float32(0.25)
    call = LossCall(
        *(*operands[:4], "none", (quantity,)), tangent=operands[4] - 1, autograd="twice"
    )
    got = process(name).evaluate(call)
    if name == "torch" and quantity in ("grad_weight", "grad_pos_weight"):
        assert isinstance(got, Failure)
        assert "is not differentiable" in got.detail
        return
    assert isinstance(got, LossResult), got
    expected = truth_of(call, quantity).nearest
    assert got.values[quantity].shape == expected.shape
    np.testing.assert_allclose(got.values[quantity], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("fault", "shown"),
    [
        ("constant_cotangent", {"jvp_logits"}),
        ("constant_targets", {"grad_targets"}),
    ],
)
def test_what_a_backward_pass_takes_for_a_constant_shows(
    process: Callable[[str], BackendProcess], fault: str, shown: set[str]
) -> None:
    operands = np.float32([[0.5, -1, 2], [0.25, 0.5, 0], [1, -2, 3]])
    found = set()
    for quantity in ("grad_logits", "grad_targets", "jvp_logits", "hvp_logits"):
        call = LossCall(
            *(*operands[:2], None, None, "none", (quantity,)), tangent=operands[2], autograd="twice"
        )
        got = process(f"{TAPED}:{fault}").evaluate(call)
        if isinstance(got, Failure) or quantity not in got.values:
            found.add(quantity)
        else:
            expected = truth_of(call, quantity).nearest
            np.testing.assert_allclose(got.values[quantity], expected, rtol=1e-5)
    assert found == shown


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("quantity", QUANTITIES)
def test_dual_numbers_carry_the_derivatives(
    process: Callable[[str], BackendProcess], quantity: str, rank: int
) -> None:
    call = replace(operands_of(rank), quantities=(quantity,))
    expected = process("native:torch").evaluate(call)
    assert isinstance(expected, LossResult)
    for name in ("native:torch", "torch", "jax:jit", "tensorflow"):
        got = process(name).evaluate(replace(call, autograd="forward"))
        assert isinstance(got, LossResult), got
        if name == "torch" and quantity in ("grad_weight", "grad_pos_weight"):
            assert got.values == {}  # the defect torch-dual-numbers-of-weights
            continue
        assert got.values[quantity].shape == expected.values[quantity].shape
        np.testing.assert_allclose(got.values[quantity], expected.values[quantity], rtol=1e-5)


def test_dual_numbers_are_refused_where_there_are_none(
    process: Callable[[str], BackendProcess],
) -> None:
    call = replace(operands_of(1), autograd="forward", quantities=("grad_weight",))
    summed = replace(call, reduction="sum", cotangent=None)
    broadcast = replace(call, weight=np.ones(1, np.float32))
    elsewhere = product(("torch", "jax", "tensorflow"), (summed, broadcast))
    for name, asked in (("paddle", call), ("keras:torch", call), *elsewhere):
        refused = process(name).evaluate(asked)
        assert isinstance(refused, Failure), name
        assert refused.kind == "unsupported"


def in_other_modes(process: BackendProcess, modes: tuple[str, ...] = MODES) -> set[str]:
    """The modes in which a backend gives other bits, or another format."""
    expected = evaluated(process, "usual", GRADIENT).values
    found = {mode: evaluated(process, "usual", GRADIENT, mode).values for mode in modes}
    return {
        mode
        for mode, values in found.items()
        if any(values[name].tobytes() != expected[name].tobytes() for name in GRADIENT)
    }


@pytest.mark.parametrize("name", ["torch", "native:torch"])
def test_all_modes_give_the_same(process: Callable[[str], BackendProcess], name: str) -> None:
    assert in_other_modes(process(name)) == set()


def test_modes_of_paddle(process: Callable[[str], BackendProcess]) -> None:
    assert in_other_modes(process("paddle"), ("usual", "float64", "bfloat16")) == set()
    for mode in ("deterministic", "autocast"):
        refused = process("paddle").evaluate(LossCall(np.zeros(1), np.zeros(1), mode=mode))
        assert isinstance(refused, Failure)
        assert refused.kind == "unsupported"


@pytest.mark.parametrize(
    ("fault", "shown"),
    [
        ("single", {"float64"}),
        ("divided", {"bfloat16"}),
        ("repeatable", {"deterministic"}),
        ("lowered", {"autocast"}),
    ],
)
def test_a_fault_shows_in_its_mode(
    process: Callable[[str], BackendProcess], fault: str, shown: set[str]
) -> None:
    assert in_other_modes(process(f"{TAPED}:{fault}")) == shown


def test_a_mode_ends_with_its_call(process: Callable[[str], BackendProcess]) -> None:
    held = process(f"{TAPED}:repeatable")
    before = evaluated(held, "usual", GRADIENT)
    evaluated(held, "usual", GRADIENT, "deterministic")
    after = evaluated(held, "usual", GRADIENT)
    assert after.values["loss"].tobytes() == before.values["loss"].tobytes()


def test_a_mode_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="mode is 'fast'; accepted are"):
        LossCall(np.zeros(1), np.zeros(1), mode="fast")


def test_a_way_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="autograd is 'thrice'; accepted are"):
        LossCall(np.zeros(1), np.zeros(1), autograd="thrice")
