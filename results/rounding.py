"""Rounding: numbers with fewer digits that still say what they said.

Guarantees that a bound stays a bound, and that an error stays on its side of a level's bound.
"""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, Context

BOUNDS = (0.5, 1.0, 4.0, 1e2, 1e4, 1e6)
"""In ulps: up to each, errors look alike. AAA is below 1, and AA is up to 4."""


def up(value: float, digits: int) -> float:
    """The least number of some significant digits that is not below a positive one.

    Example:
        >>> up(0.50000014, 3), up(0.25, 3), up(math.inf, 3)
        (0.501, 0.25, inf)
    """
    near = float(f"{value:.{digits}g}")
    if near < value:
        near = float(Context(prec=digits, rounding=ROUND_CEILING).create_decimal_from_float(value))
    return near if math.isfinite(near) else value


def beside(ulp: float, digits: int) -> float:
    """An error to some significant digits; all of it where it would leave its side of a bound.

    Example:
        >>> beside(0.98765, 3), beside(0.9997, 3), beside(4.0004, 3)
        (0.988, 0.9997, 4.0004)
    """
    near = float(f"{ulp:.{digits}g}")
    kept = (near < 1) == (ulp < 1) and all((near <= b) == (ulp <= b) for b in BOUNDS)
    return near if kept and math.isfinite(near) else ulp
