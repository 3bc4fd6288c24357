"""A history measures as few releases as it takes to find where cells moved."""

import copy
import random
from dataclasses import replace

import pytest

from bce_conformance.results.cells import UlpStatistics
from bce_conformance.results.model import Results
from bce_conformance.results.reading import from_document
from bce_conformance.upgrades import narrowing, table
from bce_conformance.upgrades.releases import chosen
from tests.reports.conftest import build

RELEASES = [f"0.{n}.0" for n in range(1, 21)]


def results(*verdicts: str) -> Results:
    """A run of the first cells of a backend, with these verdicts."""
    document = copy.deepcopy(build(1, 10))
    found = from_document(document)
    cells = [cell for cell in found.cells if cell.backend == "torch"][: len(verdicts)]
    backends = tuple(entry for entry in found.backends if entry.id == "torch")
    pairs = zip(cells, verdicts, strict=True)
    changed = tuple(replace(cell, verdict=verdict, ulp=None, worst=None) for cell, verdict in pairs)
    return replace(found, backends=backends, cells=changed, timings=None)


class Index:
    """Releases of which each is measured as the last change before it says."""

    def __init__(self, changes: dict[str, tuple[str, ...]], broken: set[str] = frozenset()) -> None:
        self.changes, self.broken = changes, broken
        self.asked: list[str] = []

    def measure(self, release: str) -> Results | str:
        self.asked.append(release)
        if release in self.broken:
            return "cannot be installed: no wheel"
        at = RELEASES.index(release)
        return results(*[v for r, v in self.changes.items() if RELEASES.index(r) <= at][-1])


def moved(found: narrowing.History) -> list[tuple[str, str, int]]:
    return [(step.before, step.after, len(step.moves)) for step in found.steps()]


def test_one_movement_is_found_by_halving() -> None:
    index = Index({"0.1.0": ("A", "AA"), "0.14.0": ("AAA", "AA")})
    found = narrowing.narrow(RELEASES, index.measure)
    assert moved(found) == [("0.13.0", "0.14.0", 1)]
    assert len(index.asked) <= 2 + 5
    assert len(set(index.asked)) == len(index.asked)


@pytest.mark.slow
def test_each_of_several_movements_is_found() -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed: {seed}")
    draw = random.Random(seed)
    for _ in range(20):
        one, other = sorted(draw.sample(RELEASES[1:], 2), key=RELEASES.index)
        changes = {"0.1.0": ("A", "A"), one: ("AAA", "A"), other: ("AAA", "AAA")}
        found = narrowing.narrow(RELEASES, Index(changes).measure)
        assert [(after, count) for _, after, count in moved(found)] == [(one, 1), (other, 1)]


def test_what_moves_and_moves_back_is_seen_with_all_releases_only() -> None:
    index = Index({"0.1.0": ("A",), "0.5.0": ("AAA",), "0.6.0": ("A",)})
    assert moved(narrowing.narrow(RELEASES, index.measure)) == []
    assert len(index.asked) == 2
    found = narrowing.narrow(RELEASES, index.measure, every=True)
    assert moved(found) == [("0.4.0", "0.5.0", 1), ("0.5.0", "0.6.0", 1)]
    assert list(found.measured) == RELEASES


def drifting(*largest: float) -> dict[str, Results]:
    """Releases of one cell with these largest errors."""
    one = UlpStatistics(0.0, 0.0, 0.0, 0.0)
    found = results("A")
    (cell,) = found.cells
    return {
        release: replace(found, cells=(replace(cell, ulp=replace(one, max=ulp)),))
        for release, ulp in zip(RELEASES, largest, strict=False)
    }


def test_an_error_that_grows_little_by_little_has_moved() -> None:
    found = narrowing.narrow(RELEASES[:3], drifting(2, 3, 5).__getitem__)
    (step,) = found.steps()
    assert (step.before, step.after, step.gradual) == ("0.1.0", "0.3.0", True)
    assert [(move.kind, move.better) for move in step.moves] == [("ulp", False)]
    text = shown(found)
    assert "moved in 0.3.0, little by little since 0.1.0:" in text
    assert "1 of 1 cells moved, in 0.3.0" in text
    row = table.as_csv(found, "torch").splitlines()[3]
    assert row.endswith(",A,5,worse,0.1.0,A,2")
    # From where it moved last; and back at once.
    found = narrowing.narrow(RELEASES[:6], drifting(2, 3, 5, 8, 11, 2).__getitem__, every=True)
    assert moved(found) == [("0.1.0", "0.3.0", 1), ("0.3.0", "0.5.0", 1), ("0.5.0", "0.6.0", 1)]


def test_a_gradual_movement_is_found_by_halving() -> None:
    index = drifting(*(2 + n / 8 for n in range(20)))
    asked: list[str] = []

    def measure(release: str) -> Results:
        asked.append(release)
        return index[release]

    found = narrowing.narrow(RELEASES, measure)
    assert moved(found) == [("0.1.0", "0.18.0", 1)]
    assert len(asked) < 10


def test_releases_that_cannot_be_measured_are_left_out() -> None:
    broken = {"0.1.0", "0.9.0", "0.10.0", "0.11.0", "0.20.0"}
    index = Index({"0.1.0": ("A",), "0.10.0": ("AAA",)}, broken)
    found = narrowing.narrow(RELEASES, index.measure)
    assert moved(found) == [("0.8.0", "0.12.0", 1)]
    assert found.steps()[0].between == ("0.9.0", "0.10.0", "0.11.0")
    assert set(found.left_out) == broken
    none = narrowing.narrow(RELEASES, Index({}, set(RELEASES)).measure)
    assert (none.measured, none.steps(), set(none.left_out)) == ({}, [], set(RELEASES))
    alone = narrowing.narrow(RELEASES, Index({"0.1.0": ("A",)}, set(RELEASES[1:])).measure)
    assert list(alone.measured) == ["0.1.0"]


def shown(found: narrowing.History) -> str:
    from rich.console import Console

    console = Console(width=120, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(table.table(found))
    return capture.get()


@pytest.fixture
def found() -> narrowing.History:
    index = Index({"0.1.0": ("A", "AA"), "0.3.0": ("AAA", "AA")}, {"0.2.0"})
    return narrowing.narrow(RELEASES[:4], index.measure, every=True)


def test_the_table_says_what_each_release_shows_and_where_it_moved(
    found: narrowing.History,
) -> None:
    text = shown(found)
    rows = [line.split() for line in text.splitlines() if line.startswith("0.")]
    assert rows[:3] == [["0.1.0", "A", "AA"], ["0.3.0", "AAA", "AA"], ["0.4.0", "AAA", "AA"]]
    assert "moved in 0.3.0 or 0.2.0, which could not be measured, after 0.1.0:" in text
    assert "better VAL-1 cpu float16 A → AAA" in " ".join(text.split())
    assert "0.2.0: left out: cannot be installed: no wheel" in text
    assert "1 of 2 cells moved, in 0.3.0" in text


def test_many_cells_are_counted_by_verdict() -> None:
    verdicts = ("A", "AA", "AA", "fails", "AAA")
    found = narrowing.narrow(RELEASES, Index({"0.1.0": verdicts}).measure)
    text = shown(found)
    (row,) = [line.split() for line in text.splitlines() if line.startswith("0.1.0")]
    assert row == ["0.1.0", "1", "2", "1", "1", "–", "–", "–", "–"]
    assert "18 releases were not measured" in text
    assert "0 of 5 cells moved" in text


def test_json_and_csv_have_all_of_it(found: narrowing.History) -> None:
    document = table.document(found, "torch", {"tier": "quick"})
    assert [(r["release"], r["measured"]) for r in document["releases"]] == [
        ("0.1.0", True),
        ("0.2.0", False),
        ("0.3.0", True),
        ("0.4.0", True),
    ]
    (move,) = document["moves"]
    assert (move["release"], move["or"], move["moved"]) == ("0.3.0", ["0.2.0"], "better")
    lines = table.as_csv(found, "torch").splitlines()
    assert lines[0] == ",".join(table.COLUMNS)
    assert len(lines) == 1 + 3 * 2
    assert [line for line in lines[1:] if "better" in line] == [
        "torch,0.3.0,VAL-1,cpu,float16,AAA,,better,0.1.0,A,"
    ]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("0.10:0.10", ["0.10.0", "0.10.2"]),
        (":0.9", ["0.8", "0.9.1"]),
        ("0.9.1:", ["0.9.1", "0.10.0", "0.10.2", "1.0"]),
        ("0.8,1.0", ["0.8", "1.0"]),
        (":", ["0.8", "0.9.1", "0.10.0", "0.10.2", "1.0"]),
    ],
)
def test_releases_are_chosen_by_the_order_of_versions(wanted: str, expected: list[str]) -> None:
    assert chosen(["1.0", "0.10.0", "0.9.1", "0.8", "0.10.2", "no version"], wanted) == expected


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ("new:newer", "'new' is no version; accepted are FIRST:LAST"),
        ("2:3", "pip offers 0 of these; it offers 2, 0.8 to 1.0"),
        ("1.0", "takes two releases at least"),
        ("0.8,0.9", "pip offers no 0.9"),
    ],
)
def test_a_range_without_releases_is_refused(wanted: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        chosen(["0.8", "1.0"], wanted)
