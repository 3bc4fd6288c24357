"""Double-double arithmetic for Numba: sums and products whose rounding errors are known.

Guarantees: a double-double is an unevaluated pair (high, low), |low| ≤ ulp(high)/2, of float64;
each function says its error. u = 2^-53. All functions are compiled without fast-math: no operation
may be contracted or reordered, except the explicit fused multiply-add. They hold barring over- and
underflow, which the callers keep away from.

References: T. J. Dekker, "A floating-point technique for extending the available precision" (1971);
M. Joldes, J.-M. Muller, V. Popescu, "Tight and rigorous error bounds for basic building blocks of
double-word arithmetic" (2017). The bounds used here are derived in bound.md.
"""

# mypy: allow-untyped-defs
# Numba infers the types of what it compiles.

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .compiled import inlined


@intrinsic
def fma(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    """a·b + c with one rounding, as LLVM's own operation, never as a product and a sum."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        double = ir.DoubleType()
        kind = ir.FunctionType(double, [double] * 3)
        function = builder.module.declare_intrinsic("llvm.fma", [double], kind)
        return builder.call(function, args)

    return types.float64(types.float64, types.float64, types.float64), codegen


@intrinsic
def float_bits(typingctx: Any, value: Any) -> Any:
    """The bits of a float64 as int64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(64))

    return types.int64(types.float64), codegen


@intrinsic
def bits_float(typingctx: Any, bits: Any) -> Any:
    """The float64 with these bits, given as int64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.int64), codegen


@inlined
def power_of_two(exponent):
    """2^exponent for an int64 in [−1022, 1023]."""
    return bits_float((exponent + 1023) << 52)


@inlined
def two_sum(a, b):
    """(s, e), s = fl(a + b), s + e = a + b exactly (Knuth)."""
    s = a + b
    v = s - a
    return s, (a - (s - v)) + (b - v)


@inlined
def fast_two_sum(a, b):
    """The same where a = 0 or |a| ≥ |b| (Dekker)."""
    s = a + b
    return s, b - (s - a)


@inlined
def two_product(a, b):
    """(p, e), p = fl(a·b), p + e = a·b exactly."""
    p = a * b
    return p, fma(a, b, -p)


@inlined
def multiply(ah, al, bh, bl):
    """a·b, relative error at most 7u²."""
    p, e = two_product(ah, bh)
    return fast_two_sum(p, e + fma(ah, bl, al * bh))


@inlined
def add_small(ah, al, bh, bl):
    """The sum a + b for |a| ≥ |b| or a = 0; error 2u(|al| + |bl| + u·|s|), s = fl(ah + bh)."""
    s, e = fast_two_sum(ah, bh)
    return fast_two_sum(s, e + (al + bl))


@inlined
def divide(nh, nl, dh, dl):
    """n/d; the relative error is at most 12u² (bound.md)."""
    q = nh / dh
    rest = fma(-q, dh, nh)  # exact: the remainder of a rounded quotient is representable
    rest = rest + fma(-q, dl, nl)
    return fast_two_sum(q, rest / dh)


@inlined
def add_tracked(ah, al, bh, bl):
    """(high, low, error): a + b with everything that was dropped; error 0 means exact."""
    s, e = two_sum(ah, bh)
    t, f = two_sum(al, bl)
    low, g = two_sum(e, t)
    s, low = two_sum(s, low)
    return s, low, abs(f) + abs(g)


@inlined
def scale_tracked(ah, al, b):
    """(high, low, error): a·b for one float64 b, with everything that was dropped."""
    p, e = two_product(ah, b)
    c, f = two_product(al, b)
    low, g = two_sum(e, c)
    p, low = two_sum(p, low)
    return p, low, abs(f) + abs(g)


@inlined
def multiply_tracked(ah, al, bh, bl):
    """(high, low, error): a·b with everything that was dropped."""
    p, e = two_product(ah, bh)
    c1, f1 = two_product(ah, bl)
    c2, f2 = two_product(al, bh)
    c, g1 = two_sum(c1, c2)
    low, g2 = two_sum(e, c)
    p, low = two_sum(p, low)
    return p, low, abs(al * bl) + abs(f1) + abs(f2) + abs(g1) + abs(g2)


@inlined
def split(value):
    """(m, e): value = m·2^e, 1 ≤ |m| < 2; (0, 0) for zero. Finite values only."""
    tiny = abs(value) < 2.0**-1000
    bits = float_bits(value * 2.0**128 if tiny else value)
    exponent = ((bits >> 52) & 2047) - 1023
    mantissa = bits_float((bits & -0x7FF0000000000001) | 0x3FF0000000000000)
    zero = value == 0.0
    return 0.0 if zero else mantissa, 0 if zero else (exponent - 128 if tiny else exponent)
