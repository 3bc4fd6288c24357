"""Workloads: what a benchmark measures, in words, and the call that it comes to.

A workload guarantees the same arrays wherever it is built, so that every backend is timed on the
same numbers and no array has to travel to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from bce_conformance.backends.calls import DTYPES, REDUCTIONS, Array, LossCall

# What is wanted of one pass. "gradient" is loss and gradient, as a training step has it.
PASSES: dict[str, tuple[str, ...]] = {
    "forward": ("loss",),
    "gradient": ("loss", "grad_logits"),
    "all gradients": ("loss", "grad_logits", "grad_targets", "grad_weight", "grad_pos_weight"),
}
REGIMES: tuple[str, ...] = ("moderate", "saturated", "subnormal", "special", "soft")
BROADCASTS: tuple[str, ...] = ("none", "weight", "pos_weight", "both")
CACHES: tuple[str, ...] = ("warm", "cold")

BEYOND_CACHES = 32_000_000
"""So many elements of float32, 256 MB, leave nothing else in any device's caches."""

_SEED = 20_261_122
_WIDE, _NARROW = 1000, 8  # columns of large and of small workloads


@dataclass(frozen=True)
class Workload:
    """One call to be timed: logits of shape [N, C], C = 1000 from 10⁵ elements on, else 8.

    Attributes:
        size: number of elements, a multiple of C.
        dtype: format of all operands.
        what: a key of ``PASSES``.
        regime: ``moderate`` (logits of size 4, hard targets); ``saturated`` (|x| ≥ 100);
            ``subnormal`` (losses and gradients below the smallest normal number); ``special`` (±∞
            and NaN sprinkled in); ``soft`` (moderate logits, targets uniform in (0, 1)).
        broadcasting: which of ``weight`` [N, 1] and ``pos_weight`` [C] there are.
        reduction: ``none``, ``mean`` or ``sum``.
        device: such as ``cpu`` or ``cuda``.
        threads: 1, or 0 for all; for whoever calls, since the call itself does not carry it.
        cache: ``warm``, or ``cold`` where the operands are driven out of the device's caches before
            each call; for whoever calls, likewise.
    """

    size: int
    dtype: str = "float32"
    what: str = "forward"
    regime: str = "moderate"
    broadcasting: str = "none"
    reduction: str = "mean"
    device: str = "cpu"
    threads: int = 0
    cache: str = "warm"

    def __post_init__(self) -> None:
        for name, accepted in (
            ("dtype", DTYPES),
            ("what", tuple(PASSES)),
            ("regime", REGIMES),
            ("broadcasting", BROADCASTS),
            ("reduction", REDUCTIONS),
            ("threads", (0, 1)),
            ("cache", CACHES),
        ):
            given = getattr(self, name)
            if given not in accepted:
                raise ValueError(f"{name} is {given!r}; accepted are {list(accepted)}")
        if self.size <= 0 or self.size % self.columns:
            raise ValueError(f"size is {self.size}; accepted are multiples of {self.columns}")
        if self.what == "all gradients" and self.broadcasting != "both":
            raise ValueError("broadcasting must be 'both' where all gradients are wanted")

    @property
    def columns(self) -> int:
        """C."""
        return _WIDE if self.size >= 10**5 else _NARROW

    @property
    def kind(self) -> np.dtype[Any]:
        """The format as NumPy has it."""
        return np.dtype(ml_dtypes.bfloat16 if self.dtype == "bfloat16" else self.dtype)

    def traffic(self) -> int:
        """Bytes of operands read and gradients written by one call that touches each once.

        The broadcast operands are too small to count.
        """
        arrays = 2 + sum(name in PASSES[self.what] for name in ("grad_logits", "grad_targets"))
        arrays += self.reduction == "none"
        return arrays * self.size * self.kind.itemsize

    def call(self) -> LossCall:
        """Build the call, the same bits every time."""
        random = np.random.default_rng(_SEED)
        logits, targets = self._pairs(random)
        rows = self.size // self.columns
        weight = random.uniform(0.5, 2, (rows, 1)).astype(self.kind)
        pos_weight = random.uniform(0.5, 3, self.columns).astype(self.kind)
        return LossCall(
            logits.astype(self.kind).reshape(rows, self.columns),
            targets.astype(self.kind).reshape(rows, self.columns),
            weight if self.broadcasting in ("weight", "both") else None,
            pos_weight if self.broadcasting in ("pos_weight", "both") else None,
            self.reduction,
            PASSES[self.what],
            device=self.device,
        )

    def _pairs(self, random: np.random.Generator) -> tuple[Array, Array]:
        """Logits and targets before they are rounded into the format."""
        x: Array = 4 * random.standard_normal(self.size, np.float32)
        y: Array = (random.random(self.size, np.float32) < 0.5).astype(np.float32)
        if self.regime == "saturated":
            x = np.copysign(np.abs(x) * 10 + 100, x)
        elif self.regime == "subnormal":
            limits = ml_dtypes.finfo(self.kind)
            low = -np.log(float(limits.smallest_normal)) + 0.1
            high = -np.log(float(limits.smallest_subnormal)) - 0.1
            x = np.where(y > 0, 1, -1) * random.uniform(low, high, self.size)
        elif self.regime == "special":
            x[::7], x[::11], x[::13] = np.inf, -np.inf, np.nan
        elif self.regime == "soft":
            y = random.random(self.size, np.float32)
        return x, y
