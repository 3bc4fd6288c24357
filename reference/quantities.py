"""The quantities as data, and one element of each as an exact expression.

Every quantity is A·f(x) + B·g(x), with A and B products of the inputs and (f, g) one of three
pairs: softplus(±x), σ(±x), or σ(x)·σ(−x) twice. ``reduce_finite`` rewrites it, without rounding, as

    R + K·F(t),   t = |x|,   R and K exact,   F one of slow/enclosure.py's four functions,

such that nothing cancels but what the inputs themselves cancel. Numbers here are dyadic: pairs
(man, exp) that stand for man·2^exp.

Why this decides every exact case. x is rational. For t > 0, e^t is transcendental (Lindemann),
hence so are σ(−t), σ(t)σ(−t) and tanh(t/2), non-constant algebraic functions of it. log(1 + e^−t) =
a with a algebraic would be the relation e^a − e^−t − e^0 = 0 between exponentials of distinct
algebraic exponents (a ≠ 0, and a ≠ −t as that leaves −1 = 0), which Lindemann-Weierstrass forbids;
and log 2 (t = 0) is transcendental too. So R + K·F(t) is rational, and can be representable or
midway between two numbers, exactly when K = 0 (or F(0) = 0 or 1/4, which are folded into R): then
it is R, rounded exactly. In every other case an enclosure that shrinks must at last exclude each of
those points.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import frexp, inf, isinf, isnan, nan
from typing import Any

from gmpy2 import mpz

Dyadic = tuple[Any, int]
ZERO: Dyadic = (mpz(0), 0)


@dataclass(frozen=True)
class Quantity:
    """A·f(x) + B·g(x), times the cotangent where the quantity is a derivative.

    Attributes:
        family: ``"softplus"``, ``"sigmoid"`` or ``"bell"``, which names f and g.
        a: factors of A, a subset of ``"w"``, ``"n"`` (1 − y), ``"y"``, ``"p"``, or None for A ≡ 0.
        b: factors of B.
        a_sign, b_sign: their signs.
        operand: what a gradient is with respect to: it has that operand's shape.
    """

    family: str
    a: str | None
    b: str
    a_sign: int = 1
    b_sign: int = 1
    operand: str = "logits"

    @property
    def factors(self) -> str:
        """The inputs, besides the logits, that the quantity depends on."""
        return "".join(sorted(set((self.a or "") + self.b)))


QUANTITIES: dict[str, Quantity] = {
    "loss": Quantity("softplus", "wn", "wpy"),
    "grad_logits": Quantity("sigmoid", "wn", "wpy", b_sign=-1),
    "grad_targets": Quantity("softplus", "w", "wp", a_sign=-1, operand="targets"),
    "grad_weight": Quantity("softplus", "n", "py", operand="weight"),
    "grad_pos_weight": Quantity("softplus", None, "wy", operand="pos_weight"),
    "hess_logits": Quantity("bell", "wn", "wpy"),
    "hess_logits_targets": Quantity("sigmoid", "w", "wp", a_sign=-1, b_sign=-1),
    "hess_logits_weight": Quantity("sigmoid", "n", "py", b_sign=-1),
    "hess_logits_pos_weight": Quantity("sigmoid", None, "wy", b_sign=-1),
}


def dyadic(value: float) -> Dyadic:
    """Return a finite float as (man, exp), exactly."""
    fraction, exponent = frexp(value)
    return mpz(int(fraction * 9007199254740992.0)), exponent - 53


def add(s: Dyadic, t: Dyadic) -> Dyadic:
    """Return s + t, exactly."""
    if not s[0]:
        return t
    if not t[0]:
        return s
    shift = s[1] - t[1]
    if shift >= 0:
        return (s[0] << shift) + t[0], t[1]
    return s[0] + (t[0] << -shift), s[1]


def negate(s: Dyadic) -> Dyadic:
    """Return −s."""
    return -s[0], s[1]


def multiply(s: Dyadic, t: Dyadic) -> Dyadic:
    """Return s·t, exactly."""
    return s[0] * t[0], s[1] + t[1]


Row = tuple[float, float, float | None, float | None, float | None]  # x, y, w, p, cotangent


def coefficients(quantity: Quantity, row: Row) -> tuple[Dyadic, Dyadic]:
    """Return A and B of a row whose factors are finite."""
    _, y, w, p, c = row
    values: dict[str, Dyadic] = {}
    for name in quantity.factors:
        if name == "y":
            values[name] = dyadic(y)
        elif name == "n":
            values[name] = add((mpz(1), 0), negate(dyadic(y)))
        else:
            value = w if name == "w" else p
            if value is not None:
                values[name] = dyadic(value)
    start = (mpz(1), 0) if c is None else dyadic(c)

    def product(factors: str, sign: int) -> Dyadic:
        result = start if sign > 0 else negate(start)
        for name in factors:
            if name in values:
                result = multiply(result, values[name])
        return result

    a = ZERO if quantity.a is None else product(quantity.a, quantity.a_sign)
    return a, product(quantity.b, quantity.b_sign)


@dataclass(frozen=True)
class Term:
    """R + K·F(t), exactly; ``function`` is F's name, and K = 0 where there is none."""

    rational: Dyadic
    factor: Dyadic
    function: str
    t: Dyadic


def reduce_finite(quantity: Quantity, row: Row) -> Term:
    """Rewrite one element as R + K·F(t); all its inputs are finite.

    softplus: f(x) = t + F, g(x) = F for x ≥ 0, and the reverse for x < 0; F = log(1 + e^−t).
    sigmoid, t ≥ 1: f(x) = 1 − F, g(x) = F for x > 0, and the reverse for x < 0; F = σ(−t).
    sigmoid, t < 1: σ(±x) = 1/2 ± tanh(x/2)/2, so that A + B = 0 at tiny x costs no precision.
    """
    x = row[0]
    a, b = coefficients(quantity, row)
    t = dyadic(abs(x))
    if x < 0:
        a, b = b, a
    total = add(a, b)
    if quantity.family == "softplus":
        return Term(multiply(a, t), total, "softplus_tail", t)
    if quantity.family == "bell":
        if not t[0]:
            return Term((total[0], total[1] - 2), ZERO, "bell", t)
        return Term(ZERO, total, "bell", t)
    difference = add(a, negate(b))
    if abs(x) >= 1:
        return Term(a, negate(difference), "sigmoid_tail", t)
    half = (difference[0], difference[1] - 1) if t[0] else ZERO
    return Term((total[0], total[1] - 1), half, "half_tanh", t)


def special_value(quantity: Quantity, row: Row) -> float | Dyadic:
    """Return the value of a row with a NaN or an infinity among its inputs.

    NaN in any input gives NaN; a row has only inputs that the formula contains. A and B are
    extended real numbers, 0·∞ = NaN. f and g are positive for every finite x, so an infinite
    coefficient makes its term that infinity, also in the limit x → ±∞; a coefficient that is
    exactly 0 makes it 0, also where f or g tends to ∞. ∞ − ∞ = NaN. A zero has the sign of the side
    from which the limit is approached, and + for the loss.
    """
    x = row[0]
    if any(value is not None and isnan(value) for value in row):
        return nan
    a, b = _extended_coefficients(quantity, row)
    if isnan(a) or isnan(b):
        return nan
    if isinf(a) or isinf(b):
        return a + b if isinf(a) and isinf(b) else (a if isinf(a) else b)
    if x < 0:
        a, b = b, a
    near_zero = 0.0 if quantity is QUANTITIES["loss"] else 0.0 * b  # B·g(x), g(x) → +0
    if quantity.family == "softplus":
        return a * inf if a else near_zero
    if quantity.family == "bell":
        exact = add(*_finite_coefficients(quantity, row))
        return -0.0 if exact[0] < 0 else 0.0
    return _finite_coefficients(quantity, row)[0 if x > 0 else 1] if a else near_zero


def _extended_coefficients(quantity: Quantity, row: Row) -> tuple[float, float]:
    """Return A and B reduced to their kind: a sign times 0, 1 or ∞, or NaN."""
    _, y, w, p, c = row
    values = {"y": y, "n": 1.0 - y, "w": w, "p": p}

    def product(factors: str | None, sign: int) -> float:
        if factors is None:
            return 0.0
        kinds = [values[name] for name in factors] + [c]
        result = float(sign)
        for kind in kinds:
            if kind is not None:  # a unit, so that no product over- or underflows
                unit = kind if isinf(kind) else (kind > 0) - (kind < 0)
                result *= unit
        return 0.0 if result == 0 else result

    return product(quantity.a, quantity.a_sign), product(quantity.b, quantity.b_sign)


def _finite_coefficients(quantity: Quantity, row: Row) -> tuple[Dyadic, Dyadic]:
    """Return A and B, both known to be finite, of a row that may have infinities elsewhere."""
    return coefficients(quantity, row)
