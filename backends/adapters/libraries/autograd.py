"""Autograd: the loss composed of ``autograd.numpy.logaddexp``, derivatives by Autograd.

Autograd has no such loss, so all of it is composed, with softplus(x) = logaddexp(0, x):
(1 − y)·softplus(x) + p·y·softplus(−x), times ``weight``, then the mean or sum.
"""

from __future__ import annotations

from typing import Any, ClassVar

from bce_conformance.backends.adapters.numpy_arrays import NumpyArraysAdapter

from .functional import Function, FunctionalAdapter


class AutogradAdapter(FunctionalAdapter, NumpyArraysAdapter):
    """NumPy, differentiated by Autograd."""

    framework = "autograd"
    composed: ClassVar[tuple[str, ...]] = ("loss", "weight", "pos_weight", "reduction")

    def version(self) -> str:
        """Return Autograd's version."""
        from importlib.metadata import version

        return version("autograd")

    def loss(self, arrays: dict[str, Any], reduction: str) -> Any:
        """Return the loss of arrays by name."""
        from autograd import numpy as np

        logits, targets = arrays["logits"], arrays["targets"]
        positive = arrays["pos_weight"] * targets if "pos_weight" in arrays else targets
        loss = (1 - targets) * np.logaddexp(0, logits) + positive * np.logaddexp(0, -logits)
        if "weight" in arrays:
            loss = arrays["weight"] * loss
        return loss if reduction == "none" else getattr(np, reduction)(loss)

    def vjp(self, function: Function, at: Any, cotangent: Any) -> Any:
        """Return the gradient of ``function``; a cotangent of None stands for ones."""
        from autograd import make_vjp
        from autograd import numpy as np

        pull_back, loss = make_vjp(function)(at)
        return pull_back(np.ones_like(loss) if cotangent is None else cotangent)

    def jvp(self, function: Function, at: Any, tangent: Any) -> Any:
        """Return the derivative of ``function`` along ``tangent``."""
        from autograd import make_jvp

        return make_jvp(function)(at)(tangent)[1]
