"""The ids of users' functions: ``torch::package.module:name``, ``jax:jit::./path.py:name``.

Guarantees that an id which is accepted names a framework that can at least evaluate a function, and
a module or file that is there. Nothing is imported: that a module has the function shows when its
backend starts.
"""

from __future__ import annotations

import os
import re
import sys
from importlib.machinery import PathFinder

from .names import nearest

SEPARATOR = "::"
"""Between the framework and the function."""

# Framework and variant → the adapter, in the room of the adapters of functions.
FACTORIES = {
    "numpy": "numpy:NumpyFunction",
    "torch": "torch:TorchFunction",
    "torch:compile": "torch:TorchCompileFunction",
    "paddle": "paddle:PaddleFunction",
    "tensorflow": "tensorflow:TensorflowFunction",
    "tensorflow:xla": "tensorflow:TensorflowXlaFunction",
    "jax": "jax:JaxFunction",
    "jax:jit": "jax:JaxJitFunction",
}

_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_FORMS = "accepted are package.module:name and path.py:name"


def split(backend: str) -> tuple[str, str]:
    """The framework, with its variant, and the function that an id names.

    Raises:
        ValueError: the framework evaluates no functions of users.
    """
    framework, _, function = backend.partition(SEPARATOR)
    if framework not in FACTORIES:
        raise ValueError(
            f"backend {backend!r}: {framework!r} evaluates no functions; "
            f"{nearest(framework, FACTORIES)}"
        )
    return framework, function


def check_target(backend: str, function: str, *, elsewhere: bool) -> None:
    """Check that a function's module or file is there.

    Args:
        backend: the whole id, for errors.
        function: ``package.module:name`` or ``path.py:name``.
        elsewhere: whether another interpreter looks for its module.

    Raises:
        ValueError: it is not, or no function is named.
    """
    where, colon, name = function.rpartition(":")
    if not colon and function.endswith(".py"):
        raise ValueError(f"backend {backend!r} names no function; {_FORMS}")
    if not where or not _NAME.fullmatch(name):
        raise ValueError(f"backend {backend!r} names the function {function!r}; {_FORMS}")
    if where.endswith(".py"):
        if not os.path.isfile(where):
            raise ValueError(f"backend {backend!r}: there is no file {where}")
    elif not _NAME.fullmatch(where):
        raise ValueError(f"backend {backend!r} names the module {where!r}; {_FORMS}")
    elif not elsewhere and not importable(where.partition(".")[0]):
        raise ValueError(
            f"backend {backend!r}: there is no module {where.partition('.')[0]}, neither installed "
            "nor in the working directory"
        )


def importable(package: str) -> bool:
    """Whether a worker finds a top-level module or package, in the working directory too."""
    if package in sys.builtin_module_names or package in sys.modules:
        return True
    return PathFinder.find_spec(package, [*sys.path, os.getcwd()]) is not None
