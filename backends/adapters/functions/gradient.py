"""The gradient of a user's function by a function of the user's own: ``NAME_backward``.

It returns the gradient in the logits, or those in logits, targets, weight and pos_weight, as many
as it has, or a mapping of them by name. Where the function's arguments are composed, its gradient
is too, by the chain rule, here and not by the framework: it may know nothing of such a kernel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bce_conformance.backends.calls import OPERANDS, UnsupportedCall

from .composition import Composition
from .operations import shape_of

Gradients = dict[str, Any]


@dataclass(frozen=True)
class OwnGradient:
    """The gradients of a composition by a function of the user's own.

    A function without a cotangent is for ones. Its gradient in a weight that is broadcast sums over
    elements, so that it is not given where each has a cotangent of its own.

    Attributes:
        loss: the composition.
        backward: a function of logits, targets and of those of ``has`` by keyword.
        has: which of weight, pos_weight, reduction and cotangent it has.
        name: its name, for errors.
    """

    loss: Composition
    backward: Callable[..., Any]
    has: frozenset[str]
    name: str

    def __call__(self, operands: Mapping[str, Any], reduction: str, cotangent: Any) -> Gradients:
        """The gradients in all operands that there are gradients in.

        Args:
            operands: by name; weights that are not given are absent.
            reduction: of the loss.
            cotangent: of the shape of the loss; None stands for ones.

        Raises:
            UnsupportedCall: something cannot be composed.
        """
        logits, targets = operands["logits"], operands["targets"]
        given = {n: operands[n] for n in ("weight", "pos_weight") if operands.get(n) is not None}
        self.loss.check(given, reduction, logits)
        whole = self.loss.returns if self.loss.reduces else "none"
        takes = "reduction" in self.has or reduction == whole
        if takes and self.has.issuperset(given):
            return self._asked(logits, targets, given, reduction, cotangent)
        if self.loss.reduces:
            raise UnsupportedCall(
                f"{self.name} lacks an argument of the call, and sums over losses"
            )
        return self._composed(logits, targets, given, self._each(logits, reduction, cotangent))

    def _each(self, logits: Any, reduction: str, cotangent: Any) -> Any:
        """The cotangent of the loss of each element."""
        operations = self.loss.operations
        ones = operations.ones(logits)
        full = ones if cotangent is None else operations.spread(cotangent, logits)
        if reduction != "mean":
            return full
        return _divided(full, max(math.prod(shape_of(logits)), 1))

    def _composed(self, x: Any, y: Any, given: Gradients, cotangent: Any) -> Gradients:
        """The gradients under what the function lacks, from those of its elements."""
        operations, found = self.loss.operations, {}
        outer = cotangent
        if "weight" in given and "weight" not in self.has:
            rest = {name: value for name, value in given.items() if name != "weight"}
            if hasattr(given["weight"], "dtype"):  # no number, which has no gradient
                each = operations.times(self.loss.elements(x, y, rest), outer)
                found["weight"] = operations.summed_to(each, given["weight"])
            outer = operations.times(given["weight"], outer)
        passed = {name: value for name, value in given.items() if name in self.has}
        if "pos_weight" not in given or "pos_weight" in self.has:
            return self._asked(x, y, passed, "none", outer) | found
        p, targets = given["pos_weight"], y
        y, ones = operations.counted(y, x), operations.ones(x)
        at_one = self._asked(x, ones, passed, "none", operations.times(p * y, outer))
        at_zero = self._asked(x, 0 * ones, passed, "none", operations.times(1 - y, outer))
        for name in at_one.keys() & {"logits", "weight"}:
            found[name] = at_one[name] + at_zero[name]
        positive = self.loss.elements(x, ones, passed)
        negative = self.loss.elements(x, 0 * ones, passed)
        difference = operations.times(p, positive) - negative
        found["targets"] = operations.cast(operations.times(difference, outer), targets)
        along = operations.times(y, operations.times(positive, outer))
        if hasattr(p, "dtype"):
            found["pos_weight"] = operations.summed_to(along, p)
        return found

    def _asked(self, x: Any, y: Any, given: Gradients, reduction: str, cotangent: Any) -> Gradients:
        """What the function itself returns, contracted with the cotangent."""
        options: dict[str, Any] = dict(given)
        if "reduction" in self.has:
            options["reduction"] = reduction
        takes_cotangent = "cotangent" in self.has
        if takes_cotangent:
            options["cotangent"] = self._full(x, reduction) if cotangent is None else cotangent
        returned = self._by_name(self.backward(x, y, **options))
        found = {n: g for n, g in returned.items() if n in ("logits", "targets", *given)}
        if takes_cotangent or cotangent is None:
            return found
        # A gradient for ones times the cotangent: of one element, or of one loss, that is all.
        scaled = {n: g for n, g in found.items() if shape_of(cotangent) in ((), shape_of(g))}
        return {n: self.loss.operations.times(cotangent, g) for n, g in scaled.items()}

    def _full(self, logits: Any, reduction: str) -> Any:
        ones = self.loss.operations.ones(logits)
        return ones if reduction == "none" else self.loss.operations.mean(ones)

    def _by_name(self, returned: Any) -> Gradients:
        """What the function returned, by operand."""
        if isinstance(returned, Mapping):
            found = dict(returned)
        else:
            several = returned if isinstance(returned, tuple | list) else (returned,)
            found = dict(zip(OPERANDS, several, strict=False))
        unknown = sorted(set(found) - set(OPERANDS))
        if unknown:
            raise ValueError(f"{self.name} returned {unknown}; accepted are {list(OPERANDS)}")
        return {name: value for name, value in found.items() if value is not None}


def _divided(values: Any, count: int) -> Any:
    """``values`` divided by a number that their format may not hold: a power of two at a time."""
    fraction, exponent = math.frexp(count)
    values, exponent = values / (2 * fraction), exponent - 1
    while exponent:
        values = values * 2.0 ** -min(exponent, 14)
        exponent -= min(exponent, 14)
    return values
