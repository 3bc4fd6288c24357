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
from bce_conformance.backends.calls import Array, LossCall, UnsupportedCall

from .composition import reduced


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
        self.require_reduction(call.reduction)
        arrays = self.place_all(call)
        return lambda: {q: self._evaluated(q, arrays, call.reduction) for q in call.quantities}

    def _evaluated(self, quantity: str, arrays: dict[str, Any], reduction: str) -> Array:
        logits, targets = arrays["logits"], arrays["targets"]
        found = self.each(quantity, logits, targets, arrays.get("pos_weight"))
        if "weight" in arrays:
            found = arrays["weight"] * found
        if quantity == "loss":
            return np.asarray(reduced(found, reduction, np))
        if "cotangent" in arrays:
            found = arrays["cotangent"] * found
        if quantity == "hvp_logits":
            found = arrays["tangent"] * found
        return np.asarray(found / found.size if reduction == "mean" else found)
