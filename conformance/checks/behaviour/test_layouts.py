"""LAY: the same numbers otherwise laid out in memory, elsewhere, or among others."""

from dataclasses import replace

import numpy as np
import pytest

from bce_conformance.backends.calls import GRADIENTS, OPERANDS, Array, LossCall, LossResult
from bce_conformance.conformance.inputs import layouts
from bce_conformance.conformance.inputs.inputs import Inputs
from bce_conformance.conformance.inputs.layouts import Layout
from bce_conformance.conformance.inputs.sampler import Sampler, assorted, drawn, matrix_of
from bce_conformance.conformance.memory import most_elements
from bce_conformance.conformance.running.subject import Subject

LENGTH = 47  # one less than a multiple of every vector's width: vectors, then a long rest
PIECES = 12
SINGLES = 64
DISTINCT = 997  # a prime: each of them comes to lie at each place of a vector
MOST = 34_000_000  # elements: more than 65,535 blocks of 512 threads
OFFSETS = (1, 3, 7, 13)


@drawn("test_layouts.ordinary")
def ordinary(s: Sampler) -> Inputs:
    """A matrix whose losses are of a size to be summed."""
    logits = s.signed(s.cast(s.uniform(0.5, 4)))
    return replace(matrix_of(s, logits, s.soft(), "a matrix to be summed"), reduction="mean")


@drawn("test_layouts.sequence")
def sequence(s: Sampler) -> Inputs:
    """Every kind of logit and target, without weights."""
    return s.inputs("all kinds", s.divisive(), s.any_target())


def laid_out(call: LossCall, *chosen: Layout) -> LossCall:
    """The call with each operand in the layout of its place; the last one goes on."""
    last = len(chosen) - 1
    operands = {
        name: chosen[min(number, last)](getattr(call, name)) for number, name in enumerate(OPERANDS)
    }
    return replace(call, **operands)  # type: ignore[arg-type]


def compare(subject: Subject, call: LossCall, other: LossCall, what: str) -> None:
    """Judge that two calls give the same; ``call`` gives what is expected."""
    expected = subject.values(call)
    subject.agree(call, subject.values(other), expected, what)


def judge_layouts(subject: Subject, **chosen: Layout) -> None:
    """Judge loss and gradient in the logits of each layout by those of dense arrays."""
    call = subject.pool(assorted).call("loss", "grad_logits", device=subject.device)
    for name, layout in chosen.items():
        compare(subject, call, laid_out(call, layout), name.replace("_", " "))


@pytest.mark.requirement("LAY-1")
def test_gaps_between_elements(subject: Subject) -> None:
    """Compare with dense operands; the gaps hold NaN."""
    judge_layouts(subject, with_gaps=layouts.with_gaps, inner=layouts.inner)


@pytest.mark.requirement("LAY-2")
def test_transposed(subject: Subject) -> None:
    """Compare with dense operands: all of them transposed, and the logits alone."""
    judge_layouts(subject, transposed=layouts.transposed)
    call = subject.pool(assorted).call("loss", "grad_logits", device=subject.device)
    only = replace(call, logits=layouts.transposed(call.logits))
    compare(subject, call, only, "logits transposed")


@pytest.mark.requirement("LAY-3")
def test_negative_strides(subject: Subject) -> None:
    """Compare with dense operands."""
    judge_layouts(subject, backwards=layouts.backwards, rows_backwards=layouts.rows_backwards)


@pytest.mark.requirement("LAY-4")
def test_stride_zero(subject: Subject) -> None:
    """Compare equal rows, and equal columns, that lie in memory once and as often as there are."""
    call = subject.pool(assorted).call("loss", "grad_logits", device=subject.device)
    for name, part in (("rows", np.s_[:1]), ("columns", np.s_[:, :1])):
        shape = call.logits.shape
        repeated = laid_out(call, lambda array: np.broadcast_to(array[part], shape))  # noqa: B023
        compare(subject, laid_out(repeated, np.ascontiguousarray), repeated, f"equal {name}")


@pytest.mark.requirement("LAY-5")
def test_unaligned(subject: Subject) -> None:
    """Compare with aligned operands."""
    judge_layouts(subject, unaligned=layouts.unaligned)


@pytest.mark.requirement("LAY-6")
def test_read_only(subject: Subject) -> None:
    """Compare with writable operands."""
    judge_layouts(subject, read_only=layouts.read_only)


@pytest.mark.requirement("LAY-7")
def test_reductions_of_any_layout(subject: Subject) -> None:
    """Compare means, and their gradients, with those of dense operands."""
    call = subject.pool(ordinary).call("loss", "grad_logits", device=subject.device)
    for what in ("with_gaps", "transposed"):
        other = laid_out(call, getattr(layouts, what))
        compare(subject, call, other, f"mean, {what.replace('_', ' ')}")


@pytest.mark.requirement("LAY-8")
def test_other_gradients_of_any_layout(subject: Subject) -> None:
    """Compare each gradient that the backend has, the operands laid out differently."""
    inputs = subject.pool(assorted)
    for quantity in GRADIENTS[1:]:
        call = inputs.call(quantity, device=subject.device)
        outcome = subject.try_evaluate(call)
        if not isinstance(outcome, LossResult) or quantity not in outcome.values:
            continue  # GRAD-7 to GRAD-9 say so
        mixed = laid_out(call, layouts.transposed, layouts.with_gaps, layouts.inner)
        compare(subject, call, mixed, "operands laid out differently")


@pytest.mark.requirement("LAY-9")
def test_inputs_are_left_as_they_are(subject: Subject) -> None:
    """Look at every byte of the operands after the call, gaps included."""
    call = subject.pool(assorted).call("loss", "grad_logits", device=subject.device)
    for what, layout in (("dense", np.ascontiguousarray), ("with gaps", layouts.with_gaps)):
        result = subject.evaluate(laid_out(call, layout))
        changed = ", ".join(result.modified)
        subject.require(not changed, f"{what}: the call changed {changed}")


@pytest.mark.requirement("LAY-10")
def test_position(subject: Subject) -> None:
    """Compare each element with itself some places on, in arrays that begin at odd places."""
    call = subject.pool(assorted).call("loss", "grad_logits", device=subject.device)
    expected = subject.values(call)
    for offset in OFFSETS:

        def moved(array: Array, offset: int = offset) -> Array:
            rolled = np.roll(array.ravel(), offset).reshape(array.shape)
            return layouts.at_element(offset)(rolled)

        found = {
            quantity: np.roll(got.ravel(), -offset).reshape(got.shape)
            for quantity, got in subject.values(laid_out(call, moved)).items()
        }
        subject.agree(call, found, expected, f"{offset} elements on")


def compare_pieces(subject: Subject, shape: tuple[int, ...], count: int) -> None:
    """Compare elements in arrays of their own with the same elements in a long array."""
    call = subject.pool(sequence).call("loss", "grad_logits", device=subject.device)
    expected = subject.values(call)
    size = int(np.prod(shape, dtype=int))
    for number in range(count):
        chosen = np.s_[number * size : (number + 1) * size]
        logits, targets = (a[chosen].reshape(shape) for a in (call.logits, call.targets))
        piece = replace(call, logits=logits, targets=targets)
        others = {quantity: value[chosen].reshape(shape) for quantity, value in expected.items()}
        subject.agree(piece, subject.values(piece), others, f"in an array of {list(shape)}")


@pytest.mark.requirement("LAY-11")
def test_length(subject: Subject) -> None:
    """Compare with elements of short arrays, whose last ones fill no vector."""
    compare_pieces(subject, (LENGTH,), PIECES)


@pytest.mark.requirement("LAY-12")
def test_single_elements(subject: Subject) -> None:
    """Compare with elements that are 0-d, and the only ones of their array."""
    for shape in ((), (1,)):
        compare_pieces(subject, shape, SINGLES if subject.tier.exhaustive else SINGLES // 4)


@pytest.mark.requirement("LAY-13")
def test_each_of_many_elements(subject: Subject) -> None:
    """Compare the smallest and the largest results of elements that follow each other again."""
    whole = subject.pool(sequence).call("loss", "grad_logits", device=subject.device)
    logits, targets = whole.logits[:DISTINCT], whole.targets[:DISTINCT]
    call = replace(whole, logits=logits, targets=targets)
    wanted = min(MOST, 17 * max(subject.tier.reduction_sizes) // 10)
    fitting = most_elements(call.logits.itemsize)
    times = min(wanted, fitting) // DISTINCT
    if fitting < wanted:
        fewer = f"{times * DISTINCT:,} elements instead of {wanted:,}"
        subject.kept.scope(f"{fewer}: the memory does not suffice")
    many = replace(call, logits=np.tile(logits, times), targets=np.tile(targets, times))
    expected, found = subject.values(call), subject.values(many)
    rows = {quantity: got.reshape(times, -1) for quantity, got in found.items()}
    for what, extreme in (("smallest", np.min), ("largest", np.max)):  # NaN where one is
        those = {quantity: extreme(each, axis=0) for quantity, each in rows.items()}
        subject.agree(call, those, expected, f"the {what} of {times} times")
