"""What is shared by libraries with arrays of their own on the CPU: how each format crosses."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np

from bce_conformance.backends.adapters.numpy_arrays import NumpyArraysAdapter
from bce_conformance.backends.calls import Array


class TensorsAdapter(NumpyArraysAdapter):
    """A library whose tensors are copies of NumPy's arrays, dense whatever their layout.

    Attributes:
        carriers: the formats that do not cross as they are, by name, and in which other format
            each crosses: one of the same width carries the bits, a wider one the numbers.
    """

    carriers: ClassVar[dict[str, str]] = {"bfloat16": "uint16"}

    @abstractmethod
    def tensor(self, array: Array) -> Any:
        """Return a tensor of ``array``, which is in a format that crosses."""

    @abstractmethod
    def recast(self, tensor: Any, dtype: Any) -> Any:
        """Return ``tensor`` in one of the library's formats, as carriers are: bits or numbers."""

    def array(self, tensor: Any) -> Array:
        """Return a NumPy array of ``tensor``, which is in a format that crosses."""
        return np.asarray(tensor)

    def formats(self) -> Any:
        """Return what has the library's formats by name."""
        return self.module()

    def place(self, array: Array, device: str) -> Any:
        """Return ``array`` as a tensor."""
        name = array.dtype.name
        if name not in self.carriers or not array.dtype.isnative:
            return self.tensor(array)
        carrier = self.tensor(_recast(array, np.dtype(self.carriers[name])))
        return self.recast(carrier, getattr(self.formats(), name))

    def to_numpy(self, tensor: Any) -> Array:
        """Return ``tensor`` as a NumPy array."""
        formats = self.formats()
        for name, carrier in self.carriers.items():
            if tensor.dtype == getattr(formats, name):
                found = self.array(self.recast(tensor, getattr(formats, carrier)))
                return _recast(found, np.dtype(name))
        return self.array(tensor)


def _recast(array: Array, dtype: np.dtype[Any]) -> Array:
    """The bits of an array in another format of its width, or its numbers in one of another."""
    return array.view(dtype) if dtype.itemsize == array.itemsize else array.astype(dtype)
