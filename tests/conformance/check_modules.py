"""The modules of the checks, wherever they stand in their rooms."""

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType

from bce_conformance.conformance import checks


def check_modules() -> Iterator[ModuleType]:
    """Every module that has checks."""
    for module in pkgutil.walk_packages(checks.__path__, f"{checks.__name__}."):
        if ".test_" in module.name:
            yield import_module(module.name)
