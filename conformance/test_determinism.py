"""DET: the same call again, on other threads, compiled, on another device, and one by one."""

from dataclasses import replace

import numpy as np
import pytest

from bce_conformance.backends.calls import Array, Failure, LossCall
from bce_conformance.conformance.inputs import Inputs, Sampler, assorted, matrix_of
from bce_conformance.conformance.subject import CallFailed, Subject

BOTH = ("loss", "grad_logits")
MANY = 25_000  # elements a draw, so that several threads have something to do
THREADS = (2, 3)
SUMS = 8  # as many: one that is added up otherwise may still round to the same number
ROWS = 24


def many(s: Sampler) -> Inputs:
    """Losses of every size up to 1, many times: their sum is below 65504."""
    few = s.cast(s.random.normal(8, 2, s.size).clip(0.5, 9.5))
    logits = np.where(s.random.integers(0, 4, s.size) > 0, few, np.abs(s.fragile()))
    targets = s.cast(np.ones(s.size))
    chosen = s.random.integers(0, s.size, MANY)
    return s.inputs("many", logits[chosen], targets[chosen], reduction="mean")


def without_overflow(s: Sampler) -> Inputs:
    """A matrix of which nothing that is computed on the way to a result overflows."""
    logits = s.cast(s.divisive().astype(np.float64).clip(-64, 64))
    return matrix_of(s, logits, s.any_target(), "a matrix, |x| ≤ 64")


@pytest.mark.requirement("DET-1")
def test_same_call_twice(subject: Subject) -> None:
    """Repeat calls, at once and after others of the same shapes."""
    elementwise = subject.pool(assorted).call(*BOTH, device=subject.device)
    other = replace(elementwise, logits=-elementwise.logits)
    reduced = subject.pool(many).call(device=subject.device)
    for call, between in (
        (elementwise, other),
        (reduced, replace(reduced, targets=1 - reduced.targets)),
    ):
        expected = subject.values(call)
        subject.agree(call, subject.values(call), expected, "the second call and the first")
        subject.values(between)
        subject.agree(call, subject.values(call), expected, "a call after another and the first")


@pytest.mark.requirement("DET-2")
def test_any_number_of_threads(subject: Subject) -> None:
    """Compare with one thread."""
    call = subject.pool(many).call(*BOTH, device=subject.device)
    for number in range(SUMS):
        smaller = call.logits.astype(np.float64) * (1 - number / 64)
        one = replace(call, logits=subject.array(smaller), threads=1)
        expected = subject.values(one)
        for threads in THREADS:
            found = subject.values(replace(one, threads=threads))
            subject.agree(one, found, expected, f"{threads} threads and 1")


def calls_to_compare(subject: Subject) -> list[LossCall]:
    """What is evaluated in two ways: elements, and means."""
    elements = subject.pool(without_overflow).call(*BOTH, device=subject.device)
    mean = subject.pool(many).call(device=subject.device)
    return [elements, mean]


def alike(first: Array, second: Array) -> bool:
    """Whether two results have the same shape and format."""
    return (first.shape, first.dtype) == (second.shape, second.dtype)


@pytest.mark.requirement("DET-3")
def test_eager_and_compiled(subject: Subject) -> None:
    """Compare with the backend whose compiled variant this is."""
    if subject.sibling is None:
        subject.not_measured("this is no compiled variant of another backend")
        return
    for call in calls_to_compare(subject):
        eager = subject.sibling.evaluate(call)
        if isinstance(eager, Failure):
            raise CallFailed(eager, call)
        found = subject.values(call)
        expected = {
            q: got for q, got in eager.values.items() if q in found and alike(got, found[q])
        }
        subject.agree(call, found, expected, "compiled and eager")


@pytest.mark.requirement("DET-4")
def test_cpu_and_other_devices(subject: Subject) -> None:
    """Compare with the same backend on the CPU."""
    if subject.device == "cpu":
        subject.not_measured("this is the CPU, with which other devices are compared")
        return
    for call in calls_to_compare(subject):
        expected = subject.values(replace(call, device="cpu"))
        subject.agree(call, subject.values(call), expected, f"{subject.device} and cpu")


@pytest.mark.requirement("DET-5")
def test_batched_and_one_by_one(subject: Subject) -> None:
    """Compare rows of a batch with the same rows alone."""
    call = subject.pool(assorted).call(*BOTH, device=subject.device)
    expected = subject.values(call)
    assert call.weight is not None
    assert call.pos_weight is not None
    for row in range(ROWS):
        alone = replace(
            call,
            logits=call.logits[row],
            targets=call.targets[row],
            weight=call.weight[row],
            pos_weight=call.pos_weight[row],
        )
        in_batch = {quantity: values[row] for quantity, values in expected.items()}
        subject.agree(alone, subject.values(alone), in_batch, "a row alone and in its batch")
