"""The evaluation in plain NumPy: float64 inside, every operand broadcast as a view.

Stable in both tails; a stand-in for the compiled kernels with the same semantics.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bce_conformance.backends.native.arguments import Operands

F64 = NDArray[np.float64]


def _wide(array: NDArray[Any] | None, shape: tuple[int, ...]) -> F64:
    values = np.float64(1) if array is None else array.astype(np.float64)
    return np.broadcast_to(values, shape)


def _times(coefficient: F64, term: F64) -> F64:
    """coefficient·term, where a coefficient of exactly zero annihilates an infinite term."""
    return np.where((coefficient == 0) & np.isinf(term), 0.0, coefficient * term)


def _unbroadcast(values: F64, shape: tuple[int, ...]) -> F64:
    lead = values.ndim - len(shape)
    axes = tuple(range(lead)) + tuple(
        lead + axis
        for axis, size in enumerate(shape)
        if size == 1 and values.shape[lead + axis] != 1
    )
    return values.sum(axis=axes).reshape(shape) if axes else values


class Evaluation:
    """All quantities of one set of operands, in float64."""

    def __init__(self, operands: Operands) -> None:
        self.operands = operands
        shape = operands.logits.shape
        self.x, self.y, self.w, self.p = (
            _wide(operand, shape)
            for operand in (
                operands.logits,
                operands.targets,
                operands.weight,
                operands.pos_weight,
            )
        )
        tail = np.exp(-np.abs(self.x))
        small = np.log1p(tail)
        up, down = 1 / (1 + tail), tail / (1 + tail)
        positive = self.x >= 0
        self.softplus_pos = np.where(np.isnan(self.x), self.x, np.maximum(self.x, 0) + small)
        self.softplus_neg = np.where(np.isnan(self.x), self.x, np.maximum(-self.x, 0) + small)
        self.sigmoid_pos = np.where(positive, up, down)
        self.sigmoid_neg = np.where(positive, down, up)

    def loss(self) -> F64:
        """The loss of every element."""
        inner = _times(1 - self.y, self.softplus_pos) + _times(self.p * self.y, self.softplus_neg)
        return _times(self.w, inner) + 0.0

    def gradient(self, name: str, cotangent: F64) -> F64:
        """The gradient in operand ``name``, summed to its shape."""
        if name == "logits":
            inner = (1 - self.y) * self.sigmoid_pos - self.p * self.y * self.sigmoid_neg
            return self.w * inner * cotangent
        if name == "targets":
            plain = _times(self.p, self.softplus_neg) - self.softplus_pos
            # p = 1: softplus(−x) − softplus(x) = −x, without cancellation.
            return _times(self.w * cotangent, np.where(self.p == 1, -self.x, plain))
        if name == "weight":
            inner = _times(1 - self.y, self.softplus_pos) + _times(
                self.p * self.y, self.softplus_neg
            )
            terms = _times(cotangent, inner)
        else:
            terms = _times(cotangent * self.w * self.y, self.softplus_neg)
        return _unbroadcast(terms, getattr(self.operands, name).shape)

    def curvature(self, vector: F64, cotangent: F64) -> F64:
        """The derivative of the gradient in the logits along ``vector``."""
        scale = (1 - self.y) + self.p * self.y
        return self.w * scale * self.sigmoid_pos * self.sigmoid_neg * vector * cotangent


def element_cotangent(
    cotangent: NDArray[Any] | None, reduction: str, shape: tuple[int, ...], size: int
) -> F64:
    """The gradient of the scalar with respect to every element's loss."""
    values = np.float64(1) if cotangent is None else cotangent.astype(np.float64)
    if reduction == "mean" and size:
        values = values / size
    return np.broadcast_to(values, shape)


def reduce(loss: F64, reduction: str) -> F64 | np.float64:
    """The loss under ``reduction``: an empty sum is 0 and an empty mean NaN."""
    if reduction == "none":
        return loss
    total = np.sum(loss)
    if reduction == "sum":
        return np.float64(total)
    return np.float64(total / loss.size) if loss.size else np.float64(np.nan)
