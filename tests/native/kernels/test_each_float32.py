"""Elements of plain float32 operands: the bits that any other layout has, at any place."""

import itertools

import numpy as np
import pytest

from bce_conformance.native import binary_cross_entropy_with_logits, value_and_grad
from bce_conformance.native.memory.threads import set_num_threads

SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, 0.5, 2.0**-149, -3e38, 88.0, -104.0]


def operands(size):
    """Logits, targets and cotangents: ordinary, any bits, special, and what cancels."""
    random = np.random.default_rng(size)
    rows = np.array(
        [random.normal(size=size) * 5, random.uniform(size=size), random.normal(size=size)]
    )
    rows = rows.astype(np.float32)
    bits = random.integers(0, 1 << 32, rows.shape, np.uint32).view(np.float32)
    special = random.choice(np.float32(SPECIAL), rows.shape)
    which = random.choice(3, rows.shape, p=[0.96, 0.02, 0.02])
    x, y, c = np.choose(which, (rows, bits, special))
    balanced = random.uniform(size=size) < 0.01
    with np.errstate(all="ignore"):
        y = np.where(balanced, 1 / (1 + np.exp(-x.astype(float))), y).astype(np.float32)
    y = np.where(np.isinf(y), 2, y)  # infinite targets are no targets
    return x, np.where(random.uniform(size=size) < 0.3, np.round(y), y).astype(np.float32), c


def everything(x, y, c):
    """The bytes of losses and gradients, alone and together."""
    loss, both = value_and_grad(x, y, reduction="none", cotangent=c)
    alone = binary_cross_entropy_with_logits(x, y, reduction="none")
    same(alone, loss)
    return loss, both["logits"]


def same(got, expected):
    assert np.array_equal(np.isnan(got), np.isnan(expected))
    there = ~np.isnan(got)
    assert got[there].tobytes() == expected[there].tobytes()


@pytest.mark.parametrize("size", [1, 7, 511, 512, 1025, 50_000])
@pytest.mark.parametrize("scaled", [False, True])
def test_plain_operands_have_the_bits_of_strided_ones(size, scaled):
    x, y, c = operands(size)
    plain = everything(x, y, c if scaled else None)
    strided = everything(np.repeat(x, 2)[::2], y, c if scaled else None)
    if size > 1:
        assert np.repeat(x, 2)[::2].strides != x.strides
    for got, expected in zip(plain, strided, strict=True):
        same(got, expected)


def test_position_and_threads_change_nothing():
    x, y, c = operands(40_000)
    expected = everything(x, y, c)
    for count, shift in itertools.product((1, 2, 3), (0, 1, 5000)):
        set_num_threads(count)
        moved = everything(*(np.roll(row, shift) for row in (x, y, c)))
        for got, wanted in zip(moved, expected, strict=True):
            same(np.roll(got, -shift), wanted)
    set_num_threads(None)
    for at in range(0, x.size, 997):
        alone = everything(*(row[at : at + 1].copy() for row in (x, y, c)))
        for got, wanted in zip(alone, expected, strict=True):
            same(got, wanted[at : at + 1])
