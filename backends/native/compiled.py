"""Compiled code on disk, valid as long as everything that it was compiled from.

numba stamps a function's cache with that function's own file. A kernel is made of several files, so
the stamp here is a digest of all files of the package, but for the front ends of frameworks, which
no kernel is made of. Of several processes that need a kernel for the same types at once, one
compiles it and the others wait for it. Where nothing can be written, kernels are compiled anew in
each process and nothing fails.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numba
from filelock import FileLock
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.registry import cpu_target
from numba.extending import intrinsic

_INT32, _INT64, _VOID = ir.IntType(32), ir.IntType(64), ir.VoidType()
_POINTER = ir.IntType(8).as_pointer()
# x86's control word after a start: round to nearest, no flushing to zero, no traps.
_MXCSR = 0x1F80
# Seconds that a process waits for another one to compile a kernel. The longest takes half a minute.
_PATIENCE = 180


FRONT_ENDS = ("torch/", "jax/", "batching.py", "calculus.py")
"""What uses the kernels through ``api.py`` only."""


def digest_of(folder: Path) -> str:
    """A digest of the Python files in ``folder`` and below but ``FRONT_ENDS``, with their names."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        name = path.relative_to(folder).as_posix()
        if name.startswith(FRONT_ENDS):
            continue
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
        self._base = str(Path(self._cache_path) / self._impl.filename_base)
        # The index of all signatures is read, changed and written by one process at a time.
        self._saving = FileLock(f"{self._base}.lock", timeout=_PATIENCE)
        self._compiling: dict[str, FileLock] = {}

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        found = super().load_overload(sig, target_context)
        if found is not None:
            return found
        try:
            Path(self._cache_path).mkdir(parents=True, exist_ok=True)
            self._lock_of(sig).acquire()
        except OSError:  # a read-only disk, or no end in sight: each process compiles for itself
            return None
        found = super().load_overload(sig, target_context)  # another process may have compiled it
        if found is not None:
            self._lock_of(sig).release()
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            with self._saving:
                super().save_overload(sig, data)
        except OSError:  # a full or read-only disk costs a compilation, not the call
            self.disable()
        finally:
            self._lock_of(sig).release(force=True)

    def _lock_of(self, sig: Any) -> FileLock:
        """The lock of one signature: processes compile different ones at the same time."""
        name = hashlib.sha256(str(sig).encode()).hexdigest()[:16]
        return self._compiling.setdefault(
            name, FileLock(f"{self._base}.{name}.lock", timeout=_PATIENCE)
        )


def _call(builder: Any, result: Any, name: str, *arguments: Any) -> Any:
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


def _barrier(builder: Any) -> None:
    """Nothing that is read or written moves across."""
    builder.asm(ir.FunctionType(_VOID, []), "", "~{memory}", [], True)


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def default_mode(typing_context: Any) -> Any:
    """Make rounding to nearest and gradual underflow the thread's mode; returns what it was.

    Some frameworks leave threads in a mode that flushes subnormal numbers to zero.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        triple = context.codegen().magic_tuple()[0]
        mode = ir.Constant(_INT64, 0)
        if triple.startswith("x86_64"):
            slot = cgutils.alloca_once(builder, _INT32)
            _call(builder, _VOID, "llvm.x86.sse.stmxcsr", builder.bitcast(slot, _POINTER))
            mode = builder.zext(builder.load(slot), _INT64)
            builder.store(ir.Constant(_INT32, _MXCSR), slot)
            _call(builder, _VOID, "llvm.x86.sse.ldmxcsr", builder.bitcast(slot, _POINTER))
        elif triple.startswith(("aarch64", "arm64")):
            mode = _call(builder, _INT64, "llvm.aarch64.get.fpcr")
            _call(builder, _VOID, "llvm.aarch64.set.fpcr", ir.Constant(_INT64, 0))
        _barrier(builder)
        return mode

    return types.int64(), generate


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def restore_mode(typing_context: Any, mode: Any) -> Any:
    """Give the thread back the mode that ``default_mode`` returned, all results being in memory."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (mode,) = arguments
        _barrier(builder)
        triple = context.codegen().magic_tuple()[0]
        if triple.startswith("x86_64"):
            slot = cgutils.alloca_once(builder, _INT32)
            builder.store(builder.trunc(mode, _INT32), slot)
            _call(builder, _VOID, "llvm.x86.sse.ldmxcsr", builder.bitcast(slot, _POINTER))
        elif triple.startswith(("aarch64", "arm64")):
            _call(builder, _VOID, "llvm.aarch64.set.fpcr", mode)
        return context.get_dummy_value()

    return types.void(types.int64), generate


def kernel(function: Callable[..., Any]) -> Any:
    """Compile ``function`` for the types it is called with, and keep the code on disk.

    It is to begin with ``default_mode`` and to end with ``restore_mode``.
    """
    dispatcher = njit(forceinline=False, error_model="numpy", nogil=True)(function)
    try:
        dispatcher._cache = _PackageCache(function)
    except (RuntimeError, OSError):  # numba found no place to write to
        return dispatcher
    return dispatcher


@kernel
def _enter() -> int:
    return default_mode()  # type: ignore[no-any-return, call-arg, unused-ignore]


@kernel
def _leave(mode: int) -> None:
    restore_mode(mode)


def marker() -> Path | None:
    """A file that stands for all kernels of these sources compiled for this processor.

    Returns:
        The path, whether the file is there or not; None where nothing can be written.
    """
    cache = getattr(_enter, "_cache", None)
    if not isinstance(cache, _PackageCache):
        return None
    folder = Path(cache._cache_path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    target = (FINGERPRINT, numba.__version__, cpu_target.target_context.codegen().magic_tuple())
    name = hashlib.sha256(repr(target).encode()).hexdigest()[:16]
    return folder / f"complete.{name}" if os.access(folder, os.W_OK) else None


@contextmanager
def in_default_mode() -> Iterator[None]:
    """Run NumPy and Python in the default mode too: they compute in the mode of their thread."""
    mode = _enter()
    try:
        yield
    finally:
        _leave(mode)
