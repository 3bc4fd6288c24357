"""Certified rounding: the correctly rounded value of R + Σ K·F(t), divided by a count, with proof.

Guarantees: the value returned is the one to which both ends of an enclosure round; the working
precision doubles until they do. The ends are rounded exactly, in integers. Termination:
quantities.py for one element, ``group`` below for sums.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import copysign, inf, ldexp, nan

import mpmath
from gmpy2 import mpz

from bce_conformance.reference.formats import Format
from bce_conformance.reference.quantities import ZERO, Dyadic, Term, add, multiply, negate

from .enclosure import FUNCTIONS, Enclosure

# Terms beside a slack are worth a few doublings: what is then undecided, the slack left so.
_SLACK_PRECISION = 1000
LARGEST = 1.7976931348623157e308
SMALLEST = 5e-324


@dataclass(frozen=True)
class Rounded:
    """One truth: ``nearest``, ``offset`` in ulps, and the working precision that decided it.

    ``precision`` is 0 where the value was rational and needed no enclosure.
    """

    nearest: float
    offset: float
    precision: int


@dataclass(frozen=True)
class Sum:
    """(R + Σ K·F(t) + s)/count, exactly; no two terms share a function and t, and no K is 0.

    Of s only |s| ≤ ``slack`` is known: what a fast sum dropped.
    """

    rational: Dyadic
    terms: tuple[Term, ...]
    count: int = 1
    slack: Dyadic = ZERO


def group(terms: Iterable[tuple[Term, int]], count: int = 1) -> Sum:
    """Add up terms, each with its multiplicity, merging those that share F and t.

    Why merging decides every exact case of a sum. With d a common denominator of all t, z = e^(1/d)
    is transcendental, so a rational relation between the F(t) holds identically in z. Let t = n/d
    be the largest with K ≠ 0. Then σ(−t), σ(t)σ(−t) and tanh(t/2) have a pole at the primitive
    2n-th roots of unity, at which no smaller t has one; and 1 + z^−n, in the product that a
    relation between logarithms amounts to, has the factor Φ_2n, which no smaller t has. So K = 0
    after all: the sum is rational exactly when every merged K is 0 (log 2, t = 0, is left alone at
    the end: 2^k = z^m only for k = m = 0). One sum has functions of one family; half_tanh and
    sigmoid_tail serve disjoint ranges of t and have the same poles.
    """
    rational: Dyadic = ZERO
    merged: dict[tuple[str, int, int], Term] = {}
    for term, multiplicity in terms:
        many = (mpz(multiplicity), 0)
        rational = add(rational, multiply(many, term.rational))
        if not term.factor[0]:
            continue
        key = (term.function, *term.t)
        factor = multiply(many, term.factor)
        if key in merged:
            factor = add(merged[key].factor, factor)
        merged[key] = Term(ZERO, factor, term.function, term.t)
    return Sum(rational, tuple(t for t in merged.values() if t.factor[0]), count)


@lru_cache(maxsize=1 << 14)
def _enclose(function: str, man: int, exp: int, precision: int) -> Enclosure:
    """Enclose F(t), remembering: the sums of one call share their t."""
    return FUNCTIONS[function](man, exp, precision)


def _tail(total: Sum, precision: int) -> tuple[Dyadic, Dyadic]:
    """Enclose Σ K·F(t); a sum of several is cut off 2^−precision below its largest term."""
    ends = []
    for term in total.terms:
        low, high, exponent = _enclose(term.function, *term.t, precision)
        man, exp = term.factor
        if man < 0:
            low, high = high, low
        ends.append((man * low, man * high, exp + exponent))
    if len(ends) == 1:
        low, high, exponent = ends[0]
        return (low, exponent), (high, exponent)
    top = max(exponent + max(low.bit_length(), high.bit_length()) for low, high, exponent in ends)
    unit = top - precision - 32
    lower = upper = mpz(0)
    for low, high, exponent in ends:
        shift = exponent - unit
        lower += low << shift if shift >= 0 else low >> -shift
        upper += high << shift if shift >= 0 else -(-high >> -shift)
    return (lower, unit), (upper, unit)


def _widened(low: Dyadic, high: Dyadic, slack: Dyadic) -> tuple[Dyadic, Dyadic]:
    """Widen an enclosure by a slack; far below the slack's last bit, it is one unit of that."""
    if not slack[0]:
        return low, high
    if max(_magnitude(low), _magnitude(high)) < slack[1]:
        slack, low, high = (slack[0] + 1, slack[1]), ZERO, ZERO
    return add(low, negate(slack)), add(high, slack)


def _magnitude(value: Dyadic) -> int:
    """Return e with 2^(e−1) ≤ |value| < 2^e."""
    return int(value[0].bit_length()) + value[1]


def _joined(rational: Dyadic, tail: Dyadic, count: int, fmt: Format) -> Dyadic:
    """Return R + tail, or what rounds alike.

    Every point where rounding changes is, times count, a multiple of 2^(emin − precision) and R is
    one of 2^exp: a tail below both by far cannot cross one, and a shorter one of its sign stands in
    for it, which keeps e^(−10³⁰⁰) from becoming 10³⁰⁰ digits.
    """
    if not rational[0] or not tail[0]:
        return add(rational, tail)
    floor = min(rational[1], fmt.emin - fmt.precision) - 64
    if _magnitude(tail) < floor:
        tail = (mpz(1 if tail[0] > 0 else -1), floor)
    return add(rational, tail)


def round_nearest(value: Dyadic, count: int, fmt: Format) -> float:
    """Round value/count to the format, ties to even; zero keeps the sign of the value.

    Overflow is what IEEE 754 says: from the midpoint above the largest finite number upwards.
    """
    man, exp = value
    sign = -1.0 if man < 0 else 1.0
    man = abs(man)
    if not man:
        return 0.0
    top = man.bit_length() + exp - count.bit_length() + 1  # 2^(top−2) < value/count < 2^top
    unit = max(top - fmt.precision - 1, fmt.emin - fmt.precision + 1)
    if top > fmt.emax + 2:
        return sign * inf
    if top <= fmt.emin - fmt.precision:  # below half the smallest subnormal
        return copysign(0.0, sign)
    while True:
        shift = exp - unit
        numerator = man << shift if shift >= 0 else man
        denominator = mpz(count) if shift >= 0 else mpz(count) << -shift
        quotient, rest = divmod(numerator, denominator)
        if quotient.bit_length() <= fmt.precision:
            break
        unit += 1
    twice = 2 * rest - denominator
    if twice > 0 or (twice == 0 and quotient & 1):
        quotient += 1
    if quotient.bit_length() + unit > fmt.emax + 1:
        return sign * inf
    return copysign(ldexp(int(quotient), unit), sign)


def offset_of(total: Sum, tail: Dyadic, nearest: float, fmt: Format) -> float:
    """Return (value − nearest)/ulp(value) as float64; 0 exactly when the value is nearest.

    An infinite ``nearest`` counts as 2^(emax+1). The enclosure's own width is far below the last
    bit of the result, so that one of its ends serves.
    """
    if nearest in (inf, -inf):
        anchor: Dyadic = (mpz(1 if nearest > 0 else -1), fmt.emax + 1)
    else:
        numerator, denominator = nearest.as_integer_ratio()
        anchor = (mpz(numerator), 1 - denominator.bit_length())
    rest = add(total.rational, negate(multiply((mpz(total.count), 0), anchor)))
    if not rest[0]:
        rest = tail
    elif tail[0] and _magnitude(tail) > rest[1] - 128:
        rest = add(rest, tail)
    if not rest[0]:
        return 0.0
    below = (rest[0] < 0) == (anchor[0] > 0)  # the value is smaller in magnitude than nearest
    magnitude = abs(anchor[0]).bit_length() + anchor[1] - 1 if anchor[0] else fmt.emin
    if below and anchor[0] and not abs(anchor[0]) & (abs(anchor[0]) - 1):
        magnitude -= 1
    unit = min(max(magnitude, fmt.emin), fmt.emax) - fmt.precision + 1
    return _quotient(rest, total.count, unit)


def _quotient(value: Dyadic, count: int, unit: int) -> float:
    """Return value/(count·2^unit) to 53 bits, kept off 0 and ∞ as it is neither."""
    man, exp = value
    shift = max(0, 64 + count.bit_length() - man.bit_length())
    ratio = (abs(man) << shift) // count
    drop = max(0, ratio.bit_length() - 62)
    exponent = min(max(exp - shift - unit + drop, -5000), 5000)
    try:
        size = min(max(ldexp(int(ratio >> drop), exponent), SMALLEST), LARGEST)
    except OverflowError:
        size = LARGEST
    return -size if man < 0 else size


def certify(total: Sum, fmt: Format) -> Rounded | None:
    """Round a finite value correctly to the format; None where its slack leaves it undecided."""
    if not total.terms and not total.slack[0]:
        nearest = round_nearest(total.rational, total.count, fmt)
        return Rounded(nearest, offset_of(total, ZERO, nearest, fmt), 0)
    precision = fmt.precision + 40
    while not total.slack[0] or precision < _SLACK_PRECISION:
        low, high = _tail(total, precision) if total.terms else (ZERO, ZERO)
        low, high = _widened(low, high, total.slack)
        ends = [
            round_nearest(_joined(total.rational, end, total.count, fmt), total.count, fmt)
            for end in (low, high)
        ]
        same = ends[0] == ends[1] and copysign(1, ends[0]) == copysign(1, ends[1])
        if same and _settled(total, low, high, ends[0], fmt):
            return Rounded(ends[0], offset_of(total, low, ends[0], fmt), precision)
        precision *= 2
    return None


def _settled(total: Sum, low: Dyadic, high: Dyadic, nearest: float, fmt: Format) -> bool:
    """Tell whether the enclosure also gives the offset to about float64's precision."""
    first = offset_of(total, low, nearest, fmt)
    last = offset_of(total, high, nearest, fmt)
    return (first > 0) == (last > 0) and abs(first - last) <= 2.0**-30 * max(abs(first), 2.0**-20)


def certify_special(value: float | Dyadic, count: int, fmt: Format) -> Rounded:
    """Round what ``special_value`` returned: exact zeros, infinities, NaN, or an exact dyadic."""
    if isinstance(value, tuple):
        rounded = certify(Sum(value, (), count), fmt)
        assert rounded is not None
        return rounded
    if value in (inf, -inf):
        return Rounded(value, value, 0)
    return Rounded(value, nan if value != value else 0.0, 0)


def to_mpf(total: Sum, bits: int) -> mpmath.mpf:
    """Return the value with a relative error below 2^(8 − bits), in mpmath's own numbers."""
    precision = bits
    while True:
        low, high = (add(total.rational, e) for e in _ends(total, precision))
        width = add(high, negate(low))
        if not width[0] or (low[0] and _magnitude(width) < _magnitude(low) - bits + 8):
            break
        precision *= 2
    with mpmath.workprec(bits + 64):
        return mpmath.ldexp(mpmath.mpf(int(low[0])), low[1]) / total.count


def _ends(total: Sum, precision: int) -> tuple[Dyadic, Dyadic]:
    """Enclose Σ K·F(t), dropping it where it lies below the last bit that R could show."""
    if not total.terms:
        return ZERO, ZERO
    low, high = _tail(total, precision)
    if total.rational[0] and _magnitude(high) < _magnitude(total.rational) - 2 * precision:
        return ZERO, (mpz(1), _magnitude(total.rational) - 2 * precision)
    return low, high
