"""How a call is made among others: alone, after like ones, between some, in threads.

Guarantees that what is returned is the result of the call itself, and that its arrays hold
afterwards what they held before. Nothing here may import a framework, since it runs in the worker.
"""

from __future__ import annotations

import sys
import warnings
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from threading import Barrier
from typing import Any

import numpy as np

from bce_conformance.backends.calls import ARRAYS, Array, LossCall, LossResult

Thunk = Callable[[], Any]

_THREADS = 2
_ROUNDS = 3  # calls of each thread; of one with many elements one, which takes long enough to meet
_MANY = 10_000
_FEW, _OFTEN, _MANY_TIMES = 64, 3, 64  # frameworks record a graph after 3 to some 50 like calls
_OTHER_FORMAT = {"float64": "float32", "float32": "float16"}
_SWITCHED = 1e-5  # seconds after which Python lets another thread run
# What makes of a call the same for the loss alone, with automatic differentiation off.
_WITHOUT_A_GRAPH = {"tangent": None, "cotangent": None, "quantities": ("loss",), "autograd": "off"}


def prepare(adapter: Any, call: LossCall) -> None:
    """Make what comes before a call is bound: of ``other format`` or ``other shape`` such calls.

    What is kept for a shape without its format, or for a number of elements without their shape,
    shows in the call itself, and so does what an evaluation without a graph or an error leaves
    behind. What comes of the others is not this one's matter.
    """
    arrays = {name: getattr(call, name) for name in ARRAYS}
    given = {name: array for name, array in arrays.items() if array is not None}
    for changed in _before(call.repetition, given):
        with suppress(Exception), warnings.catch_warnings(action="ignore"):
            adapter.fetch(adapter.bind(replace(call, **changed))())


def _before(repetition: str, arrays: dict[str, Array]) -> Iterator[dict[str, Any]]:
    """What is another in each call that is made before one with these arrays.

    Refused are a weight, and then targets beside weights, of one element more than a row of logits.
    """
    if repetition == "other format":
        yield _in_another_format(arrays)
    if repetition == "other shape":
        other = _in_another_shape(arrays)
        yield other | _WITHOUT_A_GRAPH
        yield other
        logits = other["logits"]
        row = np.ones((logits.shape[-1] if logits.ndim else 1) + 1, logits.dtype)
        yield other | {"weight": row}
        full = np.full_like(logits, 3)
        yield other | {"weight": full, "pos_weight": full.copy(), "targets": row}


def _in_another_format(arrays: dict[str, Array]) -> dict[str, Array]:
    """The arrays that are no counts in a narrower format, those of 16 bits in a wider one."""
    other = np.dtype(_OTHER_FORMAT.get(arrays["logits"].dtype.name, "float32"))
    return {n: array.astype(other) for n, array in arrays.items() if array.dtype.kind not in "biu"}


def _in_another_shape(arrays: dict[str, Array]) -> dict[str, Array]:
    """The arrays, dense, with the first axis and the last but one exchanged; of two these.

    Those of one axis are cut in half.
    """
    count = arrays["logits"].ndim
    half = -(-arrays["logits"].size // 2)
    last = max(count - 2, 1)
    found = dict(arrays)
    for name, array in arrays.items():
        if array.ndim:  # a cotangent of a sum has none
            full = array.reshape((1,) * (count - array.ndim) + array.shape)
            found[name] = (full.swapaxes(0, last) if count > 1 else full[:half]).copy()
    return found


def evaluated(adapter: Any, thunk: Thunk, call: LossCall) -> LossResult:
    """The result of a call, made as its ``repetition`` says.

    Args:
        adapter: fetches what the thunk returns.
        thunk: evaluates the call, from ``adapter.bind``.
        call: as it was unpacked in this process: its arrays are written to.
    """
    if call.repetition == "changed":
        return _between_others(adapter, thunk, call)
    if call.repetition == "at once":
        return _at_once(adapter, thunk, call)
    result: LossResult = adapter.fetch(thunk())
    return result


def _between_others(adapter: Any, thunk: Thunk, call: LossCall) -> LossResult:
    """The call after one of the same arrays with other contents, fetched after another such call.

    What is remembered of an array by where it lies shows, and a result that is overwritten by the
    next one too. Where the adapter holds copies of the arrays, all calls are the same. Some calls,
    one in ``_OFTEN`` of those for derivatives of few elements, come after many: what is recorded
    then shows too.
    """
    often = call.logits.size <= _FEW and zlib.crc32(call.logits.tobytes()) % _OFTEN == 0
    often &= call.quantities != ("loss",)
    with _other_contents(call):
        for _ in range(_MANY_TIMES if often else 1):
            thunk()
    raw = thunk()
    with _other_contents(call):
        thunk()
    result: LossResult = adapter.fetch(raw)
    return result


@contextmanager
def _other_contents(call: LossCall) -> Iterator[None]:
    """While this is open, every element of the call's arrays is another one, 1 or 0.5 (or 0)."""
    arrays = [getattr(call, name) for name in ARRAYS]
    writable = [array for array in arrays if array is not None and array.flags.writeable]
    kept = [array.copy() for array in writable]  # all, before any that shares memory is changed
    try:
        for array, values in zip(writable, kept, strict=True):
            array[...] = _others(values)
        yield
    finally:
        for array, values in zip(writable, kept, strict=True):
            array[...] = values


def _others(values: Array) -> Array:
    one = np.ones((), values.dtype)
    half = np.asarray(0.5).astype(values.dtype)  # 0 among integers, True among booleans
    return ~values if values.dtype.kind == "b" else np.where(values == one, half, one)


def _at_once(adapter: Any, thunk: Thunk, call: LossCall) -> LossResult:
    """The call in several threads at once: a result that differs from the first, if there is one.

    Raises:
        Exception: what the call raised in one of the threads.
    """
    first: LossResult = adapter.fetch(thunk())
    rounds = _ROUNDS if call.logits.size <= _MANY else 1
    barrier = Barrier(_THREADS)

    def calls() -> list[Any]:
        barrier.wait()
        return [thunk() for _ in range(rounds)]

    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCHED)
    try:
        with ThreadPoolExecutor(_THREADS) as threads:
            made = [threads.submit(calls) for _ in range(_THREADS)]
            raw = [one for thread in made for one in thread.result()]
    finally:
        sys.setswitchinterval(before)
    results = (adapter.fetch(one) for one in raw)
    return next((result for result in results if _bits(result) != _bits(first)), first)


def _bits(result: LossResult) -> dict[str, tuple[tuple[int, ...], str, bytes]]:
    arrays = {quantity: np.asarray(array) for quantity, array in result.values.items()}
    return {q: (a.shape, a.dtype.str, a.tobytes()) for q, a in arrays.items()}
