"""The target of a backend such as ``torch::./kernel.py:loss``: where a function of the user's is.

Guarantees that a target which cannot be had raises an error of one line that says what is wrong
with it, and where in the user's file.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from contextlib import suppress
from dataclasses import dataclass
from functools import reduce
from types import ModuleType
from typing import Any

from bce_conformance.backends.names import nearest

BACKWARD = "_backward"
"""What follows the name of a function in that of its own gradient, in the same file."""


@dataclass(frozen=True)
class Target:
    """What a backend's id names after the ``::``.

    Attributes:
        where: a module such as ``my_package.losses``, or the path of a file that ends in ``.py``.
        name: of the function, class or object in it; dots lead into classes and modules.
    """

    where: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Target:
        """The target that ``module:name`` or ``path.py:name`` names."""
        where, _, name = text.rpartition(":")
        return cls(where, name)

    def __str__(self) -> str:
        return f"{self.where}:{self.name}"


@dataclass(frozen=True)
class Loaded:
    """What a target names, imported.

    Attributes:
        target: where it is.
        loss: the function, class or callable object.
        backward: its own gradient, ``NAME_backward`` in the same module; None where it has none.
    """

    target: Target
    loss: Any
    backward: Any

    @property
    def backward_name(self) -> str:
        """The name that its own gradient has, or would have."""
        return self.target.name + BACKWARD


class TargetError(Exception):
    """A target that cannot be judged; the message is one line."""


def load(target: Target) -> Loaded:
    """Import what a target names, from the working directory or wherever Python finds it.

    Raises:
        TargetError: its module does not import, has no such name, or what is there is not callable.
    """
    try:
        module = _imported(target.where)
    except (Exception, SystemExit) as error:
        raise TargetError(_why_not_imported(target.where, error)) from error
    loss = _named(module, target)
    if not callable(loss):
        kind = type(loss).__name__
        raise TargetError(
            f"{target} is an object of type {kind}, which cannot be called; accepted are a "
            "function, a class and a callable object"
        )
    backward = None
    with suppress(AttributeError):
        backward = _attribute(module, target.name + BACKWARD)
    return Loaded(target, loss, backward)


def _attribute(module: ModuleType, name: str) -> Any:
    """What a dotted name stands for in a module, by ``getattr`` and with its error."""
    return reduce(getattr, name.split("."), module)


def _imported(where: str) -> ModuleType:
    """Import a module, or run a file; its imports see the folder that a user runs Python in."""
    folder = os.path.dirname(os.path.abspath(where)) if where.endswith(".py") else os.getcwd()
    if folder not in sys.path:
        sys.path.insert(0, folder)
    if not where.endswith(".py"):
        return importlib.import_module(where)
    # A name of its own: a file may be called as the framework is.
    name = f"bce_function_{os.path.basename(where).removesuffix('.py')}"
    spec = importlib.util.spec_from_file_location(name, os.path.abspath(where))
    if spec is None or spec.loader is None:
        raise ImportError(f"{where} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _why_not_imported(where: str, error: BaseException) -> str:
    """An error of a user's module in a line, with the line of the file that raised it."""
    text = " ".join(str(error).split())
    if isinstance(error, SyntaxError):
        return f"{where}: {type(error).__name__}: {text}"
    line = line_in(where, error)
    return f"{where}{line}: {type(error).__name__}: {text}".rstrip(": ")


def line_in(where: str, error: BaseException) -> str:
    """The last line of the user's module that an error came by, in words; empty without one."""
    path = os.path.abspath(where) if where.endswith(".py") else where.replace(".", os.sep) + ".py"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename.endswith(path)]
    return f", line {lines[-1]}" if lines else ""


def _named(module: ModuleType, target: Target) -> Any:
    """The object that a module has by a name.

    Raises:
        TargetError: there is none; names the nearest.
    """
    try:
        return _attribute(module, target.name)
    except AttributeError:
        known = [n for n, value in vars(module).items() if callable(value) and n[:1] != "_"]
        raise TargetError(
            f"{target.where} has no {target.name}; {nearest(target.name, known)}"
        ) from None
