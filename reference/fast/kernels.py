"""The fast path's kernels: value, rounding and exact accumulation, block by block, for Numba.

Guarantees: a value is (high + low)·2^exponent within ``error``·2^exponent, error 0 meaning exact;
it is rounded only where that decides the result and the sign of its offset, else the offset is NaN.
The argument is in bound.md; the names are those of quantities.py.
"""

# mypy: allow-untyped-defs
# Numba infers the types of what it compiles.

from __future__ import annotations

import numpy as np
from numba import prange

from .compiled import inlined, kernel
from .double_double import (
    add_tracked,
    float_bits,
    fma,
    multiply_tracked,
    power_of_two,
    scale_tracked,
    split,
    two_product,
    two_sum,
)
from .functions import FUNCTION_ERROR, bell_or_square, sigmoid_tail_or_half_tanh, softplus_tail

BLOCK = 256
CHUNK = 32 * BLOCK
# Sums are fixed-point numbers: 32 bits a limb, from 2^LAST_BIT to 2^(LAST_BIT + 32·LIMBS).
LAST_BIT = -1600
LIMBS = 104
X, Y, W, P, C = range(5)
HIGH, LOW, ERROR, EXPONENT, HELD = range(5)
SOFTPLUS, SIGMOID, BELL = range(3)
# Targets, and their products with pos_weight, stay in it, or the slow path takes them.
_LEAST, _MOST = 2.0**-160, 2.0**160
# All of U = R + K·F is held times 2^_BIAS, so that the smaller part may lie 2^-600 below the other.
_BIAS, _CLAMP = 300, -600
# What Truth.offset promises, in ulps, less the rounding of the offset itself.
OFFSET_ERROR = 2.0**-11


@inlined
def in_range(value):
    """Tell whether a target or a product with it may take the fast path."""
    return (value == 0.0) | ((abs(value) >= _LEAST) & (abs(value) <= _MOST))


@inlined
def pair_of_coefficients(x, y, p, form):
    """(αh, αl, βh, βl, ok) of A = W·α, B = W·β, exactly, swapped where x < 0."""
    a0, a1, uses_y, uses_p, sign = form
    ah, al = two_sum(a0, a1 * y)
    beta_y = y if uses_y != 0.0 else 1.0
    beta_p = p if uses_p != 0.0 else 1.0
    bh, bl = two_product(beta_p, beta_y)
    ok = in_range(y) & in_range(bh) & ((bh != 0.0) | (beta_p == 0.0) | (beta_y == 0.0))
    bh, bl = sign * bh, sign * bl
    swap = x < 0.0
    return (
        bh if swap else ah,
        bl if swap else al,
        ah if swap else bh,
        al if swap else bl,
        ok,
    )


@inlined
def outer_factor(w, c, odd, twos):
    """(wh, wl, error, exponent): W = w·c/(odd·2^twos), 1 ≤ the mantissas of w and c < 2."""
    mw, ew = split(w)
    mc, ec = split(c)
    h, low = two_product(mw, mc)
    q = h / odd
    rest = fma(-q, odd, h)
    s, e = two_sum(rest, low)
    q2 = s / odd
    dropped = abs(fma(-q2, odd, s)) + abs(e)
    h, low = two_sum(q, q2)
    return h, low, dropped, ew + ec - twos


@inlined
def tail_product(kh, kl, ek, fh, fl, ef):
    """(sh, sl, error): K·F, K within ek and F relatively within ef."""
    sh, sl, dropped = multiply_tracked(kh, kl, fh, fl)
    return sh, sl, dropped + abs(sh) * ef + ek * abs(fh)


@inlined
def joined(rh, rl, er, exponent_r, sh, sl, es, exponent_s):
    """(uh, ul, error, held, exponent): R + S, each with its exponent; 2^_BIAS too large.

    ``held`` is the size of S where it is held above its true one and only its sign is right.
    """
    exponent_s = exponent_r if sh == 0.0 else exponent_s
    exponent_r = exponent_s if rh == 0.0 else exponent_r
    top = max(exponent_r, exponent_s)
    r = power_of_two(max(exponent_r - top, _CLAMP) + _BIAS)
    s = power_of_two(max(exponent_s - top, _CLAMP) + _BIAS)
    uh, ul, dropped = add_tracked(rh * r, rl * r, sh * s, sl * s)
    held = abs(sh * s) if exponent_s - top < _CLAMP else 0.0
    # no error with a transcendental part may underflow to 0, which would mean exact
    least = 0.0 if sh == 0.0 else 2.0**-900
    return uh, ul, dropped + er * r + (es * s + least), held, top - _BIAS


@inlined
def finish(uh, ul, eu, held, exponent_u, outer, i):
    """(vh, vl, error, held, exponent): V = W·U; 1.25 covers what the error itself lost."""
    wh, wl, ew, exponent_w = outer[HIGH, i], outer[LOW, i], outer[ERROR, i], outer[EXPONENT, i]
    vh, vl, dropped = multiply_tracked(wh, wl, uh, ul)
    error = 1.25 * (dropped + ew * abs(uh) + eu * abs(wh))
    return vh, vl, error, 1.25 * held * abs(wh), float(exponent_u) + exponent_w


@inlined
def store(out, i, vh, vl, error, held, exponent, x, y, p, ok):
    """Write one value; its error is NaN where the slow path must take it."""
    finite = (abs(x) < np.inf) & (abs(y) < np.inf) & (abs(p) < np.inf)
    out[HIGH, i] = vh
    out[LOW, i] = vl
    out[ERROR, i] = error if finite & ok else np.nan
    out[EXPONENT, i] = exponent
    out[HELD, i] = held


@kernel()
def outer_block(columns, outer, size, odd, twos):
    """Evaluate W for a block; its error is NaN where w or c is not finite."""
    for i in range(size):
        w, c = columns[W, i], columns[C, i]
        h, low, error, exponent = outer_factor(w, c, odd, twos)
        outer[HIGH, i] = h
        outer[LOW, i] = low
        outer[ERROR, i] = error if (abs(w) < np.inf) & (abs(c) < np.inf) else np.nan
        outer[EXPONENT, i] = exponent


@kernel()
def softplus_values(columns, outer, out, size, form):
    """Evaluate a block of a quantity of the softplus family."""
    for i in range(size):
        x, y, p = columns[X, i], columns[Y, i], columns[P, i]
        ah, al, bh, bl, ok = pair_of_coefficients(x, y, p, form)
        t = abs(x)
        mt, et = split(t)
        rh, rl, er = scale_tracked(ah, al, mt)
        kh, kl, ek = add_tracked(ah, al, bh, bl)
        fh, fl, ef = softplus_tail(t)
        sh, sl, es = tail_product(kh, kl, ek, fh, fl, FUNCTION_ERROR)
        uh, ul, eu, held, exponent = joined(rh, rl, er, et, sh, sl, es, ef)
        vh, vl, error, held, exponent = finish(uh, ul, eu, held, exponent, outer, i)
        store(out, i, vh, vl, error, held, exponent, x, y, p, ok)


@kernel()
def sigmoid_values(columns, outer, out, size, form):
    """Evaluate a block of a quantity of the sigmoid family."""
    for i in range(size):
        x, y, p = columns[X, i], columns[Y, i], columns[P, i]
        ah, al, bh, bl, ok = pair_of_coefficients(x, y, p, form)
        t = abs(x)
        large = t >= 1.0
        kh, kl, ek = add_tracked(ah, al, -bh, -bl)
        factor = -1.0 if large else (0.0 if t == 0.0 else 0.5)
        mh, ml, em = add_tracked(ah, al, bh, bl)
        rh = ah if large else 0.5 * mh
        rl = al if large else 0.5 * ml
        er = 0.0 if large else em
        fh, fl, ef, relative = sigmoid_tail_or_half_tanh(t)
        sh, sl, es = tail_product(factor * kh, factor * kl, ek, fh, fl, relative)
        uh, ul, eu, held, exponent = joined(rh, rl, er, 0, sh, sl, es, ef)
        vh, vl, error, held, exponent = finish(uh, ul, eu, held, exponent, outer, i)
        store(out, i, vh, vl, error, held, exponent, x, y, p, ok)


@kernel()
def bell_values(columns, outer, out, size, form):
    """Evaluate a block of a quantity of the bell family."""
    for i in range(size):
        x, y, p = columns[X, i], columns[Y, i], columns[P, i]
        ah, al, bh, bl, ok = pair_of_coefficients(x, y, p, form)
        t = abs(x)
        large = t >= 1.0
        kh, kl, ek = add_tracked(ah, al, bh, bl)
        r = 0.0 if large else 0.25
        factor = 1.0 if large else (0.0 if t == 0.0 else -0.25)
        fh, fl, ef = bell_or_square(t)
        sh, sl, es = tail_product(factor * kh, factor * kl, ek, fh, fl, FUNCTION_ERROR)
        uh, ul, eu, held, exponent = joined(r * kh, r * kl, r * ek, 0, sh, sl, es, ef)
        vh, vl, error, held, exponent = finish(uh, ul, eu, held, exponent, outer, i)
        store(out, i, vh, vl, error, held, exponent, x, y, p, ok)


@kernel()
def values(family, columns, outer, out, size, form):
    """Evaluate a block."""
    if family == SOFTPLUS:
        softplus_values(columns, outer, out, size, form)
    elif family == SIGMOID:
        sigmoid_values(columns, outer, out, size, form)
    else:
        bell_values(columns, outer, out, size, form)


@kernel()
def round_block(out, nearest, offset, start, size, precision, emin, emax):
    """Round a block; ``offset`` is NaN where that is not decided."""
    for i in range(size):
        vh, vl, error = out[HIGH, i], out[LOW, i], out[ERROR, i]
        exact = error == 0.0  # asked before scaling, under which an error may underflow
        zero = vh == 0.0
        safe = 1.0 if zero else vh
        sign = -1.0 if safe < 0.0 else 1.0
        exponent = ((float_bits(safe) >> 52) & 2047) - 1023
        unit = power_of_two(-exponent)
        high, low, error = abs(safe) * unit, sign * vl * unit, error * unit
        # just below a power of two, the unit in the last place is that of the lower binade
        below = (high == 1.0) & (low < 0.0)
        double = 2.0 if below else 1.0
        high, low, error = high * double, low * double, error * double
        exponent = exponent + np.int64(out[EXPONENT, i]) - (1 if below else 0)
        drop = min(max(1 - precision, emin - precision + 1 - exponent), 300)
        shift = power_of_two(-drop)
        high, low, error = high * shift, low * shift, error * shift
        whole = np.rint(high)
        rest = high - whole
        side = 1.0 if rest + low >= 0.0 else -1.0
        beyond = (rest * side - 0.5) + side * low  # how far past the midpoint
        crossed = beyond > 0.0
        whole = whole + (side if crossed else 0.0)
        left = (rest - (side if crossed else 0.0)) + low
        decided = (abs(beyond) > error) & (abs(left) > error) & (error < OFFSET_ERROR)
        decided = exact | decided
        # overflow: ∞ counts as 2^(emax+1) = 2^precision units of the top binade
        over = min(max(exponent - emax, 0), 900)
        stretch = power_of_two(over)
        full = power_of_two(precision)
        far = (high * stretch - full) + low * stretch
        decided = decided & (over < 900)
        far_decided = exact | (abs(far) > error * stretch)
        infinite = (exponent > emax) | ((exponent == emax) & (whole >= full))
        scale = min(max(exponent + drop, -1074), 971)
        half = scale >> 1
        finite = whole * power_of_two(half) * power_of_two(scale - half)
        left = far if over > 0 else left
        decided = decided & (far_decided | (over == 0))
        left = sign * left if decided else np.nan
        decided_zero = zero & exact
        nearest[start + i] = 0.0 if zero else sign * (np.inf if infinite else finite)
        offset[start + i] = (0.0 if decided_zero else np.nan) if zero else left


@kernel()
def load_block(columns, present, order, block, start, size):
    """Copy a block of the columns that are present, in the given order if any."""
    for j in range(5):
        if present[j]:
            if order.size:
                for i in range(size):
                    block[j, i] = columns[j][order[start + i]]
            else:
                for i in range(size):
                    block[j, i] = columns[j][start + i]


@kernel(parallel=True)
def round_elements(family, columns, present, form, divisor, limits, nearest, offset):
    """Evaluate and round every element; a column that is absent is 1 throughout."""
    size = nearest.size
    precision, emin, emax = limits
    odd, twos = divisor
    order = np.empty(0, np.int64)
    for chunk in prange((size + CHUNK - 1) // CHUNK):
        block, outer, out = np.ones((5, BLOCK)), np.empty((4, BLOCK)), np.empty((5, BLOCK))
        outer_block(block, outer, BLOCK, odd, twos)
        for start in range(chunk * CHUNK, min(size, (chunk + 1) * CHUNK), BLOCK):
            count = min(BLOCK, size - start)
            load_block(columns, present, order, block, start, count)
            if present[W] or present[C]:
                outer_block(block, outer, count, odd, twos)
            values(family, block, outer, out, count, form)
            round_block(out, nearest, offset, start, count, precision, emin, emax)


@kernel()
def accumulate(limbs, value, exponent, up):
    """Add value·2^exponent to a fixed-point number, exactly, or floored or raised to its last bit.

    Returns whether nothing was cut off. Each limb takes 2^32 at most, so that 2^31 calls are safe.
    """
    tiny = abs(value) < 2.0**-900  # a subnormal number has no leading bit to restore
    bits = float_bits(value * 2.0**200 if tiny else value)
    exponent = exponent - 200 if tiny else exponent
    magnitude = (bits & 0x000FFFFFFFFFFFFF) | 0x0010000000000000
    position = ((bits >> 52) & 2047) - 1075 + exponent - LAST_BIT
    exact = True
    if position < 0:
        drop = min(-position, 60)
        kept = magnitude >> drop
        exact = (kept << drop) == magnitude
        magnitude = kept + (1 if up else 0)
        position = 0
    limb = position >> 5
    shift = position & 31
    rest = magnitude >> (32 - shift)
    parts = ((magnitude << shift) & 0xFFFFFFFF, rest & 0xFFFFFFFF, rest >> 32)
    for i in range(3):
        limbs[limb + i] += parts[i] if bits >= 0 else -parts[i]
    return exact


@kernel(parallel=True)
def sum_tasks(family, columns, present, form, order, bounds, sums, errors, left_out):
    """Add up the elements of each task, exactly, and their errors; mark what must be added apart.

    ``bounds`` holds the tasks' first elements and the end; ``sums`` and ``errors`` one fixed-point
    number a task; ``left_out`` one flag an element.
    """
    for task in prange(bounds.size - 1):
        block, outer, out = np.ones((5, BLOCK)), np.empty((4, BLOCK)), np.empty((5, BLOCK))
        outer_block(block, outer, BLOCK, 1.0, 0)
        for start in range(bounds[task], bounds[task + 1], BLOCK):
            count = min(BLOCK, bounds[task + 1] - start)
            load_block(columns, present, order, block, start, count)
            if present[W] or present[C]:
                outer_block(block, outer, count, 1.0, 0)
            values(family, block, outer, out, count, form)
            sum_block(out, start, count, order, sums[task], errors[task], left_out)


@kernel()
def sum_block(out, start, count, order, total, slack, left_out):
    """Add up one block."""
    for i in range(count):
        # in a sum a part of which only the sign is right may cancel, so that it counts as error
        high, low, error = out[HIGH, i], out[LOW, i], out[ERROR, i] + out[HELD, i]
        exponent = np.int64(out[EXPONENT, i])
        if np.isnan(error) or exponent + _BIAS > 1000:
            left_out[order[start + i] if order.size else start + i] = True
            continue
        exact = high == 0.0 or accumulate(total, high, exponent, False)
        exact = (low == 0.0 or accumulate(total, low, exponent, False)) and exact
        if error > 0.0:
            accumulate(slack, error, exponent, True)
        if not exact:
            slack[0] += 2
