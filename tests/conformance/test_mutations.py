"""Mutations of the suite turn it red: no check of a requirement can go without being missed.

Each check site of each requirement is left out in turn. A site is a line of a test of the matrix
that judges or requires something, with the inputs that it judges: some impostor, caught by the
requirement, must then be caught no more.
"""

from collections import defaultdict

import pytest

from bce_conformance.conformance.cells import Level
from bce_conformance.conformance.specification import requirements
from tests.impostors import table
from tests.impostors.impostor import IMPOSTORS
from tests.impostors.recording import CALL_ENDED, check_calls, is_worse


def sites(requirement: str) -> dict[str, list[table.CellKey]]:
    """The check sites of a requirement, each with the cells in which it found something.

    Those cells come first in which no other site found anything.
    """
    alone: dict[str, list[table.CellKey]] = defaultdict(list)
    beside: dict[str, list[table.CellKey]] = defaultdict(list)
    for key, outcome in table.outcomes().items():
        if key[1] == requirement:
            found = [f.site for f in outcome.findings if f.level < Level.AAA]
            for site in outcome.sites - {CALL_ENDED}:
                alone[site] += [key] if found == [site] else []
                beside[site] += [key] if site in found else []
    return {site: [*alone[site], *beside[site]] for site in alone}


def is_missed(site: str, cell: table.CellKey) -> bool:
    """Whether the impostor of a cell is caught no more if a check site is left out."""
    name, requirement, dtype = cell
    adapter, asked = IMPOSTORS[name].adapter(), requirements()[requirement]
    outcome = table.cells().run(adapter, asked, dtype, left_out=site)
    return not is_worse(outcome.verdict, table.right_verdict(requirement, dtype))


@pytest.mark.parametrize("requirement", requirements())
def test_no_check_of_the_requirement_can_be_left_out(requirement: str) -> None:
    found = sites(requirement)
    assert found
    idle = [site for site, cells in found.items() if not any(is_missed(site, c) for c in cells)]
    assert idle == [], "each of these checks catches no impostor that the others do not catch"


def test_every_check_in_the_tests_of_the_matrix_ran() -> None:
    """A check that no impostor reaches is not known to find anything."""
    ran = {
        line
        for outcome in table.outcomes().values()
        for site in outcome.sites
        for line in site.partition(" · ")[0].split(" > ")
    }
    calls = dict(check_calls())
    assert calls
    assert {line: method for line, method in calls.items() if line not in ran} == {}
