"""What an adapter is set to, for as long as something is evaluated: its threads, and its mode.

Guarantees that the adapter is set back, whatever the evaluation raises.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from .calls import USUAL_MODE


@contextlib.contextmanager
def thread_count(adapter: Any, count: int | None) -> Iterator[None]:
    """Let the adapter use ``count`` threads for a while; None leaves it as it is."""
    if count is None:
        yield
        return
    before = adapter.set_threads(count)
    try:
        yield
    finally:
        adapter.set_threads(before)


def mode(adapter: Any, name: str) -> contextlib.AbstractContextManager[None]:
    """Set the adapter's framework to one of ``MODES`` for a while; the usual one leaves it."""
    return contextlib.nullcontext() if name == USUAL_MODE else adapter.in_mode(name)
