"""Operations that the scalar core is made of, exact by construction, for CPU and CUDA alike.

Every function here compiles to a handful of instructions without a branch, so that a loop over it
becomes vector code. Fused multiply-adds are explicit: nothing may be contracted behind our back,
because the error terms below rely on which operation rounds, and because equal operations are what
makes the vector body, the scalar tail and other processors agree in every bit.
"""

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

inlined = njit(forceinline=True, error_model="numpy", nogil=True)
# Options of the caller pass on to what it calls unless they are set there.
helper = njit(forceinline=False, error_model="numpy", nogil=True)

DD = tuple[float, float]

_DOUBLE = ir.DoubleType()
_FLOAT = ir.FloatType()
_INT64 = ir.IntType(64)
_INT32 = ir.IntType(32)
_INT16 = ir.IntType(16)


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
        return builder.bitcast(arguments[0], _INT64)

    return types.int64(types.float64), generate


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def from_bits(typing_context: Any, bits: Any) -> Any:
    """The float64 of these 64 bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], _DOUBLE)

    return types.float64(types.int64), generate


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
        value, rounded = (builder.bitcast(argument, _INT32) for argument in arguments)
        k = builder.shl(rounded, ir.Constant(_INT32, 23))
        return builder.bitcast(builder.add(value, k), _FLOAT)

    return types.float32(types.float32, types.float32), generate


def _converts_half(context: Any) -> bool:
    """Whether the target has instructions for float16: LLVM calls a library that is not there else.

    Only what is known to have them counts, as the integer code is right everywhere.
    """
    triple, name, features = context.codegen().magic_tuple()[:3]
    if not triple.startswith("x86_64"):
        return True
    return name in ("x86-64-v3", "x86-64-v4") or "+f16c" in features.split(",")


def _single_of_float16(context: Any, builder: Any, bits: Any) -> Any:
    """Bits of a float16 → float32, exactly."""
    if _converts_half(context):
        return builder.fpext(builder.bitcast(bits, ir.HalfType()), _FLOAT)

    def word(value: int) -> Any:
        return ir.Constant(_INT32, value)

    half = builder.zext(bits, _INT32)
    sign = builder.shl(builder.and_(half, word(0x8000)), word(16))
    moved = builder.shl(builder.and_(half, word(0x7FFF)), word(13))
    exponent = builder.and_(moved, word(0x7C00 << 13))
    normal = builder.add(moved, word((127 - 15) << 23))
    special = builder.add(normal, word((128 - 16) << 23))
    # A subnormal gets the leading bit that it lacks, and loses its value again: no subnormal
    # float32 on the way, whatever the processor's mode makes of one.
    least = ir.Constant(_FLOAT, 2.0**-14)
    raised = builder.bitcast(builder.add(normal, word(1 << 23)), _FLOAT)
    tiny = builder.bitcast(builder.fsub(raised, least), _INT32)
    is_special = builder.icmp_unsigned("==", exponent, word(0x7C00 << 13))
    is_tiny = builder.icmp_unsigned("==", exponent, word(0))
    size = builder.select(is_special, special, builder.select(is_tiny, tiny, normal))
    return builder.bitcast(builder.or_(size, sign), _FLOAT)


def _float16_of_single(context: Any, builder: Any, value: Any) -> Any:
    """float32 → bits of the float16 nearest to it, ties to even; a NaN keeps its upper bits."""
    if _converts_half(context):
        return builder.bitcast(builder.fptrunc(value, ir.HalfType()), _INT16)

    def word(value: int) -> Any:
        return ir.Constant(_INT32, value)

    bits = builder.bitcast(value, _INT32)
    size = builder.and_(bits, word(0x7FFFFFFF))
    sign = builder.lshr(builder.xor(bits, size), word(16))
    last = builder.and_(builder.lshr(size, word(13)), word(1))
    rounded = builder.add(builder.add(size, word(0xFFF - ((127 - 15) << 23))), last)
    normal = builder.lshr(rounded, word(13))
    # Subnormal results are multiples of 2^-24: adding 1/2 rounds to them, and leaves them below.
    anchor = ir.Constant(_FLOAT, 0.5)
    summed = builder.fadd(builder.bitcast(size, _FLOAT), anchor)
    tiny = builder.sub(builder.bitcast(summed, _INT32), builder.bitcast(anchor, _INT32))
    payload = builder.and_(builder.lshr(size, word(13)), word(0x3FF))
    nan = builder.or_(payload, word(0x7E00))
    infinite = word(0x7C00)
    is_nan = builder.icmp_unsigned(">", size, word(0x7F800000))
    is_large = builder.icmp_unsigned(">=", size, word((127 + 16) << 23))
    is_tiny = builder.icmp_unsigned("<", size, word((127 - 14) << 23))
    chosen = builder.select(is_large, infinite, builder.select(is_tiny, tiny, normal))
    chosen = builder.select(is_nan, nan, chosen)
    return builder.trunc(builder.or_(chosen, sign), _INT16)


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def single_of_half(typing_context: Any, element: Any) -> Any:
    """The float32 of the bits of a float16 (int16) or bfloat16 (uint16)."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if signature.args[0] == types.int16:
            return _single_of_float16(context, builder, arguments[0])
        word = builder.zext(arguments[0], _INT32)
        return builder.bitcast(builder.shl(word, ir.Constant(_INT32, 16)), _FLOAT)

    return types.float32(element), generate


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def half_of_single(typing_context: Any, value: Any, like: Any) -> Any:
    """The bits of the float16 or bfloat16 nearest to a float32; ties of bfloat16 go outwards."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if signature.args[1] == types.int16:
            return _float16_of_single(context, builder, arguments[0])
        word = builder.bitcast(arguments[0], _INT32)
        rounded = builder.add(word, ir.Constant(_INT32, 0x8000))
        return builder.trunc(builder.lshr(rounded, ir.Constant(_INT32, 16)), _INT16)

    return like(types.float32, like), generate


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def signed_single(typing_context: Any, magnitude: Any, value: Any) -> Any:
    """A positive float32 with the sign of ``value``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        magnitude, value = (builder.bitcast(argument, _INT32) for argument in arguments)
        sign = builder.and_(value, ir.Constant(_INT32, 1 << 31))
        return builder.bitcast(builder.or_(sign, magnitude), _FLOAT)

    return types.float32(types.float32, types.float32), generate


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def lowering(typing_context: Any, size: Any, tiny: Any) -> Any:
    """What ``bfloat16_of_raised`` adds to bits of a magnitude of about ``size``.

    Half a place of a bfloat16, and the exponent −104; nothing where it is NaN. Where ``tiny`` says
    so, the smallest normal raised has been added to what is subnormal, so that its float32 has the
    grid of the subnormals where that of normals is.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        size, tiny = arguments
        normal = ir.Constant(_INT32, 0x8000 - (104 << 23))
        subnormal = ir.Constant(_INT32, 0x8000 - (105 << 23))
        offset = builder.select(tiny, subnormal, normal)
        nan = builder.fcmp_unordered("uno", size, size)
        return builder.select(nan, ir.Constant(_INT32, 0), offset)

    return types.int32(types.float32, types.boolean), generate


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def bfloat16_of_raised(typing_context: Any, value: Any, offset: Any) -> Any:
    """The bits of the bfloat16 nearest to ``value``/2^104, ties outwards; see ``lowering``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, offset = arguments
        bits = builder.add(builder.bitcast(value, _INT32), offset)
        return builder.trunc(builder.lshr(bits, ir.Constant(_INT32, 16)), _INT16)

    return types.uint16(types.float32, types.int32), generate


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def noted(typing_context: Any, seen: Any, element: Any, limit: Any) -> Any:
    """``seen``, with its sign bit set if the magnitude of 16-bit float bits is beyond ``limit``'s.

    All in 16 bits, so that a loop that notes is as narrow as what it reads.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        seen, element, limit = arguments
        most = ir.Constant(_INT16, 0x7FFF)
        excess = builder.add(builder.and_(element, most), builder.sub(most, limit))
        return builder.or_(seen, excess)

    return types.int16(types.int16, element, types.int16), generate


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def widen(typing_context: Any, element: Any) -> Any:
    """The exact float64 value of an array element.

    float32 and float64 stand for themselves, int16 for the bits of a float16, uint16 for the bits
    of a bfloat16.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (value,) = arguments
        kind = signature.args[0]
        if kind == types.float64:
            return value
        if kind == types.int16:
            value = _single_of_float16(context, builder, value)
        elif kind == types.uint16:
            shifted = builder.shl(builder.zext(value, _INT32), ir.Constant(_INT32, 16))
            value = builder.bitcast(shifted, _FLOAT)
        return builder.fpext(value, _DOUBLE)

    if element not in (types.float64, types.float32, types.int16, types.uint16):
        return None
    return types.float64(element), generate


def _to_odd(builder: Any, value: Any) -> Any:
    """float64 → float64 of 24 significant bits, rounded to odd: a later rounding is then correct.

    The carry of the 29 lowest bits, if any is set, lands in bit 29, which becomes the last kept.
    """
    mask = ir.Constant(_INT64, (1 << 29) - 1)
    bits = builder.bitcast(value, _INT64)
    carried = builder.add(builder.and_(bits, mask), mask)
    kept = builder.and_(builder.or_(bits, carried), builder.not_(mask))
    odd = builder.bitcast(kept, _DOUBLE)
    # A NaN's payload must not be rounded away into an infinity.
    return builder.select(builder.fcmp_unordered("uno", value, value), value, odd)


def _to_bfloat16(builder: Any, value: Any) -> Any:
    """float64 → bits of the bfloat16 nearest to it, ties to even, subnormals included."""
    bits = builder.bitcast(value, _INT64)
    magnitude_bits = builder.and_(bits, ir.Constant(_INT64, (1 << 63) - 1))
    sign = builder.bitcast(builder.xor(bits, magnitude_bits), _DOUBLE)
    magnitude = builder.bitcast(magnitude_bits, _DOUBLE)
    # Below the smallest normal all values are multiples of 2^-133: this sum rounds to them.
    anchor = ir.Constant(_DOUBLE, 1.5 * 2.0 ** (52 - 133))
    grid = builder.fsub(builder.fadd(magnitude, anchor), anchor)
    grid = builder.bitcast(
        builder.or_(builder.bitcast(grid, _INT64), builder.bitcast(sign, _INT64)), _DOUBLE
    )
    tiny = builder.fcmp_ordered("olt", magnitude, ir.Constant(_DOUBLE, 2.0**-126))
    single = builder.fptrunc(builder.select(tiny, grid, _to_odd(builder, value)), _FLOAT)
    word = builder.bitcast(single, _INT32)
    last = builder.and_(builder.lshr(word, ir.Constant(_INT32, 16)), ir.Constant(_INT32, 1))
    rounded = builder.add(builder.add(word, ir.Constant(_INT32, 0x7FFF)), last)
    unordered = builder.fcmp_unordered("uno", value, value)
    word = builder.select(unordered, ir.Constant(_INT32, 0x7FC00000), rounded)
    return builder.trunc(builder.lshr(word, ir.Constant(_INT32, 16)), _INT16)


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def narrow(typing_context: Any, value: Any, like: Any) -> Any:
    """``value`` rounded once to the format of the element ``like`` (see ``widen``)."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value = arguments[0]
        kind = signature.args[1]
        if kind == types.float64:
            return value
        if kind == types.float32:
            return builder.fptrunc(value, _FLOAT)
        if kind == types.uint16:
            return _to_bfloat16(builder, value)
        single = builder.fptrunc(_to_odd(builder, value), _FLOAT)
        return _float16_of_single(context, builder, single)

    if like not in (types.float64, types.float32, types.int16, types.uint16):
        return None
    return like(types.float64, like), generate


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def near_tie(typing_context: Any, value: Any, like: Any) -> Any:
    """1 where ``value``, off by up to 2^-28 of itself, may round either way to a half precision.

    Always 0 for float32 and float64. Below the smallest normal, adding it brings the grid of the
    subnormals to the bits where that of the normals is.
    """
    kept = {types.int16: (10, 2.0**-14), types.uint16: (7, 2.0**-126)}

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if signature.args[1] not in kept:
            return ir.Constant(_INT64, 0)
        bits, normal = kept[signature.args[1]]
        dropped = 52 - bits
        sign = ir.Constant(_INT64, (1 << 63) - 1)
        magnitude = builder.and_(builder.bitcast(arguments[0], _INT64), sign)
        magnitude = builder.bitcast(magnitude, _DOUBLE)
        least = ir.Constant(_DOUBLE, normal)
        raised = builder.fadd(magnitude, least)
        magnitude = builder.select(builder.fcmp_ordered("olt", magnitude, least), raised, magnitude)
        reach = 1 << 25
        offset = ir.Constant(_INT64, reach - (1 << (dropped - 1)))
        distance = builder.add(builder.bitcast(magnitude, _INT64), offset)
        distance = builder.and_(distance, ir.Constant(_INT64, (1 << dropped) - 1))
        near = builder.icmp_unsigned("<", distance, ir.Constant(_INT64, 2 * reach))
        return builder.zext(near, _INT64)

    return types.int64(types.float64, like), generate


@inlined
def sticky(value: float, rest: float) -> float:
    """``value + rest`` rounded to odd, so that a later rounding to fewer bits is correct."""
    bits = as_bits(value)
    towards = 1 if (rest > 0.0) == (value > 0.0) else -1
    inexact = rest != 0.0 and value != 0.0 and (bits & 1) == 0 and abs(value) < math.inf
    return from_bits(bits + towards) if inexact else value


@inlined
def two_sum(a: float, b: float) -> DD:
    """S + e = a + b exactly, s the rounded sum."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


@inlined
def fast_two_sum(a: float, b: float) -> DD:
    """As ``two_sum``, for |a| ≥ |b| or a = 0."""
    s = a + b
    return s, b - (s - a)


@inlined
def two_product(a: float, b: float) -> DD:
    """P + e = a·b exactly, p the rounded product, as long as e does not underflow."""
    p = a * b
    return p, fma(a, b, -p)


@inlined
def dd_times(ah: float, al: float, bh: float, bl: float) -> DD:
    """(ah + al)·(bh + bl), relative error < 2^-102."""
    p, e = two_product(ah, bh)
    return fast_two_sum(p, fma(ah, bl, fma(al, bh, e)))


@inlined
def dd_plus(ah: float, al: float, bh: float, bl: float) -> DD:
    """(ah + al) + (bh + bl), error < 2^-103 of the larger where the signs are equal."""
    s, e = two_sum(ah, bh)
    t, f = two_sum(al, bl)
    s, e = fast_two_sum(s, e + t)
    return fast_two_sum(s, e + f)
