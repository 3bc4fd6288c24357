"""Surveys find what is refused and what is wrong, and say it once."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from bce_conformance.backends.calls import Failure, LossCall, LossResult
from bce_conformance.conformance.judging.calls import CallJudgement, Fault, expectations
from bce_conformance.conformance.space.costly import is_costly
from bce_conformance.conformance.space.factors import Combination
from bce_conformance.conformance.space.rules import covering
from bce_conformance.conformance.space.shrinking import in_words, is_part_of
from bce_conformance.conformance.surveying.calls import CallStore, numbered
from bce_conformance.conformance.surveying.mechanisms import Finding, Investigation
from bce_conformance.conformance.surveying.survey import Surveyed, Surveyor, difference
from bce_conformance.results.cells import Level
from tests.planted.levels import levels_of
from tests.planted.plants import right_result

ROWS = [row for row in covering(2) if row["dtype"] == "float32" and not is_costly(row)]
SMALL = [row for row in covering(3) if row["dtype"] == "float32" and not is_costly(row)]
MORE_ROWS = random.Random(0).sample(SMALL, 160)


class Right:
    """Gives correctly rounded results, but for calls with certain levels.

    Args:
        instead: what is returned in the place of a right result; None where that is right.
    """

    def __init__(
        self, instead: Callable[[dict[str, str], LossResult], LossResult | Failure | None]
    ) -> None:
        self.instead = instead
        self.calls = 0

    def evaluate(self, call: LossCall) -> LossResult | Failure:
        self.calls += 1
        right = right_result(expectations(call, cached=False))
        return self.instead(levels_of(call), right) or right


def surveyor(process: Right, rows: Sequence[Combination] = ROWS) -> Surveyor:
    return Surveyor(process, "cpu", CallStore(0), lambda: numbered(rows))


def refusing(*refused: dict[str, str]) -> Right:
    """Refuses calls that have all levels of one of some groups; ``given`` is any weight."""

    def instead(levels: dict[str, str], right: LossResult) -> Failure | None:
        for group in refused:
            if all(has(levels, name, level) for name, level in group.items()):
                return Failure("raised", "ValueError: no", "ValueError")
        return None

    return Right(instead)


def has(levels: dict[str, str], name: str, level: str) -> bool:
    return levels[name] != "none" if level == "given" else levels[name] == level


@pytest.mark.parametrize(
    "refused",
    [
        {"targets format": "bool"},
        {"quantities": "everything"},
        {"reduction": "mean", "quantities": "jvp_logits"},
        {"weight shape": "given", "quantities": "grad_targets"},
        {"shape": "empty"},
    ],
    ids=str,
)
def test_what_is_refused_is_found_once_and_avoided(refused: dict[str, str]) -> None:
    process = refusing(refused)
    survey = surveyor(process).made()
    assert [dict(refusal.cause) for refusal in survey.refusals] == [refused]
    assert survey.left == 0
    assert len(survey.calls) == len(ROWS)
    assert not any(is_part_of(survey.refusals[0].cause, call.levels) for call in survey.calls)
    assert process.calls < 3 * len(ROWS) + 80


@pytest.mark.slow
def test_two_refusals_do_not_hide_each_other() -> None:
    groups = ({"targets format": "int"}, {"reduction": "sum", "quantities": "jvp_logits"})
    assert all(any(group.items() <= row.items() for row in MORE_ROWS) for group in groups)
    survey = surveyor(refusing(*groups), MORE_ROWS).made()
    found = [dict(refusal.cause) for refusal in survey.refusals]
    assert sorted(found, key=str) == sorted(groups, key=str)
    for refusal in survey.refusals:
        assert refusal.call().logits.size <= 9


def test_what_is_refused_in_one_format_is_tried_at_once_in_another() -> None:
    group = {"weight shape": "given", "quantities": "grad_targets"}
    process = refusing(group)
    first = surveyor(process)
    first.made()
    before = process.calls
    rows = [{**row, "dtype": "float64"} for row in ROWS if "wider" not in row.values()]
    second = Surveyor(process, "cpu", CallStore(0), lambda: numbered(rows), others=[first])
    assert [dict(r.cause) for r in second.made().refusals] == [group]
    assert process.calls - before < before


def test_nothing_is_found_in_what_is_right() -> None:
    survey = surveyor(Right(lambda levels, right: None)).made()
    assert not survey.refusals
    assert all(call.judgement.least is Level.AAA for call in survey.calls)


def test_the_cause_of_a_wrong_result_is_found_with_a_small_call() -> None:
    """Wrong where the mean of a loss with a weight is asked for: it is said, in a smallest call."""

    def instead(levels: dict[str, str], right: LossResult) -> LossResult | None:
        if levels["weight shape"] == "none" or levels["reduction"] != "mean":
            return None
        values = {q: np.asarray(v + np.ones_like(v)) for q, v in right.values.items()}
        return LossResult(values)

    asked = surveyor(Right(instead), MORE_ROWS)
    below = [
        (call, call.judgement.level("loss"))
        for call, _ in asked.made().judged("loss")
        if call.judgement.level("loss") < Level.AAA
    ]
    assert below
    investigation = Investigation(asked.store, lambda _, call: asked.level("loss", call), 2)
    findings, left = investigation.findings(below)
    assert in_words(findings[0].cause) == "weight shape=given × reduction=mean"
    assert findings[0].smallest.logits.size <= 2
    assert findings[0].calls + sum(f.calls for f in findings[1:]) + left == len(below)


def test_a_cause_has_the_least_level_of_its_calls_and_the_worst_comes_first() -> None:
    """A call that was not kept is looked at after the others, and may be worse than they."""

    class Planted(Investigation):
        def _investigated(self, found: Combination, call: LossCall, level: Level) -> Finding:
            return Finding((("reduction", found["reduction"]),), level, 1, call)

    store = CallStore(0)
    mean, total = (next(r for r in ROWS if r["reduction"] == name) for name in ("mean", "sum"))
    nothing = CallJudgement({})
    calls = [
        (Surveyed(mean, 9, store.call(mean, 0), 0, nothing), Level.AA),
        (Surveyed(total, 9, store.call(total, 0), 0, nothing), Level.A),
        (Surveyed(mean, 30_000, None, 1, nothing), Level.FAILS),
    ]
    found, left = Planted(store, lambda _, call: None, 5).findings(calls)
    assert left == 0
    assert [(one.cause[0][1], one.level, one.calls) for one in found] == [
        ("mean", Level.FAILS, 2),
        ("sum", Level.A, 1),
    ]


def test_a_difference_tells_both_values() -> None:
    def loss(*values: float) -> LossResult:
        return LossResult({"loss": np.array(values, np.float32)})

    assert difference(loss(1, np.nan), loss(1, -np.nan)) == ""
    told = difference(loss(1, 2.5, 3), loss(1, 2.25, 4))
    assert told == "2 of 3 elements of loss differ in the second call, as 2.5 and then 2.25"
    assert difference(loss(1), Failure("raised", "ValueError: no", "ValueError")) == (
        "the second call raised ValueError: no"
    )


def asked_together(instead: LossResult | Failure | None) -> Right:
    """Right, but for losses that are asked for alone."""

    def given(levels: dict[str, str], right: LossResult) -> LossResult | Failure | None:
        return instead if levels["quantities"] == "loss" else None

    return Right(given)


TOGETHER = [row for row in SMALL if row["quantities"] == "everything" and row["shape"] == "matrix"]


@pytest.mark.parametrize(
    ("instead", "kind"),
    [
        (Failure("raised", "ValueError: no", "ValueError"), "raised"),
        (Failure("crashed", "SIGSEGV"), "crashed"),
        (Failure("unsupported", "no loss alone"), None),
        (LossResult({}), "absent"),
        (LossResult({"loss": np.zeros((1, 1, 1, 1, 1), np.float32)}), "wrong shape"),
        (None, None),
    ],
    ids=str,
)
def test_what_is_right_together_and_has_no_right_form_alone_is_a_fault(
    instead: LossResult | Failure | None, kind: str | None
) -> None:
    calls = surveyor(asked_together(instead), TOGETHER[:40]).made().calls
    losses = [one.alone[1] for one in calls if one.alone and one.alone[0] == "loss"]
    assert bool(losses) is (not isinstance(instead, Failure) or kind is not None)
    found = {one.kind for one in losses if isinstance(one, Fault)}
    assert found == ({kind} if kind else set())
    assert not kind or all(isinstance(one, Fault) for one in losses)


def test_another_format_alone_is_a_fault() -> None:
    def instead(levels: dict[str, str], right: LossResult) -> LossResult | None:
        wide = {q: v.astype(np.float64) for q, v in right.values.items()}
        return LossResult(wide) if levels["quantities"] == "loss" else None

    calls = surveyor(Right(instead), TOGETHER[:40]).made().calls
    faults = [one.alone[1] for one in calls if one.alone and isinstance(one.alone[1], Fault)]
    assert {str(fault) for fault in faults} == {"wrong format: loss is float64, not float32"}


def test_what_is_wrong_together_is_not_held_against_it_alone() -> None:
    def instead(levels: dict[str, str], right: LossResult) -> LossResult | None:
        columns = {q: v[..., None] for q, v in right.values.items()}
        return LossResult(columns) if levels["quantities"] == "everything" else None

    calls = surveyor(Right(instead), TOGETHER[:40]).made().calls
    assert {one.alone for one in calls} == {None}


class Racing(Right):
    """Fails in some of the calls that are made in several threads at once.

    Args:
        fails: whether the call of that number, from 0 on, is one of them.
    """

    def __init__(self, fails: Callable[[int], bool]) -> None:
        super().__init__(lambda levels, right: None)
        self.fails = fails
        self.met = -1

    def evaluate(self, call: LossCall) -> LossResult | Failure:
        self.met += call.repetition == "at once"
        if call.repetition == "at once" and self.fails(self.met):
            return Failure("crashed", "SIGSEGV")
        return super().evaluate(call)


def test_what_fails_by_chance_in_threads_is_found_once() -> None:
    survey = surveyor(Racing(lambda number: number % 5 == 3)).made()
    assert [dict(refusal.cause) for refusal in survey.refusals] == [{"repetition": "at once"}]
    assert len(survey.calls) == len(ROWS)
    assert not survey.left
    assert not survey.by_chance
    made = {call.levels["repetition"] for call in survey.calls[-20:]}
    assert made >= {"once", "twice", "changed"}
    assert "at once" not in made


def test_what_fails_once_in_threads_is_told_and_no_refusal() -> None:
    survey = surveyor(Racing(lambda number: number == 0)).made()
    assert not survey.refusals
    assert survey.by_chance == ["crashed: SIGSEGV"]
    assert len(survey.calls) == len(ROWS)
    assert {call.levels["repetition"] for call in survey.calls[-20:]} >= {"at once"}


class Disturbed(Racing):
    """Gives zeros where ``Racing`` would fail."""

    def evaluate(self, call: LossCall) -> LossResult | Failure:
        found = super().evaluate(call)
        if isinstance(found, LossResult):
            return found
        right = right_result(expectations(call, cached=False)).values
        return LossResult({quantity: np.zeros_like(array) for quantity, array in right.items()})


class RacingAlone(Racing):
    """Fails likewise, but only where one quantity is asked for."""

    def evaluate(self, call: LossCall) -> LossResult | Failure:
        found = super().evaluate(call) if len(call.quantities) == 1 else None
        return found or right_result(expectations(call, cached=False))


def test_a_quantity_alone_that_fails_only_in_threads_is_no_fault() -> None:
    wanted = {"quantities": "everything", "repetition": "at once"}.items()
    rows = [row for row in SMALL if wanted <= row.items() and row["shape"] != "empty"][:6]
    process = RacingAlone(lambda number: True)
    found = [one.alone[1] for one in surveyor(process, rows).made().calls if one.alone]
    assert {not isinstance(one, Fault) and one.level for one in found} == {Level.AAA}
    crash = Failure("crashed", "SIGABRT")
    process.instead = lambda levels, right: crash  # by itself, too
    found = [one.alone[1] for one in surveyor(process, rows).made().calls if one.alone]
    assert {str(one) for one in found} == {"crashed: SIGABRT"}


def test_what_threads_often_spoil_is_judged_and_what_they_seldom_do_is_told() -> None:
    wanted = {"repetition": "at once", "shape": "matrix"}.items()
    rows = [row for row in SMALL if wanted <= row.items()][:8]
    often = surveyor(Disturbed(lambda number: True), rows).made()
    assert any(call.repeated for call in often.calls)
    assert min(call.judgement.least for call in often.calls) < Level.AAA
    seldom = surveyor(Disturbed(lambda number: number == 0), rows).made()
    assert "differ in the second call" in seldom.by_chance[0]
    assert not any(call.repeated for call in seldom.calls)
    assert min(call.judgement.least for call in seldom.calls) is Level.AAA


class Spoilt(Right):
    """Crashes in calls by themselves after such in several threads, so many times."""

    def __init__(self, times: int) -> None:
        super().__init__(lambda levels, right: None)
        self.left = times
        self.met = False

    def evaluate(self, call: LossCall) -> LossResult | Failure:
        self.met |= call.repetition == "at once"
        if self.met and call.repetition == "once" and self.left:
            self.left -= 1
            return Failure("crashed", "SIGABRT")
        return super().evaluate(call)


def test_a_call_that_crashes_once_after_threads_is_told_and_the_next_is_compared() -> None:
    rows = [row for row in SMALL if row["repetition"] == "at once"][:4]
    seldom = surveyor(Spoilt(1), rows).made()
    assert seldom.by_chance == ["the second call crashed: SIGABRT"]
    assert not any(call.repeated for call in seldom.calls)
    often = surveyor(Spoilt(100), rows).made()
    assert not often.by_chance
    assert {call.repeated for call in often.calls} == {"the second call crashed: SIGABRT"}
