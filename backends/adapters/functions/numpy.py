"""A user's function of NumPy arrays, with the gradient that comes with it, if one does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bce_conformance.backends.adapters.numpy_arrays import NumpyArraysAdapter
from bce_conformance.backends.calls import OPERANDS, LossCall, UnsupportedCall

from .base import FunctionAdapter
from .operations import Operations


class NumpyFunction(FunctionAdapter, NumpyArraysAdapter):
    """A function that nothing differentiates but a function of the user's."""

    framework = "numpy"

    @property
    def operations(self) -> Operations:
        """NumPy's operations; what they make of arrays without dimensions are arrays."""
        return Operations(
            mean=lambda array: np.asarray(np.mean(array)),
            total=lambda array: np.asarray(np.sum(array)),
            ones=np.ones_like,
            cast=lambda array, like: np.asarray(array).astype(np.asarray(like).dtype, copy=False),
            spread=lambda array, like: np.broadcast_to(array, np.shape(like)),
            collected=lambda array, axes: np.asarray(array).sum(axes),
            shaped=np.reshape,
        )

    def bind(self, call: LossCall) -> Callable[[], dict[str, Any]]:
        """Return a thunk that evaluates ``call``.

        Raises:
            UnsupportedCall: it wants derivatives that the user has no function for.
        """
        if set(call.quantities) != {"loss"}:
            if self.own_gradient is None:
                raise UnsupportedCall(
                    "numpy has no automatic differentiation, and the file has no "
                    f"{self.loaded.backward_name}"
                )
            return super().bind(call)
        tensors = self.place_all(call)
        operands = {name: tensors[name] for name in OPERANDS if name in tensors}
        return lambda: {"loss": self.loss(**operands, reduction=call.reduction)}
