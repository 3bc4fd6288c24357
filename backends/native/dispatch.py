"""From checked operands to results: which kernel does what, on which piece of memory.

The only module that knows all kernels; importing it imports the compiler, so ``api.py`` does so
with the first call. Guarantees temporaries below 1 MiB for any input.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np

from .arguments import Array, Operands
from .element.quantities import (
    GRAD_LOGITS,
    GRAD_POS_WEIGHT,
    GRAD_TARGETS,
    GRAD_WEIGHT,
    HESSIAN,
    LOSS,
    QUANTITIES,
)
from .kernels import general, sum_broadcast, sum_float32, sum_float64, sum_half, sum_weighted
from .memory.plans import VIEWS, flat, is_plain, plans_of
from .memory.strided import CODES
from .memory.threads import share

__all__ = ["HESSIAN", "QUANTITY_OF", "Evaluation"]

QUANTITY_OF = {
    "logits": GRAD_LOGITS,
    "targets": GRAD_TARGETS,
    "weight": GRAD_WEIGHT,
    "pos_weight": GRAD_POS_WEIGHT,
}
# Sums of broadcast gradients are kept for so many elements of the operand at a time; where it has
# fewer, for each of a few parts of the logits.
_PIECE = 8192
_PARTS = 8
# So many elements of pos_weight are looked at for being all ones.
_FEW = 4096
_FLOAT16 = np.dtype(np.float16)
_FLOAT64 = np.dtype(np.float64)
_FLOAT32 = np.dtype(np.float32)
_BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


# How a small plain call of a format is made: the kernel, how it sees memory, what it is told.
_SMALL: dict[np.dtype[Any], tuple[Callable[..., int], Any, tuple[bool, ...]]] = {
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
    if kernel(x, y, g, gradient is not None, count, *told, out):
        return None
    return out.view(dtype).reshape(())


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
        self.inputs = [
            operands.logits,
            operands.targets,
            operands.weight,
            pos_weight,
            cotangent,
            vector,
        ]
        self.wide = self.dtype == _FLOAT64
        self.weighted = any(operand is not None for operand in self.inputs[2:])

    def run(self, loss: Array | None, gradients: dict[int, Array]) -> None:
        """Evaluate the loss, where an array is given for it, and quantities, into these arrays.

        Quantities of broadcast operands are summed over what they were broadcast along. The bits
        of the loss do not depend on which gradients are wanted beside it.
        """
        if self.size == 0:
            self._nothing(loss, gradients)
            return
        whole = {q: out for q, out in gradients.items() if out.size == self.size}
        if loss is not None and self._is_one_sum():
            self._run_sum(loss, whole.pop(GRAD_LOGITS, None))
            loss = None
        if whole or loss is not None:
            self._run_general(loss, whole)
        for quantity, out in gradients.items():
            if out.size != self.size:
                self._summed(quantity, out)

    def _settle_loss(self, value: float, loss: Array) -> None:
        """Round the sum or mean into ``loss``."""
        if self.wide and self.reduction == "mean" and np.isinf(value):
            value = self._scaled_mean()
        settled(value, loss)

    def _scaled_mean(self) -> float:
        """The mean where the sum leaves float64's range: of losses times 2^-100, times 2^100."""
        weight = self.operands.weight
        small = np.ldexp(np.float64(1) if weight is None else weight.astype(np.float64), -100)
        operands = Operands(
            self.operands.logits, self.operands.targets, np.asarray(small), self.inputs[3]
        )
        scaled = Evaluation(operands, "sum")
        scaled.count = self.count
        total = np.empty(())
        scaled._run_general(total, {})
        with np.errstate(over="ignore"):
            return float(np.ldexp(total, 100))

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
            and self.inputs[4] is None
            and not (self.wide and self.weighted)
            and (targets == np.bool_ or targets.newbyteorder("=") == self.dtype)
        )

    def _kernel(self, with_gradient: bool) -> Callable[..., None]:
        """The sum kernel, as a function of (x, y, g, origin, first, last, partials)."""
        if self.wide:
            return lambda x, y, g, origin, *rest: sum_float64.sum_wide(
                x, y, g, with_gradient, self.count, *rest
            )
        scale = 1.0 / self.count
        if self.weighted:
            plans, shape = plans_of(self.inputs[2:4], self.shape)
            return lambda x, y, g, origin, *rest: sum_weighted.sum_weighted(
                x,
                y,
                plans,
                shape,
                origin,
                g,
                with_gradient,
                scale,
                *rest,
            )
        if self.dtype != _FLOAT32:
            has_tails = self.dtype == _BFLOAT16
            return lambda x, y, g, origin, *rest: sum_half.sum_half(
                x, y, g, with_gradient, self.count, has_tails, *rest
            )
        return lambda x, y, g, origin, *rest: sum_float32.sum_single(
            x, y, g, with_gradient, scale, *rest
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
        if gradient is not None and not self.wide and partials[:, 2].any():
            self._repair(gradient, partials)
        combine = sum_float64.combine if self.wide else general.combine
        self._settle_loss(combine(partials, self.count), loss)

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

    def _repair(self, gradient: Array, partials: Array) -> None:
        """Evaluate gradients of whole groups again in blocks, where one of them needs care.

        ``general.py`` does the same operations, so that the others keep their bits.
        """
        plans, shape, wanted = self._plan({GRAD_LOGITS: gradient})
        groups = sum_float32.CHUNK // sum_float32.GROUP

        def work(first: int, last: int) -> None:
            for chunk in range(first, last):
                for group in _bits(int(partials[chunk, 2])):
                    at = chunk * groups + group
                    self._evaluate(
                        plans, shape, wanted, False, sum_float32.GROUP, at, at + 1, partials
                    )

        share(work, len(partials))

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
        plans: Array,
        shape: Array,
        wanted: Array,
        summed: bool,
        length: int,
        first: int,
        last: int,
        partials: Array,
    ) -> None:
        general.evaluate(
            plans,
            shape,
            self.size,
            wanted,
            CODES[self.dtype],
            self.weighted,
            self.count,
            summed,
            length,
            first,
            last,
            partials,
        )

    def _run_general(self, loss: Array | None, gradients: dict[int, Array]) -> None:
        summed = loss is not None and self.reduction != "none"
        outputs = dict(gradients)
        if loss is not None and not summed:
            outputs[LOSS] = loss
        plans, shape, wanted = self._plan(outputs)
        wanted[LOSS] = loss is not None
        partials = np.empty((-(-self.size // general.CHUNK), 2))
        share(
            lambda first, last: self._evaluate(
                plans, shape, wanted, summed, general.CHUNK, first, last, partials
            ),
            len(partials),
        )
        if loss is not None and summed:
            self._settle_loss(general.combine(partials, self.count), loss)

    # Gradients of broadcast operands.

    def _summed(self, quantity: int, out: Array) -> None:
        """Sum one gradient over the dimensions along which its operand was broadcast."""
        full = out.reshape((1,) * (len(self.shape) - out.ndim) + out.shape)
        inputs = [
            None if operand is None else np.broadcast_to(operand, self.shape)
            for operand in self.inputs
        ]
        regions = _regions(full.shape)

        def work(first: int, last: int) -> None:
            for region in regions[first:last]:
                views = [
                    None if view is None else view[_unpinned(region, full.shape)] for view in inputs
                ]
                self._sum_region(quantity, full[region], views, alone=len(regions) == 1)

        share(work, len(regions))

    def _sum_region(
        self, quantity: int, out: Array, inputs: list[Array | None], *, alone: bool
    ) -> None:
        """Sum into one box of the operand; threads share its parts out where it is alone."""
        logits = inputs[0]
        assert logits is not None
        index = np.arange(out.size).reshape(out.shape)
        rows: list[Array | None] = [*inputs[:5], np.broadcast_to(index, logits.shape)]
        plans, shape = plans_of([*rows, *[None] * QUANTITIES], logits.shape)
        wanted = np.zeros(QUANTITIES, np.uint8)
        wanted[quantity] = 1
        blocks = -(-logits.size // general.CHUNK)
        parts = min(_PARTS, blocks, _PIECE // out.size) if alone else 1
        bounds = [part * blocks // parts * general.CHUNK for part in range(parts)] + [logits.size]
        sums, rests = np.zeros((2, parts, out.size))

        def work(first: int, last: int) -> None:
            for part in range(first, last):
                sum_broadcast.accumulate(
                    plans,
                    shape,
                    wanted,
                    self.wide,
                    self.count,
                    quantity,
                    bounds[part],
                    bounds[part + 1],
                    sums[part],
                    rests[part],
                )

        share(work, parts)
        result = np.empty(out.size, self.dtype)
        sum_broadcast.settle(sums, rests, flat(result))
        out[...] = result.reshape(out.shape)


def _bits(mask: int) -> list[int]:
    """Which bits are set."""
    return [bit for bit in range(mask.bit_length()) if mask >> bit & 1]


def _regions(shape: tuple[int, ...]) -> Sequence[tuple[slice, ...]]:
    """Boxes of at most ``_PIECE`` elements that make up an array of ``shape``."""
    budget = _PIECE
    steps = []
    for size in reversed(shape):
        steps.append(max(1, min(size, budget)))
        budget //= max(1, min(size, budget))
    steps.reverse()
    counts = [-(-size // step) for size, step in zip(shape, steps, strict=True)]
    return [
        tuple(
            slice(at * step, min(size, (at + 1) * step))
            for at, step, size in zip(index, steps, shape, strict=True)
        )
        for index in np.ndindex(*counts)
    ]


def _unpinned(region: tuple[slice, ...], shape: tuple[int, ...]) -> tuple[slice, ...]:
    """The same box in the logits: all of a dimension along which the operand was broadcast."""
    return tuple(
        slice(None) if size == 1 else part for part, size in zip(region, shape, strict=True)
    )
