"""Pairs of float64: sums and products with what their roundings lost.

A pair (h, l) stands for h + l, with l at most half a unit of h. Bounds of errors are relative, and
hold while nothing overflows and no error of a product underflows. No branches.
"""

from __future__ import annotations

from .intrinsics import fma, inlined

DD = tuple[float, float]


@inlined
def two_sum(a: float, b: float) -> DD:
    """S + e = a + b exactly, s the rounded sum."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


@inlined
def fast_two_sum(a: float, b: float) -> DD:
    """As ``two_sum``, for |a| ≥ |b| or a = 0."""
    s = a + b
    return s, b - (s - a)


@inlined
def two_product(a: float, b: float) -> DD:
    """P + e = a·b exactly, p the rounded product, as long as e does not underflow."""
    p = a * b
    return p, fma(a, b, -p)


@inlined
def dd_times(ah: float, al: float, bh: float, bl: float) -> DD:
    """(ah + al)·(bh + bl), relative error < 2^-102."""
    p, e = two_product(ah, bh)
    return fast_two_sum(p, fma(ah, bl, fma(al, bh, e)))


@inlined
def dd_plus(ah: float, al: float, bh: float, bl: float) -> DD:
    """(ah + al) + (bh + bl), error < 2^-103 of the larger where the signs are equal."""
    s, e = two_sum(ah, bh)
    t, f = two_sum(al, bl)
    s, e = fast_two_sum(s, e + t)
    return fast_two_sum(s, e + f)


@inlined
def wide_quotient(nh: float, nl: float, dh: float, dl: float) -> DD:
    """(nh + nl) / (dh + dl), relative error < 2^-100."""
    inverse = 1.0 / dh
    q = nh * inverse
    rest = fma(-q, dh, nh) + fma(-q, dl, nl)
    return fast_two_sum(q, rest * inverse)
