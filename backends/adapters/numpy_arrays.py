"""What is shared by adapters of libraries whose arrays are NumPy's, or are made of them at once."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from bce_conformance.backends.calls import Array, Device

from .base import Adapter


class NumpyArraysAdapter(Adapter):
    """Arrays in and out of NumPy on the CPU; subclasses have the loss."""

    def module(self) -> ModuleType:
        """Return NumPy."""
        return np

    def devices(self) -> tuple[Device, ...]:
        """List the CPU."""
        return (Device("cpu", "cpu"),)

    def place(self, array: Array, device: str) -> Any:
        """Return ``array`` itself."""
        return array

    def to_numpy(self, tensor: Any) -> Array:
        """Return ``tensor``, which may be one number."""
        return np.asarray(tensor)

    def device_of(self, tensor: Any) -> str:
        """Return ``cpu``."""
        return "cpu"
