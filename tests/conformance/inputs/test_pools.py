"""The pools: drawn once, the same for the same seed and tier, with the ledger's witnesses."""

import ast
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bce_conformance import conformance
from bce_conformance.conformance.inputs.inputs import Inputs, repeated
from bce_conformance.conformance.inputs.pools import PoolStore
from bce_conformance.conformance.inputs.sampler import POOL_SIZE, Builder, Sampler, drawn
from bce_conformance.conformance.ledger.reading import read as read_ledgers
from bce_conformance.conformance.tiers import TIERS
from bce_conformance.reference import FLOAT16, FLOAT32, FORMATS, ground_truth
from bce_conformance.results.cells import Witness
from tests.conformance.check_modules import check_modules

QUICK = TIERS["quick"]
NAMES = Path(__file__).with_name("pool_names.txt")


def test_the_store_builds_once_and_forgets_the_oldest() -> None:
    built = []

    @drawn("builder")
    def builder(s: Sampler) -> Inputs:
        built.append(s.format.name)
        return s.inputs("x", s.hard(), s.hard())

    store = PoolStore(0, TIERS["quick"], keep=1)
    first = store.get(builder, FLOAT32)
    assert store.get(builder, FLOAT32) is first
    store.get(builder, FLOAT16)
    store.get(builder, FLOAT32)
    draws = sum(TIERS["quick"].pool_draws)
    assert built == ["float32"] * draws + ["float16"] * draws + ["float32"] * draws


def test_inputs_take_no_more_memory_than_there_is_room_for() -> None:
    """Those that a check still holds count, too: the others then have to make room."""

    def builder(s: Sampler, number: int) -> Inputs:
        return s.inputs("x", s.hard()[: 1000 + number], s.hard()[: 1000 + number])

    def named(number: int) -> Builder:
        return Builder(f"builder {number}", partial(builder, number=number))

    def kept(store: PoolStore) -> int:
        return len(store._kept)

    one = PoolStore(0, QUICK).get(named(0), FLOAT32).nbytes
    store = PoolStore(0, QUICK, memory=2 * 10 * one)
    for number in range(30):
        store.get(named(number), FLOAT32)
    assert 7 <= kept(store) <= 10
    held = [store.get(named(number), FLOAT32) for number in range(100, 106)]
    for number in range(200, 230):
        store.get(named(number), FLOAT32)
    assert len(held) == 6
    assert 2 <= kept(store) <= 4
    store = PoolStore(0, QUICK, memory=1)
    assert store.get(named(0), FLOAT32) is store.get(named(0), FLOAT32)  # the latest stays


@drawn("test_pools.row")
def row(s: Sampler) -> Inputs:
    logits = s.signed(s.cast(s.uniform(0, 4)))
    return s.inputs("row", logits, s.soft(), cotangent=s.cast(np.array(2.0)), tangent=s.cotangent())


def elements(inputs: Inputs) -> set[float]:
    return set(inputs.logits.tolist())


@pytest.mark.parametrize("tier", TIERS.values(), ids=lambda tier: tier.name)
def test_a_pool_has_draws_that_are_the_same_for_every_seed_and_draws_that_are_not(tier) -> None:
    fixed, seeded = tier.pool_draws
    one, other = (PoolStore(seed, tier).get(row, FLOAT32) for seed in (0, 1))
    for name in ("logits", "targets", "tangent"):
        first, second = getattr(one, name), getattr(other, name)
        assert first.shape == second.shape == ((fixed + seeded) * POOL_SIZE,)
        same = first == second
        assert same[: fixed * POOL_SIZE].all()
        assert same[fixed * POOL_SIZE :].mean() < 0.01
    assert one.cotangent is not None
    assert one.cotangent.shape == ()
    assert len(elements(one)) > (fixed + seeded) * POOL_SIZE * 0.9


def test_what_a_smaller_tier_draws_a_larger_one_draws_too() -> None:
    tiers = [TIERS[name] for name in ("quick", "default")]
    small, large = (PoolStore(3, tier) for tier in tiers)
    assert elements(small.get(row, FLOAT32)) < elements(large.get(row, FLOAT32))
    few, many = (store.draws(row, FLOAT32) for store in (small, large))
    assert len(few) == sum(tiers[0].sum_draws) < len(many)
    assert all(any(np.array_equal(a.logits, b.logits) for b in many) for a in few)
    (only,) = large.draws(row, FLOAT32, only=1)
    assert np.array_equal(only.logits, many[0].logits)


@pytest.mark.parametrize("tier", TIERS.values(), ids=lambda tier: tier.name)
def test_a_tier_limits_how_many_draws_are_the_same_in_every_run(tier) -> None:
    one, other = (PoolStore(seed, tier).draws(row, FLOAT32, only=6) for seed in (0, 1))
    assert len(one) == tier.few_draws
    assert all(np.array_equal(a.logits, b.logits) for a, b in zip(one, other, strict=True))


def swept(seed: int, tier: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The ordinals of the logits of a sweep at target 0 and at target 1."""
    pieces = list(PoolStore(seed, TIERS[tier]).float32_sweep())
    logits = np.concatenate([inputs.logits for inputs in pieces])
    targets = np.concatenate([inputs.targets for inputs in pieces])
    negative, positive = (np.sort(FLOAT32.ordinal(logits[targets == y])) for y in (0, 1))
    return negative, positive


def test_a_sweep_goes_through_all_of_float32_and_another_seed_through_others() -> None:
    ordinals, at_one = swept(0, "quick")
    assert np.array_equal(ordinals, at_one)
    last = FLOAT32.ordinal(FLOAT32.largest_finite)
    assert ordinals[0] < 2**16 - last
    assert ordinals[-1] > last - 2**16
    assert np.diff(ordinals).max() <= 2**16
    other, _ = swept(1, "quick")
    assert ordinals.size // 2 - 1 <= np.isin(ordinals, other).sum() < ordinals.size * 0.6
    assert np.isin(ordinals, swept(0, "default")[0]).all()


def test_the_truth_of_a_sweep_is_the_truth() -> None:
    inputs = next(iter(PoolStore(0, TIERS["quick"]).float32_sweep()))
    few = slice(0, None, 997)
    right = ground_truth(inputs.logits[few], inputs.targets[few], dtype="float32")
    assert np.array_equal(inputs.truth("loss").nearest[few], right.nearest)
    assert np.allclose(inputs.truth("loss").offset[few], right.offset, rtol=0, atol=2.0**-10)


def test_what_is_no_row_of_elements_is_drawn_once() -> None:
    @drawn("rows")
    def rows(s: Sampler) -> Inputs:
        return s.inputs("rows", s.hard()[:8].reshape(4, 2), s.hard()[:8].reshape(4, 2))

    @drawn("exhaustive")
    def exhaustive(s: Sampler) -> Inputs:
        return s.inputs("all", s.hard()[:8], s.hard()[:8], exhaustive=True)

    store = PoolStore(0, TIERS["default"])
    assert store.get(rows, FLOAT32).logits.shape == (4, 2)
    assert store.get(exhaustive, FLOAT32).logits.shape == (8,)


# --- witnesses -----------------------------------------------------------------------------------

ELEMENT = Witness(
    "test_pools.row",
    "float32",
    element=(("logits", "0x1.8p+1"), ("targets", "0x1.0p-3"), ("tangent", "-0x1.0p+0")),
)


@pytest.mark.parametrize("tier", TIERS.values(), ids=lambda tier: tier.name)
def test_an_element_of_the_ledger_is_part_of_its_pool_for_every_seed(tier) -> None:
    other = replace(ELEMENT, element=tuple((name, "0x1.0p-1") for name, _ in ELEMENT.element))
    elsewhere = replace(ELEMENT, dtype="float16")
    for seed in (0, 1):
        plain = PoolStore(seed, tier).get(row, FLOAT32)
        shown = PoolStore(seed, tier, [ELEMENT, elsewhere, other, ELEMENT]).get(row, FLOAT32)
        first = tier.pool_draws[0] * POOL_SIZE  # the first element that is the seed's
        assert (shown.logits[first], shown.targets[first], shown.tangent[first]) == (3, 0.125, -1)
        assert (shown.logits[first + 1], shown.targets[first + 1]) == (0.5, 0.5)
        kept = np.delete(np.arange(plain.logits.size), [first, first + 1])
        assert shown.logits.shape == plain.logits.shape
        assert np.array_equal(shown.logits[kept], plain.logits[kept])
        assert shown.source is not None
        assert np.array_equal(np.flatnonzero(shown.source.lasting), np.arange(first + 2))


def test_a_draw_of_the_ledger_is_tried_with_every_seed() -> None:
    (*_, seeded) = PoolStore(5, QUICK).draws(row, FLOAT32)
    assert seeded.source is not None
    assert (seeded.source.draw, seeded.source.seed, seeded.source.lasting) == ("0", 5, False)
    witness = Witness("test_pools.row", "float32", "0", 5)
    for seed in (0, 1):
        draws = PoolStore(seed, QUICK, [witness]).draws(row, FLOAT32)
        assert len(draws) == sum(QUICK.sum_draws) + 1
        assert np.array_equal(draws[-1].logits, seeded.logits)
        assert draws[-1].source is not None
        assert draws[-1].source.lasting is True
        assert len(PoolStore(seed, QUICK, [witness]).draws(row, FLOAT32, only=1)) == 1


@pytest.mark.parametrize("missing", ["targets", "tangent"])
def test_an_element_must_have_the_operands_of_its_pool(missing: str) -> None:
    element = tuple((name, value) for name, value in ELEMENT.element if name != missing)
    store = PoolStore(0, QUICK, [replace(ELEMENT, element=element)])
    with pytest.raises(ValueError, match="a witness has no place among row"):
        store.get(row, FLOAT32)


def test_a_truth_that_a_builder_knows_is_kept() -> None:
    @drawn("builder")
    def builder(s: Sampler) -> Inputs:
        return repeated(replace(row(s), cotangent=None, tangent=None, reduction="sum"), 2)

    (*_, inputs) = PoolStore(0, QUICK).draws(builder, FLOAT32)
    assert inputs._truths.keys() == {"loss"}


def test_truths_may_come_in_while_memory_is_counted() -> None:
    """Other threads ask for truths of kept inputs while the store counts what it keeps."""
    (inputs, *_) = PoolStore(0, QUICK).draws(row, FLOAT32)

    class Arriving:
        @property
        def nbytes(self) -> int:
            inputs._truths.setdefault(f"grad_{len(inputs._truths)}", inputs._truths["loss"])
            return 7

    inputs._truths["loss"] = Arriving()  # type: ignore[assignment]
    operands = sum(operand.nbytes for operand in inputs.given().values())
    assert inputs.nbytes == operands + 7
    assert inputs.nbytes == operands + 14


# --- names ---------------------------------------------------------------------------------------


def names_in(folder: Path) -> list[str]:
    """The names that builders are given; what a check puts into one stands in braces."""
    decorators = (
        node
        for path in sorted(folder.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "drawn"
    )
    return [ast.unparse(node.args[0]).removeprefix("f").strip("'\"") for node in decorators]


def test_the_names_of_builders_are_unique_and_those_that_they_were() -> None:
    """A builder with another name draws other inputs: no cell could be compared with earlier ones.

    That what a check draws from has a name is a matter of its type.
    """
    names = names_in(Path(conformance.__file__).parent)
    assert len(names) == len(set(names))
    assert sorted(names) == NAMES.read_text("utf-8").splitlines()


def test_where_a_builder_stands_makes_no_difference() -> None:
    def elsewhere(s: Sampler) -> Inputs:
        return row(s)

    same, other = (Builder(name, elsewhere) for name in (row.name, "elsewhere"))
    expected, again, another = (
        PoolStore(0, QUICK).get(builder, FLOAT32).logits for builder in (row, same, other)
    )
    assert np.array_equal(again, expected)
    assert not np.array_equal(another, expected)


def builders() -> dict[str, Builder]:
    """The builders of all checks, by name."""
    found = (value for module in check_modules() for value in vars(module).values())
    return {builder.name: builder for builder in found if isinstance(builder, Builder)}


def witnesses_of_the_suite() -> tuple[Witness, ...]:
    return read_ledgers().witnesses


@pytest.mark.parametrize("witness", witnesses_of_the_suite(), ids=lambda w: f"{w.pool} {w.dtype}")
def test_a_witness_of_the_suite_is_an_input_of_its_pool(witness: Witness) -> None:
    """A pool that was renamed or drawn otherwise leaves no witness behind that nothing tries."""
    pattern, _, settings = witness.pool.partition(" ")
    assert pattern in {name.partition(" ")[0] for name in NAMES.read_text("utf-8").splitlines()}
    if settings or witness.draw:
        return  # made by the check itself, which the default tier tries
    pool = PoolStore(0, QUICK).get(builders()[witness.pool], FORMATS[witness.dtype])
    for operand, value in witness.element:
        sizes = np.abs(pool.rows()[operand].astype(np.float64))
        size = abs(float.fromhex(value)) / 4
        assert sizes.min() / 16 <= size <= sizes.max(), operand
