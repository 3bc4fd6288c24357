"""MET: relations between results that hold whatever the right results are."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from bce_conformance.backends.calls import OPERANDS, Array
from bce_conformance.conformance.inputs.bounds import Bounds, Floats, as_float64, bounds_for
from bce_conformance.conformance.inputs.inputs import Inputs, hex_of
from bce_conformance.conformance.inputs.sampler import Sampler, assorted, drawn
from bce_conformance.conformance.judging.agreement import relation
from bce_conformance.conformance.running.subject import Subject

BOTH = ("loss", "grad_logits")


@drawn("test_metamorphic.any_logits")
def any_logits(s: Sampler) -> Inputs:
    """Logits of every kind with targets of every kind."""
    return s.inputs("all kinds", s.diverse(), s.any_target())


@drawn("test_metamorphic.with_exact_complements")
def with_exact_complements(s: Sampler) -> Inputs:
    """Targets that are multiples of u, so that 1 − y is exact."""
    multiples = s.random.integers(0, 2**s.format.precision + 1, s.size) * s.format.unit_roundoff
    hard = s.random.integers(0, 2, s.size)
    targets = np.where(s.random.integers(0, 2, s.size) == 0, hard, multiples)
    return s.inputs("1 − y exact", s.diverse(), s.cast(targets))


@drawn("test_metamorphic.neighbours")
def neighbours(s: Sampler) -> Inputs:
    """Logits of every size, and runs of consecutive numbers.

    The runs lie across the powers of two, where the last digit changes its worth, and anywhere.
    """
    powers = np.exp2(np.arange(-4, 6))
    anywhere = s.uniform(-40, 40)[: s.size // 50]
    middles = s.format.ordinal(s.cast(np.concatenate([powers, -powers, anywhere])))
    runs = s.format.from_ordinal(middles[:, None] + np.arange(-12, 13)).ravel()
    spread = s.signed(s.every_magnitude())[: s.size - runs.size]
    logits = np.concatenate([as_float64(runs), as_float64(spread)])
    return s.inputs("ascending", s.cast(logits), s.constant(0))


def grid(s: Sampler, bits: int) -> float:
    """The distance of numbers below 2^bits whose sums and differences below it are exact."""
    return 2.0 ** (bits - s.format.precision)


@drawn("test_metamorphic.triples")
def triples(s: Sampler) -> Inputs:
    """Triples x − h, x, x + h with the same targets; h is large, or one unit of x.

    |x| + h is below 8, where e^−|x| is a normal number in every format. At half of the targets
    the gradient nearly vanishes.
    """
    third = s.size // 3
    step = grid(s, 3)
    middles = np.round(s.uniform(-6, 6) / step) * step
    is_even = np.arange(s.size) % 2 == 0
    targets = np.where(is_even, s.balanced(s.cast(middles)), s.any_target())[:third]
    middle = middles[:third]
    large = np.maximum(np.round(s.log_uniform(2**-8, 1.9)[:third] / step), 1) * step
    apart = np.where(s.random.integers(0, 3, third) > 0, step, large)
    logits = np.stack([middle - apart, middle, middle + apart], axis=1)
    return s.inputs("x − h, x, x + h", s.cast(logits.ravel()), np.repeat(targets, 3))


@drawn("test_metamorphic.with_plain_bounds")
def with_plain_bounds(s: Sampler) -> Inputs:
    """Weights that are powers of two, so that max(1, p)·w is exact."""
    weight = s.cast(2.0 ** s.random.integers(-4, 5, s.size))
    pos_weight = s.positive(0.25, 4.0)
    inputs = any_logits(s)
    return replace(inputs, name="w = 2ᵏ", weight=weight, pos_weight=pos_weight)


@drawn("test_metamorphic.ordinary")
def ordinary(s: Sampler) -> Inputs:
    """Logits and targets whose losses neither under- nor overflow, whatever the weight."""
    return s.inputs("|x| ≤ 4", s.signed(s.cast(s.uniform(0, 4))), s.any_target())


@drawn("test_metamorphic.pairs")
def pairs(s: Sampler) -> Inputs:
    """A pair of numbers from 1/8 to 15 an element, as weight and pos_weight, with an exact sum."""
    step = grid(s, 5)
    a, b = (s.cast(np.round(s.log_uniform(0.125, 15) / step) * step) for _ in range(2))
    return replace(ordinary(s), name="a + b exact", weight=a, pos_weight=b)


def drawn_pairs(subject: Subject) -> tuple[Inputs, Array, Array]:
    """What ``pairs`` drew: the inputs without it, and both numbers of each element."""
    inputs = subject.pool(pairs)
    assert inputs.weight is not None
    assert inputs.pos_weight is not None
    return replace(inputs, weight=None, pos_weight=None), inputs.weight, inputs.pos_weight


def exactly(first: Array, second: Array, third: Array) -> Floats:
    """|a + b − c|, exact where a + b is near c."""
    a, b, c = as_float64(first), as_float64(second), as_float64(third)
    with np.errstate(invalid="ignore", over="ignore"):
        total = a + b
        part = total - a
        rest = (a - (total - part)) + (b - part)
        distance: Floats = np.abs((total - c) + rest)
    return distance


def judge_relation(
    subject: Subject, quantity: str, violation: Floats, *terms: tuple[Inputs, Array]
) -> None:
    """Judge by how much results miss a relation, element by element.

    A requirement without degrees is met by what level A allows.

    Args:
        subject: whose results they are.
        quantity: what they are.
        violation: by how much the relation is missed; less than zero where it is not.
        *terms: the results that enter, each with the inputs that it belongs to.
    """
    first, seen = terms[0][0], [values for _, values in terms]
    scales = [bounds_for(inputs.call(quantity), quantity).scale for inputs, _ in terms]
    scale = np.logaddexp2.reduce(scales)
    unit = np.sum([subject.format.ulp(values) for values in seen], axis=0)
    if not subject.requirement.graded:
        unit = 16 * subject.format.unit_roundoff * np.exp2(scale)

    def describe(index: int) -> str:
        x, y = hex_of(first.logits[index]), hex_of(first.targets[index])
        results = ", ".join(hex_of(values[index]) for values in seen)
        return f"{first.name}: {quantity} {results} at x = {x}, y = {y}: {violation[index]:.3g} off"

    judgement = relation(violation, unit, subject.format, Bounds(scale))
    subject.observe(judgement, describe)


def part(inputs: Inputs, chosen: slice) -> Inputs:
    """Some of the elements of inputs without weights."""
    return replace(inputs, logits=inputs.logits[chosen], targets=inputs.targets[chosen])


def each(
    subject: Subject, *cases: Inputs, quantities: tuple[str, ...] = BOTH
) -> Iterator[tuple[str, list[Array]]]:
    """Each quantity with what it is for each of the inputs, where all of them have it."""
    # Of loss and gradient always both: fewer kinds of calls for those who compile each.
    asked = BOTH if set(quantities) <= set(BOTH) else quantities
    found = [subject.values(inputs.call(*asked, device=subject.device)) for inputs in cases]
    for quantity in quantities:
        if all(quantity in values for values in found):
            yield quantity, [values[quantity] for values in found]


def mirrored(inputs: Inputs) -> Inputs:
    """The inputs at −x and 1 − y."""
    targets = (1 - as_float64(inputs.targets)).astype(inputs.targets.dtype)
    return replace(inputs, logits=-inputs.logits, targets=targets)


@pytest.mark.requirement("MET-1")
def test_mirror_of_the_loss(subject: Subject) -> None:
    """Compare the loss at (x, y) and (−x, 1 − y)."""
    inputs = subject.pool(with_exact_complements)
    for quantity, (here, there) in each(subject, inputs, mirrored(inputs), quantities=("loss",)):
        call = inputs.call(device=subject.device)
        subject.agree(call, {quantity: there}, {quantity: here}, "−x and 1 − y")


@pytest.mark.requirement("MET-2")
def test_mirror_of_the_gradient(subject: Subject) -> None:
    """Compare the gradient at (x, 1) with the negated gradient at (−x, 0)."""
    inputs = subject.pool(any_logits)
    negative = replace(inputs, targets=np.zeros_like(inputs.targets))
    positive = mirrored(negative)
    for quantity, (down, up) in each(subject, negative, positive, quantities=BOTH[1:]):
        call = negative.call(quantity, device=subject.device)
        subject.agree(call, {quantity: -up}, {quantity: down}, "−(−x, 1) and (x, 0)")


@pytest.mark.requirement("MET-3")
def test_difference_of_the_labels(subject: Subject) -> None:
    """Add L(x, 1) and x, and hold the sum against L(x, 0)."""
    inputs = subject.pool(any_logits)
    negative, positive = (replace(inputs, targets=np.full_like(inputs.targets, y)) for y in (0, 1))
    for quantity, (zero, one) in each(subject, negative, positive, quantities=("loss",)):
        violation = exactly(one, inputs.logits, zero)
        judge_relation(subject, quantity, violation, (negative, zero), (positive, one))


@pytest.mark.requirement("MET-4")
def test_monotone(subject: Subject) -> None:
    """Look for falls of L(x, 0) and rises of L(x, 1) along ascending logits."""
    inputs = subject.pool(neighbours)
    logits = np.sort(inputs.logits)
    for label, direction in ((0, 1), (1, -1)):
        chosen = replace(inputs, logits=logits, targets=np.full_like(inputs.targets, label))
        for quantity, (loss,) in each(subject, chosen, quantities=("loss",)):
            with np.errstate(invalid="ignore"):
                violation = -direction * np.diff(as_float64(loss))
            sides = (np.s_[:-1], np.s_[1:])
            terms = [(part(chosen, side), loss[side]) for side in sides]
            judge_relation(subject, quantity, violation, *terms)


@pytest.mark.requirement("MET-5")
def test_convex(subject: Subject) -> None:
    """Look for middles above the mean of both ends, and for gradients that fall."""
    inputs = subject.pool(triples)
    thirds = [np.s_[k::3] for k in range(3)]
    for quantity, (values,) in each(subject, inputs):
        terms = [(part(inputs, chosen), values[chosen]) for chosen in thirds]
        low, middle, high = (as_float64(values[chosen]) for chosen in thirds)
        with np.errstate(over="ignore", invalid="ignore"):
            violation = middle - (low / 2 + high / 2) if quantity == "loss" else low - high
        judge_relation(subject, quantity, violation, *terms)


@pytest.mark.requirement("MET-6")
def test_bound_of_the_gradient(subject: Subject) -> None:
    """Hold the size of the gradient in the logits against max(1, p)·w."""
    inputs = subject.pool(with_plain_bounds)
    assert inputs.weight is not None
    assert inputs.pos_weight is not None
    largest = as_float64(inputs.weight) * np.maximum(1, as_float64(inputs.pos_weight))
    for quantity, (gradient,) in each(subject, inputs, quantities=BOTH[1:]):
        with np.errstate(invalid="ignore"):
            violation = np.abs(as_float64(gradient)) - largest
        judge_relation(subject, quantity, violation, (inputs, gradient))


@pytest.mark.requirement("MET-7")
def test_weights_of_one(subject: Subject) -> None:
    """Compare a weight of one, and a pos_weight of one, with none."""
    inputs = subject.pool(any_logits)
    ones = np.ones_like(inputs.targets)
    call = inputs.call(*BOTH, device=subject.device)
    for name in ("weight", "pos_weight"):
        with_ones = replace(inputs, **{name: ones})  # type: ignore[arg-type]
        for quantity, (without, given) in each(subject, inputs, with_ones):
            subject.agree(call, {quantity: given}, {quantity: without}, f"{name} of 1 and none")


@pytest.mark.requirement("MET-8")
def test_weights_that_are_powers_of_two(subject: Subject) -> None:
    """Compare with the multiple of what a weight of one gives, where that is not subnormal."""
    inputs = subject.pool(ordinary)
    powers = np.arange(inputs.logits.size) % 4
    one, power = (
        replace(inputs, weight=np.exp2(k).astype(inputs.logits.dtype)) for k in (powers * 0, powers)
    )
    call = one.call(*BOTH, device=subject.device)
    for quantity, (base, got) in each(subject, one, power):
        expected = (as_float64(base) * np.exp2(powers)).astype(base.dtype)
        is_normal = np.abs(as_float64(base)) >= subject.format.smallest_normal
        found = np.where(is_normal, got, expected)
        subject.agree(call, {quantity: found}, {quantity: expected}, "w = 2ᵏ")


@pytest.mark.requirement("MET-9")
def test_linear_in_weight(subject: Subject) -> None:
    """Hold the sum of what two weights give against what their sum gives."""
    plain, a, b = drawn_pairs(subject)
    weighted = [replace(plain, weight=weight) for weight in (a, b, a + b)]
    for quantity, values in each(subject, *weighted):
        terms = zip(weighted, values, strict=True)
        judge_relation(subject, quantity, exactly(*values), *terms)


@pytest.mark.requirement("MET-10")
def test_permutation(subject: Subject) -> None:
    """Compare with the same elements in another order."""
    inputs = subject.pool(assorted)
    order = np.argsort(inputs.logits, axis=None, kind="stable")
    call = inputs.call(*BOTH, device=subject.device)
    shuffled = {
        name: given.ravel()[order].reshape(given.shape)
        for name in OPERANDS
        if (given := getattr(inputs, name)) is not None
    }
    for quantity, (before, after) in each(subject, inputs, replace(inputs, **shuffled)):
        back = np.empty_like(after)
        back.reshape(-1)[order] = after.ravel()
        subject.agree(call, {quantity: back}, {quantity: before}, "in another order")


@pytest.mark.requirement("MET-11")
def test_gradient_in_the_targets_is_linear(subject: Subject) -> None:
    """Negate, double and add logits, and hold that against what becomes of the gradient."""
    inputs, a, b = drawn_pairs(subject)
    cases = [replace(inputs, logits=logits) for logits in (a, b, a + b, -a, a + a)]
    call = cases[0].call("grad_targets", device=subject.device)
    for quantity, values in each(subject, *cases, quantities=("grad_targets",)):
        once, _, _, negated, doubled = values
        subject.agree(call, {quantity: -negated}, {quantity: once}, "−(−x) and x")
        subject.agree(call, {quantity: doubled}, {quantity: once + once}, "2·x and x")
        terms = zip(cases[:3], values[:3], strict=True)
        judge_relation(subject, quantity, exactly(*values[:3]), *terms)
