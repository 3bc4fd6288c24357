"""Whether a backend flushes subnormal numbers to zero: a mode of processor or compiler.

It is probed with losses that every formula computes well, so that an inaccurate one is never taken
for a flush.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bce_conformance.backends.calls import Failure, LossCall, LossResult
from bce_conformance.reference import Format
from bce_conformance.results.model import Flushes

# As many of each as make a framework use all the threads that it uses for large arrays: it is the
# thread that flushes.
TIMES = 15_000


UNKNOWN = Flushes(None, None)


def probe(format_: Format, device: str) -> LossCall:
    """Many times w·128 of a subnormal w, then as often w·log 2 of the smallest normal w."""
    small = format_.smallest_normal
    logits, weight = np.repeat([128.0, 0.0], TIMES), np.repeat([small / 2, small], TIMES)
    return LossCall(
        logits.astype(format_.dtype),
        np.zeros(2 * TIMES, format_.dtype),
        weight.astype(format_.dtype),
        reduction="none",
        device=device,
    )


def read(outcome: LossResult | Failure, format_: Format) -> Flushes:
    """What the result of the probe says."""
    loss = None if isinstance(outcome, Failure) else outcome.values.get("loss")
    if loss is None or loss.shape != (2 * TIMES,):
        return UNKNOWN
    of_subnormals, subnormal = loss.astype(np.float64).reshape(2, TIMES)
    small = format_.smallest_normal
    return Flushes(
        _any_zero(of_subnormals, of_subnormals == 64 * small),
        _any_zero(subnormal, (subnormal > 0) & (subnormal < small)),
    )


def _any_zero(values: NDArray[np.float64], kept: NDArray[np.bool_]) -> bool | None:
    return bool((values == 0).any()) if (kept | (values == 0)).all() else None
