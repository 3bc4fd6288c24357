"""Sixteen float32 at once: one value of LLVM's ``<16 x float>``, which any processor can evaluate.

Guarantees IEEE arithmetic, lane by lane, so that bits depend neither on the width of a processor's
vectors nor on what else is evaluated beside a lane. Loops over float32 that numba turns into vector
code itself need none of this; what it does not find are tables in a register, choices by a sign
bit, and loops whose products it must not reorder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, register_model
from numba.np.arrayobj import populate_array

from .intrinsics import FLOAT, INT32, INT64, has_feature

WIDTH = 16
_FLOATS = ir.VectorType(FLOAT, WIDTH)
_INTS = ir.VectorType(INT32, WIDTH)
_BYTES = ir.IntType(8).as_pointer()
_SIGN = 1 << 31

Operation = Callable[..., Any]


class Vector(types.Type):  # type: ignore[misc, unused-ignore]
    """numba's type of such a value."""

    def __init__(self) -> None:
        super().__init__(name="Vector(16 x float32)")


VECTOR = Vector()


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc, unused-ignore]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _FLOATS)


def _words(value: int) -> Any:
    return ir.Constant(_INTS, [ir.Constant(INT32, value & 0xFFFFFFFF)] * WIDTH)


def _bits(builder: Any, value: Any) -> Any:
    return builder.bitcast(value, _INTS)


def _operation(operands: int, emit: Operation) -> Any:
    """The intrinsic of this many vectors whose instructions ``emit(builder, …)`` writes."""
    signature = VECTOR(*[VECTOR] * operands)

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return emit(builder, *arguments)

    if operands == 0:
        return intrinsic(lambda typing_context: (signature, generate))
    if operands == 1:
        return intrinsic(lambda typing_context, a: (signature, generate))
    if operands == 2:
        return intrinsic(lambda typing_context, a, b: (signature, generate))
    return intrinsic(lambda typing_context, a, b, c: (signature, generate))


def _of_integers(emit: Operation) -> Operation:
    """The operation on bits as one on the floats that have them."""

    def emit_floats(builder: Any, *arguments: Any) -> Any:
        bits = [_bits(builder, argument) for argument in arguments]
        return builder.bitcast(emit(builder, *bits), _FLOATS)

    return emit_floats


def _call(builder: Any, name: str, arguments: Sequence[Any]) -> Any:
    """Call LLVM's function of this name, whose first argument has the type of its result."""
    kind = ir.FunctionType(arguments[0].type, [argument.type for argument in arguments])
    function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
    return builder.call(function, arguments)


def _fused(builder: Any, a: Any, b: Any, c: Any) -> Any:
    return _call(builder, f"llvm.fma.v{WIDTH}f32", [a, b, c])


def constant(value: float) -> Any:
    """An operation without operands: ``value``, a float32, in all lanes."""
    word = int(np.float32(value).view(np.int32))
    return _operation(0, lambda builder: _bits_to_floats(builder, word))


def _bits_to_floats(builder: Any, word: int) -> Any:
    return builder.bitcast(_words(word), _FLOATS)


def shifted_left(by: int) -> Any:
    """An operation: the bits, ``by`` places higher."""
    return _operation(1, _of_integers(lambda builder, a: builder.shl(a, _words(by))))


add = _operation(2, lambda builder, a, b: builder.fadd(a, b))
subtract = _operation(2, lambda builder, a, b: builder.fsub(a, b))
multiply = _operation(2, lambda builder, a, b: builder.fmul(a, b))
divide = _operation(2, lambda builder, a, b: builder.fdiv(a, b))
# a·b + c, c − a·b and a·b − c, each rounded once.
fma = _operation(3, _fused)
fnma = _operation(3, lambda builder, a, b, c: _fused(builder, builder.fneg(a), b, c))
fms = _operation(3, lambda builder, a, b, c: _fused(builder, a, b, builder.fneg(c)))
# On bits, as integers without sign; ``negative`` is −|a|.
exclusive_or = _operation(2, _of_integers(lambda builder, a, b: builder.xor(a, b)))
bitwise_or = _operation(2, _of_integers(lambda builder, a, b: builder.or_(a, b)))
integer_sum = _operation(2, _of_integers(lambda builder, a, b: builder.add(a, b)))
negative = _operation(1, _of_integers(lambda builder, a: builder.or_(a, _words(_SIGN))))


def _larger(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.icmp_unsigned(">", a, b), a, b)


def _smaller(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.icmp_unsigned("<", a, b), a, b)


larger_bits = _operation(2, _of_integers(_larger))
smaller_bits = _operation(2, _of_integers(_smaller))


def _positive_part(builder: Any, a: Any) -> Any:
    zero = _bits_to_floats(builder, 0)
    return builder.select(builder.fcmp_ordered(">", a, zero), a, zero)


# max(a, 0).
positive_part = _operation(1, _positive_part)


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def splat(typing_context: Any, value: Any) -> Any:
    """One float32 in all lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        undefined = ir.Constant(_FLOATS, ir.Undefined)
        first = builder.insert_element(undefined, arguments[0], ir.Constant(INT32, 0))
        return builder.shuffle_vector(first, undefined, _words(0))

    return VECTOR(types.float32), generate


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def address(typing_context: Any, array: Any, index: Any) -> Any:
    """Where the element at ``index`` of a contiguous float32 array lies.

    Functions that are given addresses do not count the references to arrays, row by row.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.ptrtoint(builder.gep(data, [arguments[1]]), INT64)

    return types.int64(array, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def array_at(typing_context: Any, where: Any, size: Any) -> Any:
    """The contiguous array of ``size`` float32 at an address, which must outlive it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        where, size = arguments
        array = context.make_array(signature.return_type)(context, builder)
        step = ir.Constant(INT64, 4)
        populate_array(
            array,
            data=builder.inttoptr(where, FLOAT.as_pointer()),
            shape=[size],
            strides=[step],
            itemsize=step,
            meminfo=None,
        )
        return array._getvalue()

    return types.Array(types.float32, 1, "C")(types.int64, types.int64), generate


def _pointer(builder: Any, where: Any, index: Any) -> Any:
    data = builder.inttoptr(where, FLOAT.as_pointer())
    return builder.bitcast(builder.gep(data, [index]), _FLOATS.as_pointer())


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def load(typing_context: Any, where: Any, index: Any) -> Any:
    """The WIDTH float32 from the ``index``-th one behind an address on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_pointer(builder, *arguments), align=4)

    return VECTOR(types.int64, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def store(typing_context: Any, where: Any, index: Any, value: Any) -> Any:
    """Write the WIDTH float32 from the ``index``-th one behind an address on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], _pointer(builder, *arguments[:2]), align=4)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, VECTOR), generate


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def prefetch(typing_context: Any, where: Any, index: Any) -> Any:
    """Have the cache line read early; the address may be any."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = builder.bitcast(_pointer(builder, *arguments), _BYTES)
        kind = ir.FunctionType(ir.VoidType(), [_BYTES, INT32, INT32, INT32])
        name = "llvm.prefetch.p0i8"
        function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
        read, often, data = (ir.Constant(INT32, number) for number in (0, 3, 1))
        builder.call(function, [pointer, read, often, data])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


def _part(builder: Any, value: Any, start: int, width: int) -> Any:
    """``width`` lanes from ``start`` on."""
    lanes = [ir.Constant(INT32, start + lane) for lane in range(width)]
    mask = ir.Constant(ir.VectorType(INT32, width), lanes)
    return builder.shuffle_vector(value, ir.Constant(value.type, ir.Undefined), mask)


def _by_halves(builder: Any, name: str, arguments: Sequence[Any]) -> Any:
    """An instruction that takes eight lanes at a time, on each half."""
    results = []
    for start in (0, WIDTH // 2):
        halves = [_part(builder, argument, start, WIDTH // 2) for argument in arguments]
        results.append(_call(builder, name, halves))
    lanes = ir.Constant(_INTS, [ir.Constant(INT32, lane) for lane in range(WIDTH)])
    return builder.shuffle_vector(*results, lanes)


def table_of_four(words: Sequence[int]) -> Any:
    """An operation: the bits of one of four float32, by the two lowest bits of each lane."""
    entries = [word & 0xFFFFFFFF for word in words]

    def choose(builder: Any, index: Any) -> Any:
        odd, high = (
            builder.icmp_unsigned("!=", builder.and_(index, _words(bit)), _words(0))
            for bit in (1, 2)
        )
        zero, one, two, three = (_words(entry) for entry in entries)
        pairs = builder.select(odd, one, zero), builder.select(odd, three, two)
        return builder.bitcast(builder.select(high, pairs[1], pairs[0]), _FLOATS)

    @intrinsic  # type: ignore[untyped-decorator, unused-ignore]
    def entry(typing_context: Any, index: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            index = _bits(builder, arguments[0])
            if not has_feature(context, "avx"):
                return choose(builder, index)
            repeated = [ir.Constant(INT32, word) for word in entries * (WIDTH // 4)]
            table = builder.bitcast(ir.Constant(_INTS, repeated), _FLOATS)
            return _by_halves(builder, "llvm.x86.avx.vpermilvar.ps.256", [table, index])

        return VECTOR(VECTOR), generate

    return entry


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def by_sign(typing_context: Any, sign: Any, a: Any, b: Any) -> Any:
    """``a`` where the sign bit of ``sign`` is set, else ``b``.

    AVX has one instruction for it, which LLVM would not choose beside a zero; AVX-512 has masks.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        sign, a, b = arguments
        if has_feature(context, "avx") and not has_feature(context, "avx512vl"):
            return _by_halves(builder, "llvm.x86.avx.blendv.ps.256", [b, a, sign])
        is_negative = builder.icmp_signed("<", _bits(builder, sign), _words(0))
        return builder.select(is_negative, a, b)

    return VECTOR(VECTOR, VECTOR, VECTOR), generate


def _folded(builder: Any, value: Any, combine: Operation) -> Any:
    """One lane of all: the upper half combined with the lower one, again and again."""
    width = WIDTH // 2
    while width:
        low, high = _part(builder, value, 0, width), _part(builder, value, width, width)
        value = combine(builder, low, high)
        width //= 2
    return builder.extract_element(value, ir.Constant(INT32, 0))


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def lane_sum(typing_context: Any, value: Any) -> Any:
    """The sum of the lanes, in a fixed tree."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _folded(builder, arguments[0], lambda builder, a, b: builder.fadd(a, b))

    return types.float32(VECTOR), generate


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def any_bit(typing_context: Any, value: Any) -> Any:
    """Whether a bit of a lane is set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bits = _bits(builder, arguments[0])
        word = _folded(builder, bits, lambda builder, a, b: builder.or_(a, b))
        return builder.icmp_unsigned("!=", word, ir.Constant(INT32, 0))

    return types.boolean(VECTOR), generate


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def any_zero(typing_context: Any, value: Any) -> Any:
    """Whether no bit of some lane is set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = _folded(builder, _bits(builder, arguments[0]), _smaller)
        return builder.icmp_unsigned("==", word, ir.Constant(INT32, 0))

    return types.boolean(VECTOR), generate


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def largest_magnitude(typing_context: Any, value: Any) -> Any:
    """The largest magnitude of lanes whose sign bits are all set; NaN is larger than all."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = _folded(builder, _bits(builder, arguments[0]), _larger)
        return builder.bitcast(builder.and_(word, ir.Constant(INT32, _SIGN - 1)), FLOAT)

    return types.float32(VECTOR), generate
