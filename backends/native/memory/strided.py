"""Strided memory of any accepted dtype, read into float64 buffers and written from them.

An operand is described by numbers only (address, dtype code, strides in bytes), so that one
compiled function serves every combination of dtypes, layouts and byte orders, and nothing is
copied beyond a block. Reading is exact, up to 2^53 for integers; writing rounds once.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..arithmetic.half import narrow, widen
from ..arithmetic.intrinsics import helper, inlined, out_of_line

# What a dtype is called in a descriptor; SWAPPED is added for the other byte order.
CODES = {
    np.dtype(np.float64): 0,
    np.dtype(np.float32): 1,
    np.dtype(np.float16): 2,
    np.dtype(ml_dtypes.bfloat16): 3,
    np.dtype(np.bool_): 4,
    np.dtype(np.uint8): 4,
    np.dtype(np.int8): 5,
    np.dtype(np.int16): 6,
    np.dtype(np.uint16): 7,
    np.dtype(np.int32): 8,
    np.dtype(np.uint32): 9,
    np.dtype(np.int64): 10,
    np.dtype(np.uint64): 11,
}
SWAPPED = 16
FLOAT64, FLOAT16, BFLOAT16 = 0, 2, 3


def code_of(dtype: np.dtype[Any]) -> int:
    """The descriptor's code of ``dtype``."""
    native = dtype.newbyteorder("=")
    swapped = dtype.itemsize > 1 and not dtype.isnative
    return CODES[native] + (SWAPPED if swapped else 0)


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def _peek(typing_context: Any, address: Any, offset: Any, like: Any, swapped: Any) -> Any:
    """The element of type ``like`` at ``address + offset``, at any alignment."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        width = signature.return_type.bitwidth
        word = ir.IntType(width)
        base = builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())
        place = builder.bitcast(builder.gep(base, [arguments[1]]), word.as_pointer())
        value = builder.load(place, align=1)
        if width > 8:
            value = builder.select(arguments[3], builder.bswap(value), value)
        return builder.bitcast(value, context.get_value_type(signature.return_type))

    return like(types.int64, types.int64, like, types.boolean), generate


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def _poke(typing_context: Any, address: Any, offset: Any, element: Any) -> Any:
    """Store ``element`` at ``address + offset``, at any alignment."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = ir.IntType(signature.args[2].bitwidth)
        base = builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())
        place = builder.bitcast(builder.gep(base, [arguments[1]]), word.as_pointer())
        builder.store(builder.bitcast(arguments[2], word), place, align=1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, element), generate


@inlined
def _row(address: int, stride: int, buffer: Any, like: Any, width: int) -> None:
    if stride == width:  # known to the compiler: vector code
        for i in range(buffer.size):
            buffer[i] = widen(_peek(address, i * width, like, False))
    else:
        for i in range(buffer.size):
            buffer[i] = widen(_peek(address, i * stride, like, False))


@helper
def _element(kind: int, address: int, swapped: bool) -> float:
    """One element of any dtype; not inlined, so that a loop over it is compiled once."""
    out_of_line()
    if kind == 0:
        return widen(_peek(address, 0, np.float64(0), swapped))
    if kind == 1:
        return widen(_peek(address, 0, np.float32(0), swapped))
    if kind == 2:
        return widen(_peek(address, 0, np.int16(0), swapped))
    if kind == 3:
        return widen(_peek(address, 0, np.uint16(0), swapped))
    if kind == 4:
        return float(_peek(address, 0, np.uint8(0), swapped))
    if kind == 5:
        return float(_peek(address, 0, np.int8(0), swapped))
    if kind == 6:
        return float(_peek(address, 0, np.int16(0), swapped))
    if kind == 7:
        return float(_peek(address, 0, np.uint16(0), swapped))
    if kind == 8:
        return float(_peek(address, 0, np.int32(0), swapped))
    if kind == 9:
        return float(_peek(address, 0, np.uint32(0), swapped))
    if kind == 10:
        return float(_peek(address, 0, np.int64(0), swapped))
    return float(_peek(address, 0, np.uint64(0), swapped))


@helper
def read_run(code: int, address: int, stride: int, buffer: Any) -> None:
    """Fill ``buffer`` with elements that lie ``stride`` bytes apart."""
    out_of_line()
    if code == 0:
        _row(address, stride, buffer, np.float64(0), 8)
    elif code == 1:
        _row(address, stride, buffer, np.float32(0), 4)
    elif code == 2:
        _row(address, stride, buffer, np.int16(0), 2)
    elif code == 3:
        _row(address, stride, buffer, np.uint16(0), 2)
    elif code == 4 and stride == 1:
        for i in range(buffer.size):
            buffer[i] = float(_peek(address, i, np.uint8(0), False))
    else:
        swapped = code >= SWAPPED
        kind = code - SWAPPED if swapped else code
        for i in range(buffer.size):
            buffer[i] = _element(kind, address + i * stride, swapped)


@inlined
def _store(address: int, stride: int, buffer: Any, like: Any, width: int) -> None:
    if stride == width:
        for i in range(buffer.size):
            _poke(address, i * width, narrow(buffer[i], like))
    else:
        for i in range(buffer.size):
            _poke(address, i * stride, narrow(buffer[i], like))


@helper
def write_run(code: int, address: int, stride: int, buffer: Any) -> None:
    """Write ``buffer``, rounded once to a float format, to elements ``stride`` bytes apart."""
    out_of_line()
    if code == 0:
        _store(address, stride, buffer, np.float64(0), 8)
    elif code == 1:
        _store(address, stride, buffer, np.float32(0), 4)
    elif code == 2:
        _store(address, stride, buffer, np.int16(0), 2)
    else:
        _store(address, stride, buffer, np.uint16(0), 2)


@helper
def transfer(plan: Any, shape: Any, start: int, buffer: Any, reading: bool) -> None:
    """Read or write ``buffer.size`` elements from index ``start`` on, in C order of ``shape``.

    ``plan`` is an operand's row of a descriptor: code, address, then a stride in bytes for each
    dimension of ``shape``.
    """
    out_of_line()
    last = shape.size - 1
    done = 0
    while done < buffer.size:
        column = (start + done) % shape[last]
        rest = (start + done) // shape[last]
        address = plan[1] + column * plan[2 + last]
        for axis in range(last - 1, -1, -1):
            address += (rest % shape[axis]) * plan[2 + axis]
            rest //= shape[axis]
        count = min(buffer.size - done, shape[last] - column)
        run = buffer[done : done + count]
        if reading:
            if plan[2 + last] == 0 and count > 1:
                read_run(plan[0], address, 0, run[:1])
                run[1:] = run[0]
            else:
                read_run(plan[0], address, plan[2 + last], run)
        else:
            write_run(plan[0], address, plan[2 + last], run)
        done += count
