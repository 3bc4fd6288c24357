"""How this package compiles with Numba.

Guarantees: compiled code is kept under a digest of all the sources (``cache.compiled_folder``).
Numba's own test for staleness looks at the one file a function is in, and would go on using a
kernel whose helpers in other files had changed. Where there is no Numba, what is to be compiled can
be imported, and raises when it is called.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

try:
    from numba import config, njit
except ModuleNotFoundError:
    config = njit = None

from bce_conformance.reference.cache import compiled_folder


def kernel(*, parallel: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function that loops; no fast-math, and division by zero as IEEE 754 has it."""
    return _compiled(parallel=parallel)


def inlined(function: Callable[..., Any]) -> Any:
    """Compile a function that is to vanish into the loops that call it."""
    return _compiled(forceinline=True)(function)


def _compiled(**options: bool) -> Callable[[Callable[..., Any]], Any]:
    def decorate(function: Callable[..., Any]) -> Any:
        if njit is None:
            return partial(_refuse, function.__name__)
        saved = config.CACHE_DIR
        config.CACHE_DIR = str(compiled_folder())
        try:
            return njit(error_model="numpy", cache=True, **options)(function)
        except RuntimeError:  # nowhere to keep it
            return njit(error_model="numpy", **options)(function)
        finally:
            config.CACHE_DIR = saved

    return decorate


def _refuse(name: str, *_: Any) -> NoReturn:
    raise ModuleNotFoundError(f"{name} is compiled by Numba, which is not installed", name="numba")
