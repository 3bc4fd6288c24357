"""Small plain calls by address, for callers whose memory is no array: nothing is wrapped.

Guarantees the bits of the kernels of sums, which it calls.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray, types
from numba.extending import intrinsic

from ..arithmetic.intrinsics import inlined
from ..compiled import default_mode, kernel, restore_mode
from ..kernels.sum_float32 import sum_small
from ..kernels.sum_float64 import sum_small_wide
from ..kernels.sum_half import sum_small_half
from ..memory.chunks import CHUNK

__all__ = ["CHUNK", "SMALL"]


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def _pointer(typing_context: Any, address: Any, like: Any) -> Any:
    """The address of elements of the type of ``like``."""
    kind = types.CPointer(like)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(kind))

    return kind(types.int64, like), generate


@inlined
def _arrays(x: int, y: int, g: int, out: int, size: int, like: Any) -> Any:
    """The elements at these addresses, those of ``out`` being one."""
    operands = carray(_pointer(x, like), size), carray(_pointer(y, like), size)
    return (*operands, carray(_pointer(g, like), size), carray(_pointer(out, like), 1))


@kernel
def _float32(x: int, y: int, g: int, size: int, count: float, out: int) -> bool:
    """A small call in float32, see ``SMALL``."""
    mode = default_mode()
    a, b, c, loss = _arrays(x, y, g, out, size, np.float32(0))
    stands = sum_small(a, b, c, True, count, loss)
    restore_mode(mode)
    return stands


@kernel
def _float64(x: int, y: int, g: int, size: int, count: float, out: int) -> bool:
    """A small call in float64, see ``SMALL``."""
    mode = default_mode()
    a, b, c, loss = _arrays(x, y, g, out, size, np.float64(0))
    stands = sum_small_wide(a, b, c, True, count, loss)
    restore_mode(mode)
    return stands


@kernel
def _float16(x: int, y: int, g: int, size: int, count: float, out: int) -> bool:
    """A small call in float16, see ``SMALL``."""
    mode = default_mode()
    a, b, c, loss = _arrays(x, y, g, out, size, np.int16(0))
    stands = sum_small_half(a, b, c, True, False, count, loss)
    restore_mode(mode)
    return stands


@kernel
def _bfloat16(x: int, y: int, g: int, size: int, count: float, out: int) -> bool:
    """A small call in bfloat16, see ``SMALL``."""
    mode = default_mode()
    a, b, c, loss = _arrays(x, y, g, out, size, np.uint16(0))
    stands = sum_small_half(a, b, c, True, True, count, loss)
    restore_mode(mode)
    return stands


SMALL = {"float16": _float16, "bfloat16": _bfloat16, "float32": _float32, "float64": _float64}
"""By format, of (x, y, g, size, count, out): at most ``CHUNK`` contiguous elements.

The loss, the sum over ``count``, goes to ``out`` and the gradient in the logits to ``g``. What is
returned is whether they stand; where they do not, the call has to be made with arrays.
"""
