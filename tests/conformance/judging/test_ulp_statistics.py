"""Streaming statistics against those of the whole."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from bce_conformance.conformance.judging.ulp_statistics import ErrorStatistics
from bce_conformance.results.cells import HISTOGRAM


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


def test_the_histogram_counts_each_result_once_in_its_interval() -> None:
    random = np.random.default_rng(2)
    errors = np.concatenate([np.exp2(random.uniform(-5, 60, 4_000)), HISTOGRAM, [0.0, np.inf]])
    above = np.nextafter(HISTOGRAM, np.inf)
    found = of(list(errors[:1_000]), list(errors[1_000:]), list(above)).summary()
    assert found is not None
    every = np.concatenate([errors, above])
    edges = [-1.0, *HISTOGRAM, np.finfo(np.float64).max, np.inf]
    counted = [int(((low < every) & (every <= high)).sum()) for low, high in pairwise(edges)]
    assert sum(counted) == every.size
    # The logarithm of the next number above a bound may round to that of the bound.
    apart = np.abs(np.array(found.histogram) - counted)
    assert apart.max() <= 1
    assert sum(found.histogram) == every.size


def test_the_histogram_ends_with_the_largest_error() -> None:
    found = of([0.0, 0.3, 3.0], [0.4]).summary()
    assert found is not None
    assert found.histogram == (1, 2, 0, 0, 1)
    infinite = of([0.0, np.inf]).summary()
    assert infinite is not None
    assert infinite.histogram == (1, *[0] * 10, 1)


def test_a_mean_of_the_largest_errors_is_none_larger() -> None:
    largest = np.finfo(float).max
    found = of([largest] * 3).summary()
    assert found is not None
    assert found.mean == largest
