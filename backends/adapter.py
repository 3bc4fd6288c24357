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
    def bind(self, call: LossCall) -> Callable[[], dict[str, Any]]:
        """Return a thunk that evaluates ``call`` and synchronises."""

    @abstractmethod
    def place(self, array: Array, device: str) -> Any:
        """Return ``array`` as the framework's own, bits unchanged, on ``device``."""

    @abstractmethod
    def to_numpy(self, tensor: Any) -> Array:
        """Return what the framework computed as a NumPy array, bits unchanged."""

    @abstractmethod
    def device_of(self, tensor: Any) -> str:
        """Return the kind of device on which the framework left ``tensor``."""

    def fetch(self, raw: dict[str, Any]) -> LossResult:
        """Bring what the thunk returned to NumPy; what the framework left out stays out."""
        tensors = {quantity: tensor for quantity, tensor in raw.items() if tensor is not None}
        devices = sorted({self.device_of(tensor) for tensor in tensors.values()})
        values = {quantity: self.to_numpy(tensor) for quantity, tensor in tensors.items()}
        return LossResult(values, "+".join(devices))

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

    def require_device(self, name: str) -> None:
        """Raise UnsupportedCall unless the device ``name`` is present."""
        if name not in {device.kind for device in self.devices()}:
            raise UnsupportedCall(f"no device {name}")

    def place_all(self, call: LossCall) -> dict[str, Any]:
        """Return the arrays that ``call`` carries on its device, by field name.

        Raises:
            UnsupportedCall: there is no such device.
        """
        self.require_device(call.device)
        arrays = {name: getattr(call, name) for name in (*OPERANDS, "cotangent", "tangent")}
        return {
            name: self.place(array, call.device)
            for name, array in arrays.items()
            if array is not None
        }

    def _takes(self, dtype: str) -> bool:
        ones = np.ones(1, BFLOAT16 if dtype == BFLOAT16.name else dtype)
        try:
            self.fetch(self.bind(LossCall(ones, ones))())
        except Exception:
            return False
        return True


def gradients_wanted(call: LossCall) -> tuple[str, ...]:
    """Return the operands whose gradients ``call`` wants, in the order of ``OPERANDS``."""
    return tuple(name for name in OPERANDS if f"grad_{name}" in call.quantities)


def numbered(kind: str, index: int) -> str:
    """Return the device kind of number ``index``: ``cuda``, ``cuda:1`` and so on."""
    return f"{kind}:{index}" if index else kind
