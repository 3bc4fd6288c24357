"""Autograd: the loss composed of ``autograd.numpy.logaddexp``, derivatives by Autograd.

Autograd has no such loss, so all of it is composed, with softplus(x) = logaddexp(0, x):
(1 − y)·softplus(x) + p·y·softplus(−x), times ``weight``, then the mean or sum.
"""

from __future__ import annotations

from functools import partial
from types import ModuleType
from typing import Any, ClassVar

from bce_conformance.backends.adapters.kinds.composition import of_softplus, reduced
from bce_conformance.backends.adapters.kinds.functional import Function, FunctionalAdapter


class AutogradAdapter(FunctionalAdapter):
    """NumPy, differentiated by Autograd."""

    framework = "autograd"
    composed: ClassVar[tuple[str, ...]] = ("loss", "weight", "pos_weight", "reduction")

    def operations(self) -> ModuleType:
        """Return NumPy's functions as Autograd differentiates them."""
        from autograd import numpy

        return numpy  # type: ignore[no-any-return,unused-ignore]

    def loss(self, arrays: dict[str, Any], reduction: str) -> Any:
        """Return the loss of arrays by name."""
        numpy = self.operations()
        return reduced(of_softplus(partial(numpy.logaddexp, 0), arrays), reduction, numpy)

    def pull_back(self, function: Function, at: Any) -> tuple[Any, Function]:
        """Return the value of ``function``, and its gradient as a function of a cotangent."""
        gradient, value = self.module().make_vjp(function)(at)
        return value, gradient

    def jvp(self, function: Function, at: Any, tangent: Any) -> Any:
        """Return the derivative of ``function`` along ``tangent``."""
        return self.module().make_jvp(function)(at)(tangent)[1]
