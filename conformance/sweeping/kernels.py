"""The loops of a sweep, compiled: the error and the level of each result, and their tallies.

Both are in this one file, since Numba looks at no other to see whether compiled code is stale. All
arrays that hold results have shape [points].
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bce_conformance.reference.fast.compiled import inlined, kernel

Floats = NDArray[np.float64]
Int8 = NDArray[np.int8]
Int64 = NDArray[np.int64]
UInt64 = NDArray[np.uint64]

OPEN, FLUSHED = -1, 4  # beside the levels: not decided here, and zero for a subnormal value
_OCTAVE = 3  # bits of the significand that tell the parts of an octave: 8 of them
_LEAST = 1023 - 10  # errors below 2^-10 ulp are not told apart: the truth is no better than that
BINS = 2 + (2047 - _LEAST) * 8 + 1
"""Of histograms: no error, less than 2^-10 ulp, eighths of octaves in order, infinite."""

_LARGEST = float(np.finfo(np.float64).max)


def edge(number: int) -> float:
    """The least error that a bin holds, in ulps."""
    if number < 2:
        return 0.0
    octave, eighth = divmod(number - 2, 8)
    return float("inf") if number == BINS - 1 else 2.0 ** (octave - 10) * (1 + eighth / 8)


@inlined
def _in_ulps(value: float, unit: float, top: float) -> float:
    """A value in ulps, exactly; an infinity counts as 2^(emax+1), ``top`` being 2^emax."""
    return np.copysign(2.0 * (top / unit), value) if np.isinf(value) else value / unit


@inlined
def _is_subnormal(near: float, below: bool, smallest_normal: float) -> bool:
    """Whether an exact value is below the smallest normal number, though it may round to it."""
    return (near < smallest_normal) | (below & (near == smallest_normal))


@kernel()
def measure(
    got: Floats,
    nearest: Floats,
    nearest_bits: Int64,
    offset: Floats,
    units: Floats,
    emin: int,
    emax: int,
    error: Floats,
    level: Int8,
) -> tuple[int, int]:
    """Write the error of each result in ulps, as ``ulp_error`` has it, and its level.

    Args:
        got: results.
        nearest: exact values, rounded.
        nearest_bits: the same memory as integers.
        offset: as ``Truth.offset``.
        units: the unit in the last place by exponent, from ``emin``.
        emin: exponent of the smallest normal number.
        emax: exponent of the largest finite number.
        error: is written.
        level: is written: a level that needs no bound but some ulps, ``FLUSHED`` or ``OPEN``.

    Returns:
        How many are correctly rounded, and how many are ``OPEN``.
    """
    right, left = 0, 0
    top, smallest_normal = 2.0**emax, 2.0**emin
    for i in range(got.size):
        value, near, off = got[i], nearest[i], offset[i]
        bits = nearest_bits[i] & 0x7FFFFFFFFFFFFFFF
        exponent = min(max((bits >> 52) - 1023, emin), emax)
        below = ((off < 0) & (near > 0)) | ((off > 0) & (near < 0))
        if below & (bits & 0x000FFFFFFFFFFFFF == 0) & (bits != 0x7FF0000000000000):
            exponent = max(exponent - 1, emin)
        unit = units[exponent - emin]
        far = abs((_in_ulps(value, unit, top) - _in_ulps(near, unit, top)) - off)
        far = far if far <= _LARGEST else _LARGEST
        if (not np.isfinite(off)) | np.isnan(value):
            far = np.inf
        both = np.isnan(value) & np.isnan(near)
        if both | (np.isinf(near) & (value == near)):
            far = 0.0
        error[i] = far
        number = not (np.isnan(value) | np.isnan(near))
        same_sign = np.signbit(value) == np.signbit(near)
        wrong = number & (not same_sign) & ((near != 0.0) | (off != 0.0))
        due = np.isfinite(value) | (not np.isfinite(near))
        right += both | ((value == near) & same_sign)
        if (far < 1.0) & (not wrong) & due:
            level[i] = 3
        elif (value == 0.0) & (near != 0.0) & _is_subnormal(abs(near), below, smallest_normal):
            level[i] = FLUSHED
        elif (far <= 4.0) & due:
            level[i] = 2
        else:
            level[i] = OPEN
            left += 1
    return right, left


@kernel()
def tally(
    error: Floats,
    error_bits: Int64,
    level: Int8,
    patterns: UInt64,
    shift: int,
    bins: Int64,
    lost: Int64,
    first: UInt64,
    last: UInt64,
    peak: Floats,
    at: Int64,
) -> int:
    """Count what ``measure`` wrote.

    Args:
        error: errors in ulps.
        error_bits: the same memory as integers.
        level: levels, or ``FLUSHED``, which counts as AA and is left out of the errors.
        patterns: bit patterns of the logits.
        shift: by how many bits they are shifted to give their bucket.
        bins: [BINS] is added to.
        lost: [buckets, 3] is added to: how many are below AAA, AA and A.
        first: [buckets, 3] is lowered to the patterns of these.
        last: [buckets, 3] is raised to them.
        peak: [buckets] is raised to the errors; −1 for none.
        at: [buckets] is set to the index of the first with this error.

    Returns:
        How many are flushed.
    """
    flushed = 0
    for i in range(error.size):
        pattern, reached = patterns[i], level[i]
        bucket = np.int64(pattern >> np.uint64(shift))
        if reached == FLUSHED:
            flushed += 1
            reached = 2
        else:
            if error[i] > peak[bucket]:
                peak[bucket] = error[i]
                at[bucket] = i
            place = (error_bits[i] >> (52 - _OCTAVE)) - (_LEAST << _OCTAVE)
            number = 0 if error[i] == 0.0 else max(place + 2, 1)
            bins[number] += 1
        for which in range(3 - reached):
            lost[bucket, which] += 1
            first[bucket, which] = min(first[bucket, which], pattern)
            last[bucket, which] = max(last[bucket, which], pattern)
    return flushed


def units_of(format_: Any) -> Floats:
    """The units in the last place of a format by exponent, from ``emin`` to ``emax``."""
    exponents = np.arange(format_.emin, format_.emax + 1)
    return np.asarray(np.ldexp(1.0, exponents - format_.precision + 1))
