"""What every adapter shares: its description, the devices it knows, the formats it really takes.

A format counts as taken when the framework evaluates a loss of one element in it: probed, never
believed. This module must never import a framework.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from types import ModuleType
from typing import Any, ClassVar

import ml_dtypes
import numpy as np
from bce_conformance.backends.calls import (
    DTYPES,
    OPERANDS,
    Array,
    BackendInfo,
    Device,
    LossCall,
    LossResult,
    UnsupportedCall,
)

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


class Adapter(ABC):
    """Base of the adapters: subclasses translate calls into one framework's own terms."""

    framework: ClassVar[str]
    variant: ClassVar[str] = ""
    composed: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def module(self) -> ModuleType:
        """Import the framework, set it up once, and return it."""

    @abstractmethod
    def devices(self) -> tuple[Device, ...]:
        """List the devices that are present."""

    @abstractmethod
    def bind(self, call: LossCall) -> Callable[[], Any]:
        """Return a thunk that evaluates ``call`` and synchronises."""

    @abstractmethod
    def fetch(self, raw: Any) -> LossResult:
        """Bring what the thunk returned to NumPy."""

    def version(self) -> str:
        """Return the framework's version."""
        return str(self.module().__version__)

    def info(self) -> BackendInfo:
        """Describe the backend; raises ImportError where its framework is not installed."""
        version = self.version()
        return BackendInfo(
            id=f"{self.framework}:{self.variant}" if self.variant else self.framework,
            framework=self.framework,
            version=version,
            variant=self.variant,
            devices=self.devices(),
            dtypes=tuple(name for name in DTYPES if self._takes(name)),
            composed=self.composed,
        )

    def require_device(self, name: str) -> str:
        """Return ``name`` if that device is present; raises UnsupportedCall otherwise."""
        if name not in {device.kind for device in self.devices()}:
            raise UnsupportedCall(f"no device {name}")
        return name

    def _takes(self, dtype: str) -> bool:
        ones = np.ones(1, BFLOAT16 if dtype == BFLOAT16.name else dtype)
        try:
            result = self.fetch(self.bind(LossCall(ones, ones))())
        except Exception:
            return False
        return bool(result.values["loss"].dtype == ones.dtype)


def gradients_wanted(call: LossCall) -> tuple[str, ...]:
    """Return the operands whose gradients ``call`` wants, in the order of ``OPERANDS``."""
    return tuple(name for name in OPERANDS if f"grad_{name}" in call.quantities)


def arrays_of(call: LossCall) -> dict[str, Array]:
    """Return the arrays that ``call`` carries, by field name."""
    arrays = {name: getattr(call, name) for name in (*OPERANDS, "cotangent", "tangent")}
    return {name: array for name, array in arrays.items() if array is not None}


def numbered(kind: str, index: int) -> str:
    """Return the device kind of number ``index``: ``cuda``, ``cuda:1`` and so on."""
    return f"{kind}:{index}" if index else kind
