"""Compiled code on disk, valid as long as everything that it was compiled from.

numba stamps a function's cache with that function's own file. A kernel is made of several files, so
the stamp here is a digest of all files of the package. Where nothing can be written, kernels are
compiled anew in each process and nothing fails.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit
from numba.core.caching import FunctionCache, IndexDataCacheFile


def digest_of(folder: Path) -> str:
    """A digest of all Python files in ``folder`` and below, with their names."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        name = path.relative_to(folder).as_posix()
        digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


FINGERPRINT = digest_of(Path(__file__).parent)


class _PackageCache(FunctionCache):  # type: ignore[misc, unused-ignore]
    """numba's cache of one function, stamped with the package's fingerprint."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self._cache_file = IndexDataCacheFile(
            cache_path=self._cache_path,
            filename_base=self._impl.filename_base,
            source_stamp=FINGERPRINT,
        )

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError:  # a full or read-only disk costs a compilation, not the call
            self.disable()


def kernel(function: Callable[..., Any]) -> Any:
    """Compile ``function`` for the types it is called with, and keep the code on disk."""
    dispatcher = njit(forceinline=False, error_model="numpy", nogil=True)(function)
    try:
        dispatcher._cache = _PackageCache(function)
    except (RuntimeError, OSError):  # numba found no place to write to
        return dispatcher
    return dispatcher
