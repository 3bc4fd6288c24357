"""The number of threads that an adapter uses, for as long as something is evaluated.

Guarantees that the adapter is set back, whatever the evaluation raises.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


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
