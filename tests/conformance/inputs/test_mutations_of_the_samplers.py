"""Mutations of the samplers let an impostor through that the unmutated ones catch.

Each mutant draws less: a curated region is left out, or a sampler draws one kind of value only.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bce_conformance.conformance.checks.numbers import test_values
from bce_conformance.conformance.inputs import inputs, pools
from bce_conformance.conformance.inputs.sampler import Sampler
from bce_conformance.conformance.specification import requirements
from bce_conformance.reference import FLOAT32
from tests.impostors.kinds.edges import LIMITS
from tests.impostors.recording import Cells, is_worse
from tests.impostors.table import IMPOSTORS, right_verdict

pytestmark = pytest.mark.slow

Mutation = Callable[[pytest.MonkeyPatch], None]


def without_curated(method: str, number: int) -> Mutation:
    """What ``fill`` gets from one method, without one of its curated regions."""

    def mutate(monkeypatch: pytest.MonkeyPatch) -> None:
        fill = Sampler.fill

        def less(self: Sampler, *curated: Any, random: Any) -> Any:
            if sys._getframe(1).f_code.co_name == method:
                curated = (*curated[:number], np.zeros(0), *curated[number + 1 :])
            return fill(self, *curated, random=random)

        monkeypatch.setattr(Sampler, "fill", less)

    return mutate


def thresholds_where(kept: Callable[[Any], Any]) -> Mutation:
    """Only those thresholds for which ``kept`` holds."""

    def mutate(monkeypatch: pytest.MonkeyPatch) -> None:
        thresholds = Sampler.thresholds

        def less(self: Sampler) -> Any:
            values = thresholds(self)
            return values[kept(values)]

        monkeypatch.setattr(Sampler, "thresholds", less)

    return mutate


def nearest_limit(values: Any) -> Any:
    """The number of the limit that is nearest to each value."""
    limits = np.array(list(LIMITS.values()))
    return np.argmin(np.abs(values[:, None] - limits), axis=1)


def distance(values: Any) -> Any:
    """How far each value is from its nearest limit."""
    return np.abs(values - np.array(list(LIMITS.values()))[nearest_limit(values)])


def always(method: str, value: Callable[..., Any]) -> Mutation:
    """A sampler's method that draws something else."""
    return lambda monkeypatch: monkeypatch.setattr(Sampler, method, value)


def one_pattern_less(monkeypatch: pytest.MonkeyPatch) -> None:
    every = inputs.every_finite_pattern

    def less(format_: Any) -> Any:
        patterns = every(format_)
        return np.where(patterns.view(np.uint16) == 0x3555, patterns[:1], patterns)

    monkeypatch.setattr(test_values, "every_finite_pattern", less)


# The mutant, and the impostor that a requirement does not catch with it.
MUTANTS: dict[str, tuple[Mutation, str, str, str]] = {
    **{
        f"no threshold at {name}": (
            thresholds_where(lambda values, number=number: nearest_limit(values) != number),
            f"edge_at_{name}",
            "GRAD-6",
            "float32",
        )
        for number, name in enumerate(LIMITS)
    },
    "no ulps at thresholds": (
        thresholds_where(lambda values: distance(values) > 1e-4),
        "edge_at_a_unit_roundoff",
        "VAL-2",
        "float32",
    ),
    "nothing around thresholds": (
        thresholds_where(lambda values: distance(values) < 1e-4),
        "beside_the_edge",
        "VAL-2",
        "float32",
    ),
    "tail without ends": (without_curated("tail", 0), "edge_at_one", "VAL-3", "float32"),
    "tail without thresholds": (
        without_curated("tail", 1),
        "edge_at_the_smallest_normal",
        "VAL-3",
        "float32",
    ),
    "huge without edges": (
        without_curated("huge", 0),
        "largest_taken_for_infinite",
        "VAL-6",
        "float32",
    ),
    "tiny without edges": (without_curated("tiny", 0), "edge_at_zero", "VAL-7", "float32"),
    "tiny without negative edges": (
        without_curated("tiny", 1),
        "edge_at_minus_zero",
        "VAL-7",
        "float32",
    ),
    "every magnitude without edges": (
        without_curated("every_magnitude", 0),
        "largest_taken_for_infinite",
        "GRAD-7",
        "float32",
    ),
    "every magnitude without edges, all gradients": (
        without_curated("every_magnitude", 0),
        "largest_taken_for_infinite",
        "GRAD-10",
        "float64",
    ),
    "every magnitude without thresholds": (
        without_curated("every_magnitude", 1),
        "edge_at_a_unit_roundoff",
        "GRAD-6",
        "float32",
    ),
    "every size without zeros": (
        without_curated("every_size", 0),
        "loss_divided_by_weight",
        "GRAD-23",
        "float32",
    ),
    "every size without edges": (
        without_curated("every_size", 1),
        "largest_pos_weight_taken_for_infinite",
        "VAL-12",
        "float32",
    ),
    "only positive targets": (
        always("hard", lambda s: s.constant(1)),
        "negative_tail_in_float16",
        "VAL-1",
        "float32",
    ),
    "soft targets of a half": (
        always("soft", lambda s: s.constant(0.5)),
        "smoothed_targets_clipped",
        "VAL-4",
        "float32",
    ),
    "nearly hard targets of a tenth": (
        always("nearly_hard", lambda s: s.constant(0.1)),
        "almost_hard_taken_for_hard",
        "GRAD-4",
        "float32",
    ),
    "balanced targets of a half": (
        always("balanced", lambda s, logits: s.constant(0.5)),
        "converged",
        "GRAD-4",
        "float32",
    ),
    "positive logits only": (
        always("signed", lambda s, values: s.cast(np.abs(values.astype(np.float64)))),
        "negative_tail_in_float16",
        "VAL-1",
        "float32",
    ),
    "weights of one": (
        always("positive", lambda s, low=0, high=0: s.constant(1)),
        "weight_squared",
        "VAL-10",
        "float32",
    ),
    "positive cotangents": (
        always("cotangent", lambda s: s.positive(0.25, 4.0)),
        "positive_cotangents_only",
        "GRAD-11",
        "float32",
    ),
    "cotangents of one": (
        always("cotangent", lambda s: s.constant(1)),
        "without_cotangent",
        "GRAD-11",
        "float32",
    ),
    "one element": (
        lambda monkeypatch: monkeypatch.setattr(pools, "POOL_SIZE", 1),
        "one_cotangent_for_all",
        "GRAD-11",
        "float32",
    ),
    "one bit pattern less": (one_pattern_less, "one_wrong_bit_pattern", "VAL-9", "float16"),
}


def is_caught(name: str, requirement: str, dtype: str) -> bool:
    """Whether a requirement catches an impostor with inputs that are drawn now."""
    backend, asked = IMPOSTORS[name].adapter(), requirements()[requirement]
    verdict = Cells().run(backend, asked, dtype).verdict
    return is_worse(verdict, right_verdict(requirement, dtype))


@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_mutant_lets_an_impostor_through(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mutate, *cell = MUTANTS[mutant]
    assert is_caught(*cell)
    mutate(monkeypatch)
    assert not is_caught(*cell)


def test_inputs_depend_on_the_seed() -> None:
    """A sampler of one fixed seed would make two runs of one."""
    first, second = (Cells(seed).pools.get(test_values.moderate, FLOAT32).logits for seed in (0, 1))
    assert not np.array_equal(first, second)
