"""What adapters of libraries share, on a library of the tests: nothing has to be installed."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from bce_conformance.backends import DTYPES, Array, LossCall, UnsupportedCall
from bce_conformance.backends.adapters.kinds.composition import completed, of_softplus, reduced
from bce_conformance.backends.adapters.kinds.functional import FunctionalAdapter
from bce_conformance.backends.adapters.kinds.tensors import TensorsAdapter
from tests.backends.adapters.formula import array_type, formula, moderate

OPTIONS = ("weight", "pos_weight", "reduction")


def softplus(x: Array) -> Array:
    return np.log1p(np.exp(x))


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("lacks", [(), *((name,) for name in OPTIONS), OPTIONS[:2], OPTIONS])
def test_what_a_function_lacks_is_composed_and_nothing_else(
    lacks: tuple[str, ...], reduction: str
) -> None:
    call = moderate("float64", reduction=reduction)
    asked: list[str] = []

    def own(arrays: dict[str, Any], how: str) -> Any:
        assert not set(lacks) & set(arrays)
        asked.append(how)
        return reduced(of_softplus(softplus, arrays), how, np)

    given = {name: getattr(call, name) for name in ("logits", "targets", *OPTIONS[:2])}
    loss = completed(own, lacks, given, reduction, np)
    exact, size = formula(call)["loss"]
    assert np.all(np.abs(loss - exact) <= 16 * 2**-53 * size)
    assert set(asked) == {"none" if lacks else reduction}
    assert len(asked) == (2 if "pos_weight" in lacks else 1)
    asked.clear()
    plain = {name: given[name] for name in ("logits", "targets")}
    completed(own, lacks, plain, reduction, np)
    assert asked == ["none" if "reduction" in lacks else reduction]


@dataclass
class Tensor:
    """An array of the library's, whose format NumPy need not have."""

    bits: Array
    dtype: str


class Library(TensorsAdapter):
    """A library whose bfloat16 and float64 NumPy cannot read."""

    framework = "library"
    carriers: ClassVar[dict[str, str]] = {"bfloat16": "uint16", "float64": "uint64"}

    def bind(self, call: LossCall) -> Any:
        raise NotImplementedError

    def formats(self) -> Any:
        return SimpleNamespace(**{name: name for name in (*DTYPES, "uint16", "uint64")})

    def tensor(self, array: Array) -> Tensor:
        assert array.dtype.name not in self.carriers or not array.dtype.isnative
        return Tensor(array.copy(), array.dtype.name)

    def recast(self, tensor: Tensor, dtype: str) -> Tensor:
        return Tensor(tensor.bits, dtype)

    def array(self, tensor: Tensor) -> Array:
        assert tensor.dtype not in self.carriers
        return tensor.bits


class WideLibrary(Library):
    """The same, but bfloat16 crosses as the numbers that it has in float32."""

    carriers: ClassVar[dict[str, str]] = {"bfloat16": "float32"}

    def recast(self, tensor: Tensor, dtype: str) -> Tensor:
        return Tensor(tensor.bits.astype(array_type(dtype)), dtype)

    def array(self, tensor: Tensor) -> Array:
        assert tensor.bits.dtype == np.dtype(array_type(tensor.dtype))
        return tensor.bits


@pytest.mark.parametrize("library", [Library(), WideLibrary()])
@pytest.mark.parametrize("dtype", DTYPES)
def test_bits_cross_by_their_carriers(library: TensorsAdapter, dtype: str) -> None:
    numbers = np.random.default_rng(5).normal(size=64) * 1000
    sent = np.array([*numbers, -0.0, np.inf, np.nan, 2.0**-24, 1 / 3, 60000]).astype(
        array_type(dtype)
    )
    for array in (sent, sent.reshape(7, -1).T, sent[::-2], sent[5].reshape(()), sent[:0]):
        tensor = library.place(array, "cpu")
        assert tensor.dtype == dtype
        got = library.to_numpy(tensor)
        assert (got.dtype, got.shape) == (array.dtype, array.shape)
        assert got.tobytes() == array.tobytes()


def test_an_array_of_the_other_byte_order_is_the_librarys_to_read() -> None:
    array = np.arange(3, dtype=np.dtype(np.float64).newbyteorder("S"))
    assert Library().place(array, "cpu").bits.dtype == array.dtype


def test_a_library_without_forward_mode_says_so() -> None:
    class Backward(FunctionalAdapter):
        framework = "numpy"
        composed: ClassVar[tuple[str, ...]] = ("reduction",)

        def loss(self, arrays: dict[str, Any], reduction: str) -> Any:
            return reduced(of_softplus(softplus, arrays), reduction, np)

        def pull_back(self, function: Any, at: Any) -> Any:
            return function(at), lambda cotangent: cotangent * 2

    adapter = Backward()
    assert adapter.version() == np.__version__
    x, y = np.zeros(3), np.ones(3)
    raw = adapter.bind(LossCall(x, y, quantities=("loss", "grad_logits"), reduction="sum"))()
    assert raw["loss"] == pytest.approx(3 * np.log(2))
    assert raw["grad_logits"] == 2  # a cotangent of None is one
    with pytest.raises(UnsupportedCall, match="numpy has no forward mode"):
        adapter.bind(LossCall(x, y, quantities=("jvp_logits",), tangent=x))()
    with pytest.raises(UnsupportedCall, match="numpy has no loss with a reduction argument"):
        adapter.bind(LossCall(x, y, reduction="median"))
