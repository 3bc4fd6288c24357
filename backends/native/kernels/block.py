"""The block: one float64 buffer in which a few hundred elements are evaluated together.

It holds rows of LENGTH elements at constant offsets: inputs, shared intermediates, marks, and for
every quantity a result with its rest. Constant offsets in one buffer let the compiler see that
rows do not overlap, so that every loop over them becomes vector code.
"""

from __future__ import annotations

from ..element.quantities import QUANTITIES

LENGTH = 512

# Inputs: logits, targets, weight, pos_weight, cotangent, vector.
X, Y, W, P, C, V = (LENGTH * row for row in range(6))
# exp(−|x|), log(1 + exp(−|x|)) and cotangent/count, each with its rest.
E, E_REST, SP, SP_REST, S, S_REST = (LENGTH * row for row in range(6, 12))
# Not 0 where an element has to be evaluated again: the sum of its marks (see
# ``quantities.py``).
MARK = LENGTH * 12
# The result of quantity q, and its rest: zero where float64 is enough.
RESULTS = LENGTH * 13
RESTS = RESULTS + LENGTH * QUANTITIES
SIZE = RESTS + LENGTH * QUANTITIES
