"""What is shared by libraries that differentiate functions: quantities of one loss function.

A subclass gives the loss, and how the library differentiates a function of one array. Gradients are
taken one operand at a time.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from operator import methodcaller
from typing import Any, ClassVar

from bce_conformance.backends.adapters.numpy_arrays import NumpyArraysAdapter
from bce_conformance.backends.calls import LossCall, UnsupportedCall

from .composition import completed

Function = Callable[[Any], Any]


def _plain(function: Function) -> Function:
    """The function as one with a name and with a code of one call: MindSpore asks for the name.

    Its forward mode reads the code as well, and would read on in a function that the code names.
    """
    opaque = partial(function)

    def plain(value: Any) -> Any:
        return opaque(value)

    return plain


class FunctionalAdapter(NumpyArraysAdapter):
    """A library with transformations of functions.

    Attributes:
        forward_mode: whether it has one; the second derivative is forward over reverse mode, or
            else reverse over reverse mode.
    """

    forward_mode: ClassVar[bool] = True

    @abstractmethod
    def loss(self, arrays: dict[str, Any], reduction: str) -> Any:
        """Return the loss of arrays by name."""

    @abstractmethod
    def pull_back(self, function: Function, at: Any) -> tuple[Any, Function]:
        """Return the value of ``function``, and its gradient as a function of a cotangent."""

    def vjp(self, function: Function, at: Any, cotangent: Any) -> Any:
        """Return the gradient of ``function``; a cotangent of None stands for ones."""
        value, gradient = self.pull_back(function, at)
        return gradient(self.operations().ones_like(value) if cotangent is None else cotangent)

    def jvp(self, function: Function, at: Any, tangent: Any) -> Any:
        """Return the derivative of ``function`` along ``tangent``.

        Raises:
            UnsupportedCall: the library has no forward mode.
        """
        raise UnsupportedCall(f"{self.framework} has no forward mode")

    def operations(self) -> Any:
        """Return what has the library's functions of arrays by NumPy's names."""
        return self.module()

    def evaluated(self, raw: dict[str, Any]) -> dict[str, Any]:
        """Return ``raw`` when it is computed."""
        return raw

    def bind(self, call: LossCall) -> Callable[[], dict[str, Any]]:
        """Return a thunk that evaluates ``call``.

        Raises:
            UnsupportedCall: reductions are composed, and there is no such one.
        """
        if "reduction" in self.composed:
            self.require_reduction(call.reduction)
        return self.evaluation(call, self.place_all(call))

    def evaluation(self, call: LossCall, arrays: dict[str, Any]) -> Callable[[], dict[str, Any]]:
        """Return a thunk that evaluates ``call`` for the arrays that it carries."""
        return lambda: self.evaluated({q: self.quantity(q, arrays, call) for q in call.quantities})

    def quantity(self, quantity: str, arrays: dict[str, Any], call: LossCall) -> Any:
        """Return one quantity of a call; its arrays may be variables that stand for them."""
        name = quantity.removeprefix("grad_") if quantity.startswith("grad_") else "logits"
        cotangent = arrays.get("cotangent")

        def loss_of(value: Any) -> Any:
            return self.loss({**arrays, name: value}, call.reduction)

        loss = _plain(loss_of)
        gradient = _plain(partial(self.vjp, loss, cotangent=cotangent))
        if quantity == "loss":
            return loss(arrays[name])
        if quantity == "jvp_logits":
            return self.jvp(loss, arrays[name], arrays["tangent"])
        if quantity == "hvp_logits":
            along = self.jvp if self.forward_mode else self.vjp
            return along(gradient, arrays[name], arrays["tangent"])
        return gradient(arrays[name])


class OwnLossAdapter(FunctionalAdapter):
    """A library that has the loss; arguments that its function lacks are composed."""

    @abstractmethod
    def own(self, arrays: dict[str, Any], reduction: str) -> Any:
        """Return the loss by the library's function, for arrays that it has arguments for."""

    def loss(self, arrays: dict[str, Any], reduction: str) -> Any:
        """Return the loss of arrays by name."""
        return completed(self.own, self.composed, arrays, reduction, self.operations())


class Methods:
    """What has a library's functions of arrays by NumPy's names where they are methods of these."""

    def __getattr__(self, name: str) -> Callable[[Any], Any]:
        return methodcaller(name)
