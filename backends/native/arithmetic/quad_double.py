"""Numbers of 200 bits: unevaluated sums of four float64 with an exponent of their own.

Neither cancellation (y one unit beside σ(x)) nor range (a weight of 1e300 on a loss of 1e-310)
costs a digit. Numbers must be finite. A thousand times slower than float64.
"""

from __future__ import annotations

import math

from .coefficients import LN2_PARTS, LOG2_E
from .double_double import DD, two_product, two_sum
from .functions import wide_softplus
from .intrinsics import floored, fma, helper, out_of_line

# head + … + tail, times 2^exponent.
Quad = tuple[float, float, float, float, int]


_HALVINGS = 8
_TERMS = 18


@helper
def normal(a: float, b: float, c: float, d: float, rest: float, exponent: int) -> Quad:
    """The sum of five terms of falling size, as a quad with its head in [1/2, 1)."""
    out_of_line()
    d, rest = two_sum(d, rest)
    c, d = two_sum(c, d)
    b, c = two_sum(b, c)
    a, b = two_sum(a, b)
    d, rest = two_sum(d, rest)
    c, d = two_sum(c, d)
    b, c = two_sum(b, c)
    a, b = two_sum(a, b)
    c, d = two_sum(c, d)
    b, c = two_sum(b, c)
    a, b = two_sum(a, b)
    d += rest
    if a == 0.0:
        return 0.0, 0.0, 0.0, 0.0, 0
    _, shift = math.frexp(a)
    scale = math.ldexp(1.0, -shift)
    return a * scale, b * scale, c * scale, d * scale, exponent + shift


@helper
def quad(value: float) -> Quad:
    """A float64, exactly."""
    mantissa, exponent = math.frexp(value)
    return mantissa, 0.0, 0.0, 0.0, exponent


@helper
def scaled(value: Quad, by: int) -> Quad:
    """value·2^by."""
    return value[0], value[1], value[2], value[3], value[4] + by


@helper
def minus(value: Quad) -> Quad:
    """−value."""
    return -value[0], -value[1], -value[2], -value[3], value[4]


@helper
def plus(left: Quad, right: Quad) -> Quad:
    """Left + right, error < 2^-205 of the larger."""
    out_of_line()
    if left[0] == 0.0:
        return right
    if right[0] == 0.0:
        return left
    if left[4] < right[4]:
        left, right = right, left
    gap = right[4] - left[4]
    if gap < -300:
        return left
    scale = math.ldexp(1.0, gap)
    a, e1 = two_sum(left[0], right[0] * scale)
    b, e2 = two_sum(left[1], right[1] * scale)
    c, e3 = two_sum(left[2], right[2] * scale)
    d, e4 = two_sum(left[3], right[3] * scale)
    b, f1 = two_sum(b, e1)
    c, f2 = two_sum(c, e2)
    c, g1 = two_sum(c, f1)
    d, f3 = two_sum(d, e3)
    d, g2 = two_sum(d, f2)
    d, g3 = two_sum(d, g1)
    return normal(a, b, c, d, e4 + f3 + g2 + g3, left[4])


@helper
def times(left: Quad, right: Quad) -> Quad:
    """left·right, relative error < 2^-205."""
    out_of_line()
    a, e0 = two_product(left[0], right[0])
    p1, e1 = two_product(left[0], right[1])
    p2, e2 = two_product(left[1], right[0])
    p3, e3 = two_product(left[0], right[2])
    p4, e4 = two_product(left[1], right[1])
    p5, e5 = two_product(left[2], right[0])
    # Second order: p1 + p2 + e0, with their errors one order down.
    b, f1 = two_sum(p1, p2)
    b, f2 = two_sum(b, e0)
    # Third order.
    c, g1 = two_sum(p3, p4)
    c, g2 = two_sum(c, p5)
    c, g3 = two_sum(c, e1)
    c, g4 = two_sum(c, e2)
    c, g5 = two_sum(c, f1)
    c, g6 = two_sum(c, f2)
    d = fma(left[0], right[3], fma(left[1], right[2], fma(left[2], right[1], left[3] * right[0])))
    d += e3 + e4 + e5 + g1 + g2 + g3 + g4 + g5 + g6
    rest = fma(left[1], right[3], fma(left[2], right[2], left[3] * right[1]))
    return normal(a, b, c, d, rest, left[4] + right[4])


@helper
def inverse(value: Quad) -> Quad:
    """1/value by Newton's iteration, relative error < 2^-200."""
    out_of_line()
    one = quad(1.0)
    guess = quad(1.0 / value[0])
    guess = scaled(guess, -value[4])
    for _ in range(2):
        guess = plus(guess, times(guess, plus(one, minus(times(value, guess)))))
    return guess


@helper
def over(value: Quad, n: float) -> Quad:
    """value/n for a small integer n, relative error < 2^-205."""
    out_of_line()
    a = value[0] / n
    rest, tail = two_sum(fma(-a, n, value[0]), value[1])
    b = rest / n
    rest, error = two_sum(fma(-b, n, rest), tail)
    rest, tail = two_sum(rest, value[2])
    c = rest / n
    d = (fma(-c, n, rest) + (error + tail + value[3])) / n
    return normal(a, b, c, d, 0.0, value[4])


@helper
def _growth(a: Quad, k: int) -> Quad:
    """exp(r) − 1 for r = −a − k·ln 2, |r| < 1/2, relative error < 2^-200."""
    reduced = plus(minus(a), minus(times(quad(float(k)), (*LN2_PARTS, 0))))
    r = scaled(reduced, -_HALVINGS)
    # By its series, and doubled by (1 + t)² − 1 = 2t + t².
    series = quad(1.0)
    for n in range(_TERMS, 1, -1):
        series = plus(quad(1.0), over(times(r, series), float(n)))
    t = times(r, series)
    for _ in range(_HALVINGS):
        t = plus(scaled(t, 1), times(t, t))
    return t


@helper
def exponential(a: Quad, k: int) -> Quad:
    """exp(−a) for an integer k with |a + k·ln 2| < 1/2, relative error < 2^-200 for a < 1000."""
    return scaled(plus(quad(1.0), _growth(a, k)), k)


@helper
def shortfall(a: Quad) -> Quad:
    """1 − exp(−a) for 0 ≤ a < 1/2, relative error < 2^-200."""
    return minus(_growth(a, 0))


@helper
def softplus(e: Quad) -> Quad:
    """log(1 + e) for 0 < e ≤ 1, error < 2^-200, and < 2^-139 of the result."""
    out_of_line()
    if e[4] < -60:  # four terms of the series leave a relative error below 2^-240
        third = times(e, inverse(quad(3.0)))
        series = plus(quad(-0.5), plus(third, minus(scaled(times(e, e), -2))))
        return plus(e, times(times(e, e), series))
    head = math.ldexp(e[0], e[4])
    first, rest = wide_softplus(head, math.ldexp(e[1], e[4]))
    guess = plus(quad(first), quad(rest))
    one = plus(quad(1.0), e)
    # Newton's step on exp(guess) = 1 + e, to third order: the guess has 57 bits, the result 170.
    for _ in range(2):
        k = floored(0.5 - first * LOG2_E)
        excess = plus(times(one, exponential(guess, k)), quad(-1.0))
        guess = plus(guess, plus(excess, minus(scaled(times(excess, excess), -1))))
    return guess


@helper
def rounded(value: Quad) -> DD:
    """The nearest float64 and what is left; for a subnormal result the nearest one and 0."""
    exponent = value[4]
    if value[0] == 0.0 or exponent > -1021:
        if exponent > 1024:
            return math.copysign(math.inf, value[0]), 0.0
        # Two steps, so that the power of two itself stays in range.
        half = exponent // 2
        first, second = math.ldexp(1.0, half), math.ldexp(1.0, exponent - half)
        return value[0] * first * second, value[1] * first * second
    if exponent < -1080:
        return math.copysign(0.0, value[0]), 0.0
    # In units of the smallest subnormal, 2^-1074: an integer below 2^53, ties to even.
    unit = math.ldexp(1.0, exponent + 1074)
    head, tail = value[0] * unit, (value[1] + value[2]) * unit
    whole = float(math.floor(head))
    part, low = two_sum(head - whole, tail)
    if part > 0.5 or (part == 0.5 and (low > 0.0 or (low == 0.0 and whole % 2.0 == 1.0))):
        whole += 1.0
    smallest = whole * 2.0**-537 * 2.0**-537
    return math.copysign(smallest, value[0]), 0.0
