"""Derivatives of the loss for PyTorch against differences, of every operand and in both modes."""

import numpy as np
import pytest

from bce_conformance.native import hessian_vector_product, jacobian_vector_product
from bce_conformance.reference import ground_truth
from tests.native.problems import FORMATS, OPERANDS, problem
from tests.native.torch.formula import formula

torch = pytest.importorskip("torch")

from torch.autograd import forward_ad, gradcheck, gradgradcheck  # noqa: E402

from bce_conformance.native.torch import binary_cross_entropy_with_logits, tensors  # noqa: E402

# Of torch's own modules, which import one another only now.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")

REDUCTIONS = ("none", "mean", "sum")


def operands(requires_grad=True):
    return tuple(
        torch.from_numpy(array).requires_grad_(requires_grad)
        for array in problem(np.float64, (3, 4))
    )


def loss_of(reduction):
    def loss(x, y, w, p):
        return binary_cross_entropy_with_logits(x, y, w, reduction=reduction, pos_weight=p)

    return loss


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_first_derivatives(reduction):
    assert gradcheck(loss_of(reduction), operands(), check_forward_ad=True, check_batched_grad=True)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_second_derivatives(reduction):
    assert gradgradcheck(
        loss_of(reduction), operands(), check_fwd_over_rev=True, check_batched_grad=True
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_derivatives_without_weights(reduction):
    x, y, _, _ = operands()

    def loss(x, y):
        return binary_cross_entropy_with_logits(x, y, reduction=reduction)

    assert gradcheck(loss, (x, y), check_forward_ad=True)
    assert gradgradcheck(loss, (x, y), check_fwd_over_rev=True)


@pytest.mark.parametrize("name", OPERANDS)
def test_gradients_of_the_hessians_product(name):
    """The third derivatives that need a rule of their own."""
    given = operands()
    at = OPERANDS.index(name)

    def third(loss):
        (gradient,) = torch.autograd.grad(loss(*given), given[0], create_graph=True)
        (product,) = torch.autograd.grad(
            gradient, given[0], torch.ones_like(gradient), create_graph=True
        )
        return torch.autograd.grad(product.pow(2).sum(), given[at])[0]

    torch.testing.assert_close(third(loss_of("mean")), third(formula("mean")))


@pytest.mark.parametrize("dtype", FORMATS)
def test_second_order_and_forward_mode_have_the_bits_of_arrays(dtype):
    arrays = problem(dtype, (5, 3))
    x, y, w, p = arrays
    v = x[::-1].copy()
    given = [tensors.tensor_of(array, torch.device("cpu")) for array in (*arrays, v)]
    logits, targets, weight, pos_weight, direction = given
    logits.requires_grad_()
    loss = binary_cross_entropy_with_logits(logits, targets, weight, pos_weight=pos_weight)
    (gradient,) = torch.autograd.grad(loss, logits, create_graph=True)
    (product,) = torch.autograd.grad(gradient, logits, direction)
    expected = hessian_vector_product(x, y, v, w, p)
    assert tensors.array_of(product).tobytes() == expected.tobytes()
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(logits.detach(), direction)
        moved = binary_cross_entropy_with_logits(dual, targets, weight, pos_weight=pos_weight)
        tangent = forward_ad.unpack_dual(moved).tangent
    assert tensors.array_of(tangent).tobytes() == jacobian_vector_product(x, y, v, w, p).tobytes()


@pytest.mark.parametrize(("x", "w", "p"), [(-1, 1e-300, 1.7e308), (-800, 1e300, 5e-324), (1, 1, 1)])
def test_the_gradient_differentiated_in_the_targets_is_exact_at_any_pos_weight(x, w, p):
    logits, targets, weight, pos_weight = torch.tensor([[x], [0.5], [w], [p]], dtype=torch.float64)
    logits.requires_grad_()
    targets.requires_grad_()
    loss = binary_cross_entropy_with_logits(
        logits, targets, weight, pos_weight=pos_weight, reduction="none"
    )
    (gradient,) = torch.autograd.grad(loss.sum(), logits, create_graph=True)
    (found,) = torch.autograd.grad(gradient, targets, torch.ones_like(gradient))
    operands = (t.detach().numpy() for t in (logits, targets, weight, pos_weight))
    exact = ground_truth(*operands, quantity="hess_logits_targets", dtype="float64").nearest
    assert found.item() == pytest.approx(exact.item(), rel=1e-15)
