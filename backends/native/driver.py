"""From checked operands to results: which kernel does what, on which piece of memory.

The only module that knows all kernels; importing it imports the compiler, so ``api.py`` does so
with the first call. Guarantees temporaries below 1 MiB for any input.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bce_conformance.backends.native import engine, fused
from bce_conformance.backends.native.arguments import Array, Operands
from bce_conformance.backends.native.block import (
    GRAD_LOGITS,
    GRAD_POS_WEIGHT,
    GRAD_TARGETS,
    GRAD_WEIGHT,
    HESSIAN,
    LOSS,
    QUANTITIES,
)
from bce_conformance.backends.native.layout import VIEWS, flat, is_plain, plans_of
from bce_conformance.backends.native.threads import share

__all__ = ["HESSIAN", "QUANTITY_OF", "Evaluation"]

QUANTITY_OF = {
    "logits": GRAD_LOGITS,
    "targets": GRAD_TARGETS,
    "weight": GRAD_WEIGHT,
    "pos_weight": GRAD_POS_WEIGHT,
}
# Sums of broadcast gradients are kept for this many elements of the operand at a time.
_PIECE = 16384
_FLOAT64 = np.dtype(np.float64)


def settled(value: float, out: Array) -> Array:
    """Round ``value`` once into the 0-d array ``out``."""
    if out.flags.c_contiguous and out.flags.aligned:
        fused.rounded(value, flat(out))
    else:
        fresh = np.empty((), out.dtype)
        fused.rounded(value, flat(fresh))
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
        self.inputs = [
            operands.logits,
            operands.targets,
            operands.weight,
            operands.pos_weight,
            cotangent,
            vector,
        ]
        self.wide = self.dtype == _FLOAT64
        self.weighted = any(operand is not None for operand in self.inputs[2:])

    def run(self, loss: Array | None, gradients: dict[int, Array]) -> None:
        """Evaluate the loss, where an array is given for it, and quantities, into these arrays.

        Quantities of broadcast operands are summed over what they were broadcast along.
        """
        if self.size == 0:
            self._nothing(loss, gradients)
            return
        whole = {q: out for q, out in gradients.items() if out.size == self.size}
        if self._is_fused(loss, whole):
            assert loss is not None
            self._run_fused(loss, whole.get(GRAD_LOGITS))
        elif whole or loss is not None:
            self._run_engine(loss, whole)
        for quantity, out in gradients.items():
            if quantity not in whole:
                self._summed(quantity, out)

    def _nothing(self, loss: Array | None, gradients: dict[int, Array]) -> None:
        if loss is not None and self.reduction != "none":
            loss[...] = 0.0 if self.reduction == "sum" else np.nan
        for out in gradients.values():
            out[...] = 0.0

    # The fused kernels.

    def _is_fused(self, loss: Array | None, gradients: dict[int, Array]) -> bool:
        targets = self.operands.targets.dtype
        return (
            loss is not None
            and self.reduction != "none"
            and not self.wide
            and not self.weighted
            and set(gradients) <= {GRAD_LOGITS}
            and (targets == np.bool_ or targets.newbyteorder("=") == self.dtype)
        )

    def _run_fused(self, loss: Array, gradient: Array | None) -> None:
        chunks = -(-self.size // fused.CHUNK)
        partials = np.empty((chunks, 3))
        logits, targets = self.operands.logits, self.operands.targets
        plain = is_plain(logits, self.dtype) and is_plain(targets, self.dtype)
        if plain and (gradient is None or is_plain(gradient, self.dtype)):
            self._fused_in_place(flat(logits), flat(targets), gradient, partials)
        else:
            self._fused_by_chunks(gradient, partials)
        settled(engine.combine(partials[:, :2], self.count), loss)
        if gradient is not None and partials[:, 2].any():
            self._repair(gradient, np.flatnonzero(partials[:, 2]))

    def _fused_in_place(
        self, logits: Array, targets: Array, gradient: Array | None, partials: Array
    ) -> None:
        if gradient is None:
            partials[:, 2] = 0.0
            share(
                lambda first, last: fused.sum_loss(logits, targets, first, last, partials),
                len(partials),
            )
            return
        result, scale = flat(gradient), 1.0 / self.count
        share(
            lambda first, last: fused.sum_loss_and_gradient(
                logits, targets, result, scale, first, last, partials
            ),
            len(partials),
        )

    def _fused_by_chunks(self, gradient: Array | None, partials: Array) -> None:
        """As in place, on packed copies of one chunk at a time: the same bits for any layout."""
        rows = [self.operands.logits, self.operands.targets, gradient]
        plans, shape = plans_of(rows, self.shape)
        view = VIEWS[self.dtype]

        def work(first: int, last: int) -> None:
            buffer = np.empty(fused.LANES)
            packed = np.empty((3, min(fused.CHUNK, self.size)), view)
            for chunk in range(first, last):
                start = chunk * fused.CHUNK
                n = min(fused.CHUNK, self.size - start)
                x, y, g = packed[0, :n], packed[1, :n], packed[2, :n]
                fused.pack(plans[0], shape, start, buffer, x)
                fused.pack(plans[1], shape, start, buffer, y)
                own = partials[chunk : chunk + 1]
                if gradient is None:
                    fused.sum_loss(x, y, 0, 1, own)
                    own[0, 2] = 0.0
                else:
                    fused.sum_loss_and_gradient(x, y, g, 1.0 / self.count, 0, 1, own)
                    fused.unpack(plans[2], shape, start, buffer, g)

        share(work, len(partials))

    def _repair(self, gradient: Array, chunks: Any) -> None:
        """Evaluate the gradient of whole chunks again, where one of their elements needs care."""
        plans, shape, wanted = self._plan({GRAD_LOGITS: gradient})
        ratio = fused.CHUNK // engine.CHUNK
        scratch = np.empty((-(-self.size // engine.CHUNK), 2))
        for chunk in chunks:
            last = min(len(scratch), (chunk + 1) * ratio)
            self._evaluate(plans, shape, wanted, False, chunk * ratio, last, scratch)

    # The engine.

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
        first: int,
        last: int,
        partials: Array,
    ) -> None:
        engine.evaluate(
            plans,
            shape,
            self.size,
            wanted,
            self.wide,
            self.weighted,
            self.count,
            summed,
            first,
            last,
            partials,
        )

    def _run_engine(self, loss: Array | None, gradients: dict[int, Array]) -> None:
        summed = loss is not None and self.reduction != "none"
        outputs = dict(gradients)
        if loss is not None and not summed:
            outputs[LOSS] = loss
        plans, shape, wanted = self._plan(outputs)
        wanted[LOSS] = loss is not None
        partials = np.empty((-(-self.size // engine.CHUNK), 2))
        share(
            lambda first, last: self._evaluate(plans, shape, wanted, summed, first, last, partials),
            len(partials),
        )
        if loss is not None and summed:
            settled(engine.combine(partials, self.count), loss)

    # Gradients of broadcast operands.

    def _summed(self, quantity: int, out: Array) -> None:
        """Sum one gradient over the dimensions along which its operand was broadcast."""
        full = out.reshape((1,) * (len(self.shape) - out.ndim) + out.shape)
        inputs = [
            None if operand is None else np.broadcast_to(operand, self.shape)
            for operand in self.inputs
        ]
        for region in _regions(full.shape):
            self._sum_region(
                quantity,
                full[region],
                [None if view is None else view[_unpinned(region, full.shape)] for view in inputs],
            )

    def _sum_region(self, quantity: int, out: Array, inputs: list[Array | None]) -> None:
        logits = inputs[0]
        assert logits is not None
        index = np.arange(out.size).reshape(out.shape)
        rows: list[Array | None] = [*inputs[:5], np.broadcast_to(index, logits.shape)]
        plans, shape = plans_of([*rows, *[None] * QUANTITIES], logits.shape)
        wanted = np.zeros(QUANTITIES, np.uint8)
        wanted[quantity] = 1
        sums, rests = np.zeros(out.size), np.zeros(out.size)
        engine.accumulate(
            plans, shape, logits.size, wanted, self.wide, self.count, quantity, sums, rests
        )
        result = np.empty(out.size, self.dtype)
        engine.settle(sums, rests, flat(result))
        out[...] = result.reshape(out.shape)


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
