"""Adapters against a float64 formula: what the frameworks compute, and what they leave out."""

from collections.abc import Callable, Iterator

import ml_dtypes
import numpy as np
import pytest

from bce_conformance.backends import (
    DTYPES,
    Array,
    BackendInfo,
    BackendProcess,
    Failure,
    LossCall,
    LossResult,
    builtin_backends,
    installed,
    resolve,
)

DEFAULT = [spec.id for spec in builtin_backends() if not spec.variant]
GRADIENTS = ("grad_logits", "grad_targets", "grad_weight", "grad_pos_weight")
QUANTITIES = ("loss", *GRADIENTS, "jvp_logits", "hvp_logits")
UNIT_ROUNDOFF = {"float16": 2**-11, "bfloat16": 2**-8, "float32": 2**-24, "float64": 2**-53}

# What each framework does not give, with the versions of constraints.txt: the kind and the start of
# the failure, or "absent" where the framework says nothing and leaves the gradient out.
NOT_GIVEN = {
    "native": {},
    "torch": {
        f"grad_{name}": "raised RuntimeError: The function 'binary_cross_entropy_with_logits' is "
        f"not differentiable with respect to argument '{name}'"
        for name in ("weight", "pos_weight")
    },
    "paddle": {
        "grad_targets": "absent",
        "grad_pos_weight": "absent",
        "jvp_logits": "unsupported: paddle has no forward mode for this loss",
        "hvp_logits": "raised RuntimeError: (Unavailable) The Op ",
    },
    "tensorflow": {},
    "jax": {},
    "optax": {},
}
THROUGH_A_REDUCTION = {
    "native": {"jvp_logits": "unsupported: native has no forward mode through a reduction"}
}
DTYPES_TAKEN = {name: ("float32", "float64") if name == "paddle" else DTYPES for name in DEFAULT}


def array_type(dtype: str) -> np.dtype:
    return np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)


@pytest.fixture(scope="module")
def process() -> Iterator[Callable[[str], BackendProcess]]:
    """Return what gives the one process of a backend that all tests of this module share."""
    patch = pytest.MonkeyPatch()
    patch.syspath_prepend(__file__.rpartition("/")[0])
    running: dict[str, BackendProcess] = {}

    def get(name: str) -> BackendProcess:
        spec = resolve(name)
        if not installed(spec):
            pytest.skip(f"{name} is not installed")
        if name not in running:
            running[name] = BackendProcess(spec)
        return running[name]

    yield get
    for backend in running.values():
        backend.close()
    patch.undo()


def moderate(dtype: str, *, reduction: str = "mean") -> LossCall:
    """A call with everything: logits in [−3, 3], soft targets, broadcast weights, a cotangent."""
    random = np.random.default_rng(20)

    def uniform(low: float, high: float, *shape: int) -> Array:
        return np.asarray(random.uniform(low, high, shape)).astype(array_type(dtype))

    return LossCall(
        logits=uniform(-3, 3, 4, 3),
        targets=uniform(0, 1, 4, 3),
        weight=uniform(0.5, 2, 3),
        pos_weight=uniform(0.5, 4, 4, 1),
        reduction=reduction,
        cotangent=uniform(-2, 2, *((4, 3) if reduction == "none" else ())),
        tangent=uniform(-1, 1, 4, 3),
    )


def with_quantities(call: LossCall, *quantities: str) -> LossCall:
    return LossCall(**{**vars(call), "quantities": quantities})


def sum_to(values: Array, shape: tuple[int, ...]) -> Array:
    """Sum ``values`` over the dimensions along which ``shape`` was broadcast."""
    values = values.sum(axis=tuple(range(values.ndim - len(shape))))
    stretched = tuple(i for i, size in enumerate(shape) if size == 1 and values.shape[i] != 1)
    return values.sum(axis=stretched, keepdims=True)


def formula(call: LossCall) -> dict[str, tuple[Array, Array]]:
    """Return each quantity in float64 from the textbook formula, and the size of its terms."""
    x, y, w, p, v = (
        np.asarray(array, np.float64)
        for array in (call.logits, call.targets, call.weight, call.pos_weight, call.tangent)
    )
    softplus_x, softplus_minus_x = np.log1p(np.exp(x)), np.log1p(np.exp(-x))
    sigma = 1 / (1 + np.exp(-x))
    loss = w * ((1 - y) * softplus_x + p * y * softplus_minus_x)
    slope = w * ((1 - y) * sigma - p * y * (1 - sigma))
    curvature = w * (1 - y + p * y) * sigma * (1 - sigma)
    each = {"none": 1.0, "sum": 1.0, "mean": 1 / x.size}[call.reduction]
    c = np.asarray(call.cotangent, np.float64) * each

    def reduce(values: Array) -> Array:
        return values if call.reduction == "none" else np.asarray(each * values.sum())

    size = np.broadcast_to(np.abs(w) * np.maximum(1, p) * np.maximum(1, np.abs(x)), x.shape)
    return {
        "loss": (reduce(loss), reduce(size)),
        "grad_logits": (c * slope, abs(c) * size),
        "grad_targets": (c * w * (p * softplus_minus_x - softplus_x), 2 * abs(c) * size),
        "grad_weight": (sum_to(c * loss / w, w.shape), sum_to(abs(c) * size / w, w.shape)),
        "grad_pos_weight": (
            sum_to(c * w * y * softplus_minus_x, p.shape),
            sum_to(abs(c) * size, p.shape),
        ),
        "jvp_logits": (reduce(slope * v), reduce(size)),
        "hvp_logits": (c * curvature * v, abs(c) * size),
    }


@pytest.mark.parametrize("name", DEFAULT)
def test_description(process: Callable[[str], BackendProcess], name: str) -> None:
    info = process(name).info()
    assert isinstance(info, BackendInfo), info
    assert (info.id, info.framework, info.variant) == (name, name, "")
    assert info.version[0].isdigit()
    assert info.devices[0].kind == "cpu"
    assert info.dtypes == DTYPES_TAKEN[name]


@pytest.mark.parametrize(
    ("dtype", "reduction"),
    [*((dtype, "mean") for dtype in DTYPES), ("float64", "none"), ("float64", "sum")],
)
@pytest.mark.parametrize("name", DEFAULT)
def test_every_quantity_meets_the_formula_or_is_known_not_to_be_given(
    process: Callable[[str], BackendProcess], name: str, dtype: str, reduction: str
) -> None:
    if dtype not in DTYPES_TAKEN[name]:
        answer = process(name).evaluate(moderate(dtype, reduction=reduction))
        assert isinstance(answer, Failure)
        assert answer.kind == "raised"
        return
    call = moderate(dtype, reduction=reduction)
    expected = formula(call)
    not_given = {}
    lacking = NOT_GIVEN[name] | (THROUGH_A_REDUCTION.get(name, {}) if reduction != "none" else {})
    given = [quantity for quantity in QUANTITIES if quantity not in lacking]
    for wanted in (tuple(given), *((quantity,) for quantity in lacking)):
        answer = process(name).evaluate(with_quantities(call, *wanted))
        if isinstance(answer, Failure):
            assert len(wanted) == 1, answer
            not_given[wanted[0]] = str(answer)
            continue
        not_given.update(dict.fromkeys(set(wanted) - set(answer.values), "absent"))
        for quantity, got in answer.values.items():
            exact, size = expected[quantity]
            assert got.dtype == array_type(dtype)
            assert got.shape == exact.shape
            # Level A of the specification: 16·u of the largest term.
            bound = 16 * UNIT_ROUNDOFF[dtype] * size
            assert np.all(np.abs(got.astype(np.float64) - exact) <= bound), (quantity, got, exact)
    assert not_given.keys() == lacking.keys()
    for quantity, start in lacking.items():
        assert not_given[quantity].startswith(start)


@pytest.mark.parametrize("name", DEFAULT)
def test_a_cotangent_of_none_is_ones(process: Callable[[str], BackendProcess], name: str) -> None:
    ones = np.ones((4, 3), np.float32)
    call = with_quantities(moderate("float32", reduction="none"), "grad_logits")
    without = process(name).evaluate(LossCall(**{**vars(call), "cotangent": None}))
    with_ones = process(name).evaluate(LossCall(**{**vars(call), "cotangent": ones}))
    assert isinstance(without, LossResult)
    assert isinstance(with_ones, LossResult)
    np.testing.assert_array_equal(without.values["grad_logits"], with_ones.values["grad_logits"])


@pytest.mark.parametrize("name", DEFAULT)
def test_without_weights_and_with_one_of_them(
    process: Callable[[str], BackendProcess], name: str
) -> None:
    call = moderate("float64")
    for weight in (None, call.weight):
        for pos_weight in (None, call.pos_weight):
            x, y = call.logits, call.targets
            answer = process(name).evaluate(LossCall(x, y, weight, pos_weight, "sum"))
            assert isinstance(answer, LossResult), answer
            w = 1.0 if weight is None else weight
            p = 1.0 if pos_weight is None else pos_weight
            exact = (w * ((1 - y) * np.log1p(np.exp(x)) + p * y * np.log1p(np.exp(-x)))).sum()
            assert float(answer.values["loss"]) == pytest.approx(exact, rel=1e-13)


@pytest.mark.parametrize("shape", [(), (0,), (1,), (2, 0)])
@pytest.mark.parametrize("name", DEFAULT)
def test_scalars_and_empty_arrays(
    process: Callable[[str], BackendProcess], name: str, shape: tuple[int, ...]
) -> None:
    x, y = np.full(shape, 1.5, np.float32), np.ones(shape, np.float32)
    for reduction in ("none", "mean", "sum"):
        call = LossCall(x, y, reduction=reduction, quantities=("loss", "grad_logits"))
        answer = process(name).evaluate(call)
        assert isinstance(answer, LossResult), answer
        loss, gradient = answer.values["loss"], answer.values["grad_logits"]
        assert loss.shape == (shape if reduction == "none" else ())
        assert gradient.shape == shape
        if x.size:
            # The documentation example: logits of 1.5 with targets of 1 give 0.2014.
            np.testing.assert_allclose(loss, 0.2014133, rtol=1e-6)
            np.testing.assert_allclose(gradient, -0.1824255, rtol=1e-6)
        elif reduction != "none":
            np.testing.assert_array_equal(loss, np.nan if reduction == "mean" else 0.0)


@pytest.mark.parametrize("name", DEFAULT)
def test_an_absent_device_is_unsupported(
    process: Callable[[str], BackendProcess], name: str
) -> None:
    call = LossCall(np.zeros(1), np.zeros(1), device="cuda:7")
    assert process(name).evaluate(call) == Failure("unsupported", "no device cuda:7")


@pytest.mark.parametrize("name", DEFAULT)
def test_results_say_where_they_were_left(
    process: Callable[[str], BackendProcess], name: str
) -> None:
    answer = process(name).evaluate(LossCall(np.zeros(1), np.zeros(1)))
    assert isinstance(answer, LossResult)
    assert answer.device == "cpu"


@pytest.mark.parametrize("name", DEFAULT)
def test_an_unknown_reduction_is_refused(
    process: Callable[[str], BackendProcess], name: str
) -> None:
    answer = process(name).evaluate(LossCall(np.zeros(1), np.zeros(1), reduction="median"))
    assert isinstance(answer, Failure)
    composed = name in ("tensorflow", "jax", "optax")
    assert (answer.kind, answer.error_type) == (
        ("unsupported", "") if composed else ("raised", "ValueError")
    )


@pytest.mark.parametrize("name", ["Native", "Torch", "Paddle", "Tensorflow", "Optax"])
def test_bits_enter_and_leave_the_frameworks_arrays_unchanged(
    process: Callable[[str], BackendProcess], name: str
) -> None:
    backend = process(f"probes:{name}")
    if not installed(resolve(name.lower())):
        pytest.skip(f"{name} is not installed")
    random = np.random.default_rng(3)
    for dtype in (*DTYPES, "bool", "int32", "int64", "complex64"):
        size = 2**16 if array_type(dtype).itemsize == 2 else 1000
        bits = random.integers(0, 256, size * array_type(dtype).itemsize, np.uint8)
        if array_type(dtype).itemsize == 2:
            bits = np.arange(size, dtype=np.uint16).view(np.uint8)
        if dtype == "bool":
            bits &= 1
        sent = bits.view(array_type(dtype))
        for array in (sent, sent.reshape(8, -1), sent[5].reshape(()), sent[:0]):
            answer = backend.evaluate(LossCall(array, array))
            assert isinstance(answer, LossResult), (dtype, answer)
            got = answer.values["loss"]
            assert (got.dtype, got.shape) == (array.dtype, array.shape)
            assert got.tobytes() == array.tobytes()


def of_every_layout(dtype: str) -> dict[str, Array]:
    """Arrays of one shape, of different numbers."""
    base = np.arange(1, 25).reshape(4, 6).astype(array_type(dtype))
    raw = np.zeros(base.nbytes + 1, np.uint8)
    unaligned = np.ndarray(base.shape, base.dtype, raw, offset=1)
    unaligned[...] = base
    read_only = base.copy()
    read_only.flags.writeable = False
    return {
        "transposed": base.reshape(6, 4).T,
        "every second": np.repeat(base, 2, axis=1)[:, ::2],
        "stride zero": np.broadcast_to(base[0], base.shape),
        "backwards": base[::-1, ::-1],
        "unaligned": unaligned,
        "read-only": read_only,
    }


@pytest.mark.parametrize("name", ["Native", "Torch", "Paddle", "Tensorflow", "Optax"])
def test_every_layout_enters_the_frameworks_arrays_as_the_same_numbers(
    process: Callable[[str], BackendProcess], name: str
) -> None:
    backend = process(f"probes:{name}")
    if not installed(resolve(name.lower())):
        pytest.skip(f"{name} is not installed")
    refused = {"backwards"} if name in ("Torch", "Paddle") else set()
    for dtype in DTYPES:
        for layout, sent in of_every_layout(dtype).items():
            answer = backend.evaluate(LossCall(sent, sent))
            if layout in refused:
                assert isinstance(answer, Failure)
                assert (answer.kind, "negative strides" in answer.detail) == ("unsupported", True)
                continue
            assert isinstance(answer, LossResult), (dtype, layout, answer)
            assert answer.values["loss"].tobytes() == sent.tobytes(), (dtype, layout)


@pytest.mark.parametrize("name", ["Torch", "Paddle"])
def test_strides_are_those_of_the_array_where_the_framework_has_strides(
    process: Callable[[str], BackendProcess], name: str
) -> None:
    backend = process(f"probes:Strides{name}")
    if not installed(resolve(name.lower())):
        pytest.skip(f"{name} is not installed")
    layouts = of_every_layout("float32")
    for layout in ("transposed", "every second", "stride zero"):
        answer = backend.evaluate(LossCall(layouts[layout], layouts[layout]))
        assert isinstance(answer, LossResult), (layout, answer)
        expected = [stride // 4 for stride in layouts[layout].strides]
        assert answer.values["loss"].tolist() == expected


@pytest.mark.parametrize("name", DEFAULT)
def test_the_number_of_threads_can_be_set_or_the_framework_has_no_such_switch(
    process: Callable[[str], BackendProcess], name: str
) -> None:
    answer = process(name).evaluate(LossCall(np.zeros(1), np.zeros(1), threads=1))
    if name in ("native", "torch"):
        assert isinstance(answer, LossResult), answer
    else:
        assert answer == Failure("unsupported", "its adapter has no threads")


@pytest.mark.parametrize("name", DEFAULT)
def test_no_framework_changes_its_operands(
    process: Callable[[str], BackendProcess], name: str
) -> None:
    call = with_quantities(moderate("float32"), "loss", "grad_logits")
    answer = process(name).evaluate(call)
    assert isinstance(answer, LossResult), answer
    assert answer.modified == ()


@pytest.mark.parametrize("name", ["Torch", "Tensorflow"])
def test_a_change_of_what_a_framework_holds_is_seen(
    process: Callable[[str], BackendProcess], name: str
) -> None:
    backend = process(f"probes:Forgetful{name}")
    if not installed(resolve(name.lower())):
        pytest.skip(f"{name} is not installed")
    answer = backend.evaluate(LossCall(np.ones(3), np.ones(3)))
    assert isinstance(answer, LossResult), answer
    assert answer.modified == ("logits",)


@pytest.mark.parametrize("name", ["native", "torch", "paddle", "tensorflow", "optax"])
def test_composed_is_what_the_framework_has_no_argument_for(
    process: Callable[[str], BackendProcess], name: str
) -> None:
    said = process(name).info()
    found = process(f"probes:{name.capitalize()}").info()
    assert isinstance(said, BackendInfo)
    assert isinstance(found, BackendInfo), found
    assert set(said.composed) - set(QUANTITIES) == set(found.composed)


def test_jax_has_no_such_loss_at_all(process: Callable[[str], BackendProcess]) -> None:
    info = process("jax").info()
    assert isinstance(info, BackendInfo)
    assert info.composed == ("loss", "weight", "pos_weight", "reduction")


@pytest.mark.parametrize(
    "name", ["torch:compile", "paddle:static", "tensorflow:xla", "jax:jit", "optax:jit"]
)
def test_variants_compute_the_same_loss_and_gradient(
    process: Callable[[str], BackendProcess], name: str
) -> None:
    info = process(name).info()
    assert isinstance(info, BackendInfo), info
    framework, _, variant = name.partition(":")
    assert (info.id, info.framework, info.variant) == (name, framework, variant)
    call = moderate("float32")
    answer = process(name).evaluate(with_quantities(call, "loss", "grad_logits"), time_limit=120)
    assert isinstance(answer, LossResult), answer
    for quantity, got in answer.values.items():
        exact, size = formula(call)[quantity]
        bound = 16 * UNIT_ROUNDOFF["float32"] * size
        assert np.all(np.abs(got.astype(np.float64) - exact) <= bound)
