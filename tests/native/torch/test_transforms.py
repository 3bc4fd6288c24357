"""The loss for PyTorch under torch.func, torch.compile and what else traces."""

from itertools import product

import numpy as np
import pytest

from tests.native.problems import problem
from tests.native.torch.formula import formula

torch = pytest.importorskip("torch")

from torch.func import functional_call, grad, jacfwd, jacrev, jvp, vmap  # noqa: E402

from bce_conformance.native.torch import (  # noqa: E402
    BCEWithLogitsLoss,
    binary_cross_entropy_with_logits,
    operators,
)

REDUCTIONS = ("none", "mean", "sum")
CLOSE = {"rtol": 1e-10, "atol": 1e-13}
# What torch.compile and opcheck give as they trace.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def loss_of(reduction):
    def loss(x, y, w, p):
        return binary_cross_entropy_with_logits(x, y, w, reduction=reduction, pos_weight=p)

    return loss


def operands(*shape):
    return tuple(torch.from_numpy(array) for array in problem(np.float64, shape))


def test_every_second_derivative_in_every_order_of_modes():
    given = operands(2, 3)
    for reduction in REDUCTIONS:
        ours, right = loss_of(reduction), formula(reduction)
        for first, second in product(range(4), repeat=2):
            expected = jacrev(jacrev(right, first), second)(*given)
            for inner, outer in product((jacfwd, jacrev), repeat=2):
                found = outer(inner(ours, first), second)(*given)
                torch.testing.assert_close(found, expected, **CLOSE)


BATCHES = ((0, 0, None, None), (1, None, 0, None), (None, 0, None, 1), (None, None, 0, 0))


def batch(axes):
    given = operands(3, 4)
    repeated = []
    for value, axis in zip(given, axes, strict=True):
        many = value if axis is None else torch.stack([value, value * 0.5], axis)
        repeated.append(many)
    return repeated


@pytest.mark.parametrize("axes", BATCHES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_batches(reduction, axes):
    given = batch(axes)
    ours, right = loss_of(reduction), formula(reduction)
    torch.testing.assert_close(vmap(ours, axes)(*given), vmap(right, axes)(*given), **CLOSE)

    def pulled(loss, argument):
        return vmap(grad(lambda *o: loss(*o).sum(), argument), axes)(*given)

    def through(loss, argument):
        return grad(lambda *o: vmap(loss, axes)(*o).pow(2).sum(), argument)(*given)

    def pushed(loss, argument):
        def along(*o):
            moved = o[argument]
            return jvp(
                lambda t: loss(*o[:argument], t, *o[argument + 1 :]), (moved,), (moved * 0 + 1,)
            )[1]

        return vmap(along, axes)(*given)

    for argument, derive in product(range(4), (pulled, through, pushed)):
        torch.testing.assert_close(derive(ours, argument), derive(right, argument), **CLOSE)


def test_batched_second_order():
    given = batch((0, 0, None, None))
    for reduction in REDUCTIONS:

        def curved(loss):
            along = grad(lambda x, *o: grad(lambda x: loss(x, *o).sum())(x).pow(2).sum())
            return vmap(along, (0, 0, None, None))(*given)

        expected = curved(formula(reduction))
        torch.testing.assert_close(curved(loss_of(reduction)), expected, **CLOSE)


def test_a_sample_of_a_batch_has_the_bits_that_it_has_alone():
    x, y, w, _ = (value.float() for value in operands(64, 7))
    found = vmap(lambda x, y, w: binary_cross_entropy_with_logits(x, y, w))(x, y, w)
    alone = [binary_cross_entropy_with_logits(*sample) for sample in zip(x, y, w, strict=True)]
    assert torch.equal(found, torch.stack(alone))


def test_gradients_of_each_sample_of_a_model():
    """The usual use of vmap: a gradient of the parameters for each sample."""
    model = torch.nn.Linear(3, 2)
    parameters = dict(model.named_parameters())
    x, y = torch.randn(5, 3), torch.rand(5, 2)

    def loss(parameters, x, y, criterion):
        return criterion(functional_call(model, parameters, (x,)), y)

    def each(criterion):
        of_sample = grad(lambda p, x, y: loss(p, x, y, criterion))
        return vmap(of_sample, (None, 0, 0))(parameters, x, y)

    torch.testing.assert_close(each(BCEWithLogitsLoss()), each(torch.nn.BCEWithLogitsLoss()))


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_compiled_without_a_graph_break_to_the_same_bits(reduction):
    given = [value.float().requires_grad_() for value in operands(4, 3)]

    def loss(x, y, w, p):
        return loss_of(reduction)(x * 2, y, w, p).sum()

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    expected = torch.autograd.grad(loss(*given), given)
    found = torch.autograd.grad(compiled(*given), given)
    assert torch.equal(compiled(*given), loss(*given))
    assert all(map(torch.equal, found, expected))


def test_compiled_for_every_size_at_once():
    compiled = torch.compile(
        BCEWithLogitsLoss(pos_weight=torch.full((3,), 2.0)),
        fullgraph=True, dynamic=True, backend="aot_eager",
    )  # fmt: skip
    for size in (2, 5, 9):
        logits = torch.randn(size, 3)
        expected = BCEWithLogitsLoss(pos_weight=torch.full((3,), 2.0))(logits, logits * 0)
        assert torch.equal(compiled(logits, logits * 0), expected)


def test_a_compiled_batch():
    x, y, _, _ = operands(4, 3)
    compiled = torch.compile(
        lambda x, y: vmap(binary_cross_entropy_with_logits)(x, y),
        fullgraph=True, backend="aot_eager",
    )  # fmt: skip
    assert torch.equal(compiled(x, y), vmap(binary_cross_entropy_with_logits)(x, y))


def test_tracing_keeps_the_operator():
    from torch.fx.experimental.proxy_tensor import make_fx

    x, y, _, _ = operands(4, 3)
    traced = make_fx(lambda x, y: binary_cross_entropy_with_logits(x, y))(x, y)
    assert "bce_conformance.loss" in traced.code
    x, y, _, _ = operands(4, 3)
    assert torch.equal(traced(2 * x, y), binary_cross_entropy_with_logits(2 * x, y))


def samples():
    """Arguments of each operator."""
    x, y, w, p = (value.requires_grad_() for value in operands(3, 4))
    v = torch.rand_like(x).requires_grad_()
    one = torch.tensor(0.5, dtype=x.dtype, requires_grad=True)
    yield operators.loss, (x, y, w, p, "mean")
    yield operators.loss, (x, y, None, None, "none")
    yield operators.gradient, (x, y, w, p, one, "sum", "weight")
    yield operators.gradient, (x, y, None, p, v, "none", "logits")
    yield operators.derivative, (x, y, w, p, v, "mean", "targets")
    yield operators.derivative, (x, y, w, None, v, "none", "logits")
    yield operators.hessian, (x, y, w, p, v, one, "mean")
    yield operators.hessian, (x, y, None, None, v, None, "none")


@pytest.mark.parametrize("number", range(8))
def test_operators_are_what_pytorch_asks_of_one(number):
    operator, arguments = list(samples())[number]
    torch.library.opcheck(operator, arguments)


def test_means_over_nothing_are_no_numbers_in_each_sample():
    nothing = torch.zeros(3, 0)
    assert vmap(binary_cross_entropy_with_logits)(nothing, nothing).isnan().all()
    along = jvp(
        lambda x: vmap(binary_cross_entropy_with_logits)(x, nothing), (nothing,), (nothing,)
    )
    assert along[1].isnan().all()
    sums = vmap(lambda x, y: binary_cross_entropy_with_logits(x, y, reduction="sum"))
    assert sums(nothing, nothing).tolist() == [0, 0, 0]
