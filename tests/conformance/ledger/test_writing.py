"""A ledger file says the same when it is written and read again, in one order."""

import random
from itertools import product
from pathlib import Path

import pytest

from bce_conformance.conformance.ledger import writing
from bce_conformance.conformance.ledger.model import Deviation, LedgerFile, Mechanism
from bce_conformance.conformance.ledger.reading import LEDGER, read_file
from bce_conformance.results.cells import DTYPES, Place, Witness

SETS = ("x86-64-v2/intel", "x86-64-v3/amd", "x86-64-v4/intel")
MECHANISMS = (
    Mechanism("rounds", 'each "step" is rounded: \\ 1 − y', "https://example.org/1"),
    Mechanism("over flows", "one line\nand another", defects=("torch-mean-overflows",)),
)


def measured_on(sets: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """On each instruction set some requirements, with gaps."""
    return dict.fromkeys(sets, ("VAL-1", "VAL-2", "VAL-3", "VAL-5", "INF-1", "INF-24", "GRAD-1"))


def read_again(file: LedgerFile, folder: Path) -> LedgerFile:
    path = folder / "torch.toml"
    path.write_text(writing.text(file, path.stem), "utf-8")
    return read_file(path)


def cells(file: LedgerFile) -> dict[tuple[Place, str], Deviation]:
    """The deviations by cell and instruction set; each has one."""
    found = [
        ((deviation.place, name), deviation)
        for deviation in file.deviations
        for name in deviation.instruction_sets or ("",)
    ]
    assert len(found) == len(dict(found))
    return {
        key: Deviation(one.place, one.level, one.mechanism, one.versions, one.tier)
        for key, one in found
    }


def some(seed: int) -> LedgerFile:
    """A file with deviations that have much in common, in no order."""
    draw = random.Random(seed)
    deviations = []
    places = product(
        ("VAL-1", "VAL-2", "INF-1"), ("torch", "torch:compile"), ("cpu", "cuda"), DTYPES[:3]
    )
    for place in map(Place._make, places):
        where = draw.sample(SETS, draw.randrange(4)) if place.device == "cpu" else []
        for sets in [(name,) for name in where] or [()]:
            mechanism, level = draw.choice(MECHANISMS), draw.choice(("A", "fails"))
            versions, tier = (
                draw.choice((("2.13.0",), ("2.12.0", "2.13.0"))),
                draw.choice(("default", "thorough")),
            )
            deviations.append(Deviation(place, level, mechanism, versions, tier, sets))
    draw.shuffle(deviations)
    measured = measured_on(SETS[:2])
    return LedgerFile("torch", MECHANISMS, tuple(deviations), (), ("2.13.0",), measured)


@pytest.mark.parametrize("path", sorted(LEDGER.glob("*.toml")), ids=lambda path: path.stem)
def test_the_ledger_of_the_suite_is_what_is_written_of_it(path: Path, tmp_path: Path) -> None:
    file = read_file(path)
    assert file.deviations
    assert writing.text(file, path.stem) == path.read_text("utf-8")
    copy = tmp_path / path.name
    copy.write_text(writing.text(file, path.stem), "utf-8")
    assert read_file(copy) == file


@pytest.mark.parametrize("seed", range(20))
def test_each_cell_is_read_as_it_was_written(tmp_path: Path, seed: int) -> None:
    file = some(seed)
    found = read_again(file, tmp_path)
    assert cells(found) == cells(file)
    assert (found.mechanisms, found.versions) == (file.mechanisms, file.versions)
    assert found.measured == file.measured


@pytest.mark.parametrize("seed", range(20))
def test_the_order_of_deviations_does_not_matter(tmp_path: Path, seed: int) -> None:
    file = some(seed)
    found = read_again(file, tmp_path)
    assert writing.text(found, "torch") == writing.text(file, "torch")
    assert found.deviations != file.deviations  # so that another order was tried


def test_what_was_not_recorded_is_not_written_as_recorded(tmp_path: Path) -> None:
    place = Place("VAL-1", "torch", "cpu", "float32")
    deviations = [
        Deviation(place._replace(dtype=dtype), "A", MECHANISMS[0], ("1",), tier, sets)
        for tier in ("default", "thorough")
        for dtype, sets in zip(DTYPES, ((), SETS[:1], SETS[:2], SETS), strict=True)
    ]
    for usual in map(measured_on, ((), SETS[:1], SETS)):
        file = LedgerFile("torch", MECHANISMS[:1], tuple(deviations[:4]), (), ("1",), usual)
        assert set(read_again(file, tmp_path).deviations) == set(deviations[:4])
        file = LedgerFile("torch", MECHANISMS[:1], tuple(deviations[4:]), (), ("1",), usual)
        assert set(read_again(file, tmp_path).deviations) == set(deviations[4:])


def test_witnesses_are_read_as_they_were_written(tmp_path: Path) -> None:
    element = (("logits", "-0x1.0p-54"), ("targets", "0x1.8p-1"), ("weight", "0x0.0p+0"))
    witnesses = {
        Witness("m.sums of 10", "float32", "6", 1),
        Witness("m.f", "float64", element=element),
        Witness("m.f", "float64", element=element[:2]),
        Witness("m.f", "bfloat16", element=element[:2]),
    }
    file = LedgerFile("torch", witnesses=tuple(witnesses))
    found = read_again(file, tmp_path).witnesses
    assert len(found) == len(witnesses)
    assert set(found) == witnesses


def test_many_requirements_take_a_line_for_each_family() -> None:
    names = [*(f"GRAD-{n}" for n in range(1, 12)), "BRD-1", "BRD-2", "DET-1"]
    deviations = tuple(
        Deviation(Place(name, "torch", "cpu", "float32"), "A", MECHANISMS[0], ("1",))
        for name in names
    )
    text = writing.text(LedgerFile("torch", MECHANISMS[:1], deviations, (), ("1",)), "torch")
    lines = text[text.index("A = [") :].splitlines()
    starts = [line.split("-")[0].strip() for line in lines]
    assert starts == ["A = [", '"GRAD', '"GRAD', '"BRD', '"DET', "]"]
    assert max(map(len, lines)) <= writing.WIDTH
