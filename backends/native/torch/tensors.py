"""The native functions on tensors: the same memory seen as arrays, nothing recorded.

Guarantees that no operand is copied on the CPU, and that results are contiguous. bfloat16 crosses
as its 16 bits, since NumPy has no such format of its own. **CUDA is untested on GPU**: tensors on
a CUDA device are seen through ``__cuda_array_interface__``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np
import torch
from torch import Tensor

from ..api import (
    binary_cross_entropy_with_logits,
    hessian_vector_product,
    jacobian_vector_product,
    value_and_grad,
)
from ..small.addresses import CHUNK, SMALL

_BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
_INT16 = np.dtype(np.int16)


def array_of(tensor: Tensor) -> Any:
    """The memory of a tensor as an array of NumPy, or of numba on a CUDA device.

    Raises:
        TypeError: the tensor is not strided, or on another kind of device.
    """
    if not tensor.is_cpu:
        return _array_on_device(tensor)
    # By force: detached; and a sign that is only a flag, as of conjugates' parts, is written out.
    if tensor.dtype is torch.bfloat16:
        return tensor.detach().view(torch.int16).numpy(force=True).view(_BFLOAT16)
    return tensor.numpy(force=True)


def _array_on_device(tensor: Tensor) -> Any:
    if tensor.device.type != "cuda" or tensor.layout is not torch.strided:
        raise TypeError(
            f"an operand is a {tensor.layout} tensor on {tensor.device.type}; accepted are strided "
            "tensors on the CPU or on a CUDA device: convert it with .to_dense() or .cpu()"
        )
    from numba import cuda

    tensor = tensor.detach().resolve_neg()
    if tensor.dtype is torch.bfloat16:
        array = cuda.as_cuda_array(tensor.view(torch.int16)).view(_BFLOAT16)
    else:
        array = cuda.as_cuda_array(tensor)
    stream = torch.cuda.current_stream(tensor.device).cuda_stream
    array.stream = cuda.external_stream(stream) if stream else 0
    return array


def tensor_of(array: Any, device: torch.device) -> Tensor:
    """What a native function returned, as a tensor on ``device`` in the same memory."""
    is_bfloat16 = array.dtype == _BFLOAT16
    bits = array.view(_INT16) if is_bfloat16 else array
    is_here = type(bits) is np.ndarray
    tensor = torch.from_numpy(bits) if is_here else torch.as_tensor(bits, device=device)
    return tensor.view(torch.bfloat16) if is_bfloat16 else tensor


def _arrays(*tensors: Tensor | None) -> list[Any]:
    return [None if tensor is None else array_of(tensor) for tensor in tensors]


def loss(
    logits: Tensor,
    targets: Tensor,
    weight: Tensor | None,
    pos_weight: Tensor | None,
    reduction: str,
) -> Tensor:
    """The loss."""
    x, y, w, p = _arrays(logits, targets, weight, pos_weight)
    found = binary_cross_entropy_with_logits(x, y, w, p, reduction)
    return tensor_of(found, logits.device)


# Kernels of small plain calls, by format.
_SMALL = {getattr(torch, name): kernel for name, kernel in SMALL.items()}


def _is_small(logits: Tensor, targets: Tensor, reduction: str) -> bool:
    """Whether these are plain tensors on the CPU of one format and shape, and few elements."""
    return (
        (reduction == "mean" or reduction == "sum")
        and logits.dtype in _SMALL
        and targets.dtype is logits.dtype
        and logits.is_cpu
        and targets.is_cpu
        and logits.shape == targets.shape
        and 0 < logits.numel() <= CHUNK
        and logits.layout is targets.layout is torch.strided
        and logits.is_contiguous()
        and targets.is_contiguous()
        and not (logits.is_neg() or targets.is_neg())
    )


def loss_and_gradient(
    logits: Tensor,
    targets: Tensor,
    weight: Tensor | None,
    pos_weight: Tensor | None,
    reduction: str,
) -> tuple[Tensor, Tensor]:
    """The loss, and its gradient in the logits under a cotangent of 1, in one pass."""
    if weight is None and pos_weight is None and _is_small(logits, targets, reduction):
        gradient = torch.empty_like(logits)
        found = logits.new_empty(())
        count = float(logits.numel()) if reduction == "mean" else 1.0
        at = logits.data_ptr(), targets.data_ptr(), gradient.data_ptr(), logits.numel(), count
        if _SMALL[logits.dtype](*at, found.data_ptr()):
            return found, gradient
    x, y = array_of(logits), array_of(targets)
    w = None if weight is None else array_of(weight)
    p = None if pos_weight is None else array_of(pos_weight)
    found, gradients = value_and_grad(x, y, w, p, reduction)
    return tensor_of(found, logits.device), tensor_of(gradients["logits"], logits.device)


def gradients(
    operands: Sequence[Tensor | None], cotangent: Tensor, reduction: str, names: Sequence[str]
) -> dict[str, Tensor]:
    """The gradients in the operands ``names``, in one pass."""
    x, y, w, p = _arrays(*operands)
    # Without a cotangent the kernels of sums apply, with the same bits.
    is_one = reduction != "none" and cotangent.item() == 1.0
    c = None if is_one else array_of(cotangent)
    _, found = value_and_grad(x, y, w, p, reduction, wrt=tuple(names), cotangent=c)
    return {name: tensor_of(found[name], cotangent.device) for name in names}


def gradient(
    logits: Tensor,
    targets: Tensor,
    weight: Tensor | None,
    pos_weight: Tensor | None,
    cotangent: Tensor,
    reduction: str,
    name: str,
) -> Tensor:
    """The gradient in the operand ``name``."""
    operands = (logits, targets, weight, pos_weight)
    return gradients(operands, cotangent, reduction, (name,))[name]


def derivative(
    logits: Tensor,
    targets: Tensor,
    weight: Tensor | None,
    pos_weight: Tensor | None,
    direction: Tensor,
    reduction: str,
    name: str,
) -> Tensor:
    """The derivative of the loss along ``direction`` in the operand ``name``."""
    x, y, w, p, v = _arrays(logits, targets, weight, pos_weight, direction)
    found = jacobian_vector_product(x, y, v, w, p, reduction, wrt=name)
    return tensor_of(found, logits.device)


def hessian(
    logits: Tensor,
    targets: Tensor,
    weight: Tensor | None,
    pos_weight: Tensor | None,
    direction: Tensor,
    cotangent: Tensor | None,
    reduction: str,
) -> Tensor:
    """The Hessian's product in the logits with ``direction``."""
    x, y, w, p, v, c = _arrays(logits, targets, weight, pos_weight, direction, cotangent)
    found = hessian_vector_product(x, y, v, w, p, reduction, cotangent=c)
    return tensor_of(found, logits.device)
