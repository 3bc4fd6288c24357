"""Prints how many results of native's PyTorch loss on a GPU have the processor's bits."""

from functools import partial

import torch
from torch.func import grad, hessian, jvp, vmap

from bce_conformance.native.torch import BCEWithLogitsLoss, binary_cross_entropy_with_logits

torch.manual_seed(29)
compared = 0


def compare(label, device, host):
    global compared
    assert device.is_cuda, (label, device.device)
    assert device.dtype == host.dtype, (label, device.dtype)
    got = device.detach().cpu()
    if not torch.equal(torch.nan_to_num(got), torch.nan_to_num(host.detach())):
        print("DIFFERENT", label, got.flatten()[:4], host.flatten()[:4])
    compared += 1


def both(label, function, *tensors):
    """Compares a function's results on both."""
    there, here = [
        function(*(None if t is None else t.to(device).detach() for t in tensors))
        for device in ("cuda", "cpu")
    ]
    for number, (a, b) in enumerate(zip(there, here, strict=True)):
        compare(f"{label} {number}", a, b)


def trained(x, y, w, p, reduction="mean", again=False, cotangent=1.0):
    given = [t.clone().requires_grad_() for t in (x, y, w, p) if t is not None]
    rows = iter(given)
    x, y, w, p = (next(rows) if t is not None else None for t in (x, y, w, p))
    loss = binary_cross_entropy_with_logits(x, y, w, reduction=reduction, pos_weight=p)
    found = torch.autograd.grad(loss, given, torch.full_like(loss, cotangent), create_graph=again)
    if again:
        second = torch.autograd.grad(found[0].sum(), [x])
        return [loss, *found, *second]
    return [loss, *found]


def of_dtype(dtype):
    """Compares what training asks for, in one format."""
    x, y = torch.randn(64, 33, dtype=dtype) * 4, torch.rand(64, 33, dtype=dtype)
    w, p = torch.rand(64, 1, dtype=dtype) + 0.5, torch.rand(33, dtype=dtype) + 0.5
    for reduction in ("mean", "sum", "none"):
        plain, twice = partial(trained, reduction=reduction), partial(trained, again=True)
        both(f"{dtype} {reduction}", plain, x, y, w, p)
        both(f"{dtype} {reduction} plain", plain, x, y, None, None)
        both(f"{dtype} {reduction} twice", partial(twice, reduction=reduction), x, y, w, p)
    both(f"{dtype} cotangent", lambda *t: trained(*t, cotangent=3.0), x, y, w, p)
    both(f"{dtype} transposed", lambda *t: trained(*(a.T for a in t), None, None), x, y)
    both(f"{dtype} every other", lambda *t: trained(*(a[::2, ::3] for a in t), None, None), x, y)
    both(f"{dtype} expanded", lambda a, b: trained(a[:1].expand(64, 33), b, None, None), x, y)
    both(f"{dtype} 0-d", lambda a, b: trained(a[0, 0], b[0, 0], None, None), x, y)
    both(f"{dtype} empty", lambda a, b: trained(a[:0], b[:0], None, None, "sum"), x, y)


for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
    of_dtype(dtype)

x, y = torch.randn(40, 7), torch.rand(40, 7)


def transforms(x, y):
    loss = binary_cross_entropy_with_logits
    each = vmap(grad(lambda a, b: loss(a, b, reduction="sum")))(x, y)
    along = jvp(lambda a: loss(a, y), (x,), (y,))
    return [each, *along, hessian(lambda a: loss(a, y[0]))(x[0])]


both("torch.func", transforms, x, y)
both("targets in another format", lambda a, b: trained(a, b.double(), None, None), x, y)


def under_autocast(x, y):
    with torch.autocast(x.device.type, torch.bfloat16):
        return [binary_cross_entropy_with_logits(x.bfloat16(), y.bfloat16())]


both("autocast", under_autocast, x, y)


def module(x, y):
    loss = BCEWithLogitsLoss(pos_weight=torch.full((7,), 2.0)).to(x.device)
    return [loss(x, y)]


both("module", module, x, y)

# A stream of its own, with work before it: what it reads must be done, and what follows wait.
for attempt in range(20):
    here = torch.randn(2000, 2000)
    stream = torch.cuda.Stream()
    there = here.cuda()
    torch.cuda.synchronize()
    with torch.cuda.stream(stream):
        moved = there
        for _ in range(50):
            moved = (moved.double() + 1).float()
        moved = moved - moved + there
        found = binary_cross_entropy_with_logits(moved, torch.zeros_like(moved), reduction="none")
        after = found * 1
    stream.synchronize()
    torch.cuda.synchronize()
    compare(
        f"stream {attempt}",
        after,
        binary_cross_entropy_with_logits(here, torch.zeros_like(here), reduction="none"),
    )

found = torch.compile(binary_cross_entropy_with_logits)(x.cuda(), y.cuda())
compare("torch.compile", found, binary_cross_entropy_with_logits(x, y))

for targets in (torch.ones(40, 7, dtype=torch.int64), torch.ones(40, 7, dtype=torch.bool)):
    try:
        binary_cross_entropy_with_logits(x.cuda(), targets.cuda())
    except TypeError as error:
        print("refused:", error)
    else:
        print("NOT REFUSED", targets.dtype)
try:
    binary_cross_entropy_with_logits(x.cuda(), y)
except (TypeError, ValueError) as error:
    print("refused:", error)
else:
    print("NOT REFUSED: targets on the processor")
print("compared", compared)
