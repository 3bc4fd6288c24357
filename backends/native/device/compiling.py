"""How Numba compiles kernels for CUDA: each operation is rounded by itself, as on the processor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import signature
from threading import Lock
from typing import Any

from numba import config, cuda
from numba.extending import overload

_PATCHING = Lock()

# The package numba-cuda, where it stands in for Numba's own, would leave the joining of products
# and sums to a linker that ``uncontracted`` does not reach.
_OPTIONS: dict[str, Any] = {"lto": False} if "lto" in signature(cuda.jit).parameters else {}


def kernel(*, registers: int | None = None) -> Callable[[Callable[..., None]], Any]:
    """Compile a kernel, perhaps for so many registers a thread: with fewer, more threads run."""
    is_limited = registers is not None and not config.ENABLE_CUDASIM
    options = {**_OPTIONS, "max_registers": registers} if is_limited else _OPTIONS
    return lambda function: cuda.jit(**options)(function)


def part(function: Callable[..., Any]) -> Any:
    """Compile a function for kernels."""
    return cuda.jit(device=True, **_OPTIONS)(function)


@contextmanager
def uncontracted() -> Iterator[None]:
    """Have kernels that are compiled meanwhile round each product and each sum.

    NVVM joins them else, and results would not have the processor's bits. Numba has no option for
    it.
    """
    from numba.cuda.cudadrv import nvvm

    with _PATCHING:
        usual = nvvm.compile_ir

        def compile_ir(ir: Any, **options: Any) -> Any:
            return usual(ir, **{**options, "fma": False})

        nvvm.compile_ir = compile_ir
        try:
            yield
        finally:
            nvvm.compile_ir = usual


# The overloads of Numba 0.68 for any number of arguments do not compile for CUDA.
@overload(min, target="cuda")  # type: ignore[untyped-decorator, unused-ignore]
def _min(a: Any, b: Any) -> Any:
    def smaller(a: Any, b: Any) -> Any:
        return b if b < a else a

    return smaller


@overload(max, target="cuda")  # type: ignore[untyped-decorator, unused-ignore]
def _max(a: Any, b: Any) -> Any:
    def larger(a: Any, b: Any) -> Any:
        return b if b > a else a

    return larger
