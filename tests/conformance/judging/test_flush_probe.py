"""The probe tells a flush of operands from one of results, and either from a wrong formula."""

import numpy as np
import pytest

from bce_conformance.backends import Failure, LossCall, LossResult
from bce_conformance.conformance.judging.flush_probe import TIMES, Flushes, probe, read
from bce_conformance.reference import FORMATS, Format

by_format = pytest.mark.parametrize("format_", FORMATS.values(), ids=lambda f: f.name)


def losses(call: LossCall, format_: Format, *, operands: bool, results: bool):
    """w·softplus(x) by an arithmetic that flushes what it is told to."""
    assert call.weight is not None

    def flush(values, really: bool):
        return np.where(really & (np.abs(values) < format_.smallest_normal), 0, values)

    weight = flush(call.weight.astype(np.float64), operands)
    exact = weight * np.logaddexp(0, call.logits.astype(np.float64))
    return flush(exact, results).astype(format_.dtype)


@by_format
@pytest.mark.parametrize("operands", [False, True])
@pytest.mark.parametrize("results", [False, True])
def test_a_flush_is_seen(format_: Format, operands: bool, results: bool) -> None:
    loss = losses(probe(format_, "cpu"), format_, operands=operands, results=results)
    assert read(LossResult({"loss": loss}), format_) == Flushes(operands, results)


@by_format
def test_a_flush_in_some_threads_is_seen(format_: Format) -> None:
    call = probe(format_, "cpu")
    loss = losses(call, format_, operands=False, results=False)
    part = losses(call, format_, operands=True, results=True)
    loss[TIMES - 3 : TIMES + 3] = part[TIMES - 3 : TIMES + 3]
    assert read(LossResult({"loss": loss}), format_) == Flushes(True, True)


@by_format
@pytest.mark.parametrize(
    "outcome",
    [
        LossResult({}),
        LossResult({"loss": np.zeros(3)}),
        LossResult({"loss": np.full(2 * TIMES, np.nan)}),
        LossResult({"loss": np.ones(2 * TIMES)}),
        Failure("unsupported", "no weight"),
    ],
)
def test_what_is_no_flush_is_unknown(format_: Format, outcome: LossResult | Failure) -> None:
    assert read(outcome, format_) == Flushes(None, None)


def test_it_is_said_in_words() -> None:
    assert str(Flushes(True, True)) == "flushed"
    assert str(Flushes(None, None)) == "unknown"
    assert str(Flushes(False, True)) == "operands kept, results flushed"
