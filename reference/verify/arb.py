"""A second opinion on every truth: other formulas, another library, another way to round.

Guarantees: nothing here is shared with the code that it checks but the table of formats. Values
come from python-flint's arb (a development dependency) by the textbook formulas as they stand;
rounding is checked by comparing distances to the neighbouring numbers as fractions. Never used to
produce a truth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from math import inf
from typing import Any

import numpy as np

from bce_conformance.reference.formats import Format

Inputs = tuple[float, float, float | None, float | None, float | None]  # x, y, w, p, cotangent


@dataclass(frozen=True)
class Ball:
    """All real numbers within ``radius`` of ``middle``."""

    middle: Fraction
    radius: Fraction


def _fraction(number: Any) -> Fraction:
    man, exp = number.man_exp()
    man, exp = int(man), int(exp)
    return Fraction(man << exp) if exp >= 0 else Fraction(man, 1 << -exp)


def _softplus(x: Any) -> Any:
    return (-abs(x)).exp().log1p() + max(x, 0 * x)


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + (-x).exp())


_TEXTBOOK: dict[str, Callable[[Any, Any, Any, Any], Any]] = {
    "loss": lambda x, y, w, p: w * ((1 - y) * _softplus(x) + p * y * _softplus(-x)),
    "grad_logits": lambda x, y, w, p: w * ((1 - y + p * y) * _sigmoid(x) - p * y),
    "grad_targets": lambda x, y, w, p: w * (p * _softplus(-x) - _softplus(x)),
    "grad_weight": lambda x, y, w, p: (1 - y) * _softplus(x) + p * y * _softplus(-x),
    "grad_pos_weight": lambda x, y, w, p: w * y * _softplus(-x),
    "hess_logits": lambda x, y, w, p: w * (1 - y + p * y) * _sigmoid(x) * _sigmoid(-x),
    "hess_logits_targets": lambda x, y, w, p: w * ((p - 1) * _sigmoid(x) - p),
    "hess_logits_weight": lambda x, y, w, p: (1 - y + p * y) * _sigmoid(x) - p * y,
    "hess_logits_pos_weight": lambda x, y, w, p: w * y * (_sigmoid(x) - 1),
}


def _textbook(quantity: str, row: Inputs) -> Any:
    """Evaluate a quantity in arb at the current precision; all inputs are finite."""
    from flint import arb

    x, y, w, p, c = (arb(1 if value is None else value) for value in row)
    return c * _TEXTBOOK[quantity](x, y, w, p)


@contextmanager
def working_bits(bits: int) -> Iterator[None]:
    """Let arb work with so many bits inside."""
    from flint import ctx

    saved, ctx.prec = ctx.prec, bits
    try:
        yield
    finally:
        ctx.prec = saved


def plainly_right(
    quantity: str, row: Inputs, nearest: float, offset: float, unit: float, fmt: Format
) -> bool:
    """Tell whether arb, at its current precision, shows a truth to be right.

    ``unit`` must be the unit in the last place at the exact value, and the value within half of it,
    on the side that ``offset`` says, and that far to 2^-10. False proves nothing: the value may be
    exact, or overflow, or need more bits.
    """
    if not abs(nearest) < inf:
        return False
    value = _textbook(quantity, row)
    size = abs(value) / unit
    normal = 2.0 ** (fmt.precision - 1) <= size or unit == fmt.smallest_subnormal
    if not (normal and size < 2.0**fmt.precision):
        return False
    steps = (value - nearest) / unit
    side = steps > 0 if offset > 0 else steps < 0
    return bool(side and abs(steps) < 0.5 and abs(steps - offset) < 2.0**-10)


def arb_ball(quantity: str, rows: list[Inputs], count: int = 1, bits: int = 400) -> Ball:
    """Enclose the sum of a quantity over rows, divided by ``count``, with arb.

    The precision starts at ``bits`` and doubles, up to 2^15, until 200 bits are right.
    """
    from flint import arb, ctx

    with working_bits(bits):
        while True:
            total = arb(0)
            for row in rows:
                total += _textbook(quantity, row)
            total /= count
            if total.rel_accuracy_bits() >= 200 or ctx.prec >= 1 << 15 or total == 0:
                break
            ctx.prec *= 2
        # below 2^-20000 everything underflows alike, and the fraction would be too long to write
        tiny = Fraction(1, 1 << 20000)
        if abs(total) < arb(2) ** -20000:
            return Ball(tiny if total > 0 else -tiny if total < 0 else Fraction(0), tiny)
        return Ball(_fraction(total.mid()), _fraction(total.rad()))


def _as_fraction(value: float, fmt: Format) -> Fraction:
    beyond = Fraction(2) ** (fmt.emax + 1)
    return Fraction(value) if abs(value) != inf else (beyond if value > 0 else -beyond)


def _exponent(value: Fraction) -> int:
    """Return floor(log2 |value|)."""
    guess = value.numerator.bit_length() - value.denominator.bit_length()
    return guess if abs(value) >= Fraction(2) ** guess else guess - 1


def disagreement(nearest: Any, offset: float, ball: Ball, fmt: Format) -> str | None:
    """Say what is wrong with a truth, or None, given a ball that contains the exact value.

    ``nearest`` must be at least as near as both its neighbours (ties to the even ordinal), carry
    the value's sign, and lie ``offset`` ulps from it.
    """
    number = float(nearest)
    ordinal = int(fmt.ordinal(np.asarray(nearest, fmt.dtype)))
    value, here = ball.middle, _as_fraction(number, fmt)
    largest = int(fmt.ordinal(np.array(np.inf, fmt.dtype)))
    for step in (-1, 1):
        if abs(ordinal + step) > largest:
            continue
        there = _as_fraction(float(fmt.from_ordinal(ordinal + step)), fmt)
        closer = abs(there - value) - abs(here - value)
        if closer < -2 * ball.radius or (closer == 0 and ball.radius == 0 and ordinal & 1):
            return f"{float(there).hex()} is nearer than {number.hex()}"
    if abs(value) > ball.radius and (value < 0) != bool(np.signbit(np.float64(number))):
        return f"{number.hex()} has the wrong sign"
    exponent = _exponent(value) if value else fmt.emin
    unit = Fraction(2) ** (min(max(exponent, fmt.emin), fmt.emax) - fmt.precision + 1)
    difference = abs((value - here) / unit - Fraction(offset))
    if difference > Fraction(1, 1 << 30) + Fraction(abs(offset)) / 2**40 + ball.radius / unit:
        return f"offset {offset} of {number.hex()} is wrong by {float(difference)} ulp"
    if offset == 0 and abs(value - here) > ball.radius:
        return f"offset of {number.hex()} is 0, but the value is another"
    return None
