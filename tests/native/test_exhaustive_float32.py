"""Every bit pattern of a float32 logit, with both hard targets, as sums evaluate its gradient."""

import numpy as np
import pytest
from numba import njit

from bce_conformance.native.arithmetic.functions import narrow_exp
from bce_conformance.native.arithmetic.intrinsics import as_bits, from_bits
from bce_conformance.native.kernels.sum_float32 import sum_single
from bce_conformance.native.memory.chunks import CHUNK
from bce_conformance.native.memory.threads import share

BOUND = 0.6  # ULP; ACCURACY.md has what was measured
FINITE = 0x7F800000
PIECE = 64 * CHUNK


@njit(nogil=True, error_model="numpy")
def judge(x, target, g, scale):
    """The largest error in ulp; infinite where a sign is wrong.

    The exact value is float64's, whose exponential is good to 2^-44 (test_functions.py).
    """
    worst = 0.0
    sign = -1.0 if target else 1.0
    for i in range(x.size):
        z = sign * float(x[i])
        e = narrow_exp(abs(z))
        exact = sign * scale * (1.0 if z >= 0.0 else e) / (1.0 + e)
        ulp = from_bits((as_bits(exact) & (0x7FF << 52)) - (23 << 52))
        ulp = max(ulp, 2.0**-149) if abs(exact) > 2.0**-200 else 2.0**-149
        error = abs(float(g[i]) - exact) / ulp
        error = error if (as_bits(float(g[i])) < 0) == (sign < 0.0) else np.inf
        worst = max(worst, error) if error == error else np.inf
    return worst


def worst_error(patterns, target, count):
    """The largest error over logits of both signs with these bits of their magnitudes."""
    pieces = -(-len(patterns) // PIECE)
    worst = np.zeros(2 * pieces)

    def work(first, last):
        partials = np.zeros((PIECE // CHUNK, 4))
        for piece in range(first, last):
            begin = piece // 2 * PIECE
            part = patterns[begin : begin + PIECE]
            magnitude = np.arange(part.start, part.stop, part.step, dtype=np.uint32)
            x = (magnitude | np.uint32(piece % 2 << 31)).view(np.float32)
            y, g = np.full_like(x, target), np.full_like(x, np.nan)
            sum_single(x, y, g, True, 1.0, count, 0, -(-x.size // CHUNK), partials)
            worst[piece] = judge(x, target, g, 1.0 / count)

    share(work, 2 * pieces)
    return worst.max()


@pytest.mark.parametrize("target", [0, 1])
@pytest.mark.parametrize("count", [1.0, 1.6e7])
def test_gradients_keep_their_bound(target, count):
    assert 0.55 < worst_error(range(0, FINITE, 1009), target, count) <= BOUND


@pytest.mark.slow
@pytest.mark.parametrize("target", [0, 1])
@pytest.mark.parametrize("count", [1.0, 1.6e7])
def test_every_gradient_keeps_its_bound(target, count):
    worst = worst_error(range(FINITE), target, count)
    print(f"target {target}, count {count:g}: {worst:.4f} ulp")
    assert 0.56 < worst <= BOUND


def test_an_error_is_seen():
    x = np.float32([-3.0, 2.0, 0.0])
    exact = np.float32(1 / (1 + np.exp(-x.astype(float))))
    assert judge(x, 0, exact, 1.0) <= 0.5
    for wrong in (np.nextafter(exact, np.float32(9)), -exact, exact * np.float32(np.nan)):
        assert not judge(x, 0, np.float32([exact[0], exact[1], wrong[2]]), 1.0) <= BOUND
