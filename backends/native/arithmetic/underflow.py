"""float64 results near the smallest normal number and below: kept 2^RAISED larger, rounded once.

A raised value is normal, and so is its rounding error, so that pairs keep all their digits. Only
``lowered`` rounds, to the grid of the subnormals where that is the coarser one. No branches.
"""

from __future__ import annotations

import math

from .double_double import DD, fast_two_sum, two_sum
from .functions import wide_expanded, wide_reduced
from .intrinsics import apart, as_bits, fma, from_bits, helper, inlined, power

RAISED = 600
RAISE = 2.0**RAISED
# Raised exp(−a) is clamped at exp(−800): 2^79 of them are nothing beside the smallest float64.
RAISED_CLAMPED = 800.0
# The smallest normal and half of the smallest number, raised.
_NORMAL = 2.0 ** (RAISED - 1022)
_HALF = 2.0 ** (RAISED - 1075)
_NORMAL_BITS = (RAISED - 1022 + 1023) << 52
_SIGN = -(1 << 63)
# Sums below this are rounded as raised ones; beside others, what is raised is nothing.
_FAINT_SUM = 2.0**-400


@inlined
def raised_exp(a: float) -> DD:
    """exp(−a)·2^RAISED for 0 ≤ a < 1000 as a pair, relative error < 2^-63."""
    r, rest, tail, scale = wide_reduced(a, RAISED)
    return wide_expanded(r, rest, tail, scale)


@inlined
def with_sign(magnitude: float, sign: float) -> float:
    """``magnitude`` ≥ 0 with the sign of ``sign``; subnormals cost nothing."""
    return from_bits(as_bits(magnitude) | (as_bits(sign) & _SIGN))


@inlined
def lowered(value: float, rest: float) -> float:
    """(value + rest)/2^RAISED rounded once, for a value ≥ 0 and a rest of at most half its ulp.

    The sum with _NORMAL has the subnormals' grid, and their bits behind its own; what it rounded
    away is exact, and with the rest may be beyond the middle.
    """
    total = _NORMAL + value
    lost = value - (total - _NORMAL)
    number = as_bits(total) - _NORMAL_BITS
    number += 1 if (lost - _HALF) + rest > 0.0 else 0
    number -= 1 if (lost + _HALF) + rest < 0.0 else 0
    return from_bits(number if value < _NORMAL else as_bits(value) - (RAISED << 52))


@inlined
def lowered_pair(value: float, rest: float) -> DD:
    """(value + rest)/2^RAISED of either sign: the pair, or a result that is not normal, and 0."""
    magnitude = abs(value)
    number = with_sign(lowered(magnitude, rest if value > 0.0 else -rest), value)
    return number, (rest / RAISE if magnitude >= _NORMAL else 0.0)


@inlined
def quotient(total: float, rest: float, count: float) -> float:
    """(total + rest)/count, rounded to float64; an infinite total has no meaningful rest."""
    if not abs(total) < math.inf:
        return total
    total, rest = fast_two_sum(total, rest)
    q = total / count
    return q + (fma(-q, count, total) + rest) / count if abs(q) < math.inf else q


@helper
def raised_quotient(
    total: float, rest: float, raised: float, raised_rest: float, count: float
) -> float:
    """(total + rest + (raised + raised_rest)/2^RAISED)/count, rounded to float64."""
    if not abs(total) < _FAINT_SUM:
        return quotient(total, rest, count)
    total, error = two_sum(total * RAISE, raised)
    total, rest = fast_two_sum(total, error + (rest * RAISE + raised_rest))
    q = total / count
    q, rest = fast_two_sum(q, (fma(-q, count, total) + rest) / count)
    number, _ = lowered_pair(q, rest)
    return number


@inlined
def is_tie(value: float, kept: int) -> bool:
    """Whether ``value`` may lie in the middle between two numbers of the format with so many bits.

    Of float64, none does. Below the smallest normal number of the others, adding that brings the
    grid of the subnormals to the bits where that of the normals is.
    """
    least = 2.0**-14 if kept == 11 else 2.0**-126
    magnitude = abs(value) + least if abs(value) < least else value
    half = 1 << 52 - min(kept, 52)
    return kept < 53 and as_bits(magnitude) & (2 * half - 1) == half


@helper
def rounded_within(
    value: float, rest: float, error: float, k: int, signed: bool, kept: int
) -> tuple[float, float, bool]:
    """(value + rest)·2^k, known to ± error·2^k, as the nearest float64 and its rest, if it decides.

    ``signed`` tells that the sign is known all the same. As of a quad, the rest of a result that is
    not normal is 0. That of a tie of the format with ``kept`` bits has the right sign.
    """
    value, rest = fast_two_sum(value, rest)
    _, shift = apart(value)
    scale = power(-shift)
    value, rest, error = value * scale, rest * scale, error * scale
    k += shift
    if value == 0.0 or not error <= 1.25 * abs(value):
        return 0.0, 0.0, False
    if k < -1080:
        return math.copysign(0.0, value), 0.0, signed
    if k > 1023:
        return math.copysign(math.inf, value), 0.0, error < 2.0**-1
    if k < -1021:
        return _rounded_subnormal(value, rest, error, k, signed)
    decided = value + (rest - error) == value and value + (rest + error) == value
    first, second = power(k >> 1), power(k - (k >> 1))
    rounded = value * first * second
    decided = decided and (abs(rest) > error or not is_tie(rounded, kept))
    return rounded, rest * first * second, decided


@inlined
def _rounded_subnormal(
    value: float, rest: float, error: float, k: int, signed: bool
) -> tuple[float, float, bool]:
    """As ``rounded_within``, for 1 ≤ |value| < 2 and -1080 ≤ k < -1021."""
    unit = power(k + 1074)
    magnitude, rest = abs(value) * unit, math.copysign(unit, value) * rest
    whole = float(math.floor(magnitude))
    beyond = magnitude - whole - 0.5
    low, high = beyond + (rest - error * unit), beyond + (rest + error * unit)
    whole += 1.0 if low > 0.0 else 0.0
    decided = (low > 0.0 or high < 0.0) and (signed or whole > 0.0)
    return with_sign(from_bits(int(whole)), value), 0.0, decided
