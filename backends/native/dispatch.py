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

from .arguments import FEW, Array, Operands, is_finite, is_harmless
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
    each_float32,
    general,
    stages,
    sum_broadcast,
    sum_float32,
    sum_float64,
    sum_half,
    sum_weighted,
)
from .memory import chunks
from .memory.plans import flat, is_plain, plans_of
from .memory.strided import CODES
from .memory.threads import share
from .small.arrays import is_small, small_loss

__all__ = ["QUANTITY_OF", "Evaluation", "is_small", "small_loss"]

_FLOAT64 = np.dtype(np.float64)
_FLOAT32 = np.dtype(np.float32)
_BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


def settled(value: float, out: Array) -> Array:
    """Round ``value`` once into the 0-d array ``out``."""
    if out.flags.c_contiguous and out.flags.aligned:
        chunks.rounded(value, flat(out))
    else:
        fresh = np.empty((), out.dtype)
        chunks.rounded(value, flat(fresh))
        out[...] = fresh
    return out


# Below it, what single losses lose to underflow may matter to their sum.
_FAINT_LOSS = 2.0**-900
# Beyond its reciprocal and itself, a cotangent's products are for blocks, which check them.
_LARGE_COTANGENT = 2.0**60


class Evaluation:
    """One call on the processor.

    Args:
        operands: the checked operands.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.
        cotangent: broadcastable to the loss's shape, or None.
        vector: direction in an operand, for forward mode, or in the logits, for a Hessian-vector
            product; or None.
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
        if pos_weight is not None and pos_weight.size <= FEW and bool((pos_weight == 1).all()):
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
        if not all(is_harmless(operand) for operand in self.inputs[1:]):
            return stages.WIDE_OPERANDS
        weights, others = self.inputs[2:4], self.inputs[4:]
        if not all(is_finite(operand) for operand in others):
            return stages.ALL_FACTORS
        return stages.NOTHING if all(is_finite(w) for w in weights) else stages.WEIGHTS

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
            with_gradient = self.inputs[4] is None or self._takes_cotangent()
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
    def forward(self, name: str) -> Array:
        """The derivative of the reduced loss along the vector, a direction in operand ``name``."""
        quantity, inputs = QUANTITY_OF[name], [*self.inputs[:4], self.inputs[5]]
        out = np.empty(self.shape if self.reduction == "none" else (), self.dtype)
        if self.size == 0:
            self._nothing(out, {})
        elif self.reduction == "none":
            # The Jacobian is diagonal.
            Evaluation(self.operands, "none", inputs[4]).run(None, {quantity: out})
        else:
            self._sum_carefully(quantity, inputs, out)
        return out

    def hessian(self) -> Array:
        """The Hessian-vector product."""
        out = np.empty(self.shape, self.dtype)
        self.run(None, {HESSIAN: out})
        return out

    def _nothing(self, loss: Array | None, gradients: dict[int, Array]) -> None:
        if loss is not None and self.reduction != "none":
            loss[...] = 0.0 if self.reduction == "sum" else np.nan
        for out in gradients.values():
            out[...] = 0.0

    # The sum kernels.

    @property
    def _in_vectors(self) -> bool:
        """Whether ``sum_float32.py`` sums the losses: its gradients are not those of blocks."""
        return self.dtype == _FLOAT32 and not self.weighted

    def _is_one_sum(self) -> bool:
        targets = self.operands.targets.dtype
        fits = targets == np.bool_ or targets.newbyteorder("=") == self.dtype
        return (
            self.reduction != "none"
            and not (self.wide and self.weighted)
            and self._checks(self.dtype) != stages.WIDE_OPERANDS
            and (fits or self._in_vectors)
        )

    def _takes_cotangent(self) -> bool:
        """Whether the sum kernel multiplies gradients by the cotangent, as one of 1 would be."""
        size = abs(self._cotangent)
        return self._in_vectors and 1 / _LARGE_COTANGENT <= size <= _LARGE_COTANGENT

    @property
    def _cotangent(self) -> float:
        """The cotangent of a sum or mean."""
        cotangent = self.inputs[4]
        return 1.0 if cotangent is None else float(cotangent)

    def _kernel(self, with_gradient: bool) -> Callable[..., None]:
        """The sum kernel, as a function of (x, y, g, origin, first, last, partials)."""
        if self.wide:
            return lambda x, y, g, origin, *rest: sum_float64.sum_wide(
                x, y, g, with_gradient, self.count, *rest
            )
        if self.weighted:
            plans, shape = plans_of(self.inputs[2:4], self.shape)
            told = self.count, with_gradient
            return lambda x, y, g, origin, *rest: sum_weighted.sum_weighted(
                x, y, g, plans, shape, origin, *told, *rest
            )
        if self.dtype != _FLOAT32:
            has_tails = self.dtype == _BFLOAT16
            return lambda x, y, g, origin, *rest: sum_half.sum_half(
                x, y, g, with_gradient, has_tails, self.count, *rest
            )
        cotangent = self._cotangent if with_gradient else 1.0
        return lambda x, y, g, origin, *rest: sum_float32.sum_and_decide(
            x, y, g, with_gradient, cotangent, self.count, *rest
        )

    def _run_sum(self, loss: Array, gradient: Array | None) -> None:
        partials = np.zeros((-(-self.size // chunks.CHUNK), 4))
        logits, targets = self.operands.logits, self.operands.targets
        call = self._kernel(gradient is not None)
        plain = is_plain(logits, self.dtype) and is_plain(targets, self.dtype)
        if plain and (gradient is None or is_plain(gradient, self.dtype)):
            x, y = flat(logits), flat(targets)
            g = x if gradient is None else flat(gradient)
            share(lambda first, last: call(x, y, g, 0, first, last, partials), len(partials))
        elif not chunks.by_chunks((logits, targets, gradient), self.dtype, call, partials):
            # Targets that float32 does not have.
            self._run_general(loss, {} if gradient is None else {GRAD_LOGITS: gradient})
            return
        combine = sum_float64.combine if self.wide else general.combine
        value = combine(partials, self.count)
        if not np.isfinite(value) or (self.weighted and partials[:, 3].any()):
            # Terms that cancel, or an infinity that may have to be NaN.
            again = {} if gradient is None or self._in_vectors else {GRAD_LOGITS: gradient}
            self._run_general(loss, again)
            return
        if gradient is not None and not self.wide and partials[:, 2].any():
            self._climb({GRAD_LOGITS: gradient}, partials)
        settled(value, loss)

    def _climb(self, outputs: dict[int, Array], partials: Array) -> None:
        """Evaluate quantities of whole groups again in blocks, where the ladder has to decide one.

        A block starts with the same operations, so that the others keep their bits.
        """
        planned = self._plan(outputs)
        groups = chunks.CHUNK // chunks.GROUP
        marked = [
            chunk * groups + group
            for chunk, marks in enumerate(partials[:, 2])
            for group in range(groups)
            if int(marks) >> group & 1
        ]

        def work(first: int, last: int) -> None:
            for group in marked[first:last]:
                self._evaluate(planned, self.dtype, group, group + 1, chunks.GROUP)

        share(work, len(marked))

    # Elements of float32.

    def _are_plain_elements(self, outputs: dict[int, Array]) -> bool:
        """Whether ``each_float32.py`` evaluates these quantities."""
        rows = [self.operands.logits, self.operands.targets, *outputs.values()]
        rows += [] if self.inputs[4] is None else [self.inputs[4]]
        return (
            self.reduction == "none"
            and not self.weighted
            and outputs.keys() <= {LOSS, GRAD_LOGITS}
            and all(row.size == self.size and is_plain(row, _FLOAT32) for row in rows)
        )

    def _run_each(self, outputs: dict[int, Array]) -> None:
        x, y = flat(self.operands.logits), flat(self.operands.targets)
        c = np.empty(0, np.float32) if self.inputs[4] is None else flat(self.inputs[4])
        loss, gradient = (flat(outputs.get(quantity, x)) for quantity in (LOSS, GRAD_LOGITS))
        wanted = (LOSS in outputs) + 2 * (GRAD_LOGITS in outputs)
        partials = np.zeros((-(-self.size // chunks.CHUNK), 3))
        share(
            lambda *some: each_float32.each_single(
                x, y, c, loss, gradient, wanted, *some, partials
            ),
            len(partials),
        )
        if partials[:, 2].any():
            self._climb(outputs, partials)

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
        if self._are_plain_elements(outputs):
            self._run_each(outputs)
            return
        planned = self._plan(outputs)
        planned[2][LOSS] = loss is not None
        dtype = self.dtype if summed else next(iter(outputs.values())).dtype
        number = -(-self.size // general.CHUNK)
        partials = np.empty((number, 3)) if summed else None
        share(
            lambda first, last: self._evaluate(planned, dtype, first, last, partials=partials),
            number,
        )
        if loss is not None and partials is not None:
            cancels = bool(partials[:, 2].any())
            self._settle_loss(general.combine(partials, self.count), cancels, loss)
