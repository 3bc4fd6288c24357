"""What is shared by adapters of libraries whose arrays are NumPy's, or are made of them at once."""

from __future__ import annotations

import importlib
from importlib import metadata
from types import ModuleType
from typing import Any

import numpy as np

from bce_conformance.backends.calls import Array, Device

from .base import Adapter


class NumpyArraysAdapter(Adapter):
    """Arrays in and out of NumPy on the CPU; subclasses have the loss."""

    def module(self) -> ModuleType:
        """Import the library, which is named as ``framework`` is."""
        return importlib.import_module(self.framework)

    def version(self) -> str:
        """Return the library's version: that of its distribution where its module tells none."""
        module = self.module()
        known = hasattr(module, "__version__")
        return str(module.__version__) if known else metadata.version(self.framework)

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
