"""The ground truth: correctly rounded values of the loss and its derivatives, with proof.

Guarantees: ``Truth.nearest`` is the exact result for the given inputs, rounded once, to nearest,
ties to even. What the exact result is, special values included, ``ground_truth`` defines.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from threading import RLock
from typing import Any

import mpmath
import numpy as np
from numpy.typing import ArrayLike, NDArray

from bce_conformance.reference.slow.slow_path import evaluate, exact_value

from .cache import entry, keep, load
from .formats import Format
from .problem import Outcome, Problem, read_problem

METHODS = ("auto", "certified", "fast")
_EXACT_BITS = 200  # 60 digits
_FAST_FROM = 256  # elements: fewer are done before the compiled code is loaded


def ulp_at(
    near: NDArray[np.float64], offset: NDArray[np.float64], format_: Format
) -> NDArray[np.float64]:
    """Return the unit in the last place at exact values that lie ``offset`` ulps from ``near``.

    It is half of that at ``near`` where this is a power of two and the exact value nearer to zero.
    """
    below = np.sign(offset) * np.sign(near) < 0
    halved = below & (np.frexp(np.abs(near))[0] == 0.5) & np.isfinite(near)
    unit = format_.ulp(near)
    return np.where(halved, np.maximum(unit / 2, format_.smallest_subnormal), unit)


@dataclass(frozen=True)
class Truth:
    """The exact results, each as the nearest number of the format and the distance from it.

    Attributes:
        nearest: correctly rounded, in the format's dtype. Its sign is the exact value's also where
            it is zero; a value that is exactly zero is +0, but for derivatives at x = ±∞ (see
            ``ground_truth``).
        offset: float64, (exact − nearest)/ulp, ulp being the format's at the exact value, to within
            2^-10 ulp (nearly all to 2^-30), its sign and its being zero exactly. An infinite
            ``nearest`` of a finite exact value counts as 2^(emax+1). Where the exact value is ±∞,
            ±∞; where it is NaN, NaN. A distance beyond float64 is its largest finite number.
        precision: int32, the working precision in bits that decided each result (106 on the fast
            path); 0 where the slow path found it rational or special and rounded it exactly.
        format: the format of ``nearest``.
    """

    nearest: NDArray[Any]
    offset: NDArray[np.float64]
    precision: NDArray[np.int32]
    format: Format
    _problem: Problem = field(repr=False)

    @property
    def is_zero(self) -> NDArray[np.bool_]:
        """Where the exact value is zero, rather than a number that rounds to it."""
        return np.asarray((self.nearest.astype(np.float64) == 0) & (self.offset == 0))

    @property
    def undecided(self) -> NDArray[np.bool_]:
        """Where ``method="fast"`` gave no answer: ``nearest`` and ``offset`` are NaN there."""
        return np.asarray(self.precision < 0)

    @property
    def ulp(self) -> NDArray[np.float64]:
        """The unit in the last place of the format at each exact value; NaN where that is NaN."""
        return ulp_at(self.nearest.astype(np.float64), self.offset, self.format)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays that are held, the operands in float64 among them."""
        columns = [column for column in self._problem.columns if column is not None]
        arrays = [self.nearest, self.offset, self.precision, *columns]
        return sum(array.nbytes for array in arrays)

    def exact(self, index: int | tuple[int, ...] = ()) -> mpmath.mpf:
        """Return one exact value to 55 digits or more, evaluated now.

        Args:
            index: of one element: a tuple, or a flat index; ``()`` for a result of shape ().

        Raises:
            IndexError: outside the result.
        """
        if isinstance(index, int):
            chosen = range(self.nearest.size)[index]
        else:
            chosen = np.arange(self.nearest.size).reshape(self.nearest.shape)[index]
        if np.ndim(chosen):
            raise IndexError(f"index is {index}; the result has shape {self.nearest.shape}")
        return exact_value(self._problem, int(chosen), _EXACT_BITS)


def ground_truth(
    logits: ArrayLike,
    targets: ArrayLike,
    weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None,
    *,
    quantity: str = "loss",
    reduction: str = "none",
    cotangent: ArrayLike | None = None,
    tangent: ArrayLike | None = None,
    dtype: Any = "float32",
    method: str = "auto",
    cached: bool = True,
) -> Truth:
    """Return the correctly rounded loss, or one of its derivatives.

    loss(x, y, w, p) = w·[(1 − y)·softplus(x) + p·y·softplus(−x)], softplus(t) = log(1 + e^t), for
    the exact real values of the inputs: any real y, w and p are taken by the formula.

    - NaN in an input that the formula of the quantity contains gives NaN; elsewhere, as in the
      weight that ``grad_weight`` differentiates away, it changes nothing.
    - At x = ±∞ the value is the limit, the other inputs fixed: a coefficient that is exactly zero
      annihilates its term even where softplus is infinite. There a derivative that tends to zero is
      a zero with the sign of the side from which it does.
    - An infinite weight, pos_weight, target, cotangent or tangent follows extended arithmetic: 0·∞
      and ∞ − ∞ are NaN.
    - Sums: NaN with a NaN or with both infinities; else the infinity if there is one; else the
      exact sum, rounded once. An exact zero is +0; so is the empty sum. The mean of nothing is NaN.

    Args:
        logits: x, any shape; float16, bfloat16, float32, float64, integers or booleans, as are all.
        targets: y, the shape of ``logits``.
        weight: w, broadcastable to ``logits``; None means 1.
        pos_weight: p, broadcastable to ``logits``; None means 1.
        quantity: ``"loss"``; ``"grad_logits"``, ``"grad_targets"``, ``"grad_weight"``,
            ``"grad_pos_weight"``: the gradient of the reduced loss contracted with ``cotangent``,
            in the operand's shape, summed exactly over broadcast dimensions; ``"hess_logits"``,
            ``"hess_logits_targets"``, ``"hess_logits_weight"``, ``"hess_logits_pos_weight"``: the
            derivative of each element's ``grad_logits`` by the same element's operand, in the shape
            of ``logits``; ``"jvp_logits"``: the derivative of the reduced loss along ``tangent``,
            in the loss's shape; ``"hvp_logits"``: that of ``grad_logits`` along ``tangent``.
        reduction: ``"none"``, ``"mean"`` (division by the number of elements, exact) or ``"sum"``.
        cotangent: of the reduced loss's shape; None means ones. Not for loss and ``jvp_logits``.
        tangent: of the shape of ``logits``; for ``jvp_logits`` and ``hvp_logits``, which need one.
        dtype: the format to round into, by dtype, scalar type or name.
        method: ``"certified"`` rounds every result by enclosures of growing precision; ``"fast"``
            evaluates in double-double with a proven bound and leaves what it cannot decide
            ``undecided``; ``"auto"`` sends those, or all where there is no Numba, to the slow one.
        cached: whether the cache on disk is looked into and filled.

    Raises:
        TypeError: an operand or ``dtype`` is not of an accepted type.
        ValueError: a shape or choice is not accepted, or float64 cannot hold an integer or c̄·t.
    """
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; accepted are {', '.join(METHODS)}")
    problem = read_problem(
        logits, targets, weight, pos_weight, quantity, reduction, cotangent, dtype, tangent
    )
    return _truth(problem, _outcome(problem, method, cached))


def _outcome(problem: Problem, method: str, cached: bool) -> Outcome:
    path = entry(problem, method) if cached and method != "fast" else None
    if path is None:
        return _computed(problem, method)
    found = load(path, int(np.prod(problem.shape, dtype=np.int64)))
    if found is None:
        found = _computed(problem, method)
        keep(path, found)
    return found


# mpmath's precision and Numba's threads are the process's, not the caller's.
_ONE_AT_A_TIME = RLock()


@lru_cache(maxsize=1)
def has_fast_path() -> bool:
    """Whether there is Numba, which the fast path takes: else every truth is of the slow one."""
    return find_spec("numba") is not None


def compile_kernels() -> None:
    """Compile what decides truths, or load it where it is kept: a dozen seconds the first time.

    The next truth is decided without that wait. Nothing is cached.
    """
    x = np.linspace(-3, 3, 4096)
    for reduction in ("none", "mean"):  # one result an element, and one a sum
        ground_truth(x, x * 0, reduction=reduction, cached=False)


def _computed(problem: Problem, method: str) -> Outcome:
    with _ONE_AT_A_TIME:
        return _evaluated(problem, method)


def _evaluated(problem: Problem, method: str) -> Outcome:
    if method == "certified" or (method == "auto" and problem.columns[0].size < _FAST_FROM):
        return evaluate(problem)
    if method == "auto" and not has_fast_path():
        return evaluate(problem)
    # Compiles, or loads compiled code.
    from bce_conformance.reference.fast.fast_path import evaluate_fast

    fast = evaluate_fast(problem)
    if method == "auto" and fast.undecided.any():
        results = np.flatnonzero(fast.undecided)
        rest = evaluate(problem, results)
        for name in ("nearest", "offset", "precision"):
            getattr(fast.outcome, name)[results] = getattr(rest, name)
    return fast.outcome


def _truth(problem: Problem, outcome: Outcome) -> Truth:
    with np.errstate(over="ignore", invalid="ignore"):
        nearest = outcome.nearest.astype(problem.fmt.dtype).reshape(problem.shape)
    return Truth(
        nearest,
        outcome.offset.reshape(problem.shape),
        outcome.precision.reshape(problem.shape),
        problem.fmt,
        problem,
    )
