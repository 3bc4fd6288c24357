"""Functions that kernels are made of: compiled to be linked into them, and not to be called.

Numba makes machine code of each function that it compiles, and two more functions around it by
which Python and C call it. Of hundreds of functions none but the kernels is called so: leaving that
out (``linking.py``) compiles a kernel in two thirds of the time. With releases of Numba in which
nobody has tried it, and in the simulator of CUDA, which calls them all from Python, they are
compiled as any other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from numba import config, njit

TRIED = ("0.68.",)
"""How releases of Numba begin whose inner parts are those that ``linking.py`` knows."""

_OPTIONS = {"error_model": "numpy", "nogil": True}


def linked(*, inline: bool) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function for kernels: to vanish into its callers, or as LLVM sees fit."""
    options = {"forceinline": inline, **_OPTIONS}
    if config.DISABLE_JIT or config.ENABLE_CUDASIM or not numba.__version__.startswith(TRIED):
        return njit(**options)

    from .linking import Linked

    return lambda function: Linked(function, options)
