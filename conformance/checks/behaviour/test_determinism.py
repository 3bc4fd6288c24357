"""DET: the same call again, on other threads, compiled, on another device, and one by one."""

from dataclasses import replace

import numpy as np
import pytest

from bce_conformance.backends.calls import OPERANDS, Array, Failure, LossCall
from bce_conformance.conformance.inputs.inputs import Inputs
from bce_conformance.conformance.inputs.sampler import Sampler, assorted, drawn
from bce_conformance.conformance.running.subject import CallFailed, Subject

BOTH = ("loss", "grad_logits")
MANY = 100_000  # elements, so that three threads have something to do
THREADS = (1, 2, 3)
SUMS = 4  # as many: one that is added up otherwise may still round to the same number
ROWS = 24


@drawn("test_determinism.many")
def many(s: Sampler) -> Inputs:
    """Losses of every size up to 1, many times: their sum is below 65504."""
    few = s.cast(s.random.normal(8, 2, s.size).clip(0.5, 9.5))
    logits = np.where(s.random.integers(0, 4, s.size) > 0, few, np.abs(s.fragile()))
    targets = s.cast(np.ones(s.size))
    chosen = s.random.integers(0, s.size, MANY)
    return s.inputs("many", logits[chosen], targets[chosen], reduction="mean")


def mean_of_many(subject: Subject, *quantities: str) -> LossCall:
    """The same in every run: to which number the mean rounds is chance."""
    (inputs,) = subject.draws(many, only=1)
    return inputs.call(*quantities, device=subject.device)


@drawn("test_determinism.without_overflow")
def without_overflow(s: Sampler) -> Inputs:
    """Elements of which nothing that is computed on the way to a result overflows.

    Half lies between −1 and −½ with pos_weights up to 1: there the rounded terms of a loss are
    largest beside S, so that two ways to round them differ most.
    """
    there = np.arange(s.size) % 2 == 0
    anywhere = s.divisive().astype(np.float64).clip(-64, 64)
    logits = s.cast(np.where(there, -s.uniform(0.5, 1), anywhere))
    targets = np.where(there, s.soft(), s.any_target())
    pos_weight = np.where(there, s.positive(0.5, 1.0), s.positive(0.25, 4.0))
    weight = s.positive(0.25, 4.0)
    return s.inputs("|x| ≤ 64", logits, targets, weight=weight, pos_weight=pos_weight)


@pytest.mark.requirement("DET-1")
def test_same_call_twice(subject: Subject) -> None:
    """Repeat calls, at once and after others of the same shapes."""
    elements = subject.pool(assorted).call(*BOTH, device=subject.device)
    mean = mean_of_many(subject)
    for call, other in (
        (elements, replace(elements, logits=-elements.logits)),
        (mean, replace(mean, targets=1 - mean.targets)),
    ):
        first, second, _, later = [subject.values(one) for one in (call, call, other, call)]
        subject.agree(call, second, first, "the second call and the first")
        subject.agree(call, later, first, "a call after another and the first")


@pytest.mark.requirement("DET-2")
def test_any_number_of_threads(subject: Subject) -> None:
    """Compare with one thread."""
    call = mean_of_many(subject, *BOTH)
    for number in range(SUMS):
        smaller = subject.array(call.logits.astype(np.float64) * (1 - number / 64))
        calls = [replace(call, logits=smaller, threads=threads) for threads in THREADS]
        alone, *together = [subject.values(one) for one in calls]
        for threads, found in zip(THREADS[1:], together, strict=True):
            subject.agree(calls[0], found, alone, f"{threads} threads and 1")


def calls_to_compare(subject: Subject) -> list[LossCall]:
    """What is evaluated in two ways: elements, and means."""
    elements = subject.pool(without_overflow).call(*BOTH, device=subject.device)
    mean = mean_of_many(subject)
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
        devices = ("cpu", subject.device)
        expected, found = [subject.values(replace(call, device=device)) for device in devices]
        subject.agree(call, found, expected, f"{subject.device} and cpu")


@pytest.mark.requirement("DET-6")
def test_every_instruction_set(subject: Subject) -> None:
    """Compare with the same backend, held to each lower instruction set."""
    if not subject.lower:
        subject.not_measured("there is no lower instruction set to compare with")
        return
    for call in calls_to_compare(subject):
        expected = subject.values(call)
        for name, backend in subject.lower.items():
            outcome = backend.evaluate(call)
            if isinstance(outcome, Failure):
                raise CallFailed(replace(outcome, detail=f"on {name}: {outcome.detail}"), call)
            found = {
                q: got
                for q, got in outcome.values.items()
                if q in expected and alike(got, expected[q])
            }
            subject.agree(call, found, expected, f"{name} and all that the processor has")


def row_of(call: LossCall, row: int) -> LossCall:
    """The call of one row alone."""
    operands = {name: given[row] for name in OPERANDS if (given := getattr(call, name)) is not None}
    return replace(call, **operands)


@pytest.mark.requirement("DET-5")
def test_batched_and_one_by_one(subject: Subject) -> None:
    """Compare rows of a batch with the same rows alone."""
    call = subject.pool(assorted).call(*BOTH, device=subject.device)
    rows = [row_of(call, row) for row in range(ROWS)]
    batch, *alone = [subject.values(one) for one in (call, *rows)]
    for number, (row, found) in enumerate(zip(rows, alone, strict=True)):
        in_batch = {quantity: values[number] for quantity, values in batch.items()}
        subject.agree(row, found, in_batch, "a row alone and in its batch")
