"""Mutations of the suite turn it red: no check of a requirement can go without being missed.

Every check is left out in turn: each part of each requirement's test, which is a line of it with
the inputs that it judges, and each call of a check, wherever it is. Some impostor that is caught
must then be caught no more.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable

import pytest

from tests.impostors import table
from tests.impostors.recording import CALL_ENDED, LeftOut, Site, check_calls, is_worse

pytestmark = pytest.mark.slow


def finders(
    cells: Iterable[table.CellKey], group: Callable[[Site], str]
) -> dict[str, list[table.CellKey]]:
    """The cells in which each group of check sites found a fault.

    Those cells come first in which no other group found one.
    """
    found: dict[str, list[table.CellKey]] = defaultdict(list)
    for key in cells:
        outcome = table.outcomes()[key]
        faults = {group(site) for site in outcome.faults}
        for name in {group(site) for site in outcome.levels if site != CALL_ENDED}:
            if name in faults:
                found[name].insert(0 if len(faults) == 1 else len(found[name]), key)
            else:
                found[name] += []
    return found


def is_missed(left_out: LeftOut, cell: table.CellKey) -> bool:
    """Whether the impostor of a cell is caught no more where some check sites are left out."""
    _, requirement, dtype = cell
    try:
        outcome = table.outcome(cell, left_out)
    except ValueError:  # values of a wrong format that nothing has held back reach the judge
        return True
    return not is_worse(outcome.verdict, table.right_verdict(requirement, dtype))


def idle(cells: Iterable[table.CellKey], group: Callable[[Site], str]) -> list[str]:
    """The groups of check sites without which every impostor is still caught."""
    return [
        name
        for name, found in finders(cells, group).items()
        if not any(is_missed(lambda site, name=name: group(site) == name, cell) for cell in found)  # type: ignore[misc]
    ]


@pytest.mark.parametrize("requirement", table.ASKED)
def test_no_part_of_the_requirement_can_be_left_out(requirement: str) -> None:
    cells = [cell for cell in table.outcomes() if cell[1] == requirement]
    assert cells
    assert idle(cells, lambda site: site.part) == []


def test_no_call_of_a_check_can_be_left_out() -> None:
    calls = dict(check_calls())
    assert calls
    ran = {site.call for outcome in table.outcomes().values() for site in outcome.levels}
    assert {line: method for line, method in calls.items() if line not in ran} == {}
    assert idle(table.outcomes(), lambda site: site.call) == []
