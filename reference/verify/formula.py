"""The definition, as a textbook has it, in mpmath: what every other file here is held against.

Guarantees nothing about rounding: results are as good as mpmath's working precision, which the
caller sets (``mpmath.workprec``) and which must cover the cancellation in tails.
"""

from __future__ import annotations

from collections.abc import Callable

from mpmath import exp, log, mpf


def softplus(t: mpf) -> mpf:
    """log(1 + e^t)."""
    return log(1 + exp(t))


def sigmoid(t: mpf) -> mpf:
    """1/(1 + e^−t)."""
    return 1 / (1 + exp(-t))


def loss(x: mpf, y: mpf, w: mpf, p: mpf) -> mpf:
    """w·[(1 − y)·softplus(x) + p·y·softplus(−x)]."""
    return w * ((1 - y) * softplus(x) + p * y * softplus(-x))


def grad_logits(x: mpf, y: mpf, w: mpf, p: mpf) -> mpf:
    """∂loss/∂x, as softplus' = σ."""
    return w * ((1 - y) * sigmoid(x) - p * y * sigmoid(-x))


def grad_targets(x: mpf, y: mpf, w: mpf, p: mpf) -> mpf:
    """∂loss/∂y."""
    return w * (p * softplus(-x) - softplus(x))


def grad_weight(x: mpf, y: mpf, w: mpf, p: mpf) -> mpf:
    """∂loss/∂w."""
    return loss(x, y, mpf(1), p)


def grad_pos_weight(x: mpf, y: mpf, w: mpf, p: mpf) -> mpf:
    """∂loss/∂p."""
    return w * y * softplus(-x)


def hess_logits(x: mpf, y: mpf, w: mpf, p: mpf) -> mpf:
    """∂²loss/∂x², as σ' = σ(x)·σ(−x)."""
    return w * (1 - y + p * y) * sigmoid(x) * sigmoid(-x)


def hess_logits_targets(x: mpf, y: mpf, w: mpf, p: mpf) -> mpf:
    """∂²loss/∂x∂y."""
    return -w * (sigmoid(x) + p * sigmoid(-x))


def hess_logits_weight(x: mpf, y: mpf, w: mpf, p: mpf) -> mpf:
    """∂²loss/∂x∂w."""
    return grad_logits(x, y, mpf(1), p)


def hess_logits_pos_weight(x: mpf, y: mpf, w: mpf, p: mpf) -> mpf:
    """∂²loss/∂x∂p."""
    return -w * y * sigmoid(-x)


FORMULAS: dict[str, Callable[[mpf, mpf, mpf, mpf], mpf]] = {
    f.__name__: f
    for f in (
        loss,
        grad_logits,
        grad_targets,
        grad_weight,
        grad_pos_weight,
        hess_logits,
        hess_logits_targets,
        hess_logits_weight,
        hess_logits_pos_weight,
    )
}
