"""Writes ``coefficients.py``: minimax polynomials, rounded, each with a proven error.

Run ``python -m bce_conformance.native.arithmetic.remez`` to print the module. The
polynomials come from Remez exchange in mpmath; the error printed beside each table does not rely on
that: after the coefficients are rounded to their format, the relative error is enclosed with
interval arithmetic over the whole interval, from the Taylor series of the function with a bound on
its remainder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from mpmath import iv, mp, mpf

PRECISION = 300
TERMS = 60
PIECES = 512

Series = Callable[[int], mpf]


@dataclass(frozen=True)
class Table:
    """One polynomial to be found: Σ c_k z^k ≈ f(z) = Σ series(k) z^k for |z| ≤ bound.

    Attributes:
        name: of the constant that is written.
        meaning: what f is, for the comment.
        series: the Taylor coefficients of f at 0; their absolute values must not grow.
        low: lower end of the interval.
        high: upper end of the interval.
        degree: of the polynomial.
        round: to the format of the coefficients.
    """

    name: str
    meaning: str
    series: Series
    low: mpf
    high: mpf
    degree: int
    round: Callable[[mpf], float] = float


def _single(value: mpf) -> float:
    """``value`` rounded to float32, by way of a float64 that is no tie."""
    return float(np.float32(float(value)))


def _tables() -> tuple[Table, ...]:
    half_ln2 = mp.log(2) / 2 * mpf("1.0001")  # the rounding of k leaves r a little outside ln2/2
    eighth_ln2 = mp.log(2) / 8 * mpf("1.0001")
    third = mpf(1) / 9 * mpf("1.0001")
    reduced = (mp.sqrt(2) - 1) ** 4 * mpf("1.001")

    def exp_from(first: int) -> Series:
        return lambda k: 1 / mp.factorial(k + first)

    def atanh_from(first: int) -> Series:
        return lambda k: mpf(2) / (2 * (k + first) + 1)

    return (
        Table("EXP", "exp(r)", exp_from(0), -half_ln2, half_ln2, 9),
        Table("EXP_SINGLE", "exp(r)", exp_from(0), -half_ln2, half_ln2, 6),
        Table(
            "EXP_VECTOR",
            "(exp(r) − 1 − r) / r²",
            exp_from(2),
            -eighth_ln2,
            eighth_ln2,
            3,
            _single,
        ),
        Table(
            "EXP_TAIL",
            "(exp(r) − 1 − r − r²/2 − r³/6 − r⁴/24) / r⁵",
            exp_from(5),
            -half_ln2,
            half_ln2,
            8,
        ),
        Table("ATANH", "2·atanh(√u)/√u", atanh_from(0), mpf(0), third, 8),
        Table(
            "ATANH_TAIL",
            "(2·atanh(√u)/√u − 2 − 2u/3) / u²",
            atanh_from(2),
            mpf(0),
            third,
            10,
        ),
        Table("ATANH_REDUCED", "2·atanh(√u)/√u", atanh_from(0), mpf(0), reduced, 6),
    )


def _taylor(table: Table) -> list[mpf]:
    return [table.series(k) for k in range(TERMS)]


def _horner(coefficients: list[mpf], z: mpf) -> mpf:
    value = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        value = value * z + coefficient
    return value


def minimax(table: Table) -> list[mpf]:
    """The polynomial of least relative error, by Remez exchange."""
    taylor = _taylor(table)
    count = table.degree + 2
    middle, radius = (table.low + table.high) / 2, (table.high - table.low) / 2
    nodes = [middle - radius * mp.cos(mp.pi * i / (count - 1)) for i in range(count)]
    coefficients: list[mpf] = []
    for _ in range(12):
        matrix, right = mp.matrix(count, count), mp.matrix(count, 1)
        for row, z in enumerate(nodes):
            value = _horner(taylor, z)
            for k in range(count - 1):
                matrix[row, k] = z**k
            matrix[row, count - 1] = (-1) ** row * value
            right[row] = value
        solution = mp.lu_solve(matrix, right)
        coefficients = list(solution[: count - 1])
        levelled = abs(solution[count - 1])
        nodes, largest = _extrema(table, coefficients, taylor, count)
        if largest <= levelled * mpf("1.0001"):
            break
    return coefficients


def _extrema(
    table: Table, coefficients: list[mpf], taylor: list[mpf], count: int
) -> tuple[list[mpf], mpf]:
    """The ``count`` alternating extrema of the relative error, and its largest magnitude."""
    points = 40 * count
    middle, radius = (table.low + table.high) / 2, (table.high - table.low) / 2
    grid = [middle - radius * mp.cos(mp.pi * i / points) for i in range(points + 1)]
    errors = [1 - _horner(coefficients, z) / _horner(taylor, z) for z in grid]
    groups: list[int] = []
    for i, error in enumerate(errors):
        if groups and mp.sign(error) == mp.sign(errors[groups[-1]]):
            if abs(error) > abs(errors[groups[-1]]):
                groups[-1] = i
        else:
            groups.append(i)
    while len(groups) > count:
        groups.pop(0 if abs(errors[groups[0]]) < abs(errors[groups[-1]]) else -1)
    return [grid[i] for i in groups], max(abs(error) for error in errors)


def proven_error(table: Table, coefficients: list[float]) -> mpf:
    """An upper bound of |p(z) − f(z)| / min|f| over the interval, by interval arithmetic.

    The difference to the truncated Taylor series is a polynomial q; on each of ``PIECES`` pieces
    |q| ≤ |q(middle)| + radius·max|q′|, both enclosed. The rest of the series is geometric, because
    its coefficients do not grow.
    """
    iv.prec = PRECISION
    taylor = _taylor(table)
    difference = [iv.mpf(-value) for value in taylor]
    for k, coefficient in enumerate(coefficients):
        difference[k] += iv.mpf(coefficient)
    slope = [k * value for k, value in enumerate(difference)][1:]
    radius = iv.mpf(table.high - table.low) / (2 * PIECES)
    worst = iv.mpf(0)
    for piece in range(PIECES):
        center = iv.mpf(table.low) + radius * (2 * piece + 1)
        around = center + radius * iv.mpf([-1, 1])
        bound = abs(_horner(difference, center)) + radius * abs(_horner(slope, around))
        worst = max(worst, iv.mpf(bound.b), key=lambda value: value.b)
    reach = max(abs(table.low), abs(table.high))
    rest = abs(taylor[-1]) * reach**TERMS / (1 - reach)
    smallest = min(abs(_horner(taylor, table.low)), abs(_horner(taylor, table.high)))
    return (mpf(worst.b) + 2 * rest) / smallest * (1 + mpf(2) ** -40)


def _quarters() -> list[str]:
    """What ``vector_exp.py`` reduces by: steps of ln 2/4, and powers of 2^(1/4), in float32."""
    quarter = mp.log(2) / 4
    step = _single(quarter)
    roots = [_single(mpf(2) ** (mpf(j) / 4)) for j in range(4)]
    rests = [_single(mpf(2) ** (mpf(j) / 4) / root - 1) for j, root in enumerate(roots)]
    return [
        "# ln 2/4 = QUARTER_LN2 − QUARTER_LN2_EXCESS to 2^-55; the first has 21 bits.",
        f"QUARTER_LN2 = {step!r}",
        f"QUARTER_LN2_EXCESS = {_single(step - quarter)!r}",
        f"QUARTERS_A_LN2 = {_single(1 / quarter)!r}",
        "# 2^(j/4) = ROOTS[j]·(1 + ROOT_RESTS[j]) to 2^-49.",
        f"ROOTS = {tuple(roots)!r}",
        f"ROOT_RESTS = {tuple(rests)!r}",
    ]


def table_module() -> str:
    """The text of ``coefficients.py``."""
    mp.prec = PRECISION
    lines = [
        '"""Minimax coefficients, lowest degree first; written by ``remez.py``, never by hand."""',
        "",
    ]
    for table in _tables():
        rounded = [table.round(value) for value in minimax(table)]
        error = proven_error(table, rounded)
        lines += [
            f"# {table.meaning} on [{mp.nstr(table.low, 6)}, {mp.nstr(table.high, 6)}].",
            f"# Relative error ≤ 2^{mp.nstr(mp.log(error, 2), 5)}, proven.",
            f"{table.name} = (",
            *[f"    {value!r}," for value in rounded],
            ")",
        ]
    pairs = [
        (float(value), float(value - mpf(float(value))))
        for value in (1 / mp.factorial(k) for k in range(1, 15))
    ]
    lines += [
        "# 1/k! for k = 1 … 14 as pairs; each within 2^-107 of its value.",
        "INVERSE_FACTORIALS = (",
        *[f"    {pair!r}," for pair in pairs],
        ")",
    ]
    ln2, parts = mp.log(2), []
    for _ in range(4):
        parts.append(float(ln2))
        ln2 -= mpf(parts[-1])
    lines += [
        "# ln 2 to 212 bits.",
        "LN2_PARTS = (",
        *[f"    {part!r}," for part in parts],
        ")",
    ]
    lines += _quarters()
    high = mp.ldexp(mp.floor(mp.ldexp(mp.log(2), 40)), -40)
    rest = float(mp.log(2) - high)
    lines += [
        "# ln 2 = LN2_HIGH + LN2_LOW + δ, |δ| ≤ 2^-94: k·LN2_HIGH is exact for |k| < 2^13.",
        f"LN2_HIGH = {float(high)!r}",
        f"LN2_LOW = {rest!r}",
        f"LN2 = {float(mp.log(2))!r}",
        f"LOG2_E = {float(1 / mp.log(2))!r}",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table_module(), end="")
