"""Prints microseconds that native takes on the device, by registers and threads of its kernels.

Beside it are a copy of as many bytes, and PyTorch where it sees the device. ``speed.py 1000`` takes
a thousand elements instead of 1.6·10⁷.
"""

import sys
import time
from functools import partial

import numpy as np
from copies import compile_ahead, to_device
from numba import config, cuda

from bce_conformance.native import binary_cross_entropy_with_logits, value_and_grad
from bce_conformance.native.device import elements, evaluation, training
from bce_conformance.native.device.compiling import kernel

SIZE = int(sys.argv[1]) if len(sys.argv) > 1 else 16_000_000
SMALL = 32
random = np.random.default_rng(29)


def timed(function, rounds=10):
    """The median time of a call, the device's included."""
    function()
    times = []
    for _ in range(rounds):
        cuda.synchronize()
        begin = time.perf_counter()
        function()
        cuda.synchronize()
        times.append(time.perf_counter() - begin)
    return 1e6 * float(np.median(times))


def say(what, *times):
    """Print a line of the table."""
    print(f"{what:56}", *(f"{one:10.1f}" for one in times), flush=True)


def operands(dtype, size):
    """Logits and hard targets on the device."""
    x = (random.normal(size=size) * 4).astype(dtype)
    return to_device(x), to_device((random.uniform(size=size) < 0.5).astype(dtype))


def copied():
    """A copy of the bytes that float32 logits, targets and gradients have."""
    source = cuda.device_array(SIZE * 3 // 2, np.float32)
    target = cuda.device_array_like(source)
    say("copy of 12 bytes an element", timed(lambda: target.copy_to_device(source)))


def of_torch():
    """PyTorch's own loss."""
    try:
        import torch
    except ImportError:
        return
    if not torch.cuda.is_available():
        return
    function = torch.nn.functional.binary_cross_entropy_with_logits
    for size in (SIZE, SMALL):
        x = torch.randn(size, device="cuda", requires_grad=True)
        y = (torch.rand(size, device="cuda") < 0.5).float()
        loss = timed(lambda x=x, y=y: function(x.detach(), y))
        both = timed(lambda x=x, y=y: torch.autograd.grad(function(x, y), x))
        say(f"torch, {size}: loss; with gradient", loss, both)


def of_training(dtype, registers, threads):
    """The pass of training, compiled anew."""
    training.THREADS = threads
    training.training_pass = kernel(registers=registers)(training.training_pass.py_func)
    x, y = operands(dtype, SIZE)
    loss = timed(lambda: binary_cross_entropy_with_logits(x, y))
    both = timed(lambda: value_and_grad(x, y))
    called = f"{np.dtype(dtype)}, mean, {registers} registers, {threads} threads"
    say(f"{called}: loss; with gradient", loss, both)


def of_elements(dtype, registers):
    """An element at a time, and its sums, compiled anew."""
    evaluation.elements = kernel(registers=registers)(elements.elements.py_func)
    evaluation.sums = kernel(registers=registers)(elements.sums.py_func)
    x, y = operands(dtype, SIZE)
    each = evaluation.Evaluation({"logits": x, "targets": y}, "none")
    weighted = evaluation.Evaluation({"logits": x, "targets": y, "weight": y}, "mean")
    times = [timed(partial(each.elementwise, quantity)) for quantity in range(2)]
    called = f"{np.dtype(dtype)}, each, {registers} registers"
    say(f"{called}: loss; gradient; weighted mean", *times, timed(weighted.loss))


compile_ahead()
copied()
of_torch()
small = operands(np.float32, SMALL)
say(f"float32, {SMALL}: loss", timed(lambda: binary_cross_entropy_with_logits(*small), 100))
say(f"float32, {SMALL}: with gradient", timed(lambda: value_and_grad(*small), 100))
say(
    "memory of a result, and of one number",
    *(timed(lambda size=size: cuda.device_array(size, np.float32)) for size in (SIZE, 1)),
)
for limit, block in ((64, 128), (64, 256), (128, 128), (None, 128), (40, 256)):
    of_training(np.float32, limit, 4 if config.ENABLE_CUDASIM else block)
of_training(np.float16, 64, training.THREADS)
for kind, limit in ((np.float32, None), (np.float32, 64), (np.float64, None), (np.float64, 128)):
    of_elements(kind, limit)
