"""Exponential, softplus and log1p against mpmath: each keeps its stated bound."""

import math

import numpy as np
import pytest
from mpmath import mp, mpf
from numba import njit

from bce_conformance.native.arithmetic import functions
from tests.native.arithmetic.draws import (
    POINTS,
    PRODUCTS,
    RANDOM,
    arguments,
    fractions_of_one,
    pairs,
    relative,
)

pytestmark = pytest.mark.usefixtures("same_draws")


@njit
def single_exps(values, shift, results):
    for i in range(values.size):
        results[i] = functions.single_exp(values[i], np.float32(1.5 * 2.0**23) + shift)


@pytest.mark.parametrize(("limit", "shift"), [(40.0, 0), (128.0, 104)])
def test_the_exponential_in_float32(limit, shift):
    values = np.array(arguments(limit), np.float32)
    results = np.zeros_like(values)
    single_exps(values, np.float32(shift), results)
    for a, got in zip(values.tolist(), results.tolist(), strict=True):
        assert relative([got], mp.ldexp(mp.exp(-mpf(a)), shift)) < mpf(2) ** -22.5, a


def test_the_exponential_in_float64():
    for a in arguments(560.0):
        assert relative([functions.narrow_exp(a)], mp.exp(-mpf(a))) < mpf(2) ** -44, a
    assert functions.narrow_exp(561.0) == functions.narrow_exp(560.0)


# All whose bits below are those of an exponent when they are shifted up.
NANS = np.array([0x7FF8 << 48, 0x7FF << 52 | 1, 0x7FFEF411B0EA7D71], np.uint64).view(np.float64)


@pytest.mark.parametrize("value", NANS)
def test_nan_of_any_payload_is_passed_on(value):
    assert math.isnan(functions.narrow_exp(value))
    assert math.isnan(functions.wide_exp(value)[0])
    assert math.isnan(functions.narrow_softplus(value))
    assert math.isnan(functions.narrow_log1p(value))


def test_the_exponential_in_pairs():
    for a in arguments(700.0):
        assert relative(functions.wide_exp(a), mp.exp(-mpf(a))) < mpf(2) ** -64, a
    assert functions.wide_exp(math.inf) == functions.wide_exp(700.0)


def test_softplus_in_float64():
    for e in fractions_of_one().tolist():
        assert relative([functions.narrow_softplus(e)], mp.log1p(mpf(e))) < mpf(2) ** -42, e
    assert functions.narrow_softplus(0.0) == 0.0


def test_softplus_in_pairs():
    negative = -RANDOM.uniform(0, 1 / 3, POINTS)
    for e in pairs(np.concatenate([fractions_of_one(), negative])):
        if e[0] != 1.0 or e[1] <= 0:
            exact = mp.log(1 + mp.fsum(e))
            assert relative(functions.wide_softplus(*e), exact) < mpf(2) ** -57, e


def test_log1p_in_float64():
    for m in PRODUCTS.tolist():
        assert relative([functions.narrow_log1p(m)], mp.log(1 + mpf(m))) < mpf(2) ** -47, m
    assert functions.narrow_log1p(0.0) == 0.0


def test_log1p_in_pairs():
    for m in pairs(PRODUCTS):
        exact = mp.log(1 + mp.fsum(m))
        assert relative(functions.wide_log1p(*m), exact) < mpf(2) ** -57, m
