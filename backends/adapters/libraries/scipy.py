"""SciPy: the loss of ``scipy.special.log_expit``, its gradient of ``scipy.special.expit``.

SciPy has neither such a loss nor automatic differentiation, so all of it is composed, as its users
do: −(p·y·log σ(x) + (1 − y)·log σ(−x)), and for the gradient (1 − y)·σ(x) − p·y·σ(−x).
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from bce_conformance.backends.adapters.kinds.by_hand import ByHandAdapter
from bce_conformance.backends.calls import Array


class ScipyAdapter(ByHandAdapter):
    """SciPy's special functions."""

    framework = "scipy"
    composed: ClassVar[tuple[str, ...]] = (
        *("loss", "grad_logits", "weight", "pos_weight", "reduction"),
    )

    def each(self, quantity: str, logits: Array, targets: Array, pos_weight: Any) -> Array:
        """Return the loss of each element, or its derivative in the logit."""
        from scipy.special import expit, log_expit

        positive = targets if pos_weight is None else pos_weight * targets
        if quantity == "loss":
            loss = -(positive * log_expit(logits) + (1 - targets) * log_expit(-logits))
            return np.asarray(loss)
        return np.asarray((1 - targets) * expit(logits) - positive * expit(-logits))
