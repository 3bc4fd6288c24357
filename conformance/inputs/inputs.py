"""Inputs of the matrix: seeded, reproducible pools of logits, targets and weights per format.

A pool guarantees that its arrays are exactly representable in its format, that its size is as asked
(so that compiled frameworks compile one shape, not fifty) and that its truth is computed once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from threading import RLock

import numpy as np
from numpy.typing import NDArray

from bce_conformance.backends.calls import Array, LossCall
from bce_conformance.reference import Format, Truth, ground_truth
from bce_conformance.results.cells import OPERANDS

from .bounds import Bounds, as_float64, bounds_for
from .truths import truth_of

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Source:
    """Where inputs come from.

    Attributes:
        pool: the name of the builder that draws them.
        lasting: whether every run has them, whatever its seed; for a row element by element.
        draw: the name of the one draw that they are; empty where each element is for itself.
        seed: that of the draw.
        near: whether they were searched near other inputs rather than drawn.
    """

    pool: str
    lasting: bool | NDArray[np.bool_]
    draw: str = ""
    seed: int = 0
    near: bool = False


@dataclass(frozen=True, eq=False)
class Inputs:
    """The operands of a call, with their truth.

    Attributes:
        name: what they are, for the evidence.
        format: the format of the logits, and of all operands unless they are ``mixed``.
        logits, targets, weight, pos_weight, cotangent, tangent, reduction, autograd: as in
            ``LossCall``.
        exhaustive: whether these are all inputs that the requirement names.
        source: where they come from; None where that is not of interest.
    """

    name: str
    format: Format
    logits: Array
    targets: Array
    weight: Array | None = None
    pos_weight: Array | None = None
    cotangent: Array | None = None
    tangent: Array | None = None
    reduction: str = "none"
    autograd: str = "usual"
    exhaustive: bool = False
    source: Source | None = None
    _truths: dict[str, Truth] = field(default_factory=dict, repr=False, init=False)
    _bounds: dict[str, Bounds] = field(default_factory=dict, repr=False, init=False)
    _lock: RLock = field(default_factory=RLock, repr=False, init=False)

    def call(self, *quantities: str, device: str = "cpu") -> LossCall:
        """The call that evaluates these inputs."""
        return LossCall(
            self.logits,
            self.targets,
            self.weight,
            self.pos_weight,
            self.reduction,
            quantities or ("loss",),
            self.cotangent,
            self.tangent,
            device,
            autograd=self.autograd,
        )

    def truth(self, quantity: str) -> Truth:
        """The exact values of one quantity, computed at the first request."""
        with self._lock:
            if quantity not in self._truths:
                self._truths[quantity] = self._exact(quantity)
            return self._truths[quantity]

    def bounds(self, quantity: str) -> Bounds:
        """What the levels allow for one quantity, computed at the first request."""
        with self._lock:
            if quantity not in self._bounds:
                self._bounds[quantity] = bounds_for(self.call(quantity), quantity)
            return self._bounds[quantity]

    def with_truth(self, quantity: str, truth: Truth) -> Inputs:
        """These inputs, judged against exact values that are known in another way."""
        inputs = replace(self)
        inputs._truths[quantity] = truth
        return inputs

    def drawn_from(self, source: Source) -> Inputs:
        """These inputs, with where they come from."""
        inputs = replace(self, source=source)
        inputs._truths.update(self._truths)
        inputs._bounds.update(self._bounds)
        return inputs

    def _exact(self, quantity: str) -> Truth:
        cached = self.source is None or not self.source.near
        return truth_of(self.call(quantity), quantity, cached=cached)

    def given(self) -> dict[str, Array]:
        """The operands that there are, by name."""
        every = {name: getattr(self, name) for name in OPERANDS}
        return {name: operand for name, operand in every.items() if operand is not None}

    def rows(self) -> dict[str, Array]:
        """The operands that have a value for each element."""
        return {name: operand for name, operand in self.given().items() if operand.ndim}

    def is_row(self) -> bool:
        """Whether each element stands for itself."""
        shapes = {operand.shape for operand in self.rows().values()}
        return shapes == {self.logits.shape} and self.logits.ndim == 1 and not self.exhaustive

    @property
    def nbytes(self) -> int:
        """Bytes of the operands and of all that was computed of them."""
        operands = sum(operand.nbytes for operand in self.given().values())
        # Copies: other threads add to both, and hold the lock for as long as a truth takes.
        truths = sum(truth.nbytes for truth in list(self._truths.values()))
        scales = sum(bounds.scale.nbytes for bounds in list(self._bounds.values()))
        return operands + truths + scales

    @property
    def mixed(self) -> bool:
        """Whether an operand is of another type than the logits."""
        operands = (self.targets, self.weight, self.pos_weight)
        return any(array is not None and array.dtype != self.format.dtype for array in operands)

    def operand(self, quantity: str) -> Array | None:
        """The operand that a gradient belongs to."""
        operand: Array | None = getattr(self, quantity.split("_", 1)[1])
        return operand


def hex_of(value: object) -> str:
    """A number as C99 hex, exact; every format embeds in float64."""
    return float(as_float64(np.asarray(value))).hex()


def every_finite_pattern(format_: Format) -> Array:
    """Every finite number of a 16-bit format, both zeros included."""
    sign = np.uint16(2**15)
    magnitudes = np.arange(int(format_.ordinal(format_.largest_finite)) + 1, dtype=np.uint16)
    return np.concatenate([magnitudes, magnitudes | sign]).view(format_.dtype)


def repeated(base: Inputs, times: int) -> Inputs:
    """``base`` as often as said, end to end, with its truth at no more cost.

    The exact sum is ``times`` that of ``base``, and the exact mean is that of ``base``.
    """
    weighted = np.float64(times) if base.reduction == "sum" else None
    truth = ground_truth(
        base.logits,
        base.targets,
        weighted,
        base.pos_weight,
        reduction=base.reduction,
        dtype=base.format.name,
    )
    inputs = replace(
        base,
        name=f"{base.name}, {base.logits.size * times:,} elements",
        logits=np.tile(base.logits, times),
        targets=np.tile(base.targets, times),
    )
    inputs._truths["loss"] = truth
    bounds = base.bounds("loss")
    growth = np.log2(times) if base.reduction == "sum" else 0.0
    inputs._bounds["loss"] = Bounds(bounds.scale + growth, None, bounds.terms * times)
    return inputs
