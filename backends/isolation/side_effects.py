"""What an evaluation changed: a call's arrays, a framework's copies of them, settings around it.

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
    """Remembers the arrays of one call, and settings, from before it is evaluated.

    Args:
        adapter: has placed the call's arrays; one with ``placed()`` tells what it holds of them,
            one with ``settings()`` what else a call must leave as it is, such as random numbers.
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
        self._settings = self._settings_now()

    def changed(self) -> tuple[str, ...]:
        """The fields of the call whose array changed, and the names of settings that changed."""
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
        after = self._settings_now()
        names.update(name for name, before in self._settings.items() if after[name] != before)
        return tuple(sorted(names))

    def _held(self) -> dict[str, Array]:
        placed: dict[str, Array] = getattr(self._adapter, "placed", dict)()
        return placed

    def _settings_now(self) -> dict[str, Any]:
        settings: dict[str, Any] = getattr(self._adapter, "settings", dict)()
        return settings

    def _is_the_callers(self, name: str, array: Array) -> bool:
        """Whether an array lies where the caller's lies, so that a copy of it says nothing new."""
        return bool(np.may_share_memory(array, getattr(self._call, name)))


def _bytes_of(array: Array) -> NDArray[np.uint8]:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)
