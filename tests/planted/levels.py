"""The levels that a call itself shows, for an implementation that sees nothing but calls.

Guarantees that what is told of a drawn call is what it was drawn for; factors that a call does not
show, such as the values' regimes, are left out.
"""

from __future__ import annotations

from math import prod

from bce_conformance.backends.calls import Array, LossCall
from bce_conformance.conformance.space.factors import ABSENT
from bce_conformance.conformance.space.shapes import size_of

FACTORS = (
    "dtype",
    "shape",
    "size",
    "weight shape",
    "weight format",
    "pos_weight shape",
    "pos_weight format",
    "targets format",
    "reduction",
    "quantities",
    "interface",
    "threads",
    "autograd",
    "mode",
)
_MODES = ("usual", "deterministic")
_THREADS = {None: "default", 1: "one", 8: "eight"}
_DIGITS = {"bfloat16": 8, "float16": 11, "float32": 24, "float64": 53}


def levels_of(call: LossCall) -> dict[str, str]:
    """The level of each of ``FACTORS`` that a call has."""
    shape = call.logits.shape
    found = {
        "dtype": call.logits.dtype.name,
        "shape": _shape(shape),
        "size": size_of(shape),
        "targets format": _format(call.targets, call.logits),
        "reduction": call.reduction,
        "quantities": _quantities(call),
        "interface": call.interface,
        "threads": _THREADS[call.threads],
        "autograd": call.autograd,
        "mode": call.mode if call.mode in _MODES else "other formats",
    }
    for name, operand in (("weight", call.weight), ("pos_weight", call.pos_weight)):
        found[f"{name} shape"] = "none" if operand is None else _broadcast(operand.shape, shape)
        found[f"{name} format"] = ABSENT if operand is None else _format(operand, call.logits)
    return found


def _shape(shape: tuple[int, ...]) -> str:
    size = prod(shape)
    if not shape:
        return "0-d"
    if size in (0, 1):
        return "one" if size else "empty"
    if len(shape) == 1:
        return "few" if size < 8 else "vector"
    if len(shape) > 2:
        return f"{min(len(shape), 6)}-d"
    return {shape[0]: "row", shape[1]: "column"}.get(1, "matrix")


def _broadcast(shape: tuple[int, ...], logits: tuple[int, ...]) -> str:
    if not shape:
        return "0-d"
    if prod(shape) == 1:
        return "ones"
    if shape == logits:
        return "full"
    tail = shape[next(axis for axis, side in enumerate(shape) if side != 1) :]
    if len(tail) < len(logits) and tail == logits[-len(tail) :]:
        return "last"
    if shape == (logits[1:2] + (1,) * (len(logits) - 2)) and len(logits) > 2:
        return "channels"
    lead = len(shape) == len(logits) and shape[0] == logits[0] and prod(shape[1:]) == 1
    return "lead" if lead else "inner"


def _format(operand: Array, logits: Array) -> str:
    kind = {"i": "int", "u": "uint", "b": "bool"}.get(operand.dtype.kind)
    if kind:
        return kind
    if not operand.dtype.isnative:
        return "swapped"
    ours, theirs = operand.dtype.name, logits.dtype.name
    if ours == theirs:
        return "same"
    narrower = _DIGITS[ours] < _DIGITS[theirs] or (ours, theirs) == ("float16", "bfloat16")
    return "narrower" if narrower else "wider"


def _quantities(call: LossCall) -> str:
    if {"jvp_logits", "hvp_logits"} <= set(call.quantities):
        return "everything"
    gradients = [quantity for quantity in call.quantities if quantity.startswith("grad_")]
    if len(gradients) > 1:
        return "loss and gradients"
    return " and ".join(call.quantities)
