"""Operations: what composing takes of a framework, beside the arithmetic of its arrays.

Guarantees that an operand which the composition takes over from the user's function is refused
where it is no array of real numbers, or does not broadcast to the logits: that is no fault of the
function.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Operations:
    """A framework's own operations on its arrays.

    Attributes:
        mean: array → its mean, 0-d.
        total: array → its sum, 0-d.
        ones: array → ones of its shape and format.
        cast: array, like → the array in the format of ``like``.
        spread: array, like → the array broadcast to the shape of ``like``.
        collected: array, axes → its sums along axes, which it loses.
        shaped: array, shape → the array in that shape.
    """

    mean: Callable[[Any], Any]
    total: Callable[[Any], Any]
    ones: Callable[[Any], Any]
    cast: Callable[[Any, Any], Any]
    spread: Callable[[Any, Any], Any]
    collected: Callable[[Any, tuple[int, ...]], Any]
    shaped: Callable[[Any, tuple[int, ...]], Any]

    def reduced(self, loss: Any, reduction: str) -> Any:
        """The loss under a reduction."""
        if reduction == "none":
            return loss
        return self.mean(loss) if reduction == "mean" else self.total(loss)

    def times(self, factor: Any, value: Any) -> Any:
        """A product in the format of ``value``, whatever that of the factor is."""
        if "bool" in _format_of(factor):  # whose product is a logical one in some frameworks
            factor = self.cast(factor, value)
        return self.cast(factor * value, value)

    def counted(self, labels: Any, like: Any) -> Any:
        """Labels in the format of ``like`` where they are integers or booleans."""
        format_ = _format_of(labels)
        return self.cast(labels, like) if "int" in format_ or "bool" in format_ else labels

    def summed_to(self, value: Any, operand: Any) -> Any:
        """The gradient in an operand that was broadcast: sums over the dimensions that were."""
        shape, operands = shape_of(value), shape_of(operand)
        missing = len(shape) - len(operands)
        axes = [*range(missing)]
        axes += [missing + i for i, n in enumerate(operands) if n == 1 != shape[missing + i]]
        found = self.collected(value, tuple(axes)) if axes else value
        return self.cast(self.shaped(found, operands), operand)


def _format_of(array: Any) -> str:
    return str(getattr(array, "dtype", ""))


def shape_of(array: Any) -> tuple[int, ...]:
    """The shape of a framework's array; of a number ``()``."""
    return tuple(int(n) for n in getattr(array, "shape", ()))


def check_factor(name: str, operand: Any, logits: Any) -> None:
    """Check that an operand can be multiplied into the loss.

    Raises:
        TypeError: it is no array of real numbers, nor one number.
        ValueError: it does not broadcast to the shape of the logits.
    """
    if operand is None or isinstance(operand, numbers.Real):
        return
    dtype = _format_of(operand)
    if not dtype or "complex" in dtype or "object" in dtype:
        kind = f"dtype {dtype}" if dtype else f"type {type(operand).__name__}"
        raise TypeError(f"{name} has {kind}; accepted are arrays of real numbers, and one number")
    own, full = shape_of(operand), shape_of(logits)
    padded = (1,) * (len(full) - len(own)) + own
    if len(padded) != len(full) or any(n not in (1, m) for n, m in zip(padded, full, strict=True)):
        raise ValueError(
            f"{name} has shape {own}, which does not broadcast to the logits' shape {full}"
        )
