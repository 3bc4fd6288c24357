"""Agreement: levels of results that are held against each other rather than against the truth.

The levels have the bounds of SPEC.md, "Levels", with the other result, or what exact arithmetic
makes of it, in the place of the exact value; results that should be equal are equal at AAA.
"""

from __future__ import annotations

import numpy as np

from bce_conformance.backends.calls import Array
from bce_conformance.conformance.inputs.bounds import Bounds, Floats, as_float64, log2
from bce_conformance.reference import Format
from bce_conformance.results.cells import Level

from .judge import SLACK, Booleans, Judgement


def agreement(got: Array, other: Array, format_: Format, bounds: Bounds) -> Judgement:
    """Give each element of ``got``, which should equal ``other``, its level.

    AAA is the same bits, any NaN being like any other; AA is 4·u·S and A is 16·u·S: the two share a
    formula, and differ by how its terms, which are of the size of S, are rounded.

    Args:
        got: computed values.
        other: computed values of the same shape and format.
        format_: the format of both.
        bounds: what levels A and AA allow.

    Raises:
        ValueError: shape or format of ``got`` differ from those of ``other``.
    """
    if got.shape != other.shape or got.dtype != other.dtype:
        raise ValueError(
            f"got is {got.dtype} of shape {got.shape}, other is {other.dtype} of shape "
            f"{other.shape}; they must be alike"
        )
    a, b = as_float64(got).ravel(), as_float64(other).ravel()
    equal = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore", over="ignore"):
        distance = np.where(equal, 0.0, np.abs(a - b))
        larger = np.maximum(np.abs(a), np.abs(b))
    judged = relation(distance, format_.ulp(larger), format_, bounds)
    accurate = _within(distance, 4, format_, bounds)
    levels = np.where(accurate, Level.AA, np.minimum(judged.levels, Level.AA))
    levels = np.where(same_bits(got, other), Level.AAA, levels)
    return Judgement(levels.astype(np.int8), judged.ulp)


def relation(violation: Floats, unit: Floats, format_: Format, bounds: Bounds) -> Judgement:
    """Give each element its level by how far it misses a relation that holds exactly.

    Args:
        violation: by how much the results miss it, NaN where they are no numbers; one-dimensional.
        unit: what faithful results may miss it by (AAA); four times as much is AA.
        format_: the format of the results.
        bounds: S of level A.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        misses = np.maximum(np.where(np.isnan(violation), np.inf, violation), 0.0)
        ulp = np.where(np.isfinite(misses) & (misses > 0), misses / unit, misses)
    levels = np.zeros(misses.shape, np.int8)
    levels[_within(misses, 16, format_, bounds)] = Level.A
    levels[misses <= 4 * bounds.growth * unit] = Level.AA
    levels[misses <= unit] = Level.AAA
    return Judgement(levels, ulp)


def _within(misses: Floats, factor: int, format_: Format, bounds: Bounds) -> Booleans:
    """Where ``misses`` is finite and at most ``factor``·u·S, S grown as for a sum.

    An infinite S bounds nothing.
    """
    allowed = np.log2(factor * format_.unit_roundoff * bounds.growth) + bounds.scale.ravel()
    bounded = np.isfinite(misses) & (allowed < np.inf)
    within: Booleans = (misses == 0) | (bounded & (log2(misses) <= allowed + SLACK))
    return within


def same_bits(got: Array, other: Array) -> Booleans:
    """Where two arrays of one shape and format have the same bits, any NaN being like any other."""
    bits = np.dtype(f"u{got.itemsize}")
    a, b = (np.ascontiguousarray(array).ravel() for array in (got, other))
    same: Booleans = (a.view(bits) == b.view(bits)) | (np.isnan(a) & np.isnan(b))
    return same
