"""Streaming statistics against those of the whole."""

from dataclasses import replace

import numpy as np
import pytest

from bce_conformance.conformance.judging.ulp_statistics import ErrorStatistics


def of(*pieces: list[float]) -> ErrorStatistics:
    statistics = ErrorStatistics()
    for piece in pieces:
        statistics.add(np.array(piece))
    return statistics


def test_nothing_has_no_statistics() -> None:
    assert of([]).summary() is None


def test_the_percentile_is_close_and_the_rest_exact() -> None:
    errors = np.exp(np.random.default_rng(0).normal(size=10_000))
    found = of(*np.array_split(errors, 7)).summary()
    assert found is not None
    right = np.quantile(errors, 0.99, method="higher")
    assert right <= found.p99 <= 1.011 * right
    assert found.max == errors.max()
    assert found.mean == pytest.approx(errors.mean())
    assert found.correctly_rounded == (errors <= 0.5).mean()


def test_what_was_searched_for_moves_the_maximum_only() -> None:
    statistics = of([0.25, 0.75])
    plain = statistics.summary()
    statistics.widen(np.array([3.0, 0.1]))
    statistics.widen(np.array([]))
    found = statistics.summary()
    assert plain is not None
    assert found == replace(plain, max=3.0)


@pytest.mark.parametrize(
    ("errors", "p99", "largest"),
    [
        ([0.0] * 100, 0.0, 0.0),
        ([0.0] * 99 + [5.0], 0.0, 5.0),
        ([np.inf] * 2 + [0.25] * 98, np.inf, np.inf),
        ([0.5], 0.5, 0.5),
    ],
)
def test_edges(errors: list[float], p99: float, largest: float) -> None:
    found = of(errors).summary()
    assert found is not None
    assert (found.p99, found.max) == (p99, largest)


def test_errors_with_counts_are_errors_that_occur_so_often() -> None:
    random = np.random.default_rng(1)
    errors = random.choice([0.0, 0.25, 0.5, 3.7, 1e9, np.inf], 5_000)
    values, counts = np.unique(errors, return_counts=True)
    counted, one_by_one = ErrorStatistics(), ErrorStatistics()
    counted.add(values, counts)
    one_by_one.add(errors)
    assert counted.summary() == one_by_one.summary()
