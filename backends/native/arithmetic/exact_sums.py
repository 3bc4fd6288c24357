"""Sums of products with log(1 + exp(−a)) or exp(−a)/(1 + exp(−a)), whatever cancels or underflows.

Guarantees a sum's sign, its being zero, and a relative error below 2^-60 before the one rounding.
Coefficients are integers, so that no rounding comes before the functions. A sum whose coefficients
do not all vanish is not zero: powers of one transcendental number, exp(−a) for the largest common
part of all a, have neither a linear relation nor, with their logarithms of 1 + power, another one.
So more and more digits end.
"""

from __future__ import annotations

import decimal
from collections.abc import Mapping
from decimal import Decimal

# Every float64 is an integer times 2^-UNIT.
UNIT = 1074

_DIGITS = 40
# Digits that the result is to have, and that roundings may take.
_WANTED = 20
_SERIES_BELOW = Decimal("1e-6")
_GUARD = 10


def integer(value: float) -> int:
    """The integer of which a finite ``value`` is the 2^-UNIT part."""
    numerator, denominator = value.as_integer_ratio()
    return numerator << UNIT + 1 - denominator.bit_length()


def _softplus_share(t: Decimal) -> Decimal:
    """log(1 + t)/t for 0 ≤ t ≤ 1; 1 at 0."""
    context = decimal.getcontext()
    if t >= _SERIES_BELOW:
        with decimal.localcontext(prec=context.prec + _GUARD):
            return (1 + t).ln() / t
    total, power, n = Decimal(1), Decimal(1), 1
    while abs(power) > Decimal(10) ** -context.prec:
        power *= -t
        n += 1
        total += power / n
    return total


def _logistic_share(t: Decimal) -> Decimal:
    """1/(1 + t)."""
    return 1 / (1 + t)


def exact_sum(
    constant: int, coefficients: Mapping[float, int], unit: int, count: float, *, logarithm: bool
) -> float:
    """(constant + Σ coefficients[a]·f(a))·2^-unit/count as a float64, with its sign where it is 0.

    Args:
        constant: what is added to the sum.
        coefficients: a ≥ 0, finite → the coefficient of f(a).
        unit: the constant and the coefficients count in 2^-unit.
        count: a positive integer.
        logarithm: whether f(a) is log(1 + exp(−a)), else exp(−a)/(1 + exp(−a)).

    Returns:
        The nearest float64 of the sum, or its neighbour; +0.0 for a sum that is exactly zero.

    Example:
        >>> exact_sum(0, {1e30: -1}, 0, 1.0, logarithm=True)
        -0.0
    """
    terms = {a: coefficient for a, coefficient in coefficients.items() if coefficient}
    if not logarithm and 0.0 in terms:  # f(0) = 1/2
        constant, unit = 2 * constant + terms.pop(0.0), unit + 1
        terms = {a: 2 * coefficient for a, coefficient in terms.items()}
    if not terms and not constant:
        return 0.0
    # What all terms have in common is taken out, so that none is beyond a decimal's exponents.
    least = 0.0 if constant else min(terms)
    # The first term is the constant, or at least half of its coefficient.
    first = abs(constant) if constant else abs(terms[least])
    excess = max(0, sum(map(abs, terms.values())).bit_length() - first.bit_length() + 2)
    digits = _DIGITS
    while True:
        context = decimal.Context(digits, Emin=decimal.MIN_EMIN, Emax=decimal.MAX_EMAX, traps=[])
        with decimal.localcontext(context):
            # Together, all terms beyond are less than 10^-digits of the first.
            reach = 1 + 2.31 * digits + 0.7 * excess
            near = {a: terms[a] for a in terms if a - least < reach}
            total, error = _total(constant, near, Decimal(least), logarithm)
            if abs(total) > error:
                scaled = (
                    total * Decimal(least).copy_negate().exp() / Decimal(2) ** unit / Decimal(count)
                )
                return float(scaled)
        digits *= 2


def _total(
    constant: int, terms: Mapping[float, int], least: Decimal, logarithm: bool
) -> tuple[Decimal, Decimal]:
    """The sum times exp(least), and 10^20 times a bound of its error."""
    share = _softplus_share if logarithm else _logistic_share
    total = +Decimal(constant)
    size = abs(total)
    for a, coefficient in terms.items():
        beyond = Decimal(a) - least
        power = beyond.copy_negate().exp()
        value = coefficient * (power * share(Decimal(a).copy_negate().exp()))
        total += value
        # The exponent is rounded by a unit of its own last place, all else by a few of the value's.
        size += abs(value) * (1 + beyond)
    roundings = 100 + 2 * len(terms)  # and what is beyond reach
    return total, size * roundings * Decimal(10) ** (_WANTED + 1 - decimal.getcontext().prec)
