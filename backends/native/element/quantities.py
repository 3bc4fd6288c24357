"""The quantities of an element, and the marks on one that a precision does not decide."""

from __future__ import annotations

LOSS, GRAD_LOGITS, GRAD_TARGETS, GRAD_WEIGHT, GRAD_POS_WEIGHT, HESSIAN = range(6)
QUANTITIES = 6
# Marks: the gradient in the logits cancels, and pairs evaluate it in extended precision; anything
# else that pairs cannot do. A block adds them up.
CANCELLED, BEYOND = 1, 16
