"""The function and the class of PyTorch's names and signatures, on the native kernels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..arguments import check_reduction
from ..criterion import override
from . import functions, operators, state

# Those on which the kernels run.
_DEVICES = ("cpu", "cuda")


def _as_weight(name: str, value: Any, like: Tensor) -> Tensor | None:
    """A weight as a tensor: a number counts as the real number that it is.

    Raises:
        TypeError: it is neither a tensor nor a number.
    """
    if value is None or isinstance(value, Tensor):
        return value
    if isinstance(value, bool | int | float):
        return torch.tensor(value, dtype=torch.float64, device=like.device)
    raise TypeError(f"{name} is a {type(value).__name__}; accepted are tensors, numbers and None")


def _broadcasts(value: Tensor, like: Tensor) -> bool:
    """Whether a weight broadcasts to the shape of the logits, of sizes that may be symbols."""
    if value.dim() > like.dim():
        return False
    for size, wanted in zip(reversed(value.shape), reversed(like.shape), strict=False):
        if size != 1 and size != wanted:
            return False
    return True


def _check(
    input: Tensor, target: Tensor, weight: Tensor | None, pos_weight: Tensor | None, reduction: str
) -> None:
    """Check what the kernels would, for calls that are recorded before they reach them.

    Raises:
        ValueError: a shape or the reduction is not accepted.
    """
    check_reduction(reduction)
    if target.shape != input.shape:
        raise ValueError(
            f"target has shape {tuple(target.shape)} and input has shape {tuple(input.shape)}; "
            "accepted are equal shapes"
        )
    for name, value in (("weight", weight), ("pos_weight", pos_weight)):
        if value is not None and not _broadcasts(value, input):
            raise ValueError(
                f"{name} has shape {tuple(value.shape)}, which does not broadcast to input of "
                f"shape {tuple(input.shape)}"
            )


def _autocast(value: Tensor | None) -> Tensor | None:
    """A half format as float32, as autocast does for this loss."""
    if value is None or value.dtype not in (torch.float16, torch.bfloat16):
        return value
    return value.float()


def _any_loss(logits: Any, targets: Any, weight: Any, pos_weight: Any, reduction: str) -> Tensor:
    """The loss of any arguments: numbers, under autocast, transformed or compiled."""
    for name, value in (("input", logits), ("target", targets)):
        if not isinstance(value, Tensor):
            raise TypeError(f"{name} is a {type(value).__name__}; accepted are tensors")
    w, p = _as_weight("weight", weight, logits), _as_weight("pos_weight", pos_weight, logits)
    operands = logits, targets, w, p
    if logits.device.type in _DEVICES and torch.is_autocast_enabled(logits.device.type):
        operands = _autocast(logits), _autocast(targets), _autocast(w), _autocast(p)
    if torch.compiler.is_compiling() or not state.are_plain(*operands):
        _check(*operands, reduction)
        return operators.loss(*operands, reduction)
    if state.is_transformed():
        _check(*operands, reduction)
        return functions.Loss.apply(*operands, reduction)
    return functions.plain_loss(*operands, reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | float | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | float | None = None,
) -> Tensor:
    """Binary cross-entropy of ``target`` under the logits ``input``.

    The signature is that of ``torch.nn.functional.binary_cross_entropy_with_logits``. Every result
    and every first derivative is rounded about once. All four operands have gradients.

    Args:
        input: the logits: any shape; float16, bfloat16, float32 or float64; on the CPU, or on a
            CUDA device (untested on GPU).
        target: the shape of ``input``; in any of these formats, integer or boolean.
        weight: broadcastable to the shape of ``input``; None means 1.
        size_average: deprecated, see ``BCEWithLogitsLoss``.
        reduce: deprecated, likewise.
        reduction: ``"mean"`` (over the number of elements), ``"sum"`` or ``"none"``.
        pos_weight: broadcastable to the shape of ``input``; None means 1.

    Returns:
        The loss in the format of ``input``: 0-d for ``"mean"`` and ``"sum"``, else of the shape of
        ``input``. Under ``torch.autocast`` half formats are converted to float32, in which the loss
        then is.

    Raises:
        TypeError: an argument is not a tensor of an accepted format.
        ValueError: a shape or the reduction is not accepted.

    Example:
        >>> import torch
        >>> input = torch.tensor([20.0, -3.0, 0.5], requires_grad=True)
        >>> target = torch.tensor([1.0, 0.0, 1.0])
        >>> loss = binary_cross_entropy_with_logits(input, target)
        >>> print(f"{loss.item():.6f}")
        0.174221
        >>> loss.backward()
        >>> print(f"{input.grad[0].item():.6e}")
        -6.870512e-10
    """
    if size_average is not None or reduce is not None:
        reduction = override(reduction, size_average, reduce)
    if (
        torch.compiler.is_compiling()
        or not state.are_plain(input, target, weight, pos_weight)
        or state.is_transformed()
        or torch.is_autocast_enabled("cpu" if input.is_cpu else "cuda")
    ):
        return _any_loss(input, target, weight, pos_weight, reduction)
    return functions.plain_loss(input, target, weight, pos_weight, reduction)


class BCEWithLogitsLoss(nn.Module):
    """The loss as a module, of the signature of ``torch.nn.BCEWithLogitsLoss``.

    Args:
        weight: broadcastable to the logits; None means 1. A tensor is a buffer of the module.
        size_average: deprecated. With ``reduce``, overrides ``reduction`` as soon as either is
            given: ``reduce=False`` means ``"none"`` whatever ``size_average`` is, else
            ``size_average=False`` means ``"sum"``, and True or None ``"mean"``.
        reduce: deprecated, see ``size_average``.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        pos_weight: broadcastable to the logits; None means 1. A tensor is a buffer of the module.

    Raises:
        ValueError: ``reduction`` is not accepted.

    Example:
        >>> import torch
        >>> target = torch.ones([10, 64], dtype=torch.float32)  # 64 classes, batch size = 10
        >>> output = torch.full([10, 64], 1.5)  # A prediction (logit)
        >>> pos_weight = torch.ones([64])  # All weights are equal to 1
        >>> criterion = BCEWithLogitsLoss(pos_weight=pos_weight)
        >>> print(f"{criterion(output, target).item():.4f}")  # -log(sigmoid(1.5))
        0.2014
    """

    __constants__ = ("reduction",)
    weight: Tensor | float | None
    pos_weight: Tensor | float | None

    def __init__(
        self,
        weight: Tensor | float | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | float | None = None,
    ) -> None:
        super().__init__()
        given = size_average is not None or reduce is not None
        self.reduction = override(reduction, size_average, reduce) if given else reduction
        check_reduction(self.reduction)
        for name, value in (("weight", weight), ("pos_weight", pos_weight)):
            if value is None or isinstance(value, Tensor):
                self.register_buffer(name, value)
            else:  # a number, which no buffer holds
                setattr(self, name, value)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss; see ``binary_cross_entropy_with_logits``."""
        return binary_cross_entropy_with_logits(
            input, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )

    def extra_repr(self) -> str:
        """What the module's repr shows."""
        return f"reduction={self.reduction!r}"
