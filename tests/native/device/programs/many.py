"""Prints how many numbers of a GPU have the processor's bits: each half, many floats, long sums."""

import time

import ml_dtypes
import numpy as np
from copies import to_device, to_host

from bce_conformance.native import hessian_vector_product, jacobian_vector_product, value_and_grad

OPERANDS = ("logits", "targets", "weight", "pos_weight")
F16, B16, F32, F64 = np.float16, ml_dtypes.bfloat16, np.float32, np.float64
random = np.random.default_rng(29)
compared = 0


def compare(label, device, host):
    global compared
    got = to_host(device)
    same = (got == host) | ((got != got) & (host != host))
    if not np.all(same):
        at = np.flatnonzero(~same)
        print("DIFFERENT", label, host.dtype, f"{at.size} of {host.size}, as at {at[:3]}:")
        print("   device", got.ravel()[at[:3]], "processor", host.ravel()[at[:3]], flush=True)
    signs = np.signbit(got) == np.signbit(host)
    wrong = np.flatnonzero(~(signs | (got != got)))
    if wrong.size:
        print("SIGNS", label, host.dtype, f"{wrong.size}, as at {wrong[:3]}", flush=True)
    compared += host.size


def compare_all(label, x, y, w, p, reduction, cotangent=None):
    begin = time.perf_counter()
    operands = [None if a is None else to_device(a) for a in (x, y, w, p)]
    wrt = [n for n, a in zip(OPERANDS, operands, strict=True) if a is not None]
    there = None if cotangent is None else to_device(cotangent)
    loss, found = value_and_grad(*operands, reduction, wrt=wrt, cotangent=there)
    expected, exact = value_and_grad(x, y, w, p, reduction, wrt=wrt, cotangent=cotangent)
    compare(f"{label} loss", loss, expected)
    for name in wrt:
        compare(f"{label} gradient in {name}", found[name], exact[name])
    if reduction == "none":
        rows, here = [*operands[:2], operands[0], *operands[2:]], (x, y, x, w, p)
        compare(f"{label} hessian", hessian_vector_product(*rows), hessian_vector_product(*here))
    forward = [*operands[:2], operands[1], *operands[2:], reduction]
    compare(
        f"{label} forward mode",
        jacobian_vector_product(*forward),
        jacobian_vector_product(x, y, y, w, p, reduction),
    )
    print(f"{label}, {x.dtype}, {reduction}: {time.perf_counter() - begin:.2f} s", flush=True)


every = np.arange(2**16, dtype=np.uint16)
for kind in (F16, B16):
    x = every.view(kind)
    for number in (0.0, 1.0, 0.5, 0.3):
        compare_all(f"target {number}", x, np.full_like(x, number), None, None, "none")
    w, p = random.uniform(0.1, 3, size=x.size).astype(kind), np.asarray(2.5).astype(kind)
    compare_all("weighted", x, random.uniform(size=x.size).astype(kind), w, p, "none")

for kind, bits in ((F32, np.uint32), (F64, np.uint64)):
    drawn = random.integers(0, np.iinfo(bits).max, 200_000, dtype=bits, endpoint=True).view(kind)
    x = np.concatenate([drawn, random.normal(0, 30, 200_000).astype(kind)])
    y = random.uniform(size=x.size).astype(kind)
    y[::3], y[1::3] = 0, 1
    w = np.exp(random.normal(0, 20, size=x.size)).astype(kind)
    p = np.exp(random.normal(0, 3, size=x.size)).astype(kind)
    compare_all("bit patterns", x, y, None, None, "none")
    compare_all("weighted", x, y, w, p, "none", w[::-1].copy())

for kind in (F16, B16, F32, F64):
    for shape in ((1_000_003,), (1000, 1001)):
        x = random.normal(0, 3, shape).astype(kind)
        y = random.uniform(size=shape).astype(kind)
        w, p = (random.uniform(0.5, 2, size=shape[-1:]).astype(kind) for _ in range(2))
        for reduction in ("mean", "sum"):
            if kind == F16 and reduction == "sum":
                continue
            compare_all(f"sums {shape}", x, y, w if len(shape) > 1 else None, p, reduction)
print("compared", compared)
