"""Composition: the loss, or what a library's own function lacks, made of the library's operations.

``operations`` is always what has the library's functions of arrays by NumPy's names. Arrays are by
the names of a call's fields.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any


def of_softplus(softplus: Callable[[Any], Any], arrays: dict[str, Any]) -> Any:
    """The loss of each element: w · [(1 − y)·softplus(x) + p·y·softplus(−x)]."""
    logits, targets = arrays["logits"], arrays["targets"]
    positive = arrays["pos_weight"] * targets if "pos_weight" in arrays else targets
    loss = (1 - targets) * softplus(logits) + positive * softplus(-logits)
    return arrays["weight"] * loss if "weight" in arrays else loss


def completed(
    own: Callable[[dict[str, Any], str], Any],
    lacks: Collection[str],
    arrays: dict[str, Any],
    reduction: str,
    operations: Any,
) -> Any:
    """The loss by a library's own function, and what that lacks composed where it is asked for.

    Args:
        own: of arrays and a reduction.
        lacks: which of ``weight``, ``pos_weight`` and ``reduction`` it does not have.
        arrays: of the call.
        reduction: ``none``, ``mean`` or ``sum``, where that is composed.
        operations: of the library.
    """
    lacking = {name for name in ("weight", "pos_weight") if name in arrays and name in lacks}
    if not lacking and "reduction" not in lacks:
        return own(arrays, reduction)
    passed = {name: array for name, array in arrays.items() if name not in lacking}
    loss = at_labels(
        lambda targets: own({**passed, "targets": targets}, "none"),
        arrays["logits"],
        arrays["targets"],
        arrays["pos_weight"] if "pos_weight" in lacking else None,
        operations,
    )
    if "weight" in lacking:
        loss = arrays["weight"] * loss
    return reduced(loss, reduction, operations)


def at_labels(
    loss: Callable[[Any], Any], logits: Any, targets: Any, pos_weight: Any, operations: Any
) -> Any:
    """The loss with pos_weight from those at the labels 1 and 0: p·y·loss(1) + (1 − y)·loss(0).

    It is right at soft targets too, where scaling the loss by 1 + (p − 1)·y would be wrong.

    Args:
        loss: of each element, or a derivative, as a function of the targets.
        logits: tell the shape and the format of the labels.
        targets: y.
        pos_weight: p; None for none, where the loss is that of the targets.
        operations: of the library.
    """
    if pos_weight is None:
        return loss(targets)
    positive, negative = loss(operations.ones_like(logits)), loss(operations.zeros_like(logits))
    return pos_weight * targets * positive + (1 - targets) * negative


def reduced(loss: Any, reduction: str, operations: Any) -> Any:
    """The loss of each element, or its ``mean`` or ``sum``."""
    return loss if reduction == "none" else getattr(operations, reduction)(loss)
