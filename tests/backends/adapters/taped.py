"""Losses of PyTorch that are right unless automatic differentiation is used in one other way."""

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx
from torch.nn.functional import binary_cross_entropy_with_logits as right

_WORKSPACE: dict[tuple[int, ...], Tensor] = {}


class _Kept(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, logits: Tensor, targets: Tensor) -> Tensor:
        _WORKSPACE[logits.shape] = logits.sigmoid() - targets
        return right(logits, targets, reduction="none")

    @staticmethod
    def backward(ctx: FunctionCtx, cotangent: Tensor) -> tuple[Tensor, None]:
        return cotangent * _WORKSPACE[cotangent.shape], None


class _Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, logits: Tensor, targets: Tensor) -> Tensor:
        ctx.gradient = logits.sigmoid() - targets  # type: ignore[attr-defined]
        return right(logits, targets, reduction="none")

    @staticmethod
    def backward(ctx: FunctionCtx, cotangent: Tensor) -> tuple[Tensor, None]:
        gradient: Tensor = ctx.gradient.mul_(cotangent)  # type: ignore[attr-defined]
        return gradient.clone(), None


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, logits: Tensor, targets: Tensor) -> Tensor:
        ctx.logits, ctx.targets = logits, targets  # type: ignore[attr-defined]
        return right(logits, targets, reduction="none")

    @staticmethod
    def backward(ctx: FunctionCtx, cotangent: Tensor) -> tuple[Tensor, None]:
        held: Tensor = ctx.logits  # type: ignore[attr-defined]
        gradient: Tensor = cotangent * (held.sigmoid() - ctx.targets)  # type: ignore[attr-defined]
        if held.grad is None:
            return gradient, None
        held.grad += gradient
        return torch.zeros_like(gradient), None


def pooled(logits: Tensor, targets: Tensor) -> Tensor:
    """Saves for the backward pass what the next evaluation overwrites."""
    return _Kept.apply(logits, targets)  # type: ignore[no-any-return,no-untyped-call]


def scaled(logits: Tensor, targets: Tensor) -> Tensor:
    """Keeps the gradient and multiplies it in place."""
    return _Scaled.apply(logits, targets)  # type: ignore[no-any-return,no-untyped-call]


def fused(logits: Tensor, targets: Tensor) -> Tensor:
    """Adds to the gradient that a leaf holds, and passes on none."""
    return _Fused.apply(logits, targets)  # type: ignore[no-any-return,no-untyped-call]


def evaluating(logits: Tensor, targets: Tensor) -> Tensor:
    """Has a path for evaluation, of fewer digits."""
    if torch.is_grad_enabled():
        return right(logits, targets, reduction="none")
    return right(logits.bfloat16(), targets.bfloat16(), reduction="none").to(logits.dtype)
