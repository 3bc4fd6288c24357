"""Composition: a user's function with whatever arguments it lacks made from those it has.

A weight is a factor of the loss of each element, a reduction its mean or sum, and a pos_weight

    loss(x, y, p) = p·y·loss(x, 1) + (1 − y)·loss(x, 0),

which holds at soft targets too. Guarantees that what the function has is its own: an argument is
composed only in a call that gives one which the function lacks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from bce_conformance.backends.calls import REDUCTIONS, UnsupportedCall

from .operations import Operations, check_factor
from .signature import OPTIONS

Returns = Literal["none", "mean", "sum"]


@dataclass(frozen=True)
class Composition:
    """The loss as a function of all that a call may give.

    Attributes:
        loss: a function of logits, targets and of those of ``has`` by keyword.
        has: which of ``OPTIONS`` it has.
        operations: of its framework.
        returns: the reduction that it always does, where it has no such argument.
        name: of the function, for errors.
    """

    loss: Callable[..., Any]
    has: frozenset[str]
    operations: Operations
    returns: Returns
    name: str

    @property
    def composed(self) -> tuple[str, ...]:
        """The arguments that are composed."""
        if self.reduces:
            return ()
        return tuple(name for name in OPTIONS if name not in self.has)

    @property
    def reduces(self) -> bool:
        """Whether there is no loss of an element to compose anything from."""
        return "reduction" not in self.has and self.returns != "none"

    def __call__(
        self,
        logits: Any,
        targets: Any,
        weight: Any = None,
        pos_weight: Any = None,
        reduction: str = "mean",
    ) -> Any:
        """The loss.

        Raises:
            UnsupportedCall: it needs an argument that the function lacks and that cannot be made.
        """
        given = {"weight": weight, "pos_weight": pos_weight}
        given = {name: value for name, value in given.items() if value is not None}
        self.check(given, reduction, logits)
        if self.is_direct(given, reduction):
            return self.loss(logits, targets, **given, **self.reduction(reduction))
        return self.operations.reduced(self.elements(logits, targets, given), reduction)

    def elements(self, logits: Any, targets: Any, given: dict[str, Any]) -> Any:
        """The weighted loss of each element."""
        options = self.passed(given) | self.reduction("none")
        if "pos_weight" in given and "pos_weight" not in self.has:
            positive, negative = self.at_labels(logits, options)
            y = self.operations.counted(targets, logits)
            weighted = self.operations.times(given["pos_weight"] * y, positive)
            loss = weighted + self.operations.times(1 - y, negative)
        else:
            loss = self.loss(logits, targets, **options)
        if "weight" in given and "weight" not in self.has:
            loss = self.operations.times(given["weight"], loss)
        return loss

    def at_labels(self, logits: Any, options: dict[str, Any]) -> tuple[Any, Any]:
        """The loss of each element at the targets 1 and 0."""
        ones = self.operations.ones(logits)
        return self.loss(logits, ones, **options), self.loss(logits, 0 * ones, **options)

    def passed(self, given: dict[str, Any]) -> dict[str, Any]:
        """What of the weights the function takes itself."""
        return {name: value for name, value in given.items() if name in self.has}

    def reduction(self, reduction: str) -> dict[str, str]:
        """The reduction as the function takes it."""
        return {"reduction": reduction} if "reduction" in self.has else {}

    def is_direct(self, given: dict[str, Any], reduction: str) -> bool:
        """Whether the function itself takes all that is given."""
        reduces = "reduction" in self.has or reduction == self.returns
        return reduces and self.has.issuperset(given)

    def check(self, given: dict[str, Any], reduction: str, logits: Any) -> None:
        """Check what is composed of a call; what the function takes is its own to check.

        Raises:
            UnsupportedCall: it cannot be composed.
            TypeError, ValueError: a weight is no array of real numbers, or does not broadcast.
        """
        if "reduction" not in self.has and reduction not in REDUCTIONS:
            raise UnsupportedCall(f"{self.name} has no argument reduction")
        if self.reduces and not self.is_direct(given, reduction):
            lacks = [name for name in given if name not in self.has]
            what = f"has no argument {', '.join(lacks)}" if lacks else "has no argument reduction"
            raise UnsupportedCall(
                f"{self.name} {what}, and returns a {self.returns}, of which none can be made; "
                "give it an argument reduction, or return the loss of each element"
            )
        for name, value in given.items():
            if name not in self.has:
                check_factor(name, value, logits)


def returned(loss: Callable[..., Any], logits: Any, targets: Any, to_numpy: Any) -> Returns:
    """The reduction that a function without such an argument does.

    Args:
        loss: it, of logits and targets.
        logits: several zeros, of which each has the loss log 2.
        targets: zeros and ones.
        to_numpy: makes a NumPy array of the framework's.
    """
    found = to_numpy(loss(logits, targets))
    if found.size == len(logits):
        return "none"
    # log 2 is the mean, n·log 2 the sum, and √n·log 2 halfway between them on a scale of ratios.
    return "mean" if float(found.reshape(-1)[0]) < 0.6931 * len(logits) ** 0.5 else "sum"
