"""What a backend evaluates before all else: losses alone, with automatic differentiation off.

Trainers evaluate before they train, to see that it goes. What is made then, and kept for later, has
no graph: a constant that is made in such a call spoils every training step after it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bce_conformance.backends.calls import LossCall
from bce_conformance.reference import Format

_DIMENSIONS = range(7)  # of the logits: as many as the shapes of drawn calls have


def first_calls(format_: Format, device: str) -> Iterator[LossCall]:
    """Two calls of each number of dimensions: without weights, and with both.

    Args:
        format_: of all operands.
        device: where they are evaluated.
    """
    for count in _DIMENSIONS:
        ones = np.ones((2,) * count, format_.dtype)
        for weight in (None, ones):
            yield LossCall(ones, ones, weight, weight, autograd="off", device=device)
