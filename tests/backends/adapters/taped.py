"""Losses of PyTorch that are right unless it is set, or differentiates, in one other way."""

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx
from torch.nn.functional import binary_cross_entropy_with_logits as right

_WORKSPACE: dict[tuple[int, ...], Tensor] = {}
_LATEST = [0]


class _Kept(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, logits: Tensor, targets: Tensor) -> Tensor:
        _WORKSPACE[logits.shape] = logits.sigmoid() - targets
        return right(logits, targets, reduction="none")

    @staticmethod
    def backward(ctx: FunctionCtx, cotangent: Tensor) -> tuple[Tensor, None]:
        return cotangent * _WORKSPACE[cotangent.shape], None


class _Counted(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, logits: Tensor, targets: Tensor) -> Tensor:
        ctx.save_for_backward(logits.sigmoid() - targets)
        ctx.count = logits.numel()  # type: ignore[attr-defined]
        _LATEST[:] = [logits.numel()]
        return right(logits, targets, reduction="none")

    @staticmethod
    def backward(ctx: FunctionCtx, cotangent: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return cotangent * gradient * (ctx.count / _LATEST[0]), None  # type: ignore[attr-defined]


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


class _Late(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, logits: Tensor, targets: Tensor) -> Tensor:
        ctx.save_for_backward(logits)
        ctx.targets = targets  # type: ignore[attr-defined]
        return right(logits, targets, reduction="none")

    @staticmethod
    def backward(ctx: FunctionCtx, cotangent: Tensor) -> tuple[Tensor, None]:
        (logits,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return cotangent * (logits.sigmoid() - ctx.targets), None  # type: ignore[attr-defined]


class _Constant(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, logits: Tensor, targets: Tensor, constant: str) -> Tensor:
        ctx.save_for_backward(logits, targets)
        ctx.constant = constant  # type: ignore[attr-defined]
        return right(logits, targets, reduction="none")

    @staticmethod
    def backward(ctx: FunctionCtx, cotangent: Tensor) -> tuple[Tensor, Tensor, None]:
        logits, targets = ctx.saved_tensors  # type: ignore[attr-defined]
        if ctx.constant == "cotangent":  # type: ignore[attr-defined]
            cotangent = cotangent.detach()
        else:
            targets = targets.detach()
        return cotangent * (logits.sigmoid() - targets), -cotangent * logits, None


def constant_cotangent(logits: Tensor, targets: Tensor) -> Tensor:
    """Takes the cotangent for a constant in its backward pass."""
    return _Constant.apply(logits, targets, "cotangent")  # type: ignore[no-any-return,no-untyped-call]


def constant_targets(logits: Tensor, targets: Tensor) -> Tensor:
    """Takes the targets for constants in its backward pass."""
    return _Constant.apply(logits, targets, "targets")  # type: ignore[no-any-return,no-untyped-call]


def pooled(logits: Tensor, targets: Tensor) -> Tensor:
    """Saves for the backward pass what the next evaluation overwrites."""
    return _Kept.apply(logits, targets)  # type: ignore[no-any-return,no-untyped-call]


def counted(logits: Tensor, targets: Tensor) -> Tensor:
    """Takes the number of elements from the latest evaluation, in the backward pass too."""
    return _Counted.apply(logits, targets)  # type: ignore[no-any-return,no-untyped-call]


def scaled(logits: Tensor, targets: Tensor) -> Tensor:
    """Keeps the gradient and multiplies it in place."""
    return _Scaled.apply(logits, targets)  # type: ignore[no-any-return,no-untyped-call]


def fused(logits: Tensor, targets: Tensor) -> Tensor:
    """Adds to the gradient that a leaf holds, and passes on none."""
    return _Fused.apply(logits, targets)  # type: ignore[no-any-return,no-untyped-call]


def late(logits: Tensor, targets: Tensor) -> Tensor:
    """Keeps the targets without saving them, so that nobody sees that they were written to."""
    return _Late.apply(logits.clone(), targets)  # type: ignore[no-any-return,no-untyped-call]


def single(logits: Tensor, targets: Tensor, reduction: str = "mean") -> Tensor:
    """Multiplies by ones of the default format."""
    return right(logits, targets, reduction=reduction) * torch.ones(1, device=logits.device)


def divided(logits: Tensor, targets: Tensor, reduction: str = "mean") -> Tensor:
    """Multiplies by a third in the default format."""
    return 3 * right(logits, targets, reduction=reduction) * torch.tensor(1 / 3)


def lowered(logits: Tensor, targets: Tensor) -> Tensor:
    """Rounds targets to the format that autocast chooses."""
    if torch.is_autocast_enabled(logits.device.type):
        lower = torch.get_autocast_dtype(logits.device.type)
        targets = targets.to(lower).to(logits.dtype)
    return right(logits, targets, reduction="none")


def repeatable(logits: Tensor, targets: Tensor) -> Tensor:
    """Has a path for deterministic algorithms, which is another loss."""
    if torch.are_deterministic_algorithms_enabled():
        return right(-logits, targets, reduction="none")
    return right(logits, targets, reduction="none")


def evaluating(logits: Tensor, targets: Tensor) -> Tensor:
    """Has a path for evaluation, of fewer digits."""
    if torch.is_grad_enabled():
        return right(logits, targets, reduction="none")
    return right(logits.bfloat16(), targets.bfloat16(), reduction="none").to(logits.dtype)
