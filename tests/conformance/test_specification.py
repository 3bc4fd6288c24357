"""SPEC.md, its parser, and that requirements and checks are the same."""

from collections import Counter
from collections.abc import Iterator

import pytest

from bce_conformance.conformance.specification import NEEDS, families, parse, requirements
from tests.conformance.check_modules import check_modules

ENTRY = """## FAM · family
### FAM-1 · A title
The sentence,
on two lines.
- Levels: A, AA, AAA
- Dtypes: float16
- Source: definition
- Why: because

## Next
text
"""


def checked_requirements() -> Iterator[str]:
    """The number of the requirement of each check."""
    for module in check_modules():
        for name, function in vars(module).items():
            marks = getattr(function, "pytestmark", [])
            if name.startswith("test_"):
                yield from (mark.args[0] for mark in marks if mark.name == "requirement")


def test_each_requirement_has_one_check_and_each_check_a_requirement() -> None:
    assert Counter(checked_requirements()) == Counter(list(requirements()))


def test_numbers_run_on_within_each_family() -> None:
    for family in families():
        numbers = [int(r.id.split("-")[1]) for r in requirements().values() if r.family == family]
        assert numbers == list(range(1, len(numbers) + 1)), family
    assert {r.family for r in requirements().values()} == set(families())


def test_parse_reads_an_entry() -> None:
    (requirement,) = parse(ENTRY)
    assert requirement.id == "FAM-1"
    assert requirement.family == "FAM"
    assert requirement.text == "The sentence, on two lines."
    assert requirement.graded
    assert requirement.dtypes == ("float16",)
    assert not requirement.each_instruction_set


def test_a_requirement_may_need_a_process_for_each_instruction_set() -> None:
    text = ENTRY.replace("- Dtypes", f"- Needs: {NEEDS}\n- Dtypes")
    assert [requirement.each_instruction_set for requirement in parse(text)] == [True]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("- Why: because\n", "", "FAM-1 has no line"),
        ("A, AA, AAA", "A, B", "FAM-1 has Levels 'A, B'"),
        ("float16", "float8", "FAM-1 has Dtypes"),
        ("- Dtypes", "- Needs: luck\n- Dtypes", "FAM-1 has Needs 'luck'"),
    ],
)
def test_parse_refuses_a_damaged_entry(old: str, new: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list(parse(ENTRY.replace(old, new)))
