"""Enclosures of the four transcendental functions, in integers only.

Guarantees: each function returns integers ``lower``, ``upper`` and an exponent e such that the
exact value lies in [lower, upper]·2^e; the bound is proved in the comments, step by step, from the
floor of integer division alone. Nothing here uses mpmath, floating point or a library's exp or log,
so none of their faults can reach it. The relative width is below 2^(8 − precision).

With E = e^−t, t ≥ 0:  softplus_tail = log(1 + E),  sigmoid_tail = E/(1 + E),
bell = E/(1 + E)²,  half_tanh = tanh(t/2). Each of the first three grows with E at a slope in
[0, 1], so that an enclosure at the lower end of E, widened by the width of E, encloses them.
"""

from __future__ import annotations

from functools import lru_cache
from math import isqrt
from typing import Any

from gmpy2 import mpz

Integer = Any  # gmpy2.mpz, which has no type stubs
Enclosure = tuple[Integer, Integer, int]

_ONE = mpz(1)


@lru_cache(maxsize=256)
def log_ratio(numerator: int, denominator: int, scale: int) -> Integer:
    """Return floor(2^scale·log(numerator/denominator)) for 1 ≤ numerator/denominator ≤ 2.

    log(n/d) = 2·atanh(z), z = (n−d)/(n+d) ≤ 1/3. Each term z^(2i+1)/(2i+1) is floored twice, so it
    is at most 2 too small (the first floor's deficit d obeys d ≤ d/9 + 1 < 9/8); the tail after a
    power that floors to 0 is below 2. The guard bits are raised until both ends have one floor.
    """
    top, bottom = mpz(numerator - denominator), mpz(numerator + denominator)
    if not top:
        return mpz(0)
    guard = 32
    while True:
        power = (top << (scale + guard + 1)) // bottom
        total, index = mpz(0), 0
        top2, bottom2 = top * top, bottom * bottom
        while power:
            total += power // (2 * index + 1)
            power = power * top2 // bottom2
            index += 1
        low, high = total >> guard, (total + 2 * index + 2) >> guard
        if low == high:
            return low
        guard *= 2


_ln2: tuple[int, Integer] = (0, mpz(0))


def ln2_fixed(scale: int) -> Integer:
    """Return floor(2^scale·log 2), from one long value that grows as asked."""
    global _ln2
    if _ln2[0] < scale:
        _ln2 = (2 * scale + 256, log_ratio(2, 1, 2 * scale + 256))
    return _ln2[1] >> (_ln2[0] - scale)


def exp_fixed(r: Integer, scale: int) -> tuple[Integer, Integer]:
    """Enclose 2^scale·e^(r/2^scale) for 0 ≤ r ≤ 2^scale.

    x = r/2^(scale+halvings) is exact at the inner scale. Term T_n = floor(T_{n−1}·x/n), so its
    deficit d_n ≤ d_{n−1}·x/n + 1 ≤ 2 for x ≤ 1; all of n terms lack at most 2n. When T_n = 0 the
    exact term is below 2 and, as x/(n+1) ≤ 1/2, so is the tail behind it: at most 2n + 4 in all.
    Squaring both ends with floor and ceiling keeps them ends.
    """
    small = scale - r.bit_length()  # x < 2^−small already
    halvings = max(0, 4 + isqrt(scale) // 2 - small)
    inner = scale + halvings + 12
    x = r << 12
    term = _ONE << inner
    total, n = term, 0
    while term:
        n += 1
        term = (term * x >> inner) // n
        total += term
    lower, upper = total, total + 2 * n + 4
    for _ in range(halvings):
        lower = lower * lower >> inner
        upper = (upper * upper >> inner) + 1
    shift = halvings + 12
    return lower >> shift, (upper >> shift) + 1


def _exp_negative(man: Integer, exp: int, scale: int) -> tuple[Integer, Integer, int]:
    """Enclose e^−t, t = man·2^exp > 0, as [a, b]·2^−(scale+k), k ≥ 1.

    e^−t = 2^−k·e^r, r = k·log 2 − t in (0, log 2]. At scale + shift bits, l ≤ log 2 < l + 1 and
    T ≤ t < T + 1, so r lies in (kl − T − 1, kl − T + k]; k < 2^shift/4 makes that, after the shift,
    at most 1 below and 2 above r_fixed. e^r ≤ 2 turns it into 3 below and 5 above.
    """
    shift = max(0, man.bit_length() + exp) + 4
    fine = scale + shift
    t = man << (exp + fine) if exp + fine >= 0 else man >> -(exp + fine)
    ln2 = ln2_fixed(fine)
    k = int(t // ln2) + 1
    lower, upper = exp_fixed((k * ln2 - t) >> shift, scale)
    return lower - 3, upper + 5, k


def _atanh_series(w: Integer, scale: int) -> tuple[Integer, int]:
    """Return (s, n) with 2^scale·Σ w^i/(2i+1) in [s, s + 2n + 4], for exact w in [w, w+4], w ≤ 1/9.

    Powers lack at most 9/8 each, so that terms lack at most 3/2; the tail is below 2; the slope in
    w is below 0.64, which makes the 4 units of w less than 3. 3n/2 + 2 + 3 ≤ 2n + 4 for n ≥ 2, and
    for n = 1 (w = 0) the sum lacks no more than the 3 of w's own error plus the tail's 2 ≤ 6.
    """
    power = _ONE << scale
    total, n = mpz(0), 0
    while power:
        total += power // (2 * n + 1)
        power = power * w >> scale
        n += 1
    return total, n


def _log1p_small(a: Integer, k: int, scale: int) -> tuple[Integer, Integer]:
    """Enclose log(1+E)/E at E = a·2^−(scale+k) ≤ 1/8, at the given scale.

    It is 2/(2+E)·Σ z^2i/(2i+1), z = E/(2+E). e = floor(E) is less than 1 below E; dz/dE ≤ 1/2, so
    z < Z + 2 and z² < W + 4. 2/(2+E) lies in [G − 1, G + 1].
    """
    e = a >> k
    bottom = (_ONE << (scale + 1)) + e
    z = (e << scale) // bottom
    s, n = _atanh_series(z * z >> scale, scale)
    g = (_ONE << (2 * scale + 1)) // bottom
    return (g - 1) * s >> scale, ((g + 1) * (s + 2 * n + 4) >> scale) + 1


def _log1p_large(a: Integer, k: int, scale: int) -> tuple[Integer, Integer]:
    """Enclose 2^scale·log(1+E) at E = a·2^−(scale+k) in [1/16, 1].

    log u = log c + 2·atanh(z), c = 1 + j/32 next to u = 1 + E, z = (u−c)/(u+c), |z| ≤ 1/127. u is
    known to 1 unit and dz/du ≤ 1/2, Z is floored: |z| is within 2 units, 2·atanh(z) within 4.1 for
    that, within (2n+4)/63 for the series and 2 for the products: 8 + n/16 in all.
    """
    e = a >> k
    j = int((e + (_ONE << (scale - 6))) >> (scale - 5))
    c = mpz(32 + j) << (scale - 5)
    u = (_ONE << scale) + e
    z = (abs(u - c) << scale) // (u + c)
    s, n = _atanh_series(z * z >> scale, scale)
    part = z * s >> (scale - 1)
    middle = log_ratio(32 + j, 32, scale) + (part if u >= c else -part)
    slack = 9 + (n >> 4)
    return middle - slack, middle + slack + 1


def softplus_tail(man: Integer, exp: int, precision: int) -> Enclosure:
    """Enclose log(1 + e^−t) for t = man·2^exp ≥ 0."""
    scale = precision + 16
    if not man:
        lower = log_ratio(2, 1, scale)
        return lower, lower + 1, -scale
    a, b, k = _exp_negative(man, exp, scale)
    if k >= 5:
        low, high = _log1p_small(a, k, scale)
        return a * low >> scale, (a * high >> scale) + 1 + b - a, -scale - k
    low, high = _log1p_large(a, k, scale)
    return low, high + ((b - a) >> k) + 1, -scale


def sigmoid_tail(man: Integer, exp: int, precision: int) -> Enclosure:
    """Enclose σ(−t) for t = man·2^exp > 0; 1 + E lies between d and d + 1 units."""
    scale = precision + 16
    a, b, k = _exp_negative(man, exp, scale)
    d = (_ONE << scale) + (a >> k)
    return (a << scale) // (d + 1), (a << scale) // d + 1 + b - a, -scale - k


def bell(man: Integer, exp: int, precision: int) -> Enclosure:
    """Enclose σ(t)·σ(−t) for t = man·2^exp > 0; 1 + E lies between d and d + 1 units."""
    scale = precision + 16
    a, b, k = _exp_negative(man, exp, scale)
    d = (_ONE << scale) + (a >> k)
    top = a << (2 * scale)
    return top // ((d + 1) * (d + 1)), top // (d * d) + 1 + b - a, -scale - k


def half_tanh(man: Integer, exp: int, precision: int) -> Enclosure:
    """Enclose tanh(t/2) = (e^t − 1)/(e^t + 1) for t = man·2^exp in (0, 1).

    The scale grows by the leading zeros of t, so that e^t − 1 keeps its relative precision. T is t
    floored: e^t ≤ e·1 unit above the enclosure of e^T. The quotient grows with e^t.
    """
    scale = precision + 16 - min(0, man.bit_length() + exp)
    t = man << (exp + scale) if exp + scale >= 0 else man >> -(exp + scale)
    a, b = exp_fixed(t, scale)
    b += 3
    one = _ONE << scale
    return ((a - one) << scale) // (a + one), ((b - one) << scale) // (b + one) + 1, -scale


FUNCTIONS = {
    "softplus_tail": softplus_tail,
    "sigmoid_tail": sigmoid_tail,
    "bell": bell,
    "half_tanh": half_tanh,
}
