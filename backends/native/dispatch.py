"""From checked operands to results: which kernel does what, on which piece of memory.

The only module that knows all kernels; importing it imports the compiler, so ``api.py`` does so
with the first call. Guarantees temporaries below 1 MiB for any input, but for sums that are added
up exactly: these may keep a number for each element.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import ml_dtypes
import numpy as np

from .arguments import Array, Operands
from .compiled import in_default_mode
from .element.quantities import (
    GRAD_LOGITS,
    GRAD_WEIGHT,
    HESSIAN,
    LOSS,
    QUANTITIES,
    QUANTITY_OF,
)
from .kernels import (
    general,
    stages,
    sum_broadcast,
    sum_float32,
    sum_float64,
    sum_half,
    sum_weighted,
)
from .memory.plans import VIEWS, flat, is_plain, plans_of
from .memory.strided import CODES
from .memory.threads import share

__all__ = ["HESSIAN", "QUANTITY_OF", "Evaluation"]

# So many elements of an operand are looked at for being all ones, or harmless.
_FEW = 4096
# Beyond these, products of four operands may leave float64's range (see ``double_double.py``).
_LOW, _HIGH = 2.0**-240, 2.0**240
_FLOAT16 = np.dtype(np.float16)
_FLOAT64 = np.dtype(np.float64)
_FLOAT32 = np.dtype(np.float32)
_BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


# How a small plain call of a format is made: the kernel, how it sees memory, what it is told.
_SMALL: dict[np.dtype[Any], tuple[Callable[..., bool], Any, tuple[bool, ...]]] = {
    _FLOAT16: (sum_half.sum_small_half, VIEWS[_FLOAT16], (False,)),
    _BFLOAT16: (sum_half.sum_small_half, VIEWS[_BFLOAT16], (True,)),
    _FLOAT32: (sum_float32.sum_small, _FLOAT32, ()),
    _FLOAT64: (sum_float64.sum_small_wide, _FLOAT64, ()),
}


def small_loss(
    logits: Array, targets: Array, reduction: str, gradient: Array | None
) -> Array | None:
    """The loss of a small plain call (see ``is_small``); None where something needs care.

    The gradient in the logits is written into ``gradient``, unless it is None.
    """
    dtype = logits.dtype
    kernel, view, told = _SMALL[dtype]
    count = float(logits.size) if reduction == "mean" else 1.0
    out = np.empty(1, view)
    x, y = logits.reshape(-1), targets.reshape(-1)
    g = x if gradient is None else gradient.reshape(-1)
    if view is not dtype:
        x, y, g = x.view(view), y.view(view), g.view(view)
    stands = kernel(x, y, g, gradient is not None, *told, count, out)
    return out.view(dtype).reshape(()) if stands else None


def is_small(logits: Any, targets: Any, reduction: Any) -> bool:
    """Whether these are arrays of one format, plain, of one shape, and no more than a chunk."""
    return (
        type(logits) is np.ndarray
        and type(targets) is np.ndarray
        and logits.dtype in _SMALL
        and targets.dtype is logits.dtype
        and logits.shape == targets.shape
        and 0 < logits.size <= sum_float32.CHUNK
        and (reduction == "mean" or reduction == "sum")
        and logits.flags.carray
        and targets.flags.carray
    )


def settled(value: float, out: Array) -> Array:
    """Round ``value`` once into the 0-d array ``out``."""
    if out.flags.c_contiguous and out.flags.aligned:
        sum_float32.rounded(value, flat(out))
    else:
        fresh = np.empty((), out.dtype)
        sum_float32.rounded(value, flat(fresh))
        out[...] = fresh
    return out


def _is_harmless(operand: Array | None) -> bool:
    """Whether an operand, seen in float64, cannot take products out of range."""
    if operand is None or operand.dtype.newbyteorder("=") != _FLOAT64:
        return True
    size = np.abs(operand) if operand.size <= _FEW else np.array(np.nan)
    return bool(((size == 0) | ((size >= _LOW) & (size <= _HIGH))).all())


def _is_finite(operand: Array | None) -> bool:
    """Whether an operand is known to have no infinity, no NaN and nothing negative."""
    if operand is None or operand.dtype.kind in "bu":
        return True
    if operand.size > _FEW:
        return False
    with np.errstate(invalid="ignore"):  # NaN
        return bool(((operand >= 0) & (operand < np.inf)).all())


# Below it, what single losses lose to underflow may matter to their sum.
_FAINT_LOSS = 2.0**-900


class Evaluation:
    """One call on the processor.

    Args:
        operands: the checked operands.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.
        cotangent: broadcastable to the loss's shape, or None.
        vector: direction of a Hessian-vector product, or None.
    """

    def __init__(
        self,
        operands: Operands,
        reduction: str,
        cotangent: Array | None = None,
        vector: Array | None = None,
    ) -> None:
        self.operands = operands
        self.reduction = reduction
        self.dtype = operands.dtype
        self.shape = operands.logits.shape
        self.size = operands.logits.size
        self.count = float(max(self.size, 1)) if reduction == "mean" else 1.0
        pos_weight = operands.pos_weight
        if pos_weight is not None and pos_weight.size <= _FEW and bool((pos_weight == 1).all()):
            pos_weight = None  # the same kernels, so the same bits
        scales = [operands.weight, pos_weight]
        self.inputs = [operands.logits, operands.targets, *scales, cotangent, vector]
        self.wide = self.dtype == _FLOAT64
        self.weighted = any(operand is not None for operand in scales)

    def _checks(self, dtype: np.dtype[Any]) -> int:
        """What operands are checked for (see ``general.evaluate``) with results of this format."""
        if dtype != _FLOAT64:
            return self._narrow_checks
        given = any(operand is not None for operand in self.inputs[2:])
        return stages.HARMLESS if given else stages.NOTHING

    @cached_property
    def _narrow_checks(self) -> int:
        if not all(_is_harmless(operand) for operand in self.inputs[1:]):
            return stages.WIDE_OPERANDS
        weights, others = self.inputs[2:4], self.inputs[4:]
        if not all(_is_finite(operand) for operand in others):
            return stages.ALL_FACTORS
        return stages.NOTHING if all(_is_finite(w) for w in weights) else stages.WEIGHTS

    @in_default_mode()
    def run(self, loss: Array | None, gradients: dict[int, Array]) -> None:
        """Evaluate the loss, where an array is given for it, and quantities, into these arrays.

        Quantities of broadcast operands are summed over what they were broadcast along. No bit of
        a result depends on which others are wanted beside it.
        """
        if self.size == 0:
            self._nothing(loss, gradients)
            return
        whole = {q: out for q, out in gradients.items() if out.size == self.size}
        if loss is not None and self._is_one_sum():
            with_gradient = self.inputs[4] is None
            self._run_sum(loss, whole.pop(GRAD_LOGITS, None) if with_gradient else None)
            loss = None
        if loss is not None:
            whole[LOSS] = loss
        for dtype in {out.dtype for out in whole.values()}:
            alike = {q: out for q, out in whole.items() if out.dtype == dtype}
            self._run_general(alike.pop(LOSS, None), alike)
        for quantity, out in gradients.items():
            if out.size != self.size:
                checks = self._checks(out.dtype)
                sum_broadcast.sum_gradient(quantity, self.inputs, self.count, checks, out)

    def _settle_loss(self, value: float, cancels: bool, loss: Array) -> None:
        """Round the sum or mean into ``loss``; again from the start where it may be lost.

        Infinities may make NaN, sums leave float64's range that means do not, negative losses
        cancel others, and losses below the smallest float64 add up.
        """
        faint = self.wide and value < _FAINT_LOSS
        if cancels or faint or not np.isfinite(value):
            # The loss is the gradient in a weight of 1, under the weight as cotangent.
            logits, targets, weight, pos_weight = self.inputs[:4]
            inputs = [logits, targets, None, pos_weight, weight]
            self._sum_carefully(GRAD_WEIGHT, inputs, loss)
        else:
            settled(value, loss)

    def _sum_carefully(self, quantity: int, inputs: list[Array | None], out: Array) -> None:
        sum_broadcast.sum_gradient(quantity, inputs, self.count, stages.HARMLESS, out, careful=True)

    @in_default_mode()
    def run_forward(self, out: Array) -> None:
        """Evaluate the derivative of the reduced loss along the vector into ``out``."""
        if self.size == 0:
            self._nothing(out, {})
            return
        inputs = [*self.inputs[:4], self.inputs[5]]
        if self.reduction == "none":
            # The Jacobian is diagonal.
            Evaluation(self.operands, "none", inputs[4]).run(None, {GRAD_LOGITS: out})
        else:
            self._sum_carefully(GRAD_LOGITS, inputs, out)

    def _nothing(self, loss: Array | None, gradients: dict[int, Array]) -> None:
        if loss is not None and self.reduction != "none":
            loss[...] = 0.0 if self.reduction == "sum" else np.nan
        for out in gradients.values():
            out[...] = 0.0

    # The sum kernels.

    def _is_one_sum(self) -> bool:
        targets = self.operands.targets.dtype
        return (
            self.reduction != "none"
            and not (self.wide and self.weighted)
            and self._checks(self.dtype) != stages.WIDE_OPERANDS
            and (targets == np.bool_ or targets.newbyteorder("=") == self.dtype)
        )

    def _kernel(self, with_gradient: bool) -> Callable[..., None]:
        """The sum kernel, as a function of (x, y, g, origin, first, last, partials)."""
        if self.wide:
            return lambda x, y, g, origin, *rest: sum_float64.sum_wide(
                x, y, g, with_gradient, self.count, *rest
            )
        if self.weighted:
            plans, shape = plans_of(self.inputs[2:4], self.shape)
            return lambda x, y, g, origin, *rest: sum_weighted.sum_weighted(
                x,
                y,
                g,
                plans,
                shape,
                origin,
                self.count,
                with_gradient,
                *rest,
            )
        if self.dtype != _FLOAT32:
            has_tails = self.dtype == _BFLOAT16
            return lambda x, y, g, origin, *rest: sum_half.sum_half(
                x, y, g, with_gradient, has_tails, self.count, *rest
            )
        return lambda x, y, g, origin, *rest: sum_float32.sum_single(
            x, y, g, with_gradient, self.count, *rest
        )

    def _run_sum(self, loss: Array, gradient: Array | None) -> None:
        partials = np.zeros((-(-self.size // sum_float32.CHUNK), 4))
        logits, targets = self.operands.logits, self.operands.targets
        call = self._kernel(gradient is not None)
        plain = is_plain(logits, self.dtype) and is_plain(targets, self.dtype)
        if plain and (gradient is None or is_plain(gradient, self.dtype)):
            x, y = flat(logits), flat(targets)
            g = x if gradient is None else flat(gradient)
            share(lambda first, last: call(x, y, g, 0, first, last, partials), len(partials))
        else:
            self._sum_by_chunks(call, gradient, partials)
        combine = sum_float64.combine if self.wide else general.combine
        value = combine(partials, self.count)
        if not np.isfinite(value) or (self.weighted and partials[:, 3].any()):
            # Terms that cancel, or an infinity that may have to be NaN.
            self._run_general(loss, {} if gradient is None else {GRAD_LOGITS: gradient})
            return
        if gradient is not None and not self.wide and partials[:, 2].any():
            self._climb(gradient, partials)
        settled(value, loss)

    def _sum_by_chunks(
        self, call: Callable[..., None], gradient: Array | None, partials: Array
    ) -> None:
        """As in place, on packed copies of one chunk at a time: the same bits for any layout."""
        rows = [self.operands.logits, self.operands.targets, gradient]
        plans, shape = plans_of(rows, self.shape)

        def work(first: int, last: int) -> None:
            buffer = np.empty(sum_float32.LANES)
            packed = np.empty((3, min(sum_float32.CHUNK, self.size)), VIEWS[self.dtype])
            for chunk in range(first, last):
                start = chunk * sum_float32.CHUNK
                n = min(sum_float32.CHUNK, self.size - start)
                x, y, g = packed[0, :n], packed[1, :n], packed[2, :n]
                sum_float32.pack(plans[0], shape, start, buffer, x)
                sum_float32.pack(plans[1], shape, start, buffer, y)
                call(x, y, g, start, 0, 1, partials[chunk : chunk + 1])
                if gradient is not None:
                    sum_float32.unpack(plans[2], shape, start, buffer, g)

        share(work, len(partials))

    def _climb(self, gradient: Array, partials: Array) -> None:
        """Evaluate gradients of whole groups again in blocks, where the ladder has to decide one.

        A block starts with the same operations, so that the others keep their bits.
        """
        planned = self._plan({GRAD_LOGITS: gradient})
        groups = sum_float32.CHUNK // sum_float32.GROUP
        marked = [
            chunk * groups + group
            for chunk, marks in enumerate(partials[:, 2])
            for group in range(groups)
            if int(marks) >> group & 1
        ]

        def work(first: int, last: int) -> None:
            for group in marked[first:last]:
                self._evaluate(planned, self.dtype, group, group + 1, sum_float32.GROUP)

        share(work, len(marked))

    # The general.

    def _plan(self, outputs: dict[int, Array]) -> tuple[Array, Array, Array]:
        rows = [*self.inputs, *[outputs.get(quantity) for quantity in range(QUANTITIES)]]
        rows = [
            row.reshape(self.shape) if row is not None and row.size == self.size else row
            for row in rows
        ]
        plans, shape = plans_of(rows, self.shape)
        wanted = np.zeros(QUANTITIES, np.uint8)
        wanted[list(outputs)] = 1
        return plans, shape, wanted

    def _evaluate(
        self,
        planned: tuple[Array, Array, Array],
        dtype: np.dtype[Any],
        first: int,
        last: int,
        length: int = general.CHUNK,
        partials: Array | None = None,
    ) -> None:
        """Evaluate chunks in blocks; results have the format ``dtype``."""
        plans, shape, wanted = planned
        general.evaluate(
            plans,
            shape,
            self.size,
            wanted,
            CODES[dtype],
            self._checks(dtype),
            self.count,
            length,
            first,
            last,
            np.empty((0, 3)) if partials is None else partials,
        )

    def _run_general(self, loss: Array | None, gradients: dict[int, Array]) -> None:
        summed = loss is not None and self.reduction != "none"
        outputs = dict(gradients)
        if loss is not None and not summed:
            outputs[LOSS] = loss
        planned = self._plan(outputs)
        planned[2][LOSS] = loss is not None
        dtype = self.dtype if summed else next(iter(outputs.values())).dtype
        chunks = -(-self.size // general.CHUNK)
        partials = np.empty((chunks, 3)) if summed else None
        share(
            lambda first, last: self._evaluate(planned, dtype, first, last, partials=partials),
            chunks,
        )
        if loss is not None and partials is not None:
            cancels = bool(partials[:, 2].any())
            self._settle_loss(general.combine(partials, self.count), cancels, loss)
