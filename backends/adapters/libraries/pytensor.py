"""PyTensor: the loss composed of ``pytensor.tensor.softplus``, compiled by its default linker.

PyTensor has no such loss, so all of it is composed: (1 − y)·softplus(x) + p·y·softplus(−x), times
``weight``, then the mean or sum. Derivatives are PyTensor's own.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, ClassVar

from bce_conformance.backends.adapters.numpy_arrays import NumpyArraysAdapter
from bce_conformance.backends.calls import REDUCTIONS, LossCall, UnsupportedCall


class PytensorAdapter(NumpyArraysAdapter):
    """PyTensor's functions of NumPy arrays, compiled anew for every kind of arguments."""

    framework = "pytensor"
    composed: ClassVar[tuple[str, ...]] = ("loss", "weight", "pos_weight", "reduction")
    extensions: ClassVar[tuple[str, ...]] = ()  # operands are arrays

    def __init__(self) -> None:
        self._functions: dict[Any, Callable[..., list[Any]]] = {}

    def module(self) -> ModuleType:
        """Import PyTensor."""
        import pytensor

        return pytensor  # type: ignore[no-any-return,unused-ignore]

    def bind(self, call: LossCall) -> Callable[[], dict[str, Any]]:
        """Return a thunk that evaluates ``call``."""
        if call.reduction not in REDUCTIONS:
            raise UnsupportedCall("pytensor has no loss with a reduction argument")
        arrays = self.place_all(call)
        kinds = {n: (a.dtype.name, tuple(m == 1 for m in a.shape)) for n, a in arrays.items()}
        key = (*kinds.items(), call.reduction, call.quantities)
        if key not in self._functions:
            self._functions[key] = self._compiled(kinds, call.reduction, call.quantities)
        function = self._functions[key]
        return lambda: dict(zip(call.quantities, function(*arrays.values()), strict=True))

    def _compiled(
        self, kinds: dict[str, Any], reduction: str, quantities: tuple[str, ...]
    ) -> Callable[..., list[Any]]:
        pytensor = self.module()
        from pytensor import tensor as pt

        at: dict[str, Any] = {
            name: pt.tensor(name, dtype=dtype, shape=tuple(1 if one else None for one in ones))
            for name, (dtype, ones) in kinds.items()
        }
        logits, targets = at["logits"], at["targets"]
        positive = at["pos_weight"] * targets if "pos_weight" in at else targets
        loss = (1 - targets) * pt.softplus(logits) + positive * pt.softplus(-logits)
        loss = at["weight"] * loss if "weight" in at else loss
        loss = {"none": lambda value: value, "mean": pt.mean, "sum": pt.sum}[reduction](loss)
        cotangent = at.get("cotangent", pt.ones_like(loss))

        def made(quantity: str) -> Any:
            if quantity == "loss":
                return loss
            if quantity == "jvp_logits":
                return pytensor.gradient.Rop(loss, logits, at["tangent"])
            wanted = at[quantity.removeprefix("grad_")] if quantity != "hvp_logits" else logits
            gradient = pytensor.grad(None, wanted, known_grads={loss: cotangent})
            if quantity == "hvp_logits":
                return pytensor.gradient.Rop(gradient, logits, at["tangent"])
            return gradient

        outputs = [made(quantity) for quantity in quantities]
        inputs = list(at.values())
        return pytensor.function(inputs, outputs, on_unused_input="ignore")  # type: ignore[no-any-return,unused-ignore]
