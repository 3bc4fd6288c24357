"""The values of operands: for each level of a factor a bank of numbers that calls choose from.

Guarantees that every value is a number of the operand's format, and that where a level says "some"
at least one element of a call is such.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from ml_dtypes import finfo
from numpy.typing import NDArray

from bce_conformance.backends.calls import Array
from bce_conformance.conformance.inputs.sampler import Sampler
from bce_conformance.reference import FORMATS, Format

Floats = NDArray[np.float64]
Random = np.random.Generator

_BANK = 4096  # numbers that a bank has, curated ones among them
_SOME = 0.15  # how many of a call's elements are the special ones of their level
_EXPONENTS = 8  # of powers of two
_DIGITS = 22  # of factors whose product float64 holds exactly


_LOGITS: dict[str, Callable[[Sampler], Array]] = {
    "moderate": lambda s: s.signed(s.cast(s.uniform(0, 8))),
    "unit": lambda s: s.soft(),
    "tails": lambda s: s.signed(s.tail()),
    "huge": lambda s: s.signed(s.huge()),
    "tiny": lambda s: s.tiny(),
    "zeros": lambda s: s.signed(s.constant(0.0)),
    "thresholds": lambda s: s.signed(s.cast(np.resize(s.thresholds(), s.size))),
    "any size": lambda s: s.signed(s.every_magnitude()),
}
_TARGETS: dict[str, Callable[[Sampler], Array]] = {
    "hard": lambda s: s.hard(),
    "soft": lambda s: s.soft(),
    "half": lambda s: s.constant(0.5),
    "nearly hard": lambda s: s.nearly_hard(),
    "subnormal": lambda s: s.cast(s.subnormal_counts() * s.format.smallest_subnormal),
}
AT_THE_END = {"soft at the end": ("hard", "soft"), "tails at the end": ("moderate", "tails")}
"""Levels whose last elements are of another level: that of the others, and theirs."""
# Levels of which some elements are special, and the level of the others.
_SPECIAL_LOGITS = {"infinite": (np.inf, -np.inf), "NaN": (np.nan,)}
_SPECIAL_TARGETS = {"minus zero": ("hard", (-0.0,)), "NaN": ("soft", (np.nan,))}


@cache
def _bank(kind: str, format_: Format, *, of_targets: bool = False) -> Array:
    builder = (_TARGETS if of_targets else _LOGITS)[kind]
    return builder(Sampler(format_, f"space {kind}", 0, _BANK))


def logits(level: str, format_: Format, size: int, random: Random) -> Array:
    """Logits of a level."""
    special = _SPECIAL_LOGITS.get(level)
    chosen = random.choice(_bank("moderate" if special else level, format_), size)
    return _some(chosen, special, random) if special else chosen


def targets(
    level: str, format_: Format, x: Array, pos_weight: Array | None, random: Random
) -> Array:
    """Targets of a level, one for each of the logits ``x``.

    Args:
        level: of the factor ``targets``.
        format_: of the targets.
        x: the logits, flat.
        pos_weight: broadcast to the logits and flat, for targets that it balances.
        random: chooses.
    """
    if level == "balanced":
        s = Sampler(format_, "", int(random.integers(2**31)), max(x.size, 1))
        return _balanced(s, x)[: x.size]
    if level == "balanced by p":
        p = np.ones(x.size) if pos_weight is None else pos_weight.astype(np.float64)
        return (1 / (1 + p)).astype(format_.dtype)
    kind, special = _SPECIAL_TARGETS.get(level, (level, ()))
    return _some(random.choice(_bank(kind, format_, of_targets=True), x.size), special, random)


def _balanced(s: Sampler, x: Array) -> Array:
    finite = np.nan_to_num(x.astype(np.float64), nan=0.0, posinf=700.0, neginf=-700.0)
    return s.balanced(np.resize(finite, s.size))


def weights(level: str, format_: Format, size: int, random: Random) -> Array:
    """Weights of a level in one of the four formats."""
    f, s = format_, Sampler(format_, "", int(random.integers(2**31)), size)
    moderate = s.positive(0.25, 4.0)
    drawn: dict[str, Callable[[], Array]] = {
        "moderate": lambda: moderate,
        "ones": lambda: s.constant(1.0),
        "powers": lambda: s.cast(_powers(size, random)),
        "zeros": lambda: _some(moderate, (0.0,), random),
        "tiny": lambda: s.cast(s.log_uniform(f.smallest_normal, f.smallest_normal**0.75)),
        "subnormal": lambda: s.cast(s.subnormal_counts() * f.smallest_subnormal),
        "huge": lambda: s.cast(s.log_uniform(f.largest_finite**0.75, f.largest_finite)),
        "any size": lambda: s.cast(s.log_uniform(f.smallest_normal, f.largest_finite)),
        "negative": lambda: _some(moderate, tuple(-moderate[:3].astype(np.float64)), random),
        "infinite": lambda: _some(moderate, (np.inf,), random),
        "NaN": lambda: _some(moderate, (np.nan,), random),
        "balancing": lambda: s.cast(np.exp2(random.integers(0, 6, size)) - 1),
    }
    return drawn[level]()


def _powers(size: int, random: Random) -> NDArray[np.float64]:
    """Powers of two, every other time of mean 1: sums that ones have, too."""
    if random.integers(2):
        return np.exp2(random.integers(-_EXPONENTS, _EXPONENTS + 1, size))
    of_mean_one = np.ones(size)
    whole = size // 4 * 4
    of_mean_one[:whole] = np.resize([2.0, 0.5, 0.5, 1.0], whole)
    return random.permutation(of_mean_one)


def counts(level: str, size: int, random: Random, *, signed: bool) -> NDArray[np.int64]:
    """Weights of a level as integers of at most seven bits, and a sign or one more."""
    some = random.integers(1, 5, size)
    special: tuple[float, ...] = {"zeros": (0,), "negative": (-1, -2)}.get(level, ())
    if level == "negative" and not signed:
        raise ValueError("level is 'negative', but the format has no sign")
    plain = {
        "ones": np.ones(size, np.int64),
        "powers": 2 ** random.integers(0, 7 if signed else 8, size),
        "balancing": 2 ** random.integers(0, 6, size) - 1,
    }
    values = plain.get(level, some)
    return _some(values, special, random) if special else values


def cotangents(level: str, format_: Format, size: int, random: Random, *, coarse: bool) -> Array:
    """Cotangents of a level.

    Args:
        level: of the factor ``cotangent``.
        format_: that of the logits.
        size: how many.
        random: chooses.
        coarse: whether they must have few digits and no extreme exponents, as the factors of a
            product that float64 holds.
    """
    f, s = format_, Sampler(format_, "", int(random.integers(2**31)), size)
    least = max(f.smallest_normal, 2.0**-900 if coarse else 0.0)
    most = min(f.largest_finite, 2.0**900 if coarse else np.inf)
    largest = min(16.0, f.emax - 0.5)
    moderate = s.cotangent()
    drawn: dict[str, Callable[[], Array]] = {
        "moderate": lambda: moderate,
        "ones": lambda: s.constant(1.0),
        "negative": lambda: s.cast(-np.abs(moderate.astype(np.float64))),
        "zeros": lambda: _some(moderate, (0.0,), random),
        "tiny": lambda: s.cast(s.log_uniform(least, least**0.75)),
        "subnormal": lambda: s.cast(s.subnormal_counts() * f.smallest_subnormal),
        "scale": lambda: s.cast(np.exp2(random.uniform(10, largest, size))),
        "any size": lambda: s.signed(s.cast(s.log_uniform(least, most))),
    }
    values = drawn[level]()
    return _coarse(values) if coarse else values


def tangents(level: str, format_: Format, size: int, random: Random) -> Array:
    """Tangents of a level, of few digits."""
    s = Sampler(format_, "", int(random.integers(2**31)), size)
    if level == "unit":
        unit = np.zeros(size)
        unit[random.integers(size) if size else slice(0)] = 1.0
        return s.cast(unit)
    drawn: dict[str, Callable[[], Array]] = {
        "moderate": s.cotangent,
        "ones": lambda: s.constant(1.0),
        "tiny": lambda: s.cast(s.log_uniform(2.0**-12, 2.0**-6)),
    }
    return _coarse(drawn[level]())


def _coarse(values: Array) -> Array:
    """The values, with so few digits that float64 holds the product of two of them."""
    mantissa, exponent = np.frexp(values.astype(np.float64))
    rounded = np.ldexp(np.round(mantissa * 2.0**_DIGITS) / 2.0**_DIGITS, exponent)
    with np.errstate(over="ignore"):
        return rounded.astype(values.dtype)


def _some(values: Array, special: tuple[float, ...], random: Random) -> Array:
    """The values, some of which (one at least, if there are any) are special ones instead."""
    if not values.size or not special:
        return values
    chosen = random.random(values.size) < _SOME
    chosen[random.integers(values.size)] = True
    found = np.where(chosen, random.choice(np.array(special), values.size), values)
    return _any_nan(found.astype(values.dtype), random)


def _any_nan(values: Array, random: Random) -> Array:
    """The values, whose NaN have any sign and payload, or one of ones alone, as GPUs make it.

    A conversion that rounds by adding to the bits makes a number of the last.
    """
    at = np.flatnonzero(np.isnan(values)) if values.dtype.kind not in "biu" else np.empty(0, int)
    if at.size:
        below = (1 << (finfo(values.dtype).nmant - 1)) - 1  # the bits of the payload
        payload = random.integers(0, 2**62, at.size) & below
        payload[random.random(at.size) < 0.5] = below
        bits = values.view(f"u{values.itemsize}")
        bits[at] |= payload.astype(bits.dtype)
        values[at] = np.where(random.random(at.size) < 0.5, values[at], -values[at])
    return values


# For each format those with fewer digits or of less range, and those with more digits.
_NARROWER = {
    "float16": ("bfloat16",),
    "bfloat16": ("float16",),
    "float32": ("float16", "bfloat16"),
    "float64": ("float32", "float16", "bfloat16"),
}
_WIDER = {
    "float16": ("float32", "float64"),
    "bfloat16": ("float32", "float64"),
    "float32": ("float64",),
}


def other_format(format_: Format, random: Random, *, wider: bool) -> Format:
    """A format that is wider than ``format_``, or a narrower one."""
    names = (_WIDER if wider else _NARROWER)[format_.name]
    return FORMATS[names[random.integers(len(names))]]
