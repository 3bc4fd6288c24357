"""Regions of the logit: where the formulas of a format underflow and overflow.

Guarantees that each bound is that of the exact exponential: it follows from the format alone.
"""

from __future__ import annotations

import math

from bce_conformance.reference import Format


def regions(format_: Format) -> dict[str, float]:
    """The sizes of the logits at which e^±|x| leaves the normal numbers of a format.

    Args:
        format_: the format of the logits and results.

    Returns:
        ``subnormal``: beyond it e^−|x| is subnormal, and may be flushed to zero at AA; ``zero``:
        beyond it e^−|x| rounds to 0; ``overflow``: beyond it e^|x| is infinite.

    Example:
        >>> from bce_conformance.reference import FLOAT32
        >>> {name: round(size, 1) for name, size in regions(FLOAT32).items()}
        {'subnormal': 87.3, 'zero': 104.0, 'overflow': 88.7}
    """
    ln2 = math.log(2)
    least = format_.emin - format_.precision + 1  # the exponent of the smallest subnormal
    return {
        "subnormal": -format_.emin * ln2,
        "zero": (1 - least) * ln2,
        "overflow": math.log(format_.largest_finite),
    }
