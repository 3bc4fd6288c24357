"""scikit-learn: ``HalfBinomialLoss``, which its gradient boosting and logistic regression fit with.

It has no public name. ``sample_weight`` is its own. Its mean divides by the sum of the weights, so
that ``reduction`` is composed, and ``pos_weight`` is from the losses at the two hard labels. The
second derivative is its ``gradient_hessian``, times the tangent.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from bce_conformance.backends.adapters.kinds.by_hand import ByHandAdapter
from bce_conformance.backends.adapters.kinds.composition import at_labels
from bce_conformance.backends.calls import Array


class SklearnAdapter(ByHandAdapter):
    """scikit-learn's loss of each element, which takes arrays of one dimension."""

    framework = "sklearn"
    composed: ClassVar[tuple[str, ...]] = ("weight", "pos_weight", "reduction")
    extensions: ClassVar[tuple[str, ...]] = ()  # operands are arrays
    given: ClassVar[tuple[str, ...]] = ("loss", "grad_logits", "hvp_logits")

    def each(self, quantity: str, logits: Array, targets: Array, pos_weight: Any) -> Array:
        """Return the loss of each element, or its first or second derivative in the logit."""
        from sklearn._loss import HalfBinomialLoss

        loss = HalfBinomialLoss()
        flat = logits.reshape(-1)

        def found(labels: Array) -> Array:
            labels = labels.reshape(-1)
            if quantity == "hvp_logits":
                each = loss.gradient_hessian(labels, flat)[1]
            else:
                each = (loss.loss if quantity == "loss" else loss.gradient)(labels, flat)
            return np.asarray(each.reshape(logits.shape))

        return np.asarray(at_labels(found, logits, targets, pos_weight, np))
