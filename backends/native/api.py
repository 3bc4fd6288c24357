"""The functions that callers use.

The loss has the logits' format, a gradient that of its operand. Arguments are never modified,
except ``out``, which is filled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .arguments import (
    Array,
    Operands,
    as_format,
    check_cotangent,
    check_operands,
    check_out,
    check_reduction,
    check_wrt,
)

if TYPE_CHECKING:
    from .device import Evaluation as DeviceEvaluation

_dispatch: Any = None


def _kernels() -> Any:
    """The dispatcher: with it comes the compiler, which importing this package must not."""
    global _dispatch
    if _dispatch is None:
        from . import dispatch

        _dispatch = dispatch
    return _dispatch


# What DLPack calls memory of a CUDA device, and what it may move there by itself.
_DLPACK_CUDA = (2, 13)


def _is_on_device(logits: Any) -> bool:
    """Whether an array lies on a CUDA device, or on the simulated one."""
    kind = type(logits)
    if kind is np.ndarray:
        return False
    if hasattr(kind, "__dlpack_device__"):
        return logits.__dlpack_device__()[0] in _DLPACK_CUDA
    # Of a class that has it, a host array is one that says so by its DLPack device.
    simulated = kind.__module__.startswith("numba.cuda.simulator")
    return simulated or hasattr(kind, "__cuda_array_interface__")


def _on_device(
    logits: Any, targets: Any, weight: Any, pos_weight: Any, reduction: str, **others: Any
) -> tuple[DeviceEvaluation, dict[str, Any]] | None:
    """The CUDA evaluation and its operands where the logits are on a device, else None."""
    if not _is_on_device(logits):
        return None
    from . import device

    named = {"logits": logits, "targets": targets, "weight": weight, "pos_weight": pos_weight}
    operands = {name: value for name, value in named.items() if value is not None}
    return device.Evaluation(operands, reduction, **others), operands


def _loss_shape(operands: Operands, reduction: str) -> tuple[int, ...]:
    return operands.logits.shape if reduction == "none" else ()


def _result(
    name: str, out: Any, shape: tuple[int, ...], dtype: np.dtype[Any], others: Mapping[str, Any]
) -> Array:
    """``out``, checked, or a fresh array where it is None."""
    return np.empty(shape, dtype) if out is None else check_out(name, out, shape, dtype, others)


def _results(
    operands: Operands,
    names: tuple[str, ...],
    shape: tuple[int, ...],
    into: Mapping[str, Array],
    cotangent: Array | None,
) -> tuple[Array, dict[str, Array]]:
    """The arrays that receive the loss and the gradients, checked against all others."""
    unknown = sorted(set(into) - {"loss", *names})
    if unknown:
        raise ValueError(f"out has {unknown}; accepted are 'loss' and the names of wrt, {names}")
    others = {**operands.named(), "cotangent": cotangent}
    results: dict[str, Array] = {}
    for name in ("loss", *names):
        wanted = shape if name == "loss" else getattr(operands, name).shape
        dtype = operands.dtype if name == "loss" else operands.formats[name]
        called = f"out[{name!r}]"
        results[name] = others[called] = _result(called, into.get(name), wanted, dtype, others)
    return results.pop("loss"), results


def binary_cross_entropy_with_logits(
    logits: Any,
    targets: Any,
    weight: Any = None,
    pos_weight: Any = None,
    reduction: str = "mean",
    *,
    check_targets: bool = False,
    out: Array | None = None,
) -> Array:
    """Binary cross-entropy of ``targets`` under the Bernoulli logits ``logits``.

    Args:
        logits: x, any shape, float16, bfloat16, float32 or float64.
        targets: y, the shape of ``logits``, in any of these formats, integer or boolean. Values
            outside [0, 1] are evaluated by the formula.
        weight: w, broadcastable to the shape of ``logits``; None means 1.
        pos_weight: p, broadcastable to the shape of ``logits``; None means 1.
        reduction: ``"mean"`` (over the number of elements), ``"sum"`` or ``"none"``.
        check_targets: refuse targets outside [0, 1], NaN included.
        out: array that receives the result, of its shape and format, in memory of its own.

    Returns:
        The loss in the logits' format: 0-d for ``"mean"`` and ``"sum"``, else of the logits' shape.

    Raises:
        TypeError: an argument is not an array of an accepted dtype.
        ValueError: a shape, the reduction, ``out`` or (if checked) a target is not accepted.
    """
    kernels = _dispatch or _kernels()
    plain = weight is None and pos_weight is None and out is None and not check_targets
    if plain and kernels.is_small(logits, targets, reduction):
        # Nothing to broadcast, convert or check: a training step's cheapest way in.
        loss = kernels.small_loss(logits, targets, reduction, None)
        if loss is not None:
            return loss
    on_device = _on_device(logits, targets, weight, pos_weight, reduction)
    if on_device is not None:
        return on_device[0].loss()
    check_reduction(reduction)
    operands = check_operands(logits, targets, weight, pos_weight, check_targets=check_targets)
    shape = _loss_shape(operands, reduction)
    result = _result("out", out, shape, operands.dtype, operands.named())
    kernels.Evaluation(operands, reduction).run(result, {})
    return result


def value_and_grad(
    logits: Any,
    targets: Any,
    weight: Any = None,
    pos_weight: Any = None,
    reduction: str = "mean",
    *,
    wrt: Sequence[str] = ("logits",),
    cotangent: Any = None,
    check_targets: bool = False,
    out: Mapping[str, Array] | None = None,
) -> tuple[Array, dict[str, Array]]:
    """The loss and its gradients in one pass.

    Args:
        logits: as for ``binary_cross_entropy_with_logits``.
        targets: likewise.
        weight: likewise.
        pos_weight: likewise.
        reduction: likewise.
        wrt: the operands whose gradients are wanted: any of ``"logits"``, ``"targets"``,
            ``"weight"`` and ``"pos_weight"``.
        cotangent: gradient of a scalar with respect to the reduced loss, of the loss's shape or
            broadcastable to it; None means ones. The loss itself is not scaled by it.
        check_targets: refuse targets outside [0, 1], NaN included.
        out: arrays that receive results, by operand name, and ``"loss"`` for the loss; each in
            memory of its own.

    Returns:
        The loss, and a dict that maps each name of ``wrt``, in its order, to a gradient of that
        operand's shape and format; of the logits' format where the operand is integer, boolean,
        or a number rather than an array.

    Raises:
        TypeError: an argument is not an array of an accepted dtype.
        ValueError: a shape, the reduction, a name, ``out`` or (if checked) a target is not
            accepted.
    """
    kernels = _dispatch or _kernels()
    plain = weight is None and pos_weight is None and cotangent is None and out is None
    plain = plain and wrt == ("logits",) and not check_targets
    if plain and kernels.is_small(logits, targets, reduction):
        gradient = np.empty_like(logits)
        small = kernels.small_loss(logits, targets, reduction, gradient)
        if small is not None:
            return small, {"logits": gradient}
    on_device = _on_device(logits, targets, weight, pos_weight, reduction, cotangent=cotangent)
    if on_device is not None:
        evaluation, arrays = on_device
        return evaluation.loss_and_gradients(check_wrt(wrt, arrays), arrays)
    check_reduction(reduction)
    operands = check_operands(logits, targets, weight, pos_weight, check_targets=check_targets)
    names = check_wrt(wrt, operands.named())
    shape = _loss_shape(operands, reduction)
    given = check_cotangent(cotangent, shape)
    loss, gradients = _results(operands, names, shape, out or {}, given)
    quantities = {kernels.QUANTITY_OF[name]: gradients[name] for name in names}
    kernels.Evaluation(operands, reduction, given).run(loss, quantities)
    return loss, gradients


def _check_direction(vector: Any, operand: Any, name: str) -> None:
    """Check that the direction has the shape of the operand ``name``."""
    given, wanted = tuple(getattr(vector, "shape", ())), tuple(operand.shape)
    if given != wanted:
        raise ValueError(
            f"vector has shape {given} and {name} has shape {wanted}; accepted are equal shapes"
        )


def _along(
    logits: Any,
    targets: Any,
    vector: Any,
    weight: Any,
    pos_weight: Any,
    reduction: str,
    *,
    wrt: str = "logits",
    cotangent: Any = None,
) -> Any:
    """The evaluation of a call with a direction in an operand: on a CUDA device, or here."""
    on_device = _on_device(
        logits, targets, weight, pos_weight, reduction, cotangent=cotangent, vector=vector
    )
    if on_device is not None:
        evaluation, arrays = on_device
        check_wrt((wrt,), arrays)
        _check_direction(vector, arrays[wrt], wrt)
        return evaluation
    check_reduction(reduction)
    operands = check_operands(logits, targets, weight, pos_weight, check_targets=False)
    check_wrt((wrt,), operands.named())
    direction = as_format("vector", vector, exact=True)
    _check_direction(direction, getattr(operands, wrt), wrt)
    given = check_cotangent(cotangent, _loss_shape(operands, reduction))
    return _kernels().Evaluation(operands, reduction, given, direction)


def jacobian_vector_product(
    logits: Any,
    targets: Any,
    vector: Any,
    weight: Any = None,
    pos_weight: Any = None,
    reduction: str = "mean",
    *,
    wrt: str = "logits",
) -> Array:
    """The derivative of the reduced loss along ``vector``: forward mode in one operand.

    Args:
        logits: as for ``binary_cross_entropy_with_logits``.
        targets: likewise.
        vector: direction in the operand ``wrt``, of its shape.
        weight: as for ``binary_cross_entropy_with_logits``.
        pos_weight: likewise.
        reduction: likewise.
        wrt: the operand that moves: ``"logits"``, ``"targets"``, ``"weight"`` or
            ``"pos_weight"``.

    Returns:
        An array of the loss's shape, in the logits' format. A sum or mean is exact but for one
        rounding, however much of it cancels.

    Raises:
        TypeError: an argument is not an array of an accepted dtype.
        ValueError: a shape, the reduction or ``wrt`` is not accepted.

    Example:
        >>> x, y = np.array([0.0, 1.0]), np.array([1.0, 1.0])
        >>> float(jacobian_vector_product(x, y, np.array([2.0, 0.0]), reduction="sum"))
        -1.0
    """
    along = _along(logits, targets, vector, weight, pos_weight, reduction, wrt=wrt)
    return along.forward(wrt)


def hessian_vector_product(
    logits: Any,
    targets: Any,
    vector: Any,
    weight: Any = None,
    pos_weight: Any = None,
    reduction: str = "mean",
    *,
    cotangent: Any = None,
) -> Array:
    """The derivative, along ``vector``, of the gradient in the logits.

    Args:
        logits: as for ``binary_cross_entropy_with_logits``.
        targets: likewise.
        vector: direction in the logits, of their shape.
        weight: as for ``binary_cross_entropy_with_logits``.
        pos_weight: likewise.
        reduction: likewise.
        cotangent: as for ``value_and_grad``.

    Returns:
        An array of the logits' shape and format.

    Raises:
        TypeError: an argument is not an array of an accepted dtype.
        ValueError: a shape or the reduction is not accepted.
    """
    along = _along(logits, targets, vector, weight, pos_weight, reduction, cotangent=cotangent)
    return along.hessian()
