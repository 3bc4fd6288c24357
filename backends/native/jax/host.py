"""The primitives on NumPy arrays: what a callback from a compiled program evaluates.

A primitive's call is its *kind* with all that is fixed when a program is compiled; it is written as
a text, which compiled programs carry. Arguments are the operands that are present, then the
primitive's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ..api import (
    binary_cross_entropy_with_logits,
    hessian_vector_product,
    jacobian_vector_product,
    value_and_grad,
)
from ..arguments import OPERANDS, Array

LOSS, GRADIENT, DERIVATIVE, HESSIAN = "loss", "gradient", "derivative", "hessian"


@dataclass(frozen=True)
class Kind:
    """What is fixed of a primitive's call.

    Attributes:
        primitive: ``"loss"``, ``"gradient"``, ``"derivative"`` or ``"hessian"``.
        present: whether there is a weight, a pos_weight, and of the Hessian's product a cotangent.
        reduction: of the loss.
        name: the operand of a first derivative, else empty.
    """

    primitive: str
    present: tuple[bool, ...]
    reduction: str
    name: str = ""

    def split(self, arguments: Sequence[Any]) -> tuple[Any, ...]:
        """The four operands and the primitive's own arguments, None where one is absent."""
        given = iter(arguments)
        operands = [next(given), next(given)]
        operands += [next(given) if there else None for there in self.present[:2]]
        own = list(given)
        if self.primitive == HESSIAN and not self.present[2]:
            own.append(None)
        return (*operands, *own)

    def __str__(self) -> str:
        present = "".join(str(int(there)) for there in self.present)
        return ",".join((self.primitive, present, self.reduction, self.name))

    @classmethod
    def read(cls, text: str) -> Kind:
        """The kind that ``text`` is written for."""
        primitive, present, reduction, name = text.split(",")
        return cls(primitive, tuple(digit == "1" for digit in present), reduction, name)


def evaluate(kind: Kind, arguments: Sequence[Array], out: Array | None = None) -> Array:
    """The result of a primitive.

    Args:
        kind: of the call.
        arguments: as the primitive takes them.
        out: array that receives the result, of its shape and format; None for a fresh one.
    """
    x, y, w, p, *own = kind.split(arguments)
    if kind.primitive == LOSS:
        return binary_cross_entropy_with_logits(x, y, w, p, kind.reduction, out=out)
    if kind.primitive == GRADIENT:
        into = None if out is None else {kind.name: out}
        wrt = (kind.name,)
        # Without a cotangent the kernels of sums apply, with the same bits.
        c = None if kind.reduction != "none" and own[0] == 1.0 else own[0]
        _, found = value_and_grad(x, y, w, p, kind.reduction, wrt=wrt, cotangent=c, out=into)
        return found[kind.name]
    if kind.primitive == DERIVATIVE:
        result = jacobian_vector_product(x, y, own[0], w, p, kind.reduction, wrt=kind.name)
    else:
        result = hessian_vector_product(x, y, own[0], w, p, kind.reduction, cotangent=own[1])
    if out is None:
        return result
    out[...] = result
    return out


@lru_cache
def callback(kind: Kind) -> Callable[..., Array]:
    """``evaluate`` of one kind, of arrays of JAX too."""

    def evaluate_arrays(*arguments: Any) -> Array:
        return evaluate(kind, [np.asarray(argument) for argument in arguments])

    return evaluate_arrays


def shape_of(kind: Kind, arguments: Sequence[Any]) -> tuple[tuple[int, ...], Any]:
    """The shape and the format of a primitive's result, from those of its arguments."""
    operands = kind.split(arguments)
    like = operands[OPERANDS.index(kind.name)] if kind.primitive == GRADIENT else operands[0]
    is_sum = kind.primitive in (LOSS, DERIVATIVE) and kind.reduction != "none"
    return () if is_sum else tuple(like.shape), like.dtype
