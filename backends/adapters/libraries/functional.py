"""What is shared by libraries that differentiate functions: quantities of one loss function.

A subclass gives the loss, and how the library differentiates a function of one array. Gradients are
taken one operand at a time.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any

from bce_conformance.backends.adapters.base import Adapter
from bce_conformance.backends.calls import REDUCTIONS, LossCall, UnsupportedCall

Function = Callable[[Any], Any]


class FunctionalAdapter(Adapter):
    """A library with transformations of functions."""

    @abstractmethod
    def loss(self, arrays: dict[str, Any], reduction: str) -> Any:
        """Return the loss of arrays by name."""

    @abstractmethod
    def vjp(self, function: Function, at: Any, cotangent: Any) -> Any:
        """Return the gradient of ``function``; a cotangent of None stands for ones."""

    def jvp(self, function: Function, at: Any, tangent: Any) -> Any:
        """Return the derivative of ``function`` along ``tangent``.

        Raises:
            UnsupportedCall: the library has no forward mode.
        """
        raise UnsupportedCall(f"{self.framework} has no forward mode")

    def hvp(self, gradient: Function, at: Any, tangent: Any) -> Any:
        """Return the derivative of the gradient along ``tangent``: forward over reverse mode."""
        return self.jvp(gradient, at, tangent)

    def evaluated(self, raw: dict[str, Any]) -> dict[str, Any]:
        """Return ``raw`` when it is computed."""
        return raw

    def bind(self, call: LossCall) -> Callable[[], dict[str, Any]]:
        """Return a thunk that evaluates ``call``.

        Raises:
            UnsupportedCall: reductions are composed, and there is no such one.
        """
        if "reduction" in self.composed and call.reduction not in REDUCTIONS:
            raise UnsupportedCall(f"{self.framework} has no loss with a reduction argument")
        arrays = self.place_all(call)
        return lambda: self.evaluated({q: self._quantity(q, arrays, call) for q in call.quantities})

    def _quantity(self, quantity: str, arrays: dict[str, Any], call: LossCall) -> Any:
        def loss_of(name: str, value: Any) -> Any:
            return self.loss({**arrays, name: value}, call.reduction)

        of_logits, logits = partial(loss_of, "logits"), arrays["logits"]
        cotangent = arrays.get("cotangent")
        if quantity == "loss":
            return of_logits(logits)
        if quantity == "jvp_logits":
            return self.jvp(of_logits, logits, arrays["tangent"])
        if quantity == "hvp_logits":
            gradient = partial(self.vjp, of_logits, cotangent=cotangent)
            return self.hvp(gradient, logits, arrays["tangent"])
        name = quantity.removeprefix("grad_")
        return self.vjp(partial(loss_of, name), arrays[name], cotangent)
