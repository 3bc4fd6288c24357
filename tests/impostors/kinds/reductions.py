"""Impostors that reduce wrongly."""

from functools import reduce
from typing import Any

import numpy as np

from bce_conformance.backends.calls import Array, LossCall
from bce_conformance.reference import format_of
from tests.impostors.impostor import Values, mistaken, right, right_elements, stateful


def _with_loss(call: LossCall, loss: Array | float) -> Values:
    """Right but for the loss."""
    values = right(call)
    if "loss" in values:
        with np.errstate(all="ignore"):
            values["loss"] = np.asarray(loss).astype(call.logits.dtype)
    return values


@mistaken()
def mean_over_weights(call: LossCall) -> Values:
    """Divides the mean by Σw instead of N."""
    if call.reduction != "mean" or call.weight is None:
        return right(call)
    total = np.broadcast_to(call.weight, call.logits.shape).astype(np.float64).sum()
    return _with_loss(call, right_elements(call).sum() / total)


@mistaken()
def mean_over_the_batch(call: LossCall) -> Values:
    """Divides the mean by the length of the first dimension instead of N."""
    if call.reduction != "mean" or call.logits.ndim < 2:
        return right(call)
    return _with_loss(call, right_elements(call).sum() / call.logits.shape[0])


@mistaken()
def mean_over_positives(call: LossCall) -> Values:
    """Divides the mean by the number of elements with a target above 0."""
    if call.reduction != "mean":
        return right(call)
    return _with_loss(call, right_elements(call).sum() / (call.targets > 0).sum())


@mistaken("float16", "float32")
def sum_in_float16(call: LossCall) -> Values:
    """Adds the losses up in float16."""
    if call.reduction == "none":
        return right(call)
    total = right_elements(call).astype(np.float16).sum(dtype=np.float16).astype(np.float64)
    return _with_loss(call, total / (call.logits.size if call.reduction == "mean" else 1))


@mistaken("float16", "float32", "float64")
def running_sum(call: LossCall) -> Values:
    """Adds the losses up one by one in the format itself."""
    if call.reduction == "none" or not call.logits.size:
        return right(call)
    terms = right_elements(call).astype(call.logits.dtype).ravel()
    total = np.cumsum(terms, dtype=terms.dtype)[-1].astype(np.float64)
    return _with_loss(call, total / (call.logits.size if call.reduction == "mean" else 1))


@mistaken("float16", "float32")
def mean_of_a_rounded_sum(call: LossCall) -> Values:
    """Rounds the sum into the format before it is divided, where it overflows."""
    if call.reduction != "mean":
        return right(call)
    total = right(call, reduction="sum", quantities=("loss",), cotangent=None)["loss"]
    return _with_loss(call, total.astype(np.float64) / np.float64(call.logits.size))


@mistaken()
def float32_sum_overflows(call: LossCall) -> Values:
    """Sums huge losses in float32, where their mean does not overflow but their sum does."""
    if call.reduction != "mean":
        return right(call)
    total = right_elements(call).sum()
    largest = np.finfo(np.float32).max
    return _with_loss(call, np.inf) if total > largest else right(call)


@mistaken("float16")
def sum_over_60000_overflows(call: LossCall) -> Values:
    """Sums ordinary losses in float16, where their sum overflows; huge ones go another way."""
    if call.reduction != "mean":
        return right(call)
    elements = right_elements(call)
    overflows = elements.sum() > 65504 and elements.max() < 1000
    return _with_loss(call, np.inf) if overflows else right(call)


@mistaken()
def reduction_ignored(call: LossCall) -> Values:
    """Returns the loss of every element whatever the reduction."""
    return _with_loss(call, right_elements(call))


@mistaken()
def mean_for_sum(call: LossCall) -> Values:
    """Takes the mean where the sum was asked for."""
    return right(call, reduction="mean" if call.reduction == "sum" else call.reduction)


@mistaken()
def scalar_with_a_dimension(call: LossCall) -> Values:
    """Returns a reduced loss of shape [1]."""
    values = right(call)
    if "loss" in values and call.reduction != "none":
        values["loss"] = values["loss"].reshape(1)
    return values


@mistaken()
def empty_mean_is_zero(call: LossCall) -> Values:
    """Returns 0 for the mean of nothing."""
    return _with_loss(call, 0) if call.reduction == "mean" and not call.logits.size else right(call)


@mistaken()
def empty_sum_is_nan(call: LossCall) -> Values:
    """Returns NaN for the sum over nothing."""
    nothing = call.reduction == "sum" and not call.logits.size
    return _with_loss(call, np.nan) if nothing else right(call)


@mistaken()
def empty_raises(call: LossCall) -> Values:
    """Raises for empty input."""
    if not call.logits.size:
        raise ValueError("logits is empty")
    return right(call)


@mistaken()
def zero_dimensions_raise(call: LossCall) -> Values:
    """Raises for a 0-d input."""
    if not call.logits.ndim:
        raise IndexError("too many indices for array")
    return right(call)


@mistaken()
def infinite_elements_dropped(call: LossCall) -> Values:
    """Leaves elements out of a reduction that are not finite."""
    if call.reduction == "none" or not call.logits.size:
        return right(call)
    elements = right_elements(call)
    finite = np.where(np.isfinite(elements), elements, 0)
    return _with_loss(call, finite.sum() / (finite.size if call.reduction == "mean" else 1))


@mistaken("float16", "float32")
def saturating_sum(call: LossCall) -> Values:
    """Stops a sum at the largest finite number."""
    largest = format_of(call.logits.dtype).largest_finite
    if call.reduction != "sum" or np.isinf(right_elements(call)).any():
        return right(call)
    return _with_loss(call, np.minimum(right_elements(call).sum(), largest))


@mistaken()
def overflowing_sum_is_negative(call: LossCall) -> Values:
    """Carries a sum that overflows into its sign: −∞."""
    total = right(call).get("loss")
    overflows = call.reduction == "sum" and total is not None and np.isposinf(total)
    finite = overflows and np.isfinite(right_elements(call)).all()
    return _with_loss(call, -np.inf) if finite else right(call)


@mistaken()
def last_element_skipped(call: LossCall) -> Values:
    """Leaves the last element out of a reduction."""
    if call.reduction == "none" or call.logits.size < 2:
        return right(call)
    elements = right_elements(call).ravel()
    kept = elements[:-1].sum()
    return _with_loss(call, kept / (elements.size if call.reduction == "mean" else 1))


@mistaken()
def vector_tail_twice(call: LossCall) -> Values:
    """Adds the elements beyond the last full vector of eight twice."""
    if call.reduction == "none":
        return right(call)
    elements = right_elements(call).ravel()
    tail = elements[elements.size - elements.size % 8 :]
    total = elements.sum() + tail.sum()
    return _with_loss(call, total / (elements.size if call.reduction == "mean" else 1))


@mistaken()
def lost_carry_in_blocks(call: LossCall) -> Values:
    """Rounds the sum of each block of 100 to the format, toward zero."""
    if call.reduction == "none" or call.logits.size < 200:
        return right(call)
    elements = right_elements(call).ravel()
    format_ = format_of(call.logits.dtype)
    starts = np.arange(0, elements.size, 100)
    blocks = np.add.reduceat(elements, starts)
    rounded = blocks.astype(format_.dtype)
    wrong = rounded.astype(np.float64) > blocks
    below = format_.from_ordinal(format_.ordinal(rounded) - wrong).astype(np.float64)
    return _with_loss(call, below.sum() / (elements.size if call.reduction == "mean" else 1))


@mistaken("float16", "float32")
def small_terms_absorbed(call: LossCall) -> Values:
    """Adds each term to the largest, where those below half its unit in the last place vanish."""
    if call.reduction == "none" or not call.logits.size:
        return right(call)
    elements = right_elements(call).ravel()
    unit = format_of(call.logits.dtype).ulp(elements.max() * 2**9)
    kept = np.where(elements >= unit / 2, elements, 0)
    return _with_loss(call, kept.sum() / (kept.size if call.reduction == "mean" else 1))


@mistaken()
def count_in_16_bits(call: LossCall) -> Values:
    """Counts the elements of a mean in 16 bits."""
    if call.reduction != "mean" or not call.logits.size:
        return right(call)
    return _with_loss(call, right_elements(call).sum() / max(1, call.logits.size % 2**16))


@mistaken("float16")
def short_means_in_float16(call: LossCall) -> Values:
    """Adds the elements of short means one by one in float16."""
    if call.reduction != "mean" or not 0 < call.logits.size < 2048:
        return right(call)
    return running_sum(call)


@mistaken()
def sum_of_an_odd_number(call: LossCall) -> Values:
    """Returns what an uninitialised register held for the sum over an odd number of elements."""
    odd = call.reduction == "sum" and call.logits.size % 2 == 1
    return _with_loss(call, np.nan) if odd else right(call)


@mistaken()
def careless_parallel_sum(call: LossCall) -> Values:
    """Errs in sums by 2 (1 + log₂ N) units in the last place: a few at each step of a tree."""
    return _off_by_growth(call, 2)


@mistaken()
def worse_parallel_sum(call: LossCall) -> Values:
    """Errs in sums by 6 (1 + log₂ N) units in the last place: too many at each step of a tree."""
    return _off_by_growth(call, 6)


def _off_by_growth(call: LossCall, units: float) -> Values:
    if call.reduction != "sum" or call.logits.size < 2:
        return right(call)
    total = np.float64(right_elements(call).sum())
    unit = format_of(call.logits.dtype).ulp(total)
    return _with_loss(call, total + unit * units * (1 + np.log2(call.logits.size)))


@stateful()
class AccumulatorNotReset:
    """Starts a sum where the last one ended."""

    def __init__(self) -> None:
        self.total = 0.0

    def __call__(self, call: LossCall) -> Values:
        if call.reduction != "sum" or not call.logits.size:
            return right(call)
        before, self.total = self.total, float(right_elements(call).sum())
        return _with_loss(call, before + self.total)


@stateful("float32", "float64")
class ThreadDependentSum:
    """Splits a sum among as many threads as are idle, and adds the parts in the format."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, call: LossCall) -> Values:
        self.calls += 1
        threads = 1 + self.calls % 8
        if call.reduction == "none" or call.logits.size < 8:
            return right(call)
        parts = np.array_split(right_elements(call).astype(call.logits.dtype).ravel(), threads)
        total = reduce(np.add, map(_pairwise, parts))
        if call.reduction == "mean":
            total = total / call.logits.dtype.type(call.logits.size)
        return _with_loss(call, total)


def _pairwise(terms: Array) -> Any:
    """The sum in pairs of blocks, as NumPy's, but the same on every processor's vector units."""
    blocks = np.zeros(-(-max(terms.size, 1) // 128) * 128, terms.dtype)
    blocks[: terms.size] = terms
    sums = np.add.accumulate(blocks.reshape(-1, 16, 8), axis=1)[:, -1].ravel()
    while sums.size > 1:
        sums = np.append(sums, np.zeros(sums.size % 2, sums.dtype))
        sums = sums[0::2] + sums[1::2]
    return sums[0]
