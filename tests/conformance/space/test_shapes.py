"""Every size that goes with a shape is drawn, at the lengths at which loops change."""

from math import prod

import numpy as np
import pytest

from bce_conformance.conformance.space.factors import FACTORS
from bce_conformance.conformance.space.rules import RULES
from bce_conformance.conformance.space.shapes import broadcast_shape, shape_of, size_of

SIZES = {rule.levels[0]: rule.allowed for rule in RULES if rule.other == "size"}
MANY = [(shape, size) for shape, sizes in SIZES.items() for size in sizes if size != "small"]


def drawn(shape: str, size: str, count: int = 60, layout: str = "C") -> list[tuple[int, ...]]:
    levels = {"shape": shape, "size": size, "logits layout": layout}
    return [shape_of(levels, np.random.default_rng(seed)) for seed in range(count)]


def test_every_size_goes_with_some_shape() -> None:
    named = next(factor for factor in FACTORS if factor.name == "size")
    assert {size for sizes in SIZES.values() for size in sizes} == set(named.names)
    assert MANY


@pytest.mark.parametrize("layout", ["C", "stride 0"])
@pytest.mark.parametrize(("shape", "size"), MANY)
def test_a_shape_has_the_size_that_was_asked_for(shape: str, size: str, layout: str) -> None:
    for found in drawn(shape, size, 20, layout):
        assert size_of(found) == size
        assert (1 in found) == (shape in ("column", "row"))


def test_a_size_that_does_not_go_with_a_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="size is 'tall', which does not go with 'vector'"):
        drawn("vector", "tall", 1)


@pytest.mark.parametrize("shape", ["vector", "matrix", "3-d", "4-d", "5-d", "6-d"])
def test_whole_blocks_are_powers_of_two_at_times(shape: str) -> None:
    elements = [prod(found) for found in drawn(shape, "blocks")]
    assert all(n % 1_024 == 0 for n in elements)
    powers = {n for n in elements if n.bit_count() == 1}
    assert {4_096, 8_192} <= powers < set(elements)


def test_indices_pass_what_16_18_and_20_bits_count() -> None:
    assert min(rows for rows, _ in drawn("matrix", "many rows")) >= 2**16
    huge = [prod(found) for found in drawn("matrix", "huge")]
    assert min(huge) >= 2**18
    assert max(huge) > 2**20


@pytest.mark.parametrize(
    ("level", "shape", "expected"),
    [
        ("last", (5, 6), {(6,), (1, 6)}),
        ("last", (1, 6), {(6,)}),
        ("inner", (4, 5, 6), {(4, 1, 6), (4, 5, 1), (1, 5, 1)}),
        ("inner", (4, 5, 1), {(4, 1, 1), (1, 5, 1)}),
    ],
)
def test_a_weight_is_broadcast_in_every_way_of_its_level(
    level: str, shape: tuple[int, ...], expected: set[tuple[int, ...]]
) -> None:
    drawn = (broadcast_shape(level, shape, np.random.default_rng(seed)) for seed in range(100))
    assert set(drawn) == expected
