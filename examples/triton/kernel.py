"""Binary cross-entropy with logits as a Triton kernel, with its gradient in the logits.

On a machine without a GPU Triton's own interpreter runs it on CPU tensors.
"""

import os

import torch

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # read when triton is imported

import triton
import triton.language as tl

BLOCK = 4096


@triton.jit
def log1p(e):
    """log(1 + e): what rounding 1 + e loses is given back (W. Kahan)."""
    u = 1 + e
    return tl.where(u == 1, e, tl.log(u) * (e / tl.where(u == 1, 1, u - 1)))


@triton.jit
def loss_of(x, y):
    """The loss of each element: a sum of terms that are not negative."""
    return (1 - y) * tl.maximum(x, 0) + y * tl.maximum(-x, 0) + log1p(tl.exp(-tl.abs(x)))


@triton.jit
def gradient_of(x, y):
    """(1 − y)·σ(x) − y·σ(−x), each σ without cancellation."""
    e = tl.exp(-tl.abs(x))
    near, far = 1 / (1 + e), e / (1 + e)
    return (1 - y) * tl.where(x < 0, far, near) - y * tl.where(x < 0, near, far)


@triton.jit
def losses(x_ptr, y_ptr, out_ptr, n, WIDE: tl.constexpr, BLOCK: tl.constexpr):
    """Store the loss of each element."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + at, at < n, 0).to(WIDE)
    y = tl.load(y_ptr + at, at < n, 0).to(WIDE)
    tl.store(out_ptr + at, loss_of(x, y), at < n)


@triton.jit
def sums(x_ptr, y_ptr, out_ptr, n, WIDE: tl.constexpr, BLOCK: tl.constexpr):
    """Store the sum of each block; what lies beyond the last element counts nothing."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + at, at < n, 0).to(WIDE)
    y = tl.load(y_ptr + at, at < n, 0).to(WIDE)
    loss = tl.where(at < n, loss_of(x, y), 0)
    tl.store(out_ptr + tl.program_id(0), tl.sum(loss, 0))


@triton.jit
def gradients(x_ptr, y_ptr, c_ptr, out_ptr, n, WIDE: tl.constexpr, BLOCK: tl.constexpr):
    """Store the gradient in each logit, times its cotangent."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + at, at < n, 0).to(WIDE)
    y = tl.load(y_ptr + at, at < n, 0).to(WIDE)
    c = tl.load(c_ptr + at, at < n, 0).to(WIDE)
    tl.store(out_ptr + at, c * gradient_of(x, y), at < n)


def wide(logits):
    """The format that an element is evaluated in: float64 for float64, else float32."""
    is_double = logits.dtype == torch.float64
    return (tl.float64, torch.float64) if is_double else (tl.float32, torch.float32)


def evaluate(logits, targets, reduction, one_each=losses, one_a_block=sums, partial=None):
    """The loss under a reduction by two kernels; ``partial`` is the format of the blocks' sums."""
    if logits.shape != targets.shape:
        shapes = f"{tuple(logits.shape)} and {tuple(targets.shape)}"
        raise ValueError(f"logits and targets have shapes {shapes}; accepted is one shape")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"reduction is {reduction!r}; accepted are 'none', 'mean' and 'sum'")
    kind, dtype = wide(logits)
    x, y, n = logits.contiguous(), targets.contiguous(), logits.numel()
    grid = (triton.cdiv(n, BLOCK),)
    if reduction == "none":
        out = torch.empty_like(x, dtype=dtype)
        one_each[grid](x, y, out, n, WIDE=kind, BLOCK=BLOCK)
        return out.to(logits.dtype)  # not in the kernel: the interpreter truncates to bfloat16
    out = torch.empty(grid, dtype=partial or dtype, device=x.device)
    one_a_block[grid](x, y, out, n, WIDE=kind, BLOCK=BLOCK)
    total = out.sum(dtype=partial or dtype)
    return (total / n if reduction == "mean" else total).to(logits.dtype)


def loss(logits, targets, reduction="mean"):
    """The loss."""
    return evaluate(logits, targets, reduction)


def loss_backward(logits, targets, reduction, cotangent):
    """The gradient in the logits, contracted with the cotangent."""
    kind, dtype = wide(logits)
    x, y, n = logits.contiguous(), targets.contiguous(), logits.numel()
    cotangent = cotangent.to(dtype) / (n if reduction == "mean" else 1)
    out = torch.empty_like(x, dtype=dtype)
    each = cotangent.expand(x.shape).contiguous()
    grid = (triton.cdiv(n, BLOCK),)
    gradients[grid](x, y, each, out, n, WIDE=kind, BLOCK=BLOCK)
    return out.to(logits.dtype)
