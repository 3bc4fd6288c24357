"""Impostors in processes of their own: what was planted is caught by a survey as a run makes it."""

from __future__ import annotations

import os
import random
from functools import partial

from bce_conformance.backends import BackendProcess, BackendSpec
from bce_conformance.conformance.judging.calls import Fault
from bce_conformance.conformance.space.factors import FACTORS
from bce_conformance.conformance.space.rules import covering
from bce_conformance.conformance.surveying.calls import CallStore, numbered
from bce_conformance.conformance.surveying.survey import Survey, Surveyor
from bce_conformance.results.cells import Level

from .impostor import FACTORY, VARIABLE, written
from .levels import FACTORS as VISIBLE
from .plants import Impostor, every, impostors

FIRST = 10  # calls that are tried first; most impostors show in these


def sampled(count: int, seed: int) -> list[Impostor]:
    """Impostors at pairs of levels that a call itself shows."""
    visible = {i for i, factor in enumerate(FACTORS) if factor.name in VISIBLE}
    shared = (_number("pos_weight shape"), _index("pos_weight shape", "weight's"))
    chosen = [
        levels
        for levels in every(2)
        if {factor for factor, _ in levels} <= visible and shared not in levels
    ]
    return impostors(random.Random(seed).sample(chosen, count))


def catches(impostor: Impostor, strength: int, seed: int) -> bool:
    """Whether a survey of the calls in which the levels meet shows the impostor."""
    met = [(FACTORS[f].name, FACTORS[f].names[v]) for f, v in impostor.levels]
    rows = [row for row in covering(strength) if all(row[n] == level for n, level in met)]
    rows.sort(key=lambda row: row["size"] != "small")
    os.environ[VARIABLE] = written(impostor)
    try:
        with BackendProcess(BackendSpec("planted", FACTORY)) as process:
            store = CallStore(seed)
            plans = (partial(numbered, rows[:FIRST]), partial(numbered, rows[FIRST:]))
            surveys = (Surveyor(process, "cpu", store, plan).made() for plan in plans)
            return any(map(is_wrong, surveys))
    finally:
        del os.environ[VARIABLE]


def is_wrong(survey: Survey) -> bool:
    """Whether a survey shows anything that the matrix would not call right."""
    refused = [r for r in survey.refusals if r.failure.kind != "unsupported"]
    judged = [r for call in survey.calls for r in call.judgement.results.values()]
    faults = any(isinstance(found, Fault) for found in judged)
    low = any(call.judgement.least < Level.AAA for call in survey.calls)
    return bool(refused) or faults or low


def _number(factor: str) -> int:
    return next(i for i, f in enumerate(FACTORS) if f.name == factor)


def _index(factor: str, level: str) -> int:
    return FACTORS[_number(factor)].names.index(level)
