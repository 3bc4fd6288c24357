"""Elements of arrays: exact widening, and rounding to a format once, both half formats included.

An element is a float64 or a float32, the int16 of a float16's bits, or the uint16 of a bfloat16's.
Guarantees that ``widen`` is exact and that ``narrow`` rounds to nearest, ties to even, subnormals
and overflow included, on processors with and without instructions for float16. No branches.
"""

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .intrinsics import DOUBLE, FLOAT, INT16, INT32, INT64, as_bits, from_bits, has_feature, inlined


def _converts_half(context: Any) -> bool:
    """Whether the target has instructions for float16: LLVM calls a library that is not there else.

    Only what is known to have them counts, as the integer code is right everywhere.
    """
    if context.target_name != "cpu":
        return False
    triple = context.codegen().magic_tuple()[0]
    return not triple.startswith("x86_64") or has_feature(context, "f16c")


def _single_of_float16(context: Any, builder: Any, bits: Any) -> Any:
    """Bits of a float16 → float32, exactly."""
    if _converts_half(context):
        return builder.fpext(builder.bitcast(bits, ir.HalfType()), FLOAT)

    def word(value: int) -> Any:
        return ir.Constant(INT32, value)

    half = builder.zext(bits, INT32)
    sign = builder.shl(builder.and_(half, word(0x8000)), word(16))
    moved = builder.shl(builder.and_(half, word(0x7FFF)), word(13))
    exponent = builder.and_(moved, word(0x7C00 << 13))
    normal = builder.add(moved, word((127 - 15) << 23))
    special = builder.add(normal, word((128 - 16) << 23))
    # A subnormal gets the leading bit that it lacks, and loses its value again: no subnormal
    # float32 on the way, whatever the processor's mode makes of one.
    least = ir.Constant(FLOAT, 2.0**-14)
    raised = builder.bitcast(builder.add(normal, word(1 << 23)), FLOAT)
    tiny = builder.bitcast(builder.fsub(raised, least), INT32)
    is_special = builder.icmp_unsigned("==", exponent, word(0x7C00 << 13))
    is_tiny = builder.icmp_unsigned("==", exponent, word(0))
    size = builder.select(is_special, special, builder.select(is_tiny, tiny, normal))
    return builder.bitcast(builder.or_(size, sign), FLOAT)


def _float16_of_single(context: Any, builder: Any, value: Any) -> Any:
    """float32 → bits of the float16 nearest to it, ties to even; a NaN keeps its upper bits."""
    if _converts_half(context):
        return builder.bitcast(builder.fptrunc(value, ir.HalfType()), INT16)

    def word(value: int) -> Any:
        return ir.Constant(INT32, value)

    bits = builder.bitcast(value, INT32)
    size = builder.and_(bits, word(0x7FFFFFFF))
    sign = builder.lshr(builder.xor(bits, size), word(16))
    last = builder.and_(builder.lshr(size, word(13)), word(1))
    rounded = builder.add(builder.add(size, word(0xFFF - ((127 - 15) << 23))), last)
    normal = builder.lshr(rounded, word(13))
    # Subnormal results are multiples of 2^-24: adding 1/2 rounds to them, and leaves them below.
    anchor = ir.Constant(FLOAT, 0.5)
    summed = builder.fadd(builder.bitcast(size, FLOAT), anchor)
    tiny = builder.sub(builder.bitcast(summed, INT32), builder.bitcast(anchor, INT32))
    payload = builder.and_(builder.lshr(size, word(13)), word(0x3FF))
    nan = builder.or_(payload, word(0x7E00))
    infinite = word(0x7C00)
    is_nan = builder.icmp_unsigned(">", size, word(0x7F800000))
    is_large = builder.icmp_unsigned(">=", size, word((127 + 16) << 23))
    is_tiny = builder.icmp_unsigned("<", size, word((127 - 14) << 23))
    chosen = builder.select(is_large, infinite, builder.select(is_tiny, tiny, normal))
    chosen = builder.select(is_nan, nan, chosen)
    return builder.trunc(builder.or_(chosen, sign), INT16)


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def single_of_half(typing_context: Any, element: Any) -> Any:
    """The float32 of the bits of a float16 (int16) or bfloat16 (uint16)."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if signature.args[0] == types.int16:
            return _single_of_float16(context, builder, arguments[0])
        word = builder.zext(arguments[0], INT32)
        return builder.bitcast(builder.shl(word, ir.Constant(INT32, 16)), FLOAT)

    return types.float32(element), generate


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def half_of_single(typing_context: Any, value: Any, like: Any) -> Any:
    """The bits of the float16 or bfloat16 nearest to a float32; ties of bfloat16 go outwards."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if signature.args[1] == types.int16:
            return _float16_of_single(context, builder, arguments[0])
        word = builder.bitcast(arguments[0], INT32)
        rounded = builder.add(word, ir.Constant(INT32, 0x8000))
        return builder.trunc(builder.lshr(rounded, ir.Constant(INT32, 16)), INT16)

    return like(types.float32, like), generate


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def lowering(typing_context: Any, size: Any, tiny: Any) -> Any:
    """What ``bfloat16_of_raised`` adds to bits of a magnitude of about ``size``.

    Half a place of a bfloat16, and the exponent −104; nothing where it is NaN. Where ``tiny`` says
    so, the smallest normal raised has been added to what is subnormal, so that its float32 has the
    grid of the subnormals where that of normals is.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        size, tiny = arguments
        normal = ir.Constant(INT32, 0x8000 - (104 << 23))
        subnormal = ir.Constant(INT32, 0x8000 - (105 << 23))
        offset = builder.select(tiny, subnormal, normal)
        nan = builder.fcmp_unordered("uno", size, size)
        return builder.select(nan, ir.Constant(INT32, 0), offset)

    return types.int32(types.float32, types.boolean), generate


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def bfloat16_of_raised(typing_context: Any, value: Any, offset: Any) -> Any:
    """The bits of the bfloat16 nearest to ``value``/2^104, ties outwards; see ``lowering``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, offset = arguments
        bits = builder.add(builder.bitcast(value, INT32), offset)
        return builder.trunc(builder.lshr(bits, ir.Constant(INT32, 16)), INT16)

    return types.uint16(types.float32, types.int32), generate


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def noted(typing_context: Any, seen: Any, element: Any, limit: Any) -> Any:
    """``seen``, with its sign bit set if the magnitude of 16-bit float bits is beyond ``limit``'s.

    All in 16 bits, so that a loop that notes is as narrow as what it reads.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        seen, element, limit = arguments
        most = ir.Constant(INT16, 0x7FFF)
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
            shifted = builder.shl(builder.zext(value, INT32), ir.Constant(INT32, 16))
            value = builder.bitcast(shifted, FLOAT)
        return builder.fpext(value, DOUBLE)

    if element not in (types.float64, types.float32, types.int16, types.uint16):
        return None
    return types.float64(element), generate


def _to_odd(builder: Any, value: Any) -> Any:
    """float64 → float64 of 24 significant bits, rounded to odd: a later rounding is then correct.

    The carry of the 29 lowest bits, if any is set, lands in bit 29, which becomes the last kept.
    """
    mask = ir.Constant(INT64, (1 << 29) - 1)
    bits = builder.bitcast(value, INT64)
    carried = builder.add(builder.and_(bits, mask), mask)
    kept = builder.and_(builder.or_(bits, carried), builder.not_(mask))
    odd = builder.bitcast(kept, DOUBLE)
    # A NaN's payload must not be rounded away into an infinity.
    return builder.select(builder.fcmp_unordered("uno", value, value), value, odd)


def _to_bfloat16(builder: Any, value: Any) -> Any:
    """float64 → bits of the bfloat16 nearest to it, ties to even, subnormals included."""
    bits = builder.bitcast(value, INT64)
    magnitude_bits = builder.and_(bits, ir.Constant(INT64, (1 << 63) - 1))
    sign = builder.bitcast(builder.xor(bits, magnitude_bits), DOUBLE)
    magnitude = builder.bitcast(magnitude_bits, DOUBLE)
    # Below the smallest normal all values are multiples of 2^-133: this sum rounds to them.
    anchor = ir.Constant(DOUBLE, 1.5 * 2.0 ** (52 - 133))
    grid = builder.fsub(builder.fadd(magnitude, anchor), anchor)
    grid = builder.bitcast(
        builder.or_(builder.bitcast(grid, INT64), builder.bitcast(sign, INT64)), DOUBLE
    )
    tiny = builder.fcmp_ordered("olt", magnitude, ir.Constant(DOUBLE, 2.0**-126))
    single = builder.fptrunc(builder.select(tiny, grid, _to_odd(builder, value)), FLOAT)
    word = builder.bitcast(single, INT32)
    last = builder.and_(builder.lshr(word, ir.Constant(INT32, 16)), ir.Constant(INT32, 1))
    rounded = builder.add(builder.add(word, ir.Constant(INT32, 0x7FFF)), last)
    unordered = builder.fcmp_unordered("uno", value, value)
    word = builder.select(unordered, ir.Constant(INT32, 0x7FC00000), rounded)
    return builder.trunc(builder.lshr(word, ir.Constant(INT32, 16)), INT16)


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def narrow(typing_context: Any, value: Any, like: Any) -> Any:
    """``value`` rounded once to the format of the element ``like`` (see ``widen``)."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value = arguments[0]
        kind = signature.args[1]
        if kind == types.float64:
            return value
        if kind == types.float32:
            return builder.fptrunc(value, FLOAT)
        if kind == types.uint16:
            return _to_bfloat16(builder, value)
        single = builder.fptrunc(_to_odd(builder, value), FLOAT)
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
            return ir.Constant(INT64, 0)
        bits, normal = kept[signature.args[1]]
        dropped = 52 - bits
        sign = ir.Constant(INT64, (1 << 63) - 1)
        magnitude = builder.and_(builder.bitcast(arguments[0], INT64), sign)
        magnitude = builder.bitcast(magnitude, DOUBLE)
        least = ir.Constant(DOUBLE, normal)
        raised = builder.fadd(magnitude, least)
        magnitude = builder.select(builder.fcmp_ordered("olt", magnitude, least), raised, magnitude)
        reach = 1 << 25
        offset = ir.Constant(INT64, reach - (1 << (dropped - 1)))
        distance = builder.add(builder.bitcast(magnitude, INT64), offset)
        distance = builder.and_(distance, ir.Constant(INT64, (1 << dropped) - 1))
        near = builder.icmp_unsigned("<", distance, ir.Constant(INT64, 2 * reach))
        return builder.zext(near, INT64)

    return types.int64(types.float64, like), generate


@inlined
def precision(like: Any) -> int:
    """How many bits numbers of the format of ``like`` have, the leading one included."""
    one = narrow(1.0, like)
    if narrow(1.0 + 2.0**-7, like) == one or narrow(1.0 + 2.0**-10, like) == one:
        return 8
    if narrow(1.0 + 2.0**-23, like) == one:
        return 11
    return 24 if narrow(1.0 + 2.0**-52, like) == one else 53


@inlined
def sticky(value: float, rest: float) -> float:
    """``value + rest`` rounded to odd, so that a later rounding to fewer bits is correct."""
    bits = as_bits(value)
    towards = 1 if (rest > 0.0) == (value > 0.0) else -1
    inexact = rest != 0.0 and value != 0.0 and (bits & 1) == 0 and abs(value) < math.inf
    return from_bits(bits + towards) if inexact else value
