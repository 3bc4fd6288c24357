"""The exponential of sixteen float32 at once: its bound, and what the bound rests on."""

from fractions import Fraction

import numpy as np
import pytest
from mpmath import mp, mpf
from numba import njit

from bce_conformance.native.arithmetic import vector_exp
from bce_conformance.native.arithmetic import vectors as v
from bce_conformance.native.arithmetic.coefficients import (
    QUARTER_LN2,
    QUARTER_LN2_EXCESS,
    ROOT_RESTS,
    ROOTS,
)
from tests.native.arithmetic.draws import RANDOM, arguments, relative

pytestmark = pytest.mark.usefixtures("same_draws")


@njit
def exps(minus_a, parts):
    for i in range(0, minus_a.size, v.WIDTH):
        r, rest, root = vector_exp.reduced(v.load(v.address(minus_a, 0), i))
        e, e_rest = vector_exp.expanded(r, rest, root)
        for row, value in enumerate((r, root, e, e_rest)):
            v.store(v.address(parts[row], 0), i, value)


def evaluated(magnitudes):
    """r, the root, and e as a pair, for float32 magnitudes as a multiple of sixteen."""
    magnitudes = np.asarray(magnitudes, np.float32)
    magnitudes = np.resize(magnitudes, -(-magnitudes.size // v.WIDTH) * v.WIDTH)
    parts = np.zeros((4, magnitudes.size), np.float32)
    exps(-magnitudes, parts)
    return magnitudes, parts.astype(np.float64)


def test_the_pair_keeps_its_bound():
    edges = [QUARTER_LN2 * (n + 0.5) for n in range(460)]
    drawn = np.array(arguments(vector_exp.LARGEST), np.float32)
    near = np.array(edges, np.float32)
    near = np.concatenate([near, np.nextafter(near, 0), np.nextafter(near, np.float32(99))])
    magnitudes, (_, _, e, rest) = evaluated(np.concatenate([drawn, near[near <= 80]]))
    worst = mpf(0)
    for a, *pair in zip(magnitudes.tolist(), e.tolist(), rest.tolist(), strict=True):
        if a < 70:  # beyond, the rest is subnormal
            worst = max(worst, relative(pair, mp.exp(-mpf(a))))
        else:
            assert relative(pair, mp.exp(-mpf(a))) < mpf(2) ** -25
    assert mpf(2) ** -28.6 < worst < mpf(2) ** -27.69


def test_the_reduction_is_exact_and_short():
    magnitudes, (r, root, _, _) = evaluated(RANDOM.uniform(0, vector_exp.LARGEST, 4096))
    step = Fraction(QUARTER_LN2)
    quarters = np.round(np.log2(root) * 4).astype(int)
    for a, n, rest in zip(magnitudes.tolist(), quarters.tolist(), r.tolist(), strict=True):
        assert -Fraction(a) - n * step == Fraction(rest)
    assert np.abs(r).max() < QUARTER_LN2 / 2 * (1 + 2**-13)
    assert quarters.min() < -450


def test_what_constants_lack_is_beyond_the_pair():
    with mp.workprec(200):
        assert abs(mpf(QUARTER_LN2) - QUARTER_LN2_EXCESS - mp.log(2) / 4) < mpf(2) ** -55
        assert Fraction(QUARTER_LN2).denominator <= 2**23
        for j, (root, rest) in enumerate(zip(ROOTS, ROOT_RESTS, strict=True)):
            exact = mpf(2) ** (mpf(j) / 4)
            assert abs(root * (1 + mpf(rest)) / exact - 1) < mpf(2) ** -49
            assert root == float(np.float32(float(exact)))
