"""The ids of functions: what they mean, and what is wrong with one before anything starts."""

from pathlib import Path

import pytest

from bce_conformance.backends import BackendSpec, builtin_backends, resolve
from bce_conformance.backends.function_ids import FACTORIES


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kernel.py").write_text("", "utf-8")
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels" / "__init__.py").write_text("", "utf-8")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "function", ["./kernel.py:loss", "kernel.py:Losses.hinge", "kernels.deep:loss", "json:loads"]
)
def test_a_function_of_a_file_or_a_module(function: str) -> None:
    room = "bce_conformance.backends.adapters.functions"
    assert resolve(f"torch::{function}") == BackendSpec(
        f"torch::{function}",
        f"{room}.torch:TorchFunction",
        distributions=("torch",),
        function=function,
    )
    assert resolve(f"numpy::{function}").distributions == ()


def test_an_adapter_may_be_in_the_working_directory_too() -> None:
    assert resolve("kernels.deep:Adapter").factory == "kernels.deep:Adapter"


def test_a_function_where_it_runs() -> None:
    spec = resolve("jax:jit::kernel.py:loss@python=/some/python")
    assert (spec.function, spec.python, spec.variant) == ("kernel.py:loss", "/some/python", "jit")
    assert spec.compiles
    # There its module may be importable, even if it is not here.
    assert resolve("torch::not_here:loss@python=/some/python").function == "not_here:loss"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("torhc::kernel.py:loss", "'torhc' evaluates no functions; the nearest are torch"),
        ("native::kernel.py:loss", "'native' evaluates no functions; known are|the nearest"),
        ("torch::kernel.py", "names no function; accepted are package.module:name and path.py"),
        ("torch::kernel.py:", "accepted are package.module:name and path.py:name"),
        ("torch::loss", "accepted are package.module:name and path.py:name"),
        ("torch::", "accepted are package.module:name and path.py:name"),
        ("torch::kernel.py:not a name", "accepted are package.module:name and path.py:name"),
        ("torch::./nowhere.py:loss", "there is no file ./nowhere.py"),
        ("torch::kernels/deep:loss", "names the module 'kernels/deep'; accepted are"),
        ("torch::nowhere.deep:loss", "no module nowhere, neither installed nor in the working"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_starts(name: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        resolve(name)


def test_every_framework_that_evaluates_functions_is_built_in() -> None:
    assert FACTORIES.keys() - {"numpy"} <= {spec.id for spec in builtin_backends()}
