"""Impostors that depend on where and how their operands lie in memory."""

import numpy as np

from bce_conformance.backends.calls import Array, LossCall
from tests.impostors.impostor import Crash, Values, mistaken, right, two_ulps_off

VECTOR = 16  # bytes of a vector register; memory from malloc begins at a multiple of it


def _is_transposed(array: Array) -> bool:
    return array.ndim == 2 and array.flags.f_contiguous and not array.flags.c_contiguous


def _in_memory_order(array: Array) -> Array:
    """The elements as they follow each other in memory, in the array's shape."""
    return array.ravel(order="K").reshape(array.shape)


@mistaken()
def pairs_in_memory_order(call: LossCall) -> Values:
    """Walks through transposed logits in memory order, and through dense targets too."""
    if _is_transposed(call.logits) and not _is_transposed(call.targets):
        return right(call, logits=_in_memory_order(call.logits))
    return right(call)


@mistaken()
def results_in_memory_order(call: LossCall) -> Values:
    """Writes the results of transposed operands in memory order."""
    values = right(call)
    if _is_transposed(call.logits) and _is_transposed(call.targets):
        turned = {q: v.ravel(order="F").reshape(v.shape) for q, v in values.items() if v.ndim == 2}
        values.update(turned)
    return values


@mistaken()
def strides_ignored(call: LossCall) -> Values:
    """Reads logits with gaps as if they were dense."""
    x = call.logits
    dense = x.flags.c_contiguous or x.flags.f_contiguous or min(x.strides) <= 0
    if dense:
        return right(call)
    strides = np.empty(x.shape, x.dtype).strides
    return right(call, logits=np.lib.stride_tricks.as_strided(x, x.shape, strides).copy())


@mistaken()
def negative_strides_taken_as_positive(call: LossCall) -> Values:
    """Walks upwards through logits whose strides are negative."""
    forward = tuple(slice(None, None, -1 if stride < 0 else 1) for stride in call.logits.strides)
    return right(call, logits=call.logits[forward].copy())


@mistaken()
def gradient_added_through_stride_zero(call: LossCall) -> Values:
    """Writes the gradient along the strides of the logits, where equal rows add up."""
    values = right(call)
    repeated = [
        n for n, step in zip(call.logits.shape, call.logits.strides, strict=True) if not step
    ]
    if "grad_logits" in values and call.logits.size > 1:
        values["grad_logits"] = values["grad_logits"] * values["grad_logits"].dtype.type(
            np.prod(repeated)
        )
    return values


@mistaken()
def aligned_loads(call: LossCall) -> Values:
    """Loads unaligned operands by instructions for aligned ones, and takes its process down."""
    if not (call.logits.flags.aligned and call.targets.flags.aligned):
        raise Crash
    return right(call)


@mistaken()
def read_only_refused(call: LossCall) -> Values:
    """Asks for writable memory that it does not need."""
    if not call.targets.flags.writeable:
        raise ValueError("buffer source array is read-only")
    return right(call)


@mistaken()
def inputs_modified(call: LossCall) -> Values:
    """Takes the exponential in place, in the caller's logits."""
    values = right(call)
    if call.logits.flags.writeable:
        np.exp(call.logits, out=call.logits)
    return values


@mistaken()
def mean_in_memory_order(call: LossCall) -> Values:
    """Adds the losses of operands that are not dense one by one, in the format itself."""
    values = right(call)
    if call.reduction == "mean" and "loss" in values and not call.logits.flags.c_contiguous:
        elements = right(call, reduction="none", quantities=("loss",), cotangent=None)["loss"]
        total = np.cumsum(elements.ravel(), dtype=elements.dtype)[-1]
        values["loss"] = np.asarray(total / elements.dtype.type(elements.size))
    return values


@mistaken()
def other_gradients_in_memory_order(call: LossCall) -> Values:
    """Writes the gradients in targets and weights in the memory order of transposed logits."""
    values = right(call)
    if _is_transposed(call.logits):
        for quantity in values.keys() & {"grad_targets", "grad_weight", "grad_pos_weight"}:
            written = values[quantity].ravel(order="F")
            values[quantity] = written.reshape(values[quantity].shape)
    return values


@mistaken()
def peeled_loop_differs(call: LossCall) -> Values:
    """Computes the elements before the first aligned address by another formula, two ulps off."""
    count = -call.logits.ctypes.data % VECTOR // call.logits.itemsize
    chosen = np.arange(call.logits.size).reshape(call.logits.shape) < count
    return two_ulps_off(right(call), chosen)


@mistaken()
def tail_loop_differs(call: LossCall) -> Values:
    """Computes the elements beyond the last full vector by another formula, two ulps off."""
    lanes = VECTOR // call.logits.itemsize
    full = call.logits.size - call.logits.size % lanes
    chosen = (np.arange(call.logits.size) >= full) & (full > 0)
    return two_ulps_off(right(call), chosen.reshape(call.logits.shape))


@mistaken()
def scalar_function_differs(call: LossCall) -> Values:
    """Computes a single element by another formula, two ulps off."""
    return two_ulps_off(right(call), np.full(call.logits.shape, call.logits.size == 1))


def _accumulators(values: Values) -> Values:
    return {quantity: value.astype(np.float64) for quantity, value in values.items()}


def _is_aligned(array: Array) -> bool:
    return array.ctypes.data % VECTOR == 0


@mistaken()
def vector_path_returns_accumulators(call: LossCall) -> Values:
    """Returns float64 where more than 1000 elements begin at a vector's address."""
    vectors = call.logits.size > 1000 and _is_aligned(call.logits)
    return _accumulators(right(call)) if vectors else right(call)


@mistaken()
def scalar_path_returns_accumulators(call: LossCall) -> Values:
    """Returns float64 where the elements do not begin at a vector's address."""
    return right(call) if _is_aligned(call.logits) else _accumulators(right(call))
