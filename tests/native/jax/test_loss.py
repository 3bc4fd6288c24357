"""The loss for JAX: bits, derivatives of every order, batches, programs, arguments and misuse."""

import doctest
from pathlib import Path

import numpy as np
import pytest

from bce_conformance.native import (
    hessian_vector_product,
    jacobian_vector_product,
    value_and_grad,
)
from tests.native.problems import FORMATS, OPERANDS, problem

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402
from jax.test_util import check_grads  # noqa: E402

from bce_conformance.native.jax import (  # noqa: E402
    binary_cross_entropy_with_logits,
    ffi,
    loss,
    primitives,
)

PAGE = Path(__file__).resolve().parents[3] / "docs" / "native_loss.md"
REDUCTIONS = ("none", "mean", "sum")
CLOSE = {"rtol": 1e-10, "atol": 1e-13}


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def formula(reduction):
    def loss(x, y, w, p):
        each = w * ((1 - y) * jax.nn.softplus(x) + p * y * jax.nn.softplus(-x))
        return {"none": lambda: each, "mean": each.mean, "sum": each.sum}[reduction]()

    return loss


def loss_of(reduction):
    def loss(x, y, w, p):
        return binary_cross_entropy_with_logits(x, y, w, p, reduction)

    return loss


def operands(*shape):
    return tuple(jnp.asarray(array) for array in problem(np.float64, shape))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("dtype", FORMATS)
def test_bits_are_those_of_arrays_compiled_and_not(dtype, reduction):
    arrays = problem(dtype, (6, 5))
    x, y, w, p = arrays
    v = x[::-1].copy()
    c = np.asarray(v if reduction == "none" else v[0, 0])
    expected, gradients = value_and_grad(*arrays, reduction, wrt=OPERANDS, cotangent=c)
    loss = loss_of(reduction)

    def evaluate(x, y, w, p, v, c):
        found, pull = jax.vjp(loss, x, y, w, p)
        along = jax.jvp(lambda x: loss(x, y, w, p), (x,), (v,))[1]

        def slope(x):
            return jax.vjp(lambda x: loss(x, y, w, p), x)[1](c)[0]

        return found, pull(c), along, jax.jvp(slope, (x,), (v,))[1]

    for run in (evaluate, jax.jit(evaluate)):
        found, pulled, along, curved = run(*map(jnp.asarray, (*arrays, v, c)))
        assert found.dtype == dtype
        assert np.asarray(found).tobytes() == expected.tobytes()
        for name, gradient in zip(OPERANDS, pulled, strict=True):
            assert np.asarray(gradient).tobytes() == gradients[name].tobytes(), name
        forward = jacobian_vector_product(x, y, v, w, p, reduction)
        assert np.asarray(along).tobytes() == forward.tobytes()
        second = hessian_vector_product(x, y, v, w, p, reduction, cotangent=c)
        assert np.asarray(curved).tobytes() == second.tobytes()


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_derivatives_of_first_and_second_order(reduction):
    check_grads(loss_of(reduction), operands(2, 3), order=2, modes=["fwd", "rev"])


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_second_derivatives_in_mixed_modes(reduction):
    given = operands(2, 3)
    every = (0, 1, 2, 3)
    expected = jax.jit(jax.jacrev(jax.jacrev(formula(reduction), every), every))(*given)
    for outer, inner in ((jax.jacfwd, jax.jacrev), (jax.jacrev, jax.jacfwd)):
        found = jax.jit(outer(inner(loss_of(reduction), every), every))(*given)
        for one, other in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
            np.testing.assert_allclose(one, other, **CLOSE)


def test_third_derivatives():
    given = operands(2, 3)

    def third(loss):
        def curved(*o):
            slope = jax.grad(lambda x: loss(x, *o[1:]))
            return (jax.jvp(slope, (o[0],), (jnp.ones_like(o[0]),))[1] ** 2).sum()

        return jax.jit(jax.grad(curved, (0, 1, 2, 3)))(*given)

    for found, expected in zip(third(loss_of("mean")), third(formula("mean")), strict=True):
        np.testing.assert_allclose(found, expected, **CLOSE)


BATCHES = (
    ("none", (0, 0, None, None)),
    ("mean", (1, None, 0, None)),
    ("sum", (None, 0, None, 1)),
    ("mean", (None, None, 0, 0)),
)


@pytest.mark.parametrize(("reduction", "axes"), BATCHES)
def test_batches(reduction, axes):
    given = [
        value if axis is None else jnp.stack([value, value * 0.5], axis)
        for value, axis in zip(operands(3, 4), axes, strict=True)
    ]

    def all_of(loss):
        def each(*o):
            pulled = jax.grad(lambda *o: loss(*o).sum(), (0, 1, 2, 3))(*o)
            pushed = jax.jvp(loss, o, tuple(jnp.ones_like(value) for value in o))
            return pulled, pushed

        def through(*o):
            return (jax.vmap(loss, axes)(*o) ** 2).sum()

        return jax.jit(lambda *o: (jax.vmap(each, axes)(*o), jax.grad(through, (0, 1, 2, 3))(*o)))(
            *given
        )

    found, expected = all_of(loss_of(reduction)), all_of(formula(reduction))
    for one, other in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
        np.testing.assert_allclose(one, other, **CLOSE)


def test_xla_calls_the_kernels_without_copies():
    assert ffi.is_there()
    text = jax.jit(loss_of("mean")).lower(*operands(2, 3)).as_text()
    assert ffi.TARGET in text
    assert "callback" not in text


def test_the_callback_gives_the_same_bits():
    given = operands(3, 4)
    kind = primitives.Kind("gradient", (True, True), "mean", "logits")
    cotangent = jnp.asarray(2.0)
    found = jax.jit(lambda *o: primitives.through_callback(*o, kind=kind))(*given, cotangent)
    expected = jax.jit(lambda *o: ffi.call(*o, kind=kind))(*given, cotangent)
    assert np.asarray(found).tobytes() == np.asarray(expected).tobytes()


def test_an_error_within_a_program_is_told():
    kind = primitives.Kind("loss", (False, False), "mean")
    with pytest.raises(Exception, match="targets has shape"):
        jax.block_until_ready(
            jax.jit(lambda x, y: ffi.call(x, y, kind=kind))(jnp.ones(3), jnp.ones(2))
        )


@pytest.mark.parametrize("shape", [(0,), (0, 3), (), (1,)])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_small_and_empty_shapes(reduction, shape):
    x = jnp.full(shape, 1.5, jnp.float32)
    loss = loss_of(reduction)

    def evaluate(x):
        return loss(x, x * 0 + 1, None, None), jax.grad(lambda x: loss(x, x, None, None).sum())(x)

    for run in (evaluate, jax.jit(evaluate)):
        found, gradient = run(x)
        expected, _ = value_and_grad(np.asarray(x), np.ones(shape, np.float32), reduction=reduction)
        np.testing.assert_array_equal(found, expected)
        assert gradient.shape == shape


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "float16"])
def test_targets_of_other_types_count_as_the_numbers_that_they_are(dtype):
    x, y = jnp.asarray([2.0, -1.0, 0.5], jnp.float32), jnp.asarray([1.0, 0.0, 1.0], jnp.float32)
    step = jax.jit(jax.value_and_grad(binary_cross_entropy_with_logits))
    found, expected = step(x, y.astype(dtype)), step(x, y)
    assert all(map(np.array_equal, found, expected))


def test_float32_is_enough_where_float64_is_not_allowed():
    with jax.enable_x64(False):
        x = jnp.linspace(-3, 3, 12).reshape(3, 4)
        found = jax.jit(jax.hessian(lambda x: binary_cross_entropy_with_logits(x, x * 0)))(x)
        expected = jax.hessian(lambda x: jax.nn.softplus(x).mean())(x)
        assert found.dtype == jnp.float32
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
        batch = jax.vmap(binary_cross_entropy_with_logits)(x, x * 0)
        np.testing.assert_allclose(batch, jax.nn.softplus(x).mean(1), rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"targets": np.zeros((3, 4))}, ValueError, r"targets.*\(3, 4\).*\(4, 3\)"),
        ({"weight": np.ones(4)}, ValueError, r"weight has shape \(4,\).*\(4, 3\)"),
        ({"pos_weight": np.ones((2, 4, 3))}, ValueError, r"pos_weight has shape \(2, 4, 3\)"),
        ({"reduction": "max"}, ValueError, "reduction is 'max'"),
        ({"logits": np.zeros((4, 3), complex)}, TypeError, "logits has dtype complex128"),
        ({"logits": np.zeros((4, 3), int)}, TypeError, "logits has dtype int64"),
        ({"targets": np.zeros((4, 3), object)}, TypeError, "targets has dtype object"),
        ({"targets": np.zeros((4, 3), np.longdouble)}, TypeError, "targets has dtype float"),
        ({"logits": "text"}, TypeError, "logits is a str"),
        ({"targets": None}, TypeError, "targets is a NoneType"),
        ({"weight": [1.0]}, TypeError, "weight is a list"),
    ],
)
def test_misuse_is_refused_by_name(change, error, match):
    arguments = {"logits": np.zeros((4, 3)), "targets": np.zeros((4, 3)), **change}
    with pytest.raises(error, match=match):
        binary_cross_entropy_with_logits(**arguments)


def test_the_example_of_the_page_runs():
    blocks = PAGE.read_text("utf-8").split("```python\n")[1:]
    (code,) = [block.partition("```")[0] for block in blocks if "native.jax" in block]
    names = {}
    exec(code, names)
    assert names["loss"].shape == ()


def test_examples_of_the_docstrings():
    with jax.enable_x64(False):
        found = doctest.testmod(loss)
    assert found.attempted > 5
    assert found.failed == 0


def test_means_over_nothing_are_no_numbers_in_each_sample():
    nothing = jnp.zeros((3, 0))
    assert jnp.isnan(jax.vmap(binary_cross_entropy_with_logits)(nothing, nothing)).all()


def test_the_second_derivative_mixes_no_ranks():
    x, y, _, p = operands(4, 3)
    p = p[0]
    with jax.numpy_rank_promotion("raise"):
        slope = jax.grad(lambda x, y: binary_cross_entropy_with_logits(x, y, None, p, "sum"))
        jax.jvp(lambda y: slope(x, y), (y,), (y,))
