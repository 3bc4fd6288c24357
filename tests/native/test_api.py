import math
import subprocess
import sys

import numpy as np
import pytest

from bce_conformance.native import (
    BCEWithLogitsLoss,
    binary_cross_entropy_with_logits,
    hessian_vector_product,
    jacobian_vector_product,
    value_and_grad,
)
from tests.native.problems import FORMATS, OPERANDS, problem


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize(("reduction", "shape"), [("none", (4, 3)), ("mean", ()), ("sum", ())])
def test_results_have_the_logits_format(dtype, reduction, shape):
    logits = np.linspace(-4, 4, 12).reshape(4, 3).astype(dtype)
    targets = (np.arange(12).reshape(4, 3) % 2).astype(dtype)
    weight = np.full((4, 1), 2, dtype)
    pos_weight = np.full(3, 3, dtype)
    loss, gradients = value_and_grad(logits, targets, weight, pos_weight, reduction, wrt=OPERANDS)
    assert loss.dtype == dtype
    assert loss.shape == shape
    assert list(gradients) == list(OPERANDS)
    for name, operand in zip(OPERANDS, (logits, targets, weight, pos_weight), strict=True):
        assert gradients[name].shape == operand.shape
        assert gradients[name].dtype == dtype
    product = hessian_vector_product(logits, targets, logits, weight, pos_weight, reduction)
    assert product.shape == logits.shape
    assert product.dtype == dtype


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"targets": np.zeros((3, 4))}, ValueError, r"\(3, 4\).*\(4, 3\)"),
        ({"targets": np.zeros(3)}, ValueError, r"targets has shape \(3,\)"),
        ({"weight": np.ones(4)}, ValueError, r"weight has shape \(4,\).*\(4, 3\)"),
        ({"weight": np.ones((2, 4, 3))}, ValueError, r"weight has shape \(2, 4, 3\)"),
        ({"pos_weight": np.ones(5)}, ValueError, r"pos_weight has shape \(5,\).*\(4, 3\)"),
        ({"reduction": "max"}, ValueError, "reduction is 'max'"),
        ({"logits": np.zeros((4, 3), complex)}, TypeError, "logits has dtype complex128"),
        ({"logits": np.zeros((4, 3), int)}, TypeError, "logits has dtype int64"),
        ({"targets": np.zeros((4, 3), object)}, TypeError, "targets has dtype object"),
        ({"logits": "text"}, TypeError, "logits"),
        ({"logits": None}, TypeError, "logits is a NoneType"),
        ({"targets": np.full((4, 3), 1.5), "check_targets": True}, ValueError, r"\[0, 1\]"),
        ({"targets": np.full((4, 3), np.nan), "check_targets": True}, ValueError, r"\[0, 1\]"),
        ({"out": np.zeros(3)}, ValueError, r"out has shape \(3,\)"),
        ({"out": np.zeros((), "f4")}, TypeError, "out is dtype float32"),
    ],
)
def test_misuse_is_refused_by_name(change, error, match):
    arguments = {"logits": np.zeros((4, 3)), "targets": np.zeros((4, 3)), **change}
    with pytest.raises(error, match=match):
        binary_cross_entropy_with_logits(**arguments)


@pytest.mark.parametrize(
    ("size_average", "reduce", "meant"),
    [
        (None, True, "mean"), (None, False, "none"), (True, None, "mean"), (False, None, "sum"),
        (True, True, "mean"), (False, True, "sum"), (True, False, "none"), (False, False, "none"),
    ],
)  # fmt: skip
def test_deprecated_arguments_override_reduction(size_average, reduce, meant):
    with pytest.warns(DeprecationWarning, match=f"reduction='{meant}'"):
        criterion = BCEWithLogitsLoss(
            size_average=size_average, reduce=reduce, reduction="sum" if meant != "sum" else "none"
        )
    assert criterion.reduction == meant


def test_special_values_are_the_limits():
    logits = np.array([np.inf, -np.inf, np.inf, -np.inf, np.nan, 1.0, 1.0])
    targets = np.array([1.0, 0.0, 0.0, 1.0, 0.0, np.nan, 1.0])
    weight = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0])
    loss, gradients = value_and_grad(logits, targets, weight, 3.0, "none")
    np.testing.assert_array_equal(loss, [0, 0, np.inf, np.inf, np.nan, np.nan, 0])
    np.testing.assert_array_equal(gradients["logits"][:5], [-0.0, 0, 1, -3, np.nan])
    assert not np.signbit(loss[[0, 1, 6]]).any()


def test_empty_input_sums_to_zero_and_averages_to_nan():
    empty = np.zeros((0, 3), np.float32)
    assert binary_cross_entropy_with_logits(empty, empty, reduction="sum") == 0
    assert np.isnan(binary_cross_entropy_with_logits(empty, empty))
    assert binary_cross_entropy_with_logits(empty, empty, reduction="none").shape == (0, 3)


def test_importing_the_package_imports_no_compiler():
    code = (
        "import sys; import bce_conformance.native as native; "
        "assert 'numba' not in sys.modules and 'llvmlite' not in sys.modules; "
        "print(native.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "bce_conformance.native"


def test_warmup_compiles_everything_and_reports_progress():
    from bce_conformance.native.kernels import (
        each_float32,
        general,
        sum_broadcast,
        sum_careful,
        sum_float32,
        sum_float64,
        sum_half,
        sum_weighted,
    )
    from bce_conformance.native.memory import chunks
    from bce_conformance.native.warmup import compile_all

    reported = []
    compile_all(lambda *step: reported.append(step))
    assert [done for done, _, _ in reported] == list(range(17))
    assert reported[-1] == (16, 16, "done")
    kernels = {
        general: ("evaluate", "combine"),
        sum_broadcast: ("accumulate", "settle"),
        sum_careful: ("accumulate_carefully", "settle_carefully", "write"),
        chunks: ("pack", "unpack"),
        each_float32: ("each_single", "decide"),
        sum_float32: ("sum_single", "sum_small"),
        sum_float64: ("sum_wide", "sum_small_wide"),
        sum_half: ("sum_half", "sum_small_half"),
        sum_weighted: ("sum_weighted",),
    }
    before = {
        (module, name): len(getattr(module, name).overloads)
        for module, names in kernels.items()
        for name in names
    }
    assert all(before.values()), before
    for dtype in FORMATS:
        x = np.linspace(-900, 900, 70_000).reshape(700, 100).astype(dtype)
        y = (x > 3).astype(dtype)
        for reduction in ("none", "mean"):
            value_and_grad(x[::-1], y, x[:, :1], y[0], reduction, wrt=OPERANDS)
            binary_cross_entropy_with_logits(x, y, reduction=reduction)
            value_and_grad(x, y, reduction=reduction)
            jacobian_vector_product(x, y, y, reduction=reduction)
    after = {(module, name): len(getattr(module, name).overloads) for module, name in before}
    assert after == before


def test_without_a_writable_cache_everything_works(tmp_path):
    # A copy of the package in a directory in which nothing can be created, and no home.
    import bce_conformance.native as native

    script = tmp_path / "call.py"
    script.write_text(
        "import numba.core.caching as caching\n"
        "caching.CacheImpl._locator_classes = []\n"
        "import numpy as np\n"
        "from bce_conformance import native\n"
        "x = np.array([1.5], np.float32)\n"
        "print(native.binary_cross_entropy_with_logits(x, np.ones(1, np.float32)))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    expected = native.binary_cross_entropy_with_logits(np.float32([1.5]), np.float32([1]))
    assert done.stdout.strip() == str(expected)


def test_a_cotangent_scales_gradients_and_not_the_loss():
    x, y, w, p = problem(np.float64, soft=False)
    plain_loss, plain = value_and_grad(x, y, w, p, "mean", wrt=OPERANDS)
    loss, scaled = value_and_grad(x, y, w, p, "mean", wrt=OPERANDS, cotangent=4.0)
    assert loss == plain_loss
    for name in OPERANDS:
        np.testing.assert_array_equal(scaled[name], 4 * plain[name])
    field = np.full(x.shape, 0.5)
    _, halved = value_and_grad(x, y, w, p, "none", cotangent=field)
    _, whole = value_and_grad(x, y, w, p, "none")
    np.testing.assert_array_equal(halved["logits"], whole["logits"] / 2)


@pytest.mark.parametrize("name", OPERANDS)
@pytest.mark.parametrize("dtype", FORMATS)
def test_forward_mode_is_the_gradient_along_a_direction_and_rounded_once(dtype, name):
    given = problem(dtype)
    x, y, w, p = given
    direction = given[OPERANDS.index(name)][::-1]
    full = {"weight": np.broadcast_to(w, x.shape), "pos_weight": np.broadcast_to(p, x.shape)}
    _, each = value_and_grad(x, y, *full.values(), "none", wrt=(name,), cotangent=direction)
    along = jacobian_vector_product(x, y, direction, w, p, "none", wrt=name)
    assert along.tobytes() == each[name].tobytes()
    wide = [np.broadcast_to(value, x.shape).astype(np.float64) for value in given]
    moved = np.broadcast_to(direction, x.shape).astype(np.float64)
    _, exact = value_and_grad(*wide, "none", wrt=(name,), cotangent=moved)
    for reduction, count in (("sum", 1), ("mean", x.size)):
        found = jacobian_vector_product(x, y, direction, w, p, reduction, wrt=name)
        assert (found.shape, found.dtype) == ((), dtype)
        right = math.fsum(exact[name].ravel()) / count
        ulp = 2.0**-49 * abs(right) if dtype == np.float64 else 0.0
        assert abs(float(found) - float(np.float64(right).astype(dtype))) <= ulp


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"vector": np.ones(4)}, ValueError, r"vector has shape \(4,\).*\(4, 3\)"),
        ({"vector": np.ones(3, complex)}, TypeError, "vector has dtype complex128"),
        ({"wrt": "bias"}, ValueError, "wrt has 'bias'"),
        ({"wrt": "weight"}, ValueError, "weight is None"),
        ({"reduction": "max"}, ValueError, "reduction is 'max'"),
    ],
)
def test_misuse_of_forward_mode_is_refused_by_name(change, error, match):
    arguments = {name: np.zeros((4, 3)) for name in ("logits", "targets", "vector")}
    with pytest.raises(error, match=match):
        jacobian_vector_product(**{**arguments, **change})
