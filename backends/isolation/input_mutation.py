"""Which of a call's arrays an evaluation changed: the caller's, and the copies of a framework.

Guarantees that an array counts as changed if any byte under it differs from what was sent, gaps
between its elements included.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bce_conformance.backends.array_memory import memory_of
from bce_conformance.backends.calls import Array, LossCall

from .transport import Message, content


class Watch:
    """Remembers the arrays of one call from before it is evaluated.

    Args:
        adapter: has placed the call's arrays; one with ``placed()`` tells what it holds of them.
        call: as it was unpacked from ``message``.
        message: what was sent.
    """

    def __init__(self, adapter: Any, call: LossCall, message: Message) -> None:
        self._adapter = adapter
        self._call = call
        self._message = message
        self._copies = {
            name: None if self._is_the_callers(name, array) else _bytes_of(array).copy()
            for name, array in self._held().items()
        }

    def changed(self) -> tuple[str, ...]:
        """The fields of the call whose array is not what it was."""
        names = {
            name
            for name, frozen in self._message["arrays"].items()
            if not np.array_equal(memory_of(getattr(self._call, name)), content(frozen))
        }
        held = self._held()
        for name, copy in self._copies.items():
            same = (
                self._is_the_callers(name, held[name])
                if copy is None
                else np.array_equal(_bytes_of(held[name]), copy)
            )
            names.update(() if same else (name,))
        return tuple(sorted(names))

    def _held(self) -> dict[str, Array]:
        placed: dict[str, Array] = getattr(self._adapter, "placed", dict)()
        return placed

    def _is_the_callers(self, name: str, array: Array) -> bool:
        """Whether an array lies where the caller's lies, so that a copy of it says nothing new."""
        return bool(np.may_share_memory(array, getattr(self._call, name)))


def _bytes_of(array: Array) -> NDArray[np.uint8]:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)
