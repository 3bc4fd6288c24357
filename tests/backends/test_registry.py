import importlib.metadata
import subprocess
import sys
from dataclasses import replace

import pytest

from bce_conformance.backends import (
    BackendSpec,
    builtin_backends,
    entry_point_backends,
    installed,
    registry,
    resolve,
    sibling,
)
from bce_conformance.backends.registry import distribution_of

IDS = [
    "native",
    "native:torch",
    "native:jax",
    "torch",
    "torch:compile",
    "paddle",
    "paddle:static",
    "tensorflow",
    "tensorflow:xla",
    "jax",
    "jax:jit",
    "optax",
    "optax:jit",
]
ON_REQUEST = [
    *("torch:module", "torch:vmap", "torch:autocast-bfloat16", "torch:autocast-float16"),
    *("torch:jit", "tensorflow:function", "jax:vmap"),
    *("keras:tensorflow", "keras:jax", "keras:torch"),
    *("scipy", "sklearn", "autograd", "onnxruntime", "onnxruntime:torch"),
    *("openvino", "openvino:torch", "mlx", "mindspore", "pytensor", "tinygrad"),
]


def test_the_built_in_backends() -> None:
    every = [*IDS, *ON_REQUEST]
    assert [spec.id for spec in builtin_backends()] == every
    assert [resolve(name) for name in every] == list(builtin_backends())
    assert [spec.id for spec in builtin_backends() if spec.on_request] == ON_REQUEST


def test_an_import_path_names_itself() -> None:
    assert resolve("faulty:Echo") == BackendSpec("faulty:Echo", "faulty:Echo")


def test_a_location_runs_the_backend_in_another_interpreter() -> None:
    here, there = resolve("torch:compile"), resolve("torch:compile@python=/some/venv/bin/python")
    assert there.id == "torch:compile@python=/some/venv/bin/python"
    assert there.python == "/some/venv/bin/python"
    assert (there.factory, there.variant) == (here.factory, here.variant)
    # There its package may be importable, even if it is not here.
    assert resolve("not_here:Adapter@python=/p").factory == "not_here:Adapter"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("pytorch", "the nearest are torch"),
        ("torch:fast", "the nearest are torch"),
        ("Jax:jti", "the nearest are jax:jit"),
        ("keras:Sequential", "the nearest are keras"),
        *(
            (name, "known are 34, from autograd to torch:vmap; or name package.module:Class")
            for name in ("a b:C", "", "os.")
        ),
    ],
)
def test_an_unknown_backend_is_told_what_is_meant_or_known(name: str, told: str) -> None:
    with pytest.raises(ValueError, match="is unknown; ") as caught:
        resolve(name)
    assert repr(name) in str(caught.value)
    assert told in str(caught.value)


@pytest.mark.parametrize("name", ["torch@", "torch@host=there", "torch@python=", "torch@python"])
def test_an_unknown_location_is_told_what_is_accepted(name: str) -> None:
    with pytest.raises(ValueError, match="accepted are python=/path/to/python"):
        resolve(name)


def test_entry_points_are_backends(monkeypatch: pytest.MonkeyPatch) -> None:
    group = "bce_conformance.backends"
    points = importlib.metadata.EntryPoints(
        [importlib.metadata.EntryPoint("mine", "my_package.adapter:Mine", group)]
    )
    monkeypatch.setattr(
        importlib.metadata, "entry_points", lambda *, group: points.select(group=group)
    )
    assert entry_point_backends() == (BackendSpec("mine", "my_package.adapter:Mine"),)
    assert resolve("mine").factory == "my_package.adapter:Mine"
    with pytest.raises(ValueError, match="the nearest are mine"):
        resolve("mien")


def test_a_backend_without_distributions_is_installed() -> None:
    assert installed(resolve("native"))
    assert installed(BackendSpec("x", "x:X", program="env"))
    assert not installed(BackendSpec("x", "x:X", program="nobody-has-this"))


@pytest.mark.parametrize(
    ("distributions", "needs", "found"),
    [
        (("numpy", "nobody-has-this"), (), True),
        (("nobody-has-this",), (), False),
        (("numpy",), ("rich", "mpmath"), True),
        (("numpy",), ("rich", "nobody-has-this"), False),
    ],
)
def test_one_distribution_and_all_that_it_needs_are_installed_here_or_in_the_other_interpreter(
    distributions: tuple[str, ...], needs: tuple[str, ...], found: bool
) -> None:
    spec = BackendSpec("x", "x:X", distributions=distributions, needs=needs)
    assert installed(spec) == found
    assert installed(replace(spec, python=sys.executable)) == found
    assert not installed(replace(spec, python="/nonexistent/python"))


def test_another_version_is_installed_of_the_distribution_that_is_here() -> None:
    spec = BackendSpec("x", "x:X", distributions=("nobody-has-this", "numpy"))
    assert distribution_of(spec) == "numpy"
    spec = BackendSpec("x", "x:X", distributions=("nobody-has-this", "nor-this"))
    assert distribution_of(spec) == "nobody-has-this"


def test_importing_the_package_imports_no_framework() -> None:
    script = """
import sys
from bce_conformance.backends import *
for spec in builtin_backends():
    installed(spec), resolve(spec.id)
    __import__(spec.factory.partition(":")[0])
heavy = {"torch", "paddle", "tensorflow", "jax", "jaxlib", "optax", "numba", "execnet"}
heavy |= {"keras", "scipy", "sklearn", "autograd", "onnx", "onnxruntime", "openvino", "mlx"}
heavy |= {"mindspore", "pytensor", "tinygrad"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("torch:compile", "torch"),
        ("optax:jit", "optax"),
        ("native:torch", "native"),
        ("torch:compile@python=/elsewhere/python", "torch@python=/elsewhere/python"),
        ("torch", None),
        ("native", None),
        ("torch:autocast-bfloat16", "torch"),
        ("onnxruntime:torch", "onnxruntime"),
        ("keras:torch", None),  # an engine: there is no keras beside it
        ("package.module:Class@python=/elsewhere/python", None),
    ],
)
def test_a_variant_has_the_backend_that_it_is_a_variant_of_as_sibling(
    name: str, expected: str | None
) -> None:
    found = sibling(resolve(name))
    assert found == (None if expected is None else resolve(expected))


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (resolve("jax"), " -m pip install 'bce-conformance[jax]'"),
        (resolve("optax"), "pip install 'bce-conformance[jax]'"),
        (resolve("paddle:static"), "pip install 'bce-conformance[paddle]'"),
        (resolve("keras:torch"), "pip install 'bce-conformance[keras,torch]'"),
        (resolve("sklearn"), "pip install 'bce-conformance[sklearn]'"),
        (
            BackendSpec("x", "x:X", program="nobody-has-this"),
            "it needs the program nobody-has-this on the path",
        ),
        (replace(resolve("torch"), python="/there/python"), "needs torch there"),
    ],
)
def test_what_is_not_installed_is_told_with_the_command(
    spec: BackendSpec, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_has_record", lambda distribution: False)
    assert registry.not_installed(spec).endswith(told)
