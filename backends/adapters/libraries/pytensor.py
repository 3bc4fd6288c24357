"""PyTensor: the loss composed of ``pytensor.tensor.softplus``, compiled by its default linker.

PyTensor has no such loss, so all of it is composed: (1 − y)·softplus(x) + p·y·softplus(−x), times
``weight``, then the mean or sum. Derivatives are PyTensor's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from bce_conformance.backends.adapters.kinds.composition import of_softplus, reduced
from bce_conformance.backends.adapters.kinds.functional import Function, FunctionalAdapter
from bce_conformance.backends.calls import LossCall


class PytensorAdapter(FunctionalAdapter):
    """PyTensor's functions of NumPy arrays, compiled anew for every kind of arguments."""

    framework = "pytensor"
    composed: ClassVar[tuple[str, ...]] = ("loss", "weight", "pos_weight", "reduction")
    extensions: ClassVar[tuple[str, ...]] = ()  # operands are arrays

    def __init__(self) -> None:
        self._functions: dict[Any, Callable[..., list[Any]]] = {}

    def operations(self) -> Any:
        """Return PyTensor's functions of variables."""
        return self.module().tensor

    def loss(self, arrays: dict[str, Any], reduction: str) -> Any:
        """Return the loss of variables by name."""
        tensor = self.operations()
        return reduced(of_softplus(tensor.softplus, arrays), reduction, tensor)

    def pull_back(self, function: Function, at: Any) -> tuple[Any, Function]:
        """Return the value of ``function``, and its gradient as a function of a cotangent."""
        grad, value = self.module().grad, function(at)
        return value, lambda cotangent: grad(None, at, known_grads={value: cotangent})

    def jvp(self, function: Function, at: Any, tangent: Any) -> Any:
        """Return the derivative of ``function`` along ``tangent``."""
        return self.module().gradient.Rop(function(at), at, tangent)

    def evaluation(self, call: LossCall, arrays: dict[str, Any]) -> Callable[[], dict[str, Any]]:
        """Return a thunk that evaluates ``call``."""
        kinds = tuple((n, a.dtype.name, tuple(m == 1 for m in a.shape)) for n, a in arrays.items())
        key = (kinds, call.reduction, call.quantities)
        if key not in self._functions:
            self._functions[key] = self._compiled(call, kinds)
        function = self._functions[key]
        return lambda: dict(zip(call.quantities, function(*arrays.values()), strict=True))

    def _compiled(self, call: LossCall, kinds: tuple[Any, ...]) -> Any:
        tensor, at = self.operations(), {}
        for name, dtype, ones in kinds:
            at[name] = tensor.tensor(name, dtype=dtype, shape=[1 if one else None for one in ones])
        outputs = [self.quantity(name, at, call) for name in call.quantities]
        return self.module().function([*at.values()], outputs, on_unused_input="ignore")
