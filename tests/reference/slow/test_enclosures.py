"""The integer enclosures against arb: they contain the value, and they are narrow."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import numpy as np
import pytest
from flint import arb

from bce_conformance.reference import ground_truth
from bce_conformance.reference.quantities import QUANTITIES, dyadic
from bce_conformance.reference.slow.enclosure import FUNCTIONS
from bce_conformance.reference.verify.arb import working_bits
from bce_conformance.reference.verify.formula import FORMULAS

EXACT = {
    "softplus_tail": lambda t: (-t).exp().log1p(),
    "sigmoid_tail": lambda t: 1 / (1 + t.exp()),
    "bell": lambda t: 1 / ((1 + t.exp()) * (1 + (-t).exp())),
    "half_tanh": lambda t: (t / 2).tanh(),
}


@pytest.mark.parametrize("precision", [24, 64, 93, 200, 1000])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_enclosures_contain_the_value_and_are_narrow(name, precision):
    rng = np.random.default_rng(precision)
    size = 4000 if precision < 100 else 300
    log_2 = np.log(2) * rng.integers(1, 40, size // 4)  # where the reduction is closest to its ends
    t = np.concatenate(
        [
            np.exp2(rng.uniform(-1074, 0, size)),
            rng.uniform(0, 50, size),
            np.exp2(rng.uniform(0, 1023, size)),
            log_2,
            np.nextafter(log_2, 0),
            [5e-324, 1.0, np.nextafter(1.0, 0), 1.7e308],
        ]
    )
    if name == "half_tanh":
        t = t[t < 1]
    with working_bits(precision + 1200):
        for value in t.tolist():
            low, high, exponent = FUNCTIONS[name](*dyadic(value), precision)
            exact = EXACT[name](arb(value)) * arb(2) ** (-exponent)
            assert low > 0
            assert int(low) <= exact <= int(high), value
            assert Fraction(int(high - low), int(low)) < Fraction(1, 1 << (precision - 8)), value


def test_log_2_is_the_value_at_zero():
    low, high, exponent = FUNCTIONS["softplus_tail"](0, 0, 300)
    with working_bits(500):
        exact = arb(2).log() * arb(2) ** (-exponent)
        assert int(low) <= exact <= int(high)


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_every_quantity_has_its_textbook_formula(quantity):
    rng = np.random.default_rng(1)
    for x, y, w, p in rng.normal(size=(20, 4)).tolist():
        truth = ground_truth(x, y, w, p, quantity=quantity, dtype="float64")
        with mpmath.workdps(70):
            value = FORMULAS[quantity](*map(mpmath.mpf, (x, y, w, p)))
            assert abs(truth.exact() - value) < abs(value) * mpmath.mpf(10) ** -50
    assert set(FORMULAS) == set(QUANTITIES)


def test_the_derivatives_are_those_of_the_loss():
    # central differences, in mpmath, of the loss and of its gradient by the logits
    x, y, w, p = map(mpmath.mpf, (0.7, 0.3, 1.5, 2.25))
    with mpmath.workdps(60):
        step = mpmath.mpf(10) ** -15
        for i, operand in enumerate(("logits", "targets", "weight", "pos_weight")):
            ends = []
            for sign in (1, -1):
                inputs = [x, y, w, p]
                inputs[i] += sign * step
                ends.append(FORMULAS["loss"](*inputs))
            slope = (ends[0] - ends[1]) / (2 * step)
            exact = FORMULAS[f"grad_{operand}"](x, y, w, p)
            assert abs(slope - exact) < mpmath.mpf(10) ** -25
            inputs = [[x, y, w, p], [x, y, w, p]]
            inputs[0][i] += step
            inputs[1][i] -= step
            slope = (FORMULAS["grad_logits"](*inputs[0]) - FORMULAS["grad_logits"](*inputs[1])) / (
                2 * step
            )
            second = "hess_logits" if i == 0 else f"hess_logits_{operand}"
            assert abs(slope - FORMULAS[second](x, y, w, p)) < mpmath.mpf(10) ** -25
