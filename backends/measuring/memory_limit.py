"""The memory limit: plain passes over the operands, which no implementation can do without.

For the loss alone x and y are read (Σ x·y); with a gradient x and y are read and g = x·y is
written. The passes run on the native implementation's threads, in blocks of their own. They compute
no loss, so nothing here is ever judged.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

import bce_conformance
from bce_conformance.backends.calls import BackendInfo, LossCall, LossResult, UnsupportedCall

_BLOCK = 1 << 16


class MemoryLimit:
    """Looks like a backend to whoever times it."""

    def info(self) -> BackendInfo:
        """Describe the passes."""
        return BackendInfo("limit", "limit", bce_conformance.__version__)

    def bind(self, call: LossCall) -> Callable[[], dict[str, Any]]:
        """Return a thunk that passes over the operands of ``call`` once.

        Raises:
            UnsupportedCall: the call is for another device than the CPU.
        """
        from bce_conformance.native.memory.threads import share

        if call.device != "cpu":
            raise UnsupportedCall(f"the memory limit is not measured on {call.device}")
        x, y = (_words(array) for array in (call.logits, call.targets))
        blocks = -(-x.size // _BLOCK)
        total, products = _passes(x.dtype.kind == "f")
        if "grad_logits" in call.quantities:
            result = np.empty_like(x)

            def work(first: int, last: int) -> None:
                part = slice(first * _BLOCK, last * _BLOCK)
                products(x[part], y[part], result[part])
        else:
            result = np.zeros(blocks, x.dtype)

            def work(first: int, last: int) -> None:
                part = slice(first * _BLOCK, last * _BLOCK)
                result[first] = total(x[part], y[part])

        def thunk() -> dict[str, Any]:
            share(work, blocks)
            return {"limit": result}

        return thunk

    def fetch(self, raw: dict[str, Any]) -> LossResult:
        """Return what the passes computed."""
        return LossResult(raw)


def _words(array: Any) -> Any:
    """``array``, flat; 16-bit formats as words of 64 bits, since no processor multiplies them.

    A workload's size is a multiple of eight, so that there is no rest.
    """
    flat = array.ravel()
    return flat.view(np.uint64) if flat.itemsize == 2 else flat


@cache
def _passes(floats: bool) -> tuple[Any, Any]:
    """The pass that reads and the pass that writes too: of products, or of x XOR y."""
    from numba import njit

    options = {"nogil": True, "error_model": "numpy", "fastmath": True}
    add = operator.add if floats else operator.xor
    join = operator.mul if floats else operator.xor

    @njit(**options)  # type: ignore[untyped-decorator, unused-ignore]
    def total(a: Any, b: Any) -> Any:
        s = join(a[0], b[0])
        for i in range(1, a.size):
            s = add(s, join(a[i], b[i]))
        return s

    @njit(**options)  # type: ignore[untyped-decorator, unused-ignore]
    def products(a: Any, b: Any, out: Any) -> None:
        for i in range(a.size):
            out[i] = join(a[i], b[i])

    return total, products
