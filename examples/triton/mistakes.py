"""Three mistakes that kernels have, each in one place: what the suite finds tells them apart."""

import torch
from kernel import evaluate, loss_of, tl, triton  # it says how triton is to run


@triton.jit
def careless_loss_of(x, y):
    """Takes log(1 + e): for small e, 1 + e rounds to 1, and every digit of the tail is lost."""
    return (1 - y) * tl.maximum(x, 0) + y * tl.maximum(-x, 0) + tl.log(1 + tl.exp(-tl.abs(x)))


@triton.jit
def careless_losses(x_ptr, y_ptr, out_ptr, n, WIDE: tl.constexpr, BLOCK: tl.constexpr):
    """Store the loss of each element, without the digits of the tail."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x, y = tl.load(x_ptr + at, at < n, 0).to(WIDE), tl.load(y_ptr + at, at < n, 0).to(WIDE)
    tl.store(out_ptr + at, careless_loss_of(x, y), at < n)


@triton.jit
def unmasked_sums(x_ptr, y_ptr, out_ptr, n, WIDE: tl.constexpr, BLOCK: tl.constexpr):
    """Lacks the mask of the sum: each lane beyond the end adds the loss of zero, log 2."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x, y = tl.load(x_ptr + at, at < n, 0).to(WIDE), tl.load(y_ptr + at, at < n, 0).to(WIDE)
    tl.store(out_ptr + tl.program_id(0), tl.sum(loss_of(x, y), 0))


def narrow_sum(logits, targets, reduction="mean"):
    """Accumulates in the wrong format: sums over blocks are rounded to that of the logits."""
    half = logits.dtype in (torch.float16, torch.bfloat16)
    return evaluate(logits, targets, reduction, partial=logits.dtype if half else torch.float32)


def no_mask(logits, targets, reduction="mean"):
    """Lacks a mask at the end of the last block."""
    return evaluate(logits, targets, reduction, one_a_block=unmasked_sums)


def log_of_one_plus(logits, targets, reduction="mean"):
    """Takes log(1 + e) where log1p(e) is needed."""
    return evaluate(logits, targets, reduction, one_each=careless_losses)
