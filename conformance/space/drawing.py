"""Calls drawn from the space: a combination of levels and a seed, made a call.

Guarantees that the same combination, number and seed draw the same call, whatever else is drawn.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from math import prod

import numpy as np

from bce_conformance.backends.calls import Array, LossCall
from bce_conformance.reference import FORMATS, Format

from . import values
from .arrangement import arranged, interleaved, overlapping
from .factors import Combination
from .shapes import DISTINCT, SMALL, Random, Shape, broadcast_shape, shape_of

_DISTINCT_BROADCAST = 3
_LAST = 5  # elements at the end that are of another level, where one says so
_DIRECTED = ("jvp_logits", "hvp_logits", "everything")
_THREADS = {"one": 1, "eight": 8}
_INTEGERS = {"int": "int8 int16 int32 int64", "uint": "uint8 uint16 uint32 uint64"}


def draw(
    combination: Combination, number: int = 0, seed: int = 0, *, few_shapes: bool = False
) -> LossCall:
    """The call of a combination.

    Args:
        combination: a level of each factor.
        number: tells calls of equal combinations apart.
        seed: of all values, sizes and arrangements.
        few_shapes: whether equal levels about shapes always give equal shapes, for what compiles
            anew for each.
    """
    name = " ".join(combination[factor] for factor in sorted(combination))
    random = np.random.default_rng([seed, number, zlib.crc32(name.encode())])
    return _Drawing(combination, number, random, few_shapes).call()


class _Drawing:
    """One call in the making."""

    def __init__(
        self, combination: Combination, number: int, random: Random, few_shapes: bool
    ) -> None:
        self.levels, self.number = combination, number
        self.random = random
        self.few_shapes = few_shapes
        self.format: Format = FORMATS[combination["dtype"]]
        self.shape = shape_of(combination, self._of_shapes())

    def _of_shapes(self) -> Random:
        """What chooses a shape."""
        return np.random.default_rng(1) if self.few_shapes else self.random

    def _of_overlaps(self) -> Random:
        """What chooses how operands overlap: every other time it is the same for all of a call."""
        return self.random if self.number % 2 else np.random.default_rng(self.number)

    def call(self) -> LossCall:
        logits = self._logits()
        weight = self._weight("weight")
        shared = self.levels["pos_weight shape"] == "weight's"
        pos_weight = weight if shared else self._weight("pos_weight")
        targets = self._targets(logits, pos_weight)
        if self.levels["targets layout"] == "interleaved":
            logits, targets = interleaved(logits, targets)
        operands = {"logits": logits, "targets": targets}
        operands |= {} if weight is None else {"weight": weight}
        operands |= {} if pos_weight is None else {"pos_weight": pos_weight}
        quantities = self._quantities(operands)
        repetition = self.levels["repetition"]
        return LossCall(
            logits,
            targets,
            weight,
            pos_weight,
            reduction=self.levels["reduction"],
            quantities=quantities,
            cotangent=self._cotangent(quantities),
            tangent=self._tangent(),
            interface=self.levels["interface"],
            threads=_THREADS.get(self.levels["threads"]),
            # The same call again is a call of its own, which is compared with this one.
            repetition="once" if repetition == "twice" else repetition,
            autograd=self.levels["autograd"],
            mode=self._mode(),
        )

    def _mode(self) -> str:
        """The mode: another default format is wide beside narrow logits, else it is narrow.

        Autocast is for logits of a format that it leaves alone, every other time.
        """
        if self.levels["mode"] != "other formats":
            return self.levels["mode"]
        if self.format.dtype.itemsize == 2:
            return "float64"
        return ("bfloat16", "autocast")[self.number % 2]

    def _logits(self) -> Array:
        array = self._with_an_end(
            "logits",
            self._distinct(self.shape),
            lambda level, size: values.logits(level, self.format, size, self.random),
        )
        return self._arranged("logits", array)

    def _with_an_end(self, operand: str, size: int, bank: Callable[[str, int], Array]) -> Array:
        """An array of the logits' shape, the last elements of another level where its own says so.

        Args:
            operand: whose level it is.
            size: how many values are drawn, to be repeated.
            bank: the values of a level, and how many.
        """
        level = self.levels[operand]
        most, last = values.AT_THE_END.get(level, (level, ""))
        drawn = bank(most, size)
        array = self._filled(self.shape, drawn)
        if last:
            count = max(1, min(_LAST, size // 4))
            array.reshape(-1)[-count:] = bank(last, count)
        return array

    def _distinct(self, shape: Shape) -> int:
        """How many values are drawn for an array; they are repeated where it has more elements.

        The exact results of equal elements are computed once. Broadcast weights have fewer values,
        since they meet every one of the logits.
        """
        size, elements = prod(shape), prod(self.shape)
        if elements > SMALL and shape != self.shape:
            return min(size, _DISTINCT_BROADCAST)
        return min(size, DISTINCT if elements > SMALL else size)

    def _filled(self, shape: Shape, drawn: Array) -> Array:
        """An array of some values, again and again.

        Beside an operand that overlaps, whose rows are equal, all rows are: it would meet every one
        of the others' values.
        """
        if "overlapping" in self.levels.values() and prod(shape) > SMALL:
            drawn = _again(drawn, shape[-1:])
        return _again(drawn, shape)

    def _arranged(self, operand: str, array: Array) -> Array:
        layout = self.levels[f"{operand} layout"]
        if layout == "overlapping":
            array = overlapping(array, self._of_overlaps())
        return arranged(array, layout, self.random)

    def _targets(self, logits: Array, pos_weight: Array | None) -> Array:
        if self.levels["targets layout"] == "logits'":
            return logits
        flat = np.ascontiguousarray(logits).reshape(-1)
        p = None if pos_weight is None else np.broadcast_to(pos_weight, self.shape).reshape(-1)
        kind = self.levels["targets format"]
        format_ = self._format_of(kind)
        period = self._distinct(self.shape)
        level = self.levels["targets"]
        count = flat.size if level == "balanced by p" and p is not None else period
        few = None if p is None else p[:count]
        array = self._with_an_end(
            "targets",
            count,
            lambda level, size: values.targets(level, format_, flat[:size], few, self.random),
        )
        return self._arranged("targets", self._typed(array, kind))

    def _weight(self, operand: str) -> Array | None:
        broadcast = self.levels[f"{operand} shape"]
        if broadcast in ("none", "weight's"):
            return None
        shape = broadcast_shape(broadcast, self.shape, self._of_shapes())
        size, level = self._distinct(shape), self.levels[operand]
        kind = self.levels[f"{operand} format"]
        if kind in ("int", "uint", "bool"):
            drawn: Array = values.counts(level, size, self.random, signed=kind == "int")
        else:
            drawn = values.weights(level, self._format_of(kind), size, self.random)
        array = self._filled(shape, drawn) if shape == self.shape else self._mixed(shape, drawn)
        return self._arranged(operand, self._typed(array, kind))

    def _mixed(self, shape: Shape, drawn: Array) -> Array:
        """An array of few values in no order: an index that is off by a block's length shows."""
        if prod(shape) <= drawn.size:
            return _again(drawn, shape)
        return drawn[self.random.integers(0, drawn.size, shape)]

    def _format_of(self, kind: str) -> Format:
        if kind in ("narrower", "wider"):
            return values.other_format(self.format, self.random, wider=kind == "wider")
        return self.format

    def _typed(self, drawn: Array, kind: str) -> Array:
        """The values in the type that a level of a factor about formats stands for.

        It comes last: values that are repeated have the byte order of the machine.
        """
        if kind in _INTEGERS:
            return drawn.astype(str(self.random.choice(_INTEGERS[kind].split())))
        if kind == "bool":
            return drawn.astype(bool)
        return drawn.astype(drawn.dtype.newbyteorder()) if kind == "swapped" else drawn

    def _quantities(self, operands: dict[str, Array]) -> tuple[str, ...]:
        asked = self.levels["quantities"]
        gradients = tuple(f"grad_{name}" for name in operands if has_derivative(operands[name]))
        if asked == "loss and gradients":
            return ("loss", *gradients)
        if asked == "everything":
            return ("loss", *gradients, "jvp_logits", "hvp_logits")
        return tuple(asked.split(" and "))

    def _cotangent(self, quantities: tuple[str, ...]) -> Array | None:
        level = self.levels["cotangent"]
        if level in ("absent", "not given"):
            return None
        shape = self.shape if self.levels["reduction"] == "none" else ()
        drawn = values.cotangents(
            level,
            self.format,
            self._distinct(shape),
            self.random,
            coarse="hvp_logits" in quantities,
        )
        return self._arranged("cotangent", self._filled(shape, drawn))

    def _tangent(self) -> Array | None:
        if self.levels["quantities"] not in _DIRECTED:
            return None
        level, size = self.levels["tangent"], self._distinct(self.shape)
        drawn = values.tangents(level, self.format, size, self.random)
        return self._filled(self.shape, drawn)


def has_derivative(operand: Array) -> bool:
    """Whether the loss can be differentiated in an operand: it is of one of the four formats."""
    return operand.dtype.kind not in "biu"


def _again(drawn: Array, shape: Shape) -> Array:
    """Values again and again, as many as a shape has elements; as ``numpy.resize``, but fast.

    That one joins a list of as many arrays as there are repetitions.
    """
    values, size = drawn.ravel(), prod(shape)
    found = np.empty(size, values.dtype.newbyteorder("="))
    if size:
        whole = size - size % values.size
        found[:whole].reshape(-1, values.size)[...] = values
        found[whole:] = values[: size - whole]
    return found.reshape(shape)
