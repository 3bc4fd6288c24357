"""Points to test a truth with: random ones and adversarial ones, seeded.

Guarantees: every value is of the format asked for, finite, and held in float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bce_conformance.reference.formats import Format

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Points:
    """Columns of equal length: logits, targets, weight, pos_weight, cotangent."""

    x: Float64
    y: Float64
    w: Float64
    p: Float64
    c: Float64


def _of_format(fmt: Format, values: Float64) -> Float64:
    """Round to the format, and back into its finite numbers."""
    limited = np.clip(values, -fmt.largest_finite, fmt.largest_finite)
    with np.errstate(all="ignore"):
        rounded: Float64 = limited.astype(fmt.dtype).astype(np.float64)
    return rounded


def _log_uniform(fmt: Format, rng: np.random.Generator, size: int) -> Float64:
    low, high = np.log2(fmt.smallest_subnormal), fmt.emax + 1
    magnitude: Float64 = np.exp2(rng.uniform(low, high, size))
    return np.where(rng.uniform(size=size) < 0.5, -magnitude, magnitude)


def random_points(fmt: Format, size: int, seed: int) -> Points:
    """Return what training looks like: logits of a few units, targets hard and soft."""
    rng = np.random.default_rng(seed)
    y = rng.uniform(size=size)
    hard = rng.uniform(size=size) < 0.5
    columns = (
        rng.normal(size=size) * rng.choice([1.0, 10.0], size),
        np.where(hard, np.round(y), y),
        rng.uniform(0.1, 10.0, size),
        rng.uniform(0.1, 10.0, size),
        rng.normal(size=size),
    )
    return Points(*(_of_format(fmt, col) for col in columns))


def adversarial_points(fmt: Format, size: int, seed: int) -> Points:
    """Return points where an evaluation breaks first.

    |x| over the whole format, and around the thresholds where e^−|x| leaves the format; targets 0,
    1, an ulp from either, σ(x) and an ulp from it, below 0 and above 1; weights over the whole
    format; pos_weight 10^±30, 0 and 1.
    """
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 5, size)
    edges = np.array([fmt.precision, 2.0 * fmt.precision, -fmt.emin, fmt.precision - fmt.emin])
    x = np.select(
        [kind == 0, kind == 1, kind == 2, kind == 3],
        [
            _log_uniform(fmt, rng, size),
            rng.choice(edges, size) * np.log(2) * rng.uniform(0.98, 1.02, size),
            rng.normal(size=size) * 5,
            np.round(rng.normal(size=size) * 8) / 4,
        ],
        rng.uniform(-1000.0, 1000.0, size),
    )
    x = _of_format(fmt, x * rng.choice([-1.0, 1.0], size))
    sigma = _of_format(fmt, 1 / (1 + np.exp(-np.clip(x, -700, 700))))
    step = fmt.ulp(sigma)
    kind = rng.integers(0, 9, size)
    y = np.select(
        [kind == i for i in range(8)],
        [
            np.zeros(size),
            np.ones(size),
            np.full(size, fmt.smallest_subnormal),
            np.full(size, 1 - fmt.unit_roundoff),
            sigma,
            sigma - step,
            sigma + step,
            rng.normal(size=size) * 2,
        ],
        rng.uniform(size=size),
    )
    w = np.where(rng.uniform(size=size) < 0.5, _log_uniform(fmt, rng, size), rng.normal(size=size))
    w[::7], w[3::7] = 1.0, 0.0
    p = 10.0 ** rng.uniform(-30, 30, size)
    p[::5], p[1::5] = 1.0, 0.0
    c = rng.choice([1.0, -1.0, 0.5, 0.1, 1 / 3, 0.0], size)
    return Points(x, *(_of_format(fmt, col) for col in (y, w, p, c)))
