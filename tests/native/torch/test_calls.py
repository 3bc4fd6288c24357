"""The loss for PyTorch as it is called: bits, memory, arguments, misuse, and how it trains."""

import copy
import doctest
import inspect
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from bce_conformance.native import value_and_grad
from tests.native.problems import FORMATS, OPERANDS, problem

torch = pytest.importorskip("torch")

from bce_conformance.native.torch import (  # noqa: E402 - imports torch
    BCEWithLogitsLoss,
    binary_cross_entropy_with_logits,
    functions,
    loss,
    tensors,
)

PAGE = Path(__file__).resolve().parents[3] / "docs" / "native_loss.md"


def tensor(array, requires_grad=False):
    if array.dtype == ml_dtypes.bfloat16:
        found = torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    else:
        found = torch.from_numpy(array)
    return found.requires_grad_(requires_grad)


def bits(tensor):
    return tensors.array_of(tensor).tobytes()


def cotangent(reduction, shape, dtype):
    values = np.random.default_rng(4).normal(size=shape if reduction == "none" else ())
    return np.asarray(values).astype(dtype)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("dtype", FORMATS)
def test_bits_are_those_of_arrays(dtype, reduction):
    arrays = problem(dtype)
    c = cotangent(reduction, arrays[0].shape, dtype)
    expected, gradients = value_and_grad(*arrays, reduction, wrt=OPERANDS, cotangent=c)
    x, y, w, p = (tensor(array, True) for array in arrays)
    found = binary_cross_entropy_with_logits(x, y, w, reduction=reduction, pos_weight=p)
    assert bits(found) == expected.tobytes()
    found.backward(tensor(c))
    for name, operand in zip(OPERANDS, (x, y, w, p), strict=True):
        assert operand.grad.dtype == operand.dtype
        assert bits(operand.grad) == gradients[name].tobytes(), name


@pytest.mark.parametrize("dtype", FORMATS)
def test_operands_and_results_are_not_copied(dtype):
    array = np.ones((3, 4), dtype)
    given = tensor(array)
    assert tensors.array_of(given).ctypes.data == array.ctypes.data == given.data_ptr()
    assert tensors.array_of(given.requires_grad_()).ctypes.data == array.ctypes.data
    assert tensors.tensor_of(array, given.device).data_ptr() == array.ctypes.data


def test_layouts_that_tensors_have():
    base = torch.linspace(-3, 3, 24, dtype=torch.float64).reshape(4, 6)
    expected = binary_cross_entropy_with_logits(base, base * base, reduction="none")
    for laid in (base.T.contiguous().T, base.repeat_interleave(2, 1)[:, ::2]):
        assert laid.stride() != base.stride()
        found = binary_cross_entropy_with_logits(laid, laid * laid, reduction="none")
        assert torch.equal(found, expected)
    row = base[0].expand(4, 6)
    assert torch.equal(
        binary_cross_entropy_with_logits(row, row * row), binary_cross_entropy_with_logits(
            row.contiguous(), (row * row).contiguous()
        )
    )  # fmt: skip


def test_a_sign_that_is_only_a_flag_is_not_lost():
    flagged = torch.tensor([1 + 2j, 3 - 1j]).conj().imag
    assert flagged.is_neg()
    found = binary_cross_entropy_with_logits(flagged, torch.ones(2), reduction="none")
    assert torch.equal(found, binary_cross_entropy_with_logits(
        torch.tensor([-2.0, 1.0]), torch.ones(2), reduction="none"
    ))  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float64])
def test_targets_of_other_types_count_as_the_numbers_that_they_are(dtype):
    logits = torch.tensor([2.0, -1.0, 0.5], requires_grad=True)
    targets = torch.tensor([1.0, 0.0, 1.0])
    found = binary_cross_entropy_with_logits(logits, targets.to(dtype))
    expected = binary_cross_entropy_with_logits(logits, targets)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)
    assert torch.equal(
        torch.autograd.grad(found, logits)[0], torch.autograd.grad(expected, logits)[0]
    )


def test_numbers_as_weights_are_not_rounded_to_the_format():
    logits, targets = torch.tensor([50.0]).half(), torch.tensor([0.0]).half()
    found = binary_cross_entropy_with_logits(logits, targets, 1e-9, pos_weight=3)
    assert found.item() == pytest.approx(50e-9, rel=0.5)  # 1e-9 is 0 in float16
    assert found.dtype == torch.float16


def test_tensors_without_memory_have_a_result_without_memory():
    logits = torch.zeros(4, 3, device="meta", dtype=torch.float16)
    for reduction, shape in (("none", (4, 3)), ("mean", ())):
        found = binary_cross_entropy_with_logits(logits, logits, 2.0, reduction=reduction)
        assert (found.device.type, found.dtype, found.shape) == ("meta", torch.float16, shape)


def test_signatures_are_those_of_pytorch():
    own = torch.nn.functional.binary_cross_entropy_with_logits
    for ours, theirs in (
        (binary_cross_entropy_with_logits, own),
        (BCEWithLogitsLoss, torch.nn.BCEWithLogitsLoss),
        (BCEWithLogitsLoss.forward, torch.nn.BCEWithLogitsLoss.forward),
    ):
        found, expected = inspect.signature(ours), inspect.signature(theirs)
        assert list(found.parameters) == list(expected.parameters)
        for name, parameter in expected.parameters.items():
            assert found.parameters[name].default == parameter.default


def test_the_module_keeps_its_weights_as_pytorch_does():
    weight, pos_weight = torch.rand(3), torch.rand(3)
    own = torch.nn.BCEWithLogitsLoss(weight, reduction="sum", pos_weight=pos_weight)
    ours = BCEWithLogitsLoss(weight, reduction="sum", pos_weight=pos_weight)
    assert ours.state_dict().keys() == own.state_dict().keys()
    assert ours.double().weight.dtype == torch.float64
    assert repr(ours) == "BCEWithLogitsLoss(reduction='sum')"
    logits, targets = torch.randn(2, 3), torch.ones(2, 3)
    assert torch.equal(copy.deepcopy(ours)(logits, targets), ours(logits, targets))
    torch.testing.assert_close(ours.float()(logits, targets), own(logits, targets))


@pytest.mark.parametrize(
    ("given", "meant"),
    [({"size_average": False}, "sum"), ({"reduce": False}, "none"), ({"reduce": True}, "mean")],
)
def test_deprecated_arguments_override_the_reduction_and_warn(given, meant):
    logits, targets = torch.randn(5), torch.ones(5)
    expected = binary_cross_entropy_with_logits(logits, targets, reduction=meant)
    with pytest.warns(DeprecationWarning, match=meant):
        assert torch.equal(binary_cross_entropy_with_logits(logits, targets, **given), expected)
    with pytest.warns(DeprecationWarning, match=meant):
        criterion = BCEWithLogitsLoss(**given)
    assert torch.equal(criterion(logits, targets), expected)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"target": torch.zeros(3, 4)}, ValueError, r"target.*\(3, 4\).*\(4, 3\)"),
        ({"weight": torch.ones(4)}, ValueError, r"weight has shape \(4,\).*\(4, 3\)"),
        ({"pos_weight": torch.ones(2, 4, 3)}, ValueError, r"pos_weight has shape \(2, 4, 3\)"),
        ({"reduction": "max"}, ValueError, "reduction is 'max'"),
        ({"input": torch.zeros(4, 3, dtype=torch.complex64)}, TypeError, "complex64"),
        ({"input": torch.zeros(4, 3, dtype=torch.int64)}, TypeError, "int64"),
        ({"input": np.zeros((4, 3))}, TypeError, "input is a ndarray"),
        ({"target": None}, TypeError, "target is a NoneType"),
        ({"weight": [1.0]}, TypeError, "weight is a list"),
        ({"input": torch.zeros(4, 3).to_sparse()}, TypeError, "to_dense"),
    ],
)
@pytest.mark.parametrize("mode", ["plain", "recorded", "transformed"])
def test_misuse_is_refused_by_name(change, error, match, mode):
    arguments = {"input": torch.zeros(4, 3), "target": torch.zeros(4, 3), **change}
    if mode == "recorded" and isinstance(arguments["input"], torch.Tensor):
        if not arguments["input"].is_floating_point():
            return
        arguments["input"].requires_grad_()
    if mode == "transformed":
        if error is TypeError:
            return
        with pytest.raises(error, match=match):
            torch.func.grad(
                lambda x: binary_cross_entropy_with_logits(**{**arguments, "input": x})
            )(arguments["input"])
        return
    with pytest.raises(error, match=match):
        binary_cross_entropy_with_logits(**arguments)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_autocast_acts_as_on_pytorchs_own_loss(dtype):
    logits = torch.randn(5).to(dtype).requires_grad_()
    targets = torch.ones(5).to(dtype)
    own = torch.nn.functional.binary_cross_entropy_with_logits
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = binary_cross_entropy_with_logits(logits, targets)
        assert found.dtype == own(logits, targets).dtype
    found.backward()
    assert logits.grad.dtype == dtype


def test_the_example_of_the_page_runs():
    blocks = PAGE.read_text("utf-8").split("```python\n")[1:]
    (code,) = [block.partition("```")[0] for block in blocks if "native.torch" in block]
    names = {}
    exec(code, names)
    assert names["loss"].shape == ()


def test_examples_of_the_docstrings():
    found = doctest.testmod(loss)
    assert found.attempted > 8
    assert found.failed == 0


# The short way of training: a gradient that the forward pass computes in advance.


def step(scale):
    x, y, _, _ = problem(np.float32, (8, 5))
    logits = tensor(x, True)
    binary_cross_entropy_with_logits(logits, tensor(y)).backward(torch.tensor(scale))
    _, expected = value_and_grad(x, y, cotangent=np.float32(scale))
    assert bits(logits.grad) == expected["logits"].tobytes()


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("case", ["plain", "infinite", "transposed", "one", "long"])
def test_a_small_step_has_the_bits_of_arrays(dtype, reduction, case, monkeypatch):
    monkeypatch.setattr(functions.Training, "expects_one", True)
    shape = {"one": (1, 1), "long": (40, 500)}.get(case, (4, 8))
    x, y, _, _ = problem(dtype, shape)
    if case == "infinite":
        x[0, :3] = np.inf, -np.inf, np.nan
    expected, gradients = value_and_grad(x, y, reduction=reduction)
    logits = tensor(x, True)
    if case == "transposed":
        logits = tensor(x).T.contiguous().T.requires_grad_()
        assert not logits.is_contiguous()
    found = binary_cross_entropy_with_logits(logits, tensor(y), reduction=reduction)
    (gradient,) = torch.autograd.grad(found, logits)
    for result, right in ((found, expected), (gradient, gradients["logits"])):
        wide = right.astype(np.float64)  # in which NumPy takes NaN for equal to NaN
        np.testing.assert_array_equal(result.detach().double().numpy(), wide)


def test_gradients_in_advance_are_tried_as_long_as_cotangents_are_one(monkeypatch):
    monkeypatch.setattr(functions.Training, "expects_one", True)
    for scale, expects in ((1.0, True), (3.0, False), (3.0, False), (1.0, True), (1.0, True)):
        step(scale)
        assert functions.Training.expects_one is expects


def test_a_second_backward_pass_gives_the_same_and_shares_nothing():
    logits = torch.tensor([1.0, -2.0], requires_grad=True)
    found = binary_cross_entropy_with_logits(logits, torch.tensor([0.0, 1.0]))
    (first,) = torch.autograd.grad(found, logits, retain_graph=True)
    (second,) = torch.autograd.grad(found, logits)
    assert torch.equal(first, second)
    assert first.data_ptr() != second.data_ptr()
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(found, logits)


def test_gradients_add_up_over_calls():
    logits, targets = torch.randn(6, requires_grad=True), torch.ones(6)
    binary_cross_entropy_with_logits(logits, targets).backward()
    once = logits.grad.clone()
    binary_cross_entropy_with_logits(logits, targets).backward()
    assert torch.equal(logits.grad, 2 * once)


def test_operands_that_change_before_the_backward_pass_are_noticed():
    logits = torch.randn(6, requires_grad=True)
    targets = torch.ones(6)
    found = binary_cross_entropy_with_logits(logits, targets, reduction="none").sum()
    targets.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        found.backward()


def test_the_default_device_is_not_that_of_results():
    x, y = torch.tensor([0.5, -2.0]), torch.tensor([1.0, 0.0])
    expected = binary_cross_entropy_with_logits(x, y)
    with torch.device("meta"):
        found = binary_cross_entropy_with_logits(x, y)
    assert (found.device, found.item()) == (expected.device, expected.item())


def test_numbers_are_weights_of_the_class():
    x, y = torch.tensor([0.5, -2.0]), torch.tensor([1.0, 0.0])
    of_numbers = BCEWithLogitsLoss(weight=2.0, pos_weight=3)
    of_tensors = BCEWithLogitsLoss(weight=torch.tensor(2.0), pos_weight=torch.tensor(3.0))
    assert of_numbers(x, y) == of_tensors(x, y)
    assert list(of_tensors.state_dict()) == ["weight", "pos_weight"]
    assert list(of_numbers.state_dict()) == []
