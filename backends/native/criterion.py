"""The loss as an object, with the arguments of both documented interfaces."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from .api import binary_cross_entropy_with_logits, value_and_grad
from .arguments import Array, check_reduction


def override(reduction: str, size_average: bool | None, reduce: bool | None) -> str:
    """The reduction that the deprecated arguments stand for, where either is given."""
    if size_average is None and reduce is None:
        return reduction
    if reduce is not None and not reduce:
        meant = "none"
    else:
        meant = "mean" if size_average is None or size_average else "sum"
    warnings.warn(
        f"size_average and reduce are deprecated; use reduction={meant!r} instead",
        DeprecationWarning,
        stacklevel=3,
    )
    return meant


class BCEWithLogitsLoss:
    """Binary cross-entropy with logits, as a callable that keeps its weights.

    Args:
        weight: w, broadcastable to the logits; None means 1.
        size_average: deprecated. With ``reduce``, overrides ``reduction`` as soon as either is
            given: ``reduce=False`` means ``"none"`` whatever ``size_average`` is, else
            ``size_average=False`` means ``"sum"``, and True or None ``"mean"``.
        reduce: deprecated, see ``size_average``.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        pos_weight: p, broadcastable to the logits; None means 1.
        name: shown in the repr.

    Raises:
        ValueError: ``reduction`` is not accepted.
    """

    def __init__(
        self,
        weight: Any = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        pos_weight: Any = None,
        name: str | None = None,
    ) -> None:
        self.weight = weight
        self.reduction = override(reduction, size_average, reduce)
        self.pos_weight = pos_weight
        self.name = name
        check_reduction(self.reduction)

    def __call__(self, logits: Any, targets: Any) -> Array:
        """The loss; see ``binary_cross_entropy_with_logits``."""
        return binary_cross_entropy_with_logits(
            logits, targets, self.weight, self.pos_weight, self.reduction
        )

    def value_and_grad(
        self,
        logits: Any,
        targets: Any,
        *,
        wrt: Sequence[str] = ("logits",),
        cotangent: Any = None,
        out: Mapping[str, Array] | None = None,
    ) -> tuple[Array, dict[str, Array]]:
        """The loss and its gradients; see the function ``value_and_grad``."""
        return value_and_grad(
            logits,
            targets,
            self.weight,
            self.pos_weight,
            self.reduction,
            wrt=wrt,
            cotangent=cotangent,
            out=out,
        )

    def __repr__(self) -> str:
        name = "" if self.name is None else f", name={self.name!r}"
        return f"{type(self).__name__}(reduction={self.reduction!r}{name})"
