"""The block: one float64 buffer in which a few hundred elements are evaluated together.

It holds rows of LENGTH elements at constant offsets: inputs, shared intermediates, marks, and for
every quantity a result with its rest. Constant offsets in one buffer let the compiler see that
rows do not overlap, so that every loop over them becomes vector code.
"""

from __future__ import annotations

from typing import Any

from ..arithmetic.intrinsics import inlined
from ..element.quantities import LOSS, QUANTITIES, Element

LENGTH = 512

# Inputs: logits, targets, weight, pos_weight, cotangent, vector.
X, Y, W, P, C, V = (LENGTH * row for row in range(6))
# exp(−|x|), log(1 + exp(−|x|)) and cotangent/count, each with its rest.
E, E_REST, SP, SP_REST, S, S_REST = (LENGTH * row for row in range(6, 12))
# Sums of marks: where quantity q is to be evaluated again, MARKED·4^q, which may be there thrice.
MARK = LENGTH * 12
MARKED = 1
ALL = sum(MARKED << 2 * quantity for quantity in range(QUANTITIES))
GRADIENTS = ALL - (MARKED << 2 * LOSS)
# The result of quantity q, and its rest: zero where float64 is enough.
RESULTS = LENGTH * 13
RESTS = RESULTS + LENGTH * QUANTITIES
# Where the operands wait that would only slow the first rung down.
ASIDE = RESTS + LENGTH * QUANTITIES
SIZE = ASIDE + LENGTH * 6


@inlined
def element_at(b: Any, i: int) -> Element:
    """The operands in column ``i``."""
    return Element(b[X + i], b[Y + i], b[W + i], b[P + i], b[C + i], b[V + i])
