"""What an impostor is: the right implementation with one mistake, behind the adapter contract.

Guarantees that an impostor is right in everything but its mistake: what a mistake does not touch
comes from the native implementation, and what it computes itself is reduced and contracted in
float64 and rounded once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bce_conformance.backends.adapters.native import NativeAdapter
from bce_conformance.backends.calls import (
    GRADIENTS,
    OPERANDS,
    Array,
    BackendInfo,
    Device,
    LossCall,
    LossResult,
)
from bce_conformance.conformance.inputs.truths import truth_of
from bce_conformance.native import BCEWithLogitsLoss
from bce_conformance.reference import format_of

Values = dict[str, Array]
Change = Callable[[LossCall], Values]
Formula = Callable[[Array, Array, Array, Array], Array]  # of x, y, w and p, element by element
Where = Callable[[LossCall], Any]  # whether a call goes wrong, or which of its elements do

PRETENDED = "cuda"  # a device to compare with the CPU, whatever this machine has


class Native(NativeAdapter):
    """The right implementation, which takes the CPU for another device too.

    Its gradients are those by dual numbers, too, and of backward passes that are differentiated.
    """

    extensions = (*NativeAdapter.extensions, "autograd")

    def devices(self) -> tuple[Device, ...]:
        """List the CPU under both names."""
        return (*super().devices(), Device(PRETENDED, "the CPU under another name"))

    def bind(self, call: LossCall) -> Callable[[], Values]:
        """Answer calls, by the truth where arrays lack it.

        That is forward mode through a reduction, and what comes of differentiating a backward pass.
        """
        self.require_device(call.device)
        lacking = {"jvp_logits"} if call.reduction != "none" else set()
        lacking |= set(GRADIENTS) if call.autograd == "twice" else set()
        truths = {q: np.asarray(truth_of(call, q).nearest) for q in lacking & {*call.quantities}}
        others = tuple(quantity for quantity in call.quantities if quantity not in truths)
        thunk = super().bind(replace(call, device="cpu", autograd="usual", quantities=others))
        return lambda: {**thunk(), **truths}


NATIVE = Native()


@dataclass(frozen=True)
class Impostor:
    """A deliberately wrong implementation.

    Attributes:
        name: such as ``log_of_sigmoid``.
        mistake: what it does wrong, in a sentence.
        kind: the module that holds it.
        dtypes: the formats in which it is tried.
        start: makes the function that answers calls; state lives as long as that function.
    """

    name: str
    mistake: str
    kind: str
    dtypes: tuple[str, ...]
    start: Callable[[], Change]

    def adapter(self) -> Adapter:
        """A fresh backend that makes the mistake."""
        return Adapter(self)


IMPOSTORS: dict[str, Impostor] = {}


def declare(name: str, mistake: str, kind: str, start: Callable[[], Change], *dtypes: str) -> None:
    """Make an impostor of its parts; in float32 unless formats are given.

    Raises:
        ValueError: there is one of that name.
    """
    if name in IMPOSTORS:
        raise ValueError(f"name {name!r} is that of another impostor")
    IMPOSTORS[name] = Impostor(name, mistake, kind, dtypes or ("float32",), start)


def mistaken(*dtypes: str) -> Callable[[Change], Change]:
    """Make an impostor of a function: its name, and its docstring as the mistake."""

    def register(change: Change) -> Change:
        declare(change.__name__, _sentence(change), change.__module__, lambda: change, *dtypes)
        return change

    return register


def stateful(*dtypes: str) -> Callable[[type], type]:
    """Make an impostor of a class whose instances answer calls and remember earlier ones."""

    def register(kind: type) -> type:
        words = "".join(f"_{c.lower()}" if c.isupper() else c for c in kind.__name__)
        declare(words.removeprefix("_"), _sentence(kind), kind.__module__, kind, *dtypes)
        return kind

    return register


def _sentence(source: Any) -> str:
    return " ".join(source.__doc__.split())


class Crash(Exception):  # noqa: N818 - what happens, not an error that could be handled
    """Stands for the end of the process: an impostor that takes it down raises this."""


class Adapter:
    """The adapter contract around an impostor."""

    extensions = NATIVE.extensions

    def __init__(self, impostor: Impostor) -> None:
        self._impostor = impostor
        self._change = impostor.start()

    def info(self) -> BackendInfo:
        """Describe the impostor as a backend."""
        name = self._impostor.name
        return BackendInfo(name, name, "1", dtypes=self._impostor.dtypes)

    def bind(self, call: LossCall) -> Callable[[], Values]:
        """Return a thunk that answers ``call`` wrongly."""
        about_arguments = self._impostor.kind.endswith("types_and_misuse")
        return lambda: self._change(call if about_arguments else _resolved(call))

    def set_threads(self, count: int) -> int:
        """Set the threads of the right implementation; the mistake finds them in its call."""
        return NATIVE.set_threads(count)

    def fetch(self, raw: Values | LossResult) -> LossResult:
        """Return what the thunk computed."""
        return raw if isinstance(raw, LossResult) else LossResult(raw)


def _resolved(call: LossCall) -> LossCall:
    """The call with the reduction that its deprecated arguments mean, and their warning.

    Most mistakes reduce by themselves, and none of those is about these arguments.
    """
    if not {"size_average", "reduce"} & set(call.arguments):
        return call
    criterion = BCEWithLogitsLoss(reduction=call.reduction, **call.arguments)
    return replace(call, reduction=criterion.reduction, arguments={})


def right(call: LossCall, **changed: Any) -> Values:
    """What the right implementation answers, to the call with some of its fields changed."""
    asked = replace(call, **changed)
    return dict(NATIVE.fetch(NATIVE.bind(asked)()).values)


def right_elements(call: LossCall) -> Array:
    """The right loss of every element in float64, whatever the format and the reduction."""
    wide = {
        name: None if getattr(call, name) is None else getattr(call, name).astype(np.float64)
        for name in OPERANDS
    }
    asked = replace(call, **wide, reduction="none", quantities=("loss",), cotangent=None)
    return right(asked)["loss"]


def two_ulps_off(values: Values, chosen: Array) -> Values:
    """The values, two units in the last place off where they are chosen.

    Results that are not element by element stay as they are, as do those near zero or infinite.
    """
    moved = {}
    for quantity, value in values.items():
        format_ = format_of(value.dtype)
        size = np.abs(value)
        regular = (size > 2 * format_.smallest_normal) & (size < format_.largest_finite / 2)
        if value.shape == chosen.shape:
            shifted = format_.from_ordinal(format_.ordinal(np.where(regular, value, 1)) + 2)
            value = np.where(regular & chosen, shifted.reshape(value.shape), value)
        moved[quantity] = value
    return moved


def with_elements(call: LossCall, elements: Array) -> Values:
    """Right but for the losses of single elements."""
    values = right(call)
    if "loss" in values:
        values["loss"] = contracted(call, "loss", elements)
    return values


def with_logarithms(call: LossCall, negative: Array, positive: Array) -> Values:
    """Right but for −log(1 − σ(x)) and −log σ(x), which are given for every element.

    A coefficient that is zero takes its term away, unless that is NaN.
    """
    _, y, w, p = (operand.astype(np.float64) for operand in operands(call))
    terms = ((w * (1 - y), negative), (w * p * y, positive))
    products = (np.where((c == 0) & ~np.isnan(t), 0, c * t.astype(np.float64)) for c, t in terms)
    return with_elements(call, sum(products))


def with_formulas(call: LossCall, **formulas: Formula) -> Values:
    """Right but for the quantities whose formula is given, evaluated in the format of the call.

    A formula gives the loss of one element or its derivative. A mistaken gradient in the logits is
    also what forward mode returns.
    """
    values = right(call)
    if "grad_logits" in formulas:
        formulas.setdefault("jvp_logits", formulas["grad_logits"])
    for quantity in values.keys() & formulas.keys():
        elements = formulas[quantity](*operands(call))
        values[quantity] = contracted(call, quantity, elements)
    return values


def operands(call: LossCall) -> tuple[Array, Array, Array, Array]:
    """x, y, w and p in the format of the call, each of the shape of the logits."""
    shape, dtype = call.logits.shape, call.logits.dtype
    one = np.ones((), dtype)
    weight, pos_weight = (one if v is None else v for v in (call.weight, call.pos_weight))
    return (
        call.logits,
        call.targets,
        np.broadcast_to(weight, shape),
        np.broadcast_to(pos_weight, shape),
    )


def contracted(call: LossCall, quantity: str, elements: Array) -> Array:
    """Reduce losses, or contract derivatives, of single elements, as the call asks for."""
    dtype, wide = call.logits.dtype, elements.astype(np.float64)
    if quantity == "loss":
        return reduced(call, wide).astype(dtype)
    if quantity in ("jvp_logits", "hvp_logits") and call.tangent is not None:
        wide = wide * call.tangent.astype(np.float64)
    if quantity != "jvp_logits" and call.cotangent is not None:
        wide = wide * call.cotangent.astype(np.float64)
    if call.reduction == "mean":
        wide = wide / wide.size
    operand = getattr(call, quantity.partition("_")[2], None)
    return summed_to(wide, call.logits.shape if operand is None else operand.shape).astype(dtype)


def reduced(call: LossCall, elements: Array) -> Array:
    """The elements, their sum, or their mean."""
    if call.reduction == "none":
        return elements
    divisor = np.float64(elements.size if call.reduction == "mean" else 1)
    return np.asarray(exact_sum(elements) / divisor)


def exact_sum(elements: Array) -> np.float64:
    """The sum, rounded once where it is finite."""
    total = elements.sum()
    return np.float64(math.fsum(elements.ravel().tolist())) if np.isfinite(total) else total


def summed_to(elements: Array, shape: tuple[int, ...]) -> Array:
    """Sum over the dimensions along which an operand of ``shape`` was broadcast."""
    padded = (1,) * (elements.ndim - len(shape)) + shape
    pairs = enumerate(zip(padded, elements.shape, strict=True))
    axes = tuple(i for i, (a, b) in pairs if a != b)
    return elements.sum(axis=axes, keepdims=True).reshape(shape)


def off(value: Array) -> Array:
    """Half as large again, and a quarter more: wrong whatever the right value is."""
    return (value.astype(np.float64) * 1.5 + 0.25).astype(value.dtype)


def not_a_number(value: Array) -> Array:
    """NaN in the place of a value."""
    return np.full_like(value, np.nan)


def nothing(value: Array) -> Array:
    """Zero in the place of a value."""
    return np.zeros_like(value)


def wrong_in(
    kind: str,
    name: str,
    mistake: str,
    where: Where,
    *quantities: str,
    instead: Callable[[Array], Array] = off,
) -> None:
    """Declare an impostor in float32 that gives something else where it goes wrong.

    Args:
        kind: the module that holds it.
        name, mistake: as in ``Impostor``.
        where: tells for a call whether it goes wrong, or which of its elements do.
        quantities: what goes wrong.
        instead: makes the wrong values of the right ones.
    """

    def change(call: LossCall) -> Values:
        values = right(call)
        touched = values.keys() & set(quantities)
        chosen = np.asarray(where(call) if touched else False)
        for quantity in touched:
            value = values[quantity]
            if not chosen.ndim or chosen.shape == value.shape:
                values[quantity] = np.where(chosen, instead(value), value)
        return values

    declare(name, mistake, kind, lambda: change)


def is_plain(call: LossCall) -> bool:
    """Whether there are no weights."""
    return call.weight is None and call.pos_weight is None


def is_weighted(call: LossCall) -> bool:
    """Whether there are both weights."""
    return call.weight is not None and call.pos_weight is not None
