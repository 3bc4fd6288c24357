"""The primitives of JAX: how they are evaluated, differentiated, transposed and batched.

A gradient is linear in its cotangent and a derivative in its direction, and each is the other's
transpose: that is all that reverse mode needs, and both modes round a result once. The rules of
higher order are those of ``calculus.py``.

A compiled program calls the kernels through ``jax.ffi`` on the CPU, else through
``jax.pure_callback``, for which JAX copies operands to the host. A call that nothing transforms
goes straight to the kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jax.sharding import PartitionSpec

from .. import batching as batches
from .. import calculus
from ..arguments import OPERANDS
from ..calculus import Operands
from . import ffi, host
from .ending import waits_for_programs
from .host import Kind


def _evaluate_eagerly(*arguments: Any, kind: Kind) -> Any:
    """Evaluate arrays that are there, without a compiled program."""
    found = host.evaluate(kind, [np.asarray(argument) for argument in arguments])
    first = arguments[0]
    devices = list(first.devices()) if isinstance(first, jax.Array) else []
    return jax.device_put(found, devices[0] if len(devices) == 1 else None)


def through_callback(*arguments: Any, kind: Kind) -> Any:
    """Evaluate arguments of a program through the host's Python."""
    waits_for_programs()
    shape, dtype = host.shape_of(kind, arguments)
    return jax.pure_callback(host.callback(kind), jax.ShapeDtypeStruct(shape, dtype), *arguments)


# What tells over which axes of a mesh an argument varies in jax.shard_map, by versions of JAX.
_VARIES = ("manual_axis_type", "vma")


def _abstract(*arguments: Any, kind: Kind) -> Any:
    """The type of the result; within jax.shard_map it varies as the arguments do."""
    found = ShapedArray(*host.shape_of(kind, arguments))
    if not _axes(arguments[0]):
        return found
    whole = arguments[0].sharding.update(spec=PartitionSpec(*(None for _ in found.shape)))
    like = {"shape": found.shape, "dtype": found.dtype, "weak_type": False}
    return arguments[0].update(**like, sharding=whole)


def _axes(argument: Any) -> frozenset[str]:
    """The axes of a mesh over which an argument varies."""
    kind = getattr(argument, "aval", argument)
    found = [getattr(kind, name) for name in _VARIES if hasattr(kind, name)]
    return frozenset(getattr(found[0], "varying", found[0])) if found else frozenset()


def _alike(arguments: Sequence[Any]) -> Sequence[Any]:
    """Arguments that vary over the same axes of a mesh."""
    if not any(isinstance(argument, jax.core.Tracer) for argument in arguments):
        return arguments
    axes = [_axes(argument) for argument in arguments]
    every = frozenset[str]().union(*axes)
    return [
        jax.lax.pcast(a, tuple(sorted(every - own)), to="varying") if every - own else a
        for a, own in zip(arguments, axes, strict=True)
    ]


def _primitive(name: str) -> Any:
    primitive = Primitive(f"bce_{name}")
    primitive.def_impl(_evaluate_eagerly)
    primitive.def_abstract_eval(_abstract)
    mlir.register_lowering(primitive, mlir.lower_fun(through_callback, multiple_results=False))
    if ffi.is_there():
        mlir.register_lowering(
            primitive, mlir.lower_fun(ffi.call, multiple_results=False), platform="cpu"
        )
    return primitive


_LOSS, _GRADIENT, _DERIVATIVE, _HESSIAN = map(
    _primitive, (host.LOSS, host.GRADIENT, host.DERIVATIVE, host.HESSIAN)
)


def _bind(primitive: Any, operands: Operands, own: Sequence[Any], *settings: str) -> Any:
    """Call a primitive; its last argument may be None if it is the Hessian's cotangent."""
    optional = (*operands[2:], *own[1:])
    kind = Kind(
        primitive.name.removeprefix("bce_"), tuple(a is not None for a in optional), *settings
    )
    return primitive.bind(*_alike([a for a in (*operands, *own) if a is not None]), kind=kind)


class _Interface:
    """The primitives for the rules, and JAX's own functions that they need."""

    def loss(self, operands: Operands, reduction: str) -> Any:
        """The loss."""
        return _bind(_LOSS, operands, (), reduction)

    def gradient(self, operands: Operands, cotangent: Any, reduction: str, name: str) -> Any:
        """The gradient in an operand."""
        return _bind(_GRADIENT, operands, (cotangent,), reduction, name)

    def derivative(self, operands: Operands, direction: Any, reduction: str, name: str) -> Any:
        """The derivative of the loss along a direction in an operand."""
        return _bind(_DERIVATIVE, operands, (direction,), reduction, name)

    def hessian(self, operands: Operands, direction: Any, cotangent: Any, reduction: str) -> Any:
        """The Hessian's product."""
        return _bind(_HESSIAN, operands, (direction, cotangent), reduction)

    def wide(self, values: Any) -> Any:
        """``values`` in the widest format that JAX is allowed to use."""
        return jnp.asarray(values, jnp.float64 if jax.config.jax_enable_x64 else jnp.float32)

    def spread(self, values: Any, like: Any) -> Any:
        """``values`` broadcast to the shape of ``like``."""
        return jnp.broadcast_to(values, like.shape)

    def repeated(self, values: Any, shape: Sequence[int]) -> Any:
        """``values`` broadcast to ``shape``."""
        return jnp.broadcast_to(values, tuple(shape))

    def sum_to(self, values: Any, like: Any) -> Any:
        """``values`` summed to the shape of ``like``, in its format."""
        missing = values.ndim - like.ndim
        axes = tuple(range(missing)) + tuple(
            missing + axis
            for axis, size in enumerate(like.shape)
            if size == 1 != values.shape[missing + axis]
        )
        return self.wide(values).sum(axis=axes).reshape(like.shape).astype(like.dtype)

    def summed(self, values: Any, like: Any) -> Any:
        """The sum of all ``values``, in the format of ``like``."""
        return values.sum().astype(like.dtype)

    def sums(self, values: Any) -> Any:
        """``values`` summed over all dimensions but the first."""
        return values.sum(axis=tuple(range(1, values.ndim)))

    def in_format(self, values: Any, like: Any) -> Any:
        """``values`` in the format of ``like``."""
        return values.astype(like.dtype)

    def in_front(self, values: Any, axis: int) -> Any:
        """``values`` with one dimension moved to the front."""
        return jnp.moveaxis(values, axis, 0)

    def ones_like(self, values: Any) -> Any:
        """Ones of the shape and format of ``values``."""
        return jnp.ones_like(values)

    def tanh(self, values: Any) -> Any:
        """The hyperbolic tangent."""
        return jnp.tanh(values)


INTERFACE = _Interface()


def _moved(kind: Kind, tangents: Sequence[Any]) -> tuple[dict[str, Any], list[Any]]:
    """The directions in operands that move, and those of the primitive's own arguments or None."""
    found = [None if isinstance(t, ad.Zero) else t for t in kind.split(tangents)]
    pairs = zip(OPERANDS, found[:4], strict=True)
    return {name: tangent for name, tangent in pairs if tangent is not None}, found[4:]


def _differentiated(primitive: Any, rule: Callable[..., list[Any]]) -> None:
    """Register forward mode by a rule that gives the terms of the tangent, None for zero."""

    def jvp(primals: Sequence[Any], tangents: Sequence[Any], *, kind: Kind) -> tuple[Any, Any]:
        result = primitive.bind(*primals, kind=kind)
        split = kind.split(primals)
        terms = rule(kind, split[:4], split[4:], *_moved(kind, tangents))
        tangent = calculus.total(terms)
        if tangent is None:
            return result, ad.Zero(ShapedArray(result.shape, result.dtype))
        return result, tangent.astype(result.dtype)

    ad.primitive_jvps[primitive] = jvp


def _loss_terms(kind: Kind, operands: Any, own: Any, moved: Any, _: Any) -> list[Any]:
    return [calculus.loss_along(INTERFACE, operands, kind.reduction, moved)]


def _gradient_terms(kind: Kind, operands: Any, own: Any, moved: Any, others: Any) -> list[Any]:
    settings = kind.reduction, kind.name
    along = calculus.gradient_along(INTERFACE, operands, settings, own[0], moved)
    if others[0] is None:
        return [along]
    return [along, INTERFACE.gradient(operands, others[0], *settings)]


def _derivative_terms(kind: Kind, operands: Any, own: Any, moved: Any, others: Any) -> list[Any]:
    settings = kind.reduction, kind.name
    along = calculus.derivative_along(INTERFACE, operands, settings, own[0], moved)
    if others[0] is None:
        return [along]
    return [along, INTERFACE.derivative(operands, others[0], *settings)]


def _hessian_terms(kind: Kind, operands: Any, own: Any, moved: Any, others: Any) -> list[Any]:
    reduction = kind.reduction
    terms = [calculus.hessian_along(INTERFACE, operands, reduction, tuple(own), moved)]
    if others[0] is not None:
        terms.append(INTERFACE.hessian(operands, others[0], own[1], reduction))
    if others[1] is not None:
        terms.append(INTERFACE.hessian(operands, own[0], others[1], reduction))
    return terms


_differentiated(_LOSS, _loss_terms)
_differentiated(_GRADIENT, _gradient_terms)
_differentiated(_DERIVATIVE, _derivative_terms)
_differentiated(_HESSIAN, _hessian_terms)


def _transposed(primitive: Any, rule: Callable[..., Any]) -> None:
    """Register what transposes a primitive in the one argument of its own that is not known."""

    def transpose(above: Any, *arguments: Any, kind: Kind) -> list[Any]:
        unknown = [ad.is_undefined_primal(argument) for argument in arguments]
        at = unknown.index(True)
        if isinstance(above, ad.Zero):
            return [ad.Zero(arguments[at].aval) if there else None for there in unknown]
        split = kind.split(arguments)
        found = rule(kind, split[:4], split[4:], above).astype(arguments[at].aval.dtype)
        return [found if there else None for there in unknown]

    ad.primitive_transposes[primitive] = transpose


def _hessian_transpose(kind: Kind, operands: Any, own: Any, above: Any) -> Any:
    direction, cotangent = own
    if ad.is_undefined_primal(direction):
        return INTERFACE.hessian(operands, above, cotangent, kind.reduction)
    return calculus.hessian_in_cotangent(INTERFACE, operands, kind.reduction, above, direction)


_transposed(
    _GRADIENT,
    lambda kind, operands, own, above: INTERFACE.derivative(
        operands, above, kind.reduction, kind.name
    ),
)
_transposed(
    _DERIVATIVE,
    lambda kind, operands, own, above: INTERFACE.gradient(
        operands, above, kind.reduction, kind.name
    ),
)
_transposed(_HESSIAN, _hessian_transpose)


def _batched(primitive: Any, rule: Callable[..., Any]) -> None:
    """Register a rule of ``batching.py``."""

    def batch(arguments: Sequence[Any], axes: Sequence[Any], *, kind: Kind) -> tuple[Any, int]:
        pairs = zip(arguments, axes, strict=True)
        size = next(a.shape[axis] for a, axis in pairs if axis is not None)
        settings = [kind.reduction] + ([kind.name] if kind.name else [])
        return rule(INTERFACE, size, kind.split(axes), (*kind.split(arguments), *settings)), 0

    batching.primitive_batchers[primitive] = batch


_batched(_LOSS, batches.loss)
_batched(_GRADIENT, batches.gradient)
_batched(_DERIVATIVE, batches.derivative)
_batched(_HESSIAN, batches.hessian)
