"""What is shared by libraries without automatic differentiation: derivatives of each element.

A subclass gives the loss of an element and those of its derivatives in the logit that the library
has functions for. Weights and reductions are composed of NumPy's operations, by the chain rule.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from bce_conformance.backends.adapters.numpy_arrays import NumpyArraysAdapter
from bce_conformance.backends.calls import REDUCTIONS, Array, LossCall, UnsupportedCall


class ByHandAdapter(NumpyArraysAdapter):
    """A library that gives the loss of each element, and derivatives in the logits.

    Attributes:
        given: the quantities that it gives.
    """

    given: ClassVar[tuple[str, ...]] = ("loss", "grad_logits")

    @abstractmethod
    def each(self, quantity: str, logits: Array, targets: Array, pos_weight: Any) -> Array:
        """Return the loss of each element, or its first or second derivative in the logit.

        Args:
            quantity: ``loss``, ``grad_logits`` or ``hvp_logits``, one of ``given``.
            logits: x.
            targets: y, of its shape.
            pos_weight: p, broadcastable to it, or None.
        """

    def bind(self, call: LossCall) -> Callable[[], dict[str, Any]]:
        """Return a thunk that evaluates ``call``.

        Raises:
            UnsupportedCall: it wants what the library does not have.
        """
        lacking = [quantity for quantity in call.quantities if quantity not in self.given]
        if lacking:
            raise UnsupportedCall(f"{self.framework} has no {', '.join(lacking)}")
        if call.reduction not in REDUCTIONS:
            raise UnsupportedCall(f"{self.framework} has no loss with a reduction argument")
        arrays = self.place_all(call)
        return lambda: {q: self._evaluated(q, arrays, call.reduction) for q in call.quantities}

    def _evaluated(self, quantity: str, arrays: dict[str, Any], reduction: str) -> Array:
        logits, targets = arrays["logits"], arrays["targets"]
        found = self.each(quantity, logits, targets, arrays.get("pos_weight"))
        if "weight" in arrays:
            found = arrays["weight"] * found
        if quantity == "loss":
            return np.asarray(found if reduction == "none" else getattr(np, reduction)(found))
        if "cotangent" in arrays:
            found = arrays["cotangent"] * found
        if quantity == "hvp_logits":
            found = arrays["tangent"] * found
        return np.asarray(found / found.size if reduction == "mean" else found)


def at_labels(
    loss: Callable[[Array], Array], targets: Array, pos_weight: Any, logits: Array
) -> Array:
    """The loss with pos_weight from those at the labels 1 and 0: p·y·loss(1) + (1 − y)·loss(0).

    Args:
        loss: of each element, or a derivative, as a function of the targets.
        targets: y.
        pos_weight: p; None for none, where the loss is that of the targets.
        logits: tell the shape and the format of the labels.
    """
    if pos_weight is None:
        return loss(targets)
    positive, negative = loss(np.ones_like(logits)), loss(np.zeros_like(logits))
    return np.asarray(pos_weight * targets * positive + (1 - targets) * negative)
