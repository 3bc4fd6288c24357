"""Single operations: fused multiply-adds, bits and exponents, and how functions are compiled.

Every function here compiles to a handful of instructions without a branch, so that a loop over it
becomes vector code. Nothing may be contracted behind our back, because error terms rely on which
operation rounds, and because equal operations are what makes the vector body, the scalar tail and
other processors agree in every bit.
"""

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..linked import linked

inlined = linked(inline=True)
# Options of the caller pass on to what it calls unless they are set there.
helper = linked(inline=False)

DOUBLE = ir.DoubleType()
FLOAT = ir.FloatType()
INT64 = ir.IntType(64)
INT32 = ir.IntType(32)
INT16 = ir.IntType(16)

_FRACTION, _ONE = (1 << 52) - 1, 1023 << 52

# What the names of levels stand for, of what is asked for here.
_LEVELS = {
    "x86-64-v3": frozenset({"avx", "f16c"}),
    "x86-64-v4": frozenset({"avx", "f16c", "avx512vl"}),
}


def has_feature(context: Any, feature: str) -> bool:
    """Whether code is compiled for an x86-64 processor that is known to have ``feature``."""
    if context.target_name != "cpu":
        return False
    triple, name, features = context.codegen().magic_tuple()[:3]
    if not triple.startswith("x86_64"):
        return False
    return feature in _LEVELS.get(name, ()) or f"+{feature}" in features.split(",")


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def out_of_line(typing_context: Any) -> Any:
    """Keep the function that calls this from being inlined: large, and seldom or long at work."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def fma(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """a·b + c, rounded once."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return types.float64(types.float64, types.float64, types.float64), generate


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def as_bits(typing_context: Any, value: Any) -> Any:
    """The 64 bits of a float64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], INT64)

    return types.int64(types.float64), generate


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def from_bits(typing_context: Any, bits: Any) -> Any:
    """The float64 of these 64 bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], DOUBLE)

    return types.float64(types.int64), generate


@inlined
def floored(value: float) -> int:
    """The largest integer that is not above ``value``, which must be within 2^63."""
    return int(math.floor(value))  # noqa: RUF046 - on CUDA Numba's floor is a float


@inlined
def power(k: int) -> float:
    """2^k, for k beyond -1022 and 1023 the nearest of these."""
    return from_bits(min(max(k, -1022), 1023) + 1023 << 52)


@inlined
def apart(value: float) -> tuple[float, int]:
    """The m and k with m·2^k = ``value`` and 1 ≤ |m| < 2, for a finite value; 0 has 0 and 0."""
    bits = as_bits(value) & (1 << 63) - 1
    sign = as_bits(value) - bits
    if bits < 1 << 52:  # by its bits: arithmetic with subnormal numbers is slow
        if bits == 0:
            return 0.0, 0
        bits = as_bits(float(bits))
        return from_bits((bits & _FRACTION | _ONE) | sign), (bits >> 52) - 1023 - 1074
    return from_bits((bits & _FRACTION | _ONE) | sign), (bits >> 52) - 1023


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def fma_single(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """a·b + c in float32, rounded once."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return types.float32(types.float32, types.float32, types.float32), generate


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def raised_exponent(typing_context: Any, value: Any, rounded: Any) -> Any:
    """``value``·2^k in float32, for the k in the low bits of ``rounded``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, rounded = (builder.bitcast(argument, INT32) for argument in arguments)
        k = builder.shl(rounded, ir.Constant(INT32, 23))
        return builder.bitcast(builder.add(value, k), FLOAT)

    return types.float32(types.float32, types.float32), generate


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def signed_single(typing_context: Any, magnitude: Any, value: Any) -> Any:
    """A positive float32 with the sign of ``value``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        magnitude, value = (builder.bitcast(argument, INT32) for argument in arguments)
        sign = builder.and_(value, ir.Constant(INT32, 1 << 31))
        return builder.bitcast(builder.or_(sign, magnitude), FLOAT)

    return types.float32(types.float32, types.float32), generate
