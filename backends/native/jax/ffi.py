"""Calls of the kernels from programs that XLA compiles for the CPU, in XLA's own memory.

The handler is a Python function behind a C pointer of ``ctypes``, which takes the lock of the
interpreter. No compiler is needed, and neither operands nor results are copied. The structures are
those of XLA's stable C interface for custom calls, ``xla/ffi/api/c_api.h``, of major version 0.
Where that differs, ``is_there`` says no and ``jax.pure_callback`` is used.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import (
    POINTER,
    Structure,
    c_char,
    c_char_p,
    c_int,
    c_int64,
    c_size_t,
    c_uint32,
    c_void_p,
)
from functools import lru_cache
from typing import Any

import jax
import ml_dtypes
import numpy as np

from ..arguments import Array
from .ending import waits_for_programs
from .host import Kind, evaluate, shape_of

TARGET = "bce_conformance_native"
_MAJOR, _MINOR = 0, 1
_METADATA = 1  # the extension by which XLA asks a handler for its version
_EXECUTE = 3  # the stage at which buffers are there
_INTERNAL = 13  # an error's code

_BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
# XLA's numbers of formats.
_FORMATS = {
    1: np.dtype(np.bool_),
    2: np.dtype(np.int8),
    3: np.dtype(np.int16),
    4: np.dtype(np.int32),
    5: np.dtype(np.int64),
    6: np.dtype(np.uint8),
    7: np.dtype(np.uint16),
    8: np.dtype(np.uint32),
    9: np.dtype(np.uint64),
    10: np.dtype(np.float16),
    11: np.dtype(np.float32),
    12: np.dtype(np.float64),
    16: _BFLOAT16,
}


def _structure(name: str, *fields: tuple[str, Any], sized: bool = True) -> type[Structure]:
    """A structure of the interface; most begin with their size and a list of extensions."""
    head = [("struct_size", c_size_t), ("extension", c_void_p)] if sized else []
    return type(name, (Structure,), {"_fields_": head + list(fields)})


_Version: Any = _structure("Version", ("major", c_int), ("minor", c_int))
_Extension: Any = _structure(
    "Extension",
    ("struct_size", c_size_t),
    ("type", c_int),
    ("next", c_void_p),
    ("metadata", c_void_p),
    sized=False,
)
_Metadata: Any = _structure(
    "Metadata",
    ("struct_size", c_size_t),
    ("version", _Version),
    ("traits", c_uint32),
    ("state_type", c_int64),
    sized=False,
)
_Buffer: Any = _structure(
    "Buffer",
    ("dtype", c_int),
    ("data", c_void_p),
    ("rank", c_int64),
    ("dims", POINTER(c_int64)),
)
_Values: Any = _structure(
    "Values", ("size", c_int64), ("types", c_void_p), ("values", POINTER(c_void_p))
)
_Attributes: Any = _structure(
    "Attributes",
    ("size", c_int64),
    ("types", c_void_p),
    ("names", c_void_p),
    ("values", POINTER(c_void_p)),
)
_Text: Any = _structure("Text", ("start", c_void_p), ("length", c_size_t), sized=False)
_Frame: Any = _structure(
    "Frame",
    ("api", c_void_p),
    ("context", c_void_p),
    ("stage", c_int),
    ("arguments", _Values),
    ("results", _Values),
    ("attributes", _Attributes),
)
_Error: Any = _structure("Error", ("message", c_char_p), ("code", c_int))
_Api: Any = _structure(
    "Api", ("version", _Version), ("internal", c_void_p), ("create_error", c_void_p)
)


def _array_of(address: int) -> Array:
    """A buffer of XLA as an array over its memory."""
    buffer = _Buffer.from_address(address)
    shape = tuple(buffer.dims[: buffer.rank])
    dtype = _FORMATS[buffer.dtype]
    size = dtype.itemsize
    for length in shape:
        size *= length
    if not size:
        return np.empty(shape, dtype)
    memory: Any = (c_char * size).from_address(buffer.data)
    return np.frombuffer(memory, dtype).reshape(shape)


@lru_cache
def _read(text: bytes) -> Kind:
    return Kind.read(text.decode())


def _answer(extension: Any) -> None:
    """Tell XLA the version of the interface that the structures here are of."""
    found = _Extension.from_address(extension)
    if found.type == _METADATA:
        metadata = _Metadata.from_address(found.metadata)
        metadata.version.major, metadata.version.minor = _MAJOR, _MINOR


def _evaluate(frame: Any) -> None:
    text = _Text.from_address(frame.attributes.values[0])
    kind = _read(ctypes.string_at(text.start, text.length))
    given = frame.arguments
    arguments = [_array_of(given.values[at]) for at in range(given.size)]
    evaluate(kind, arguments, _array_of(frame.results.values[0]))


def _handle(address: int) -> int | None:
    """Handle one call; what it returns is an error of XLA's or None."""
    frame = _Frame.from_address(address)
    if frame.extension:
        _answer(frame.extension)
        return None
    if frame.stage != _EXECUTE:
        return None
    try:
        _evaluate(frame)
    except BaseException as error:  # an interrupt too: nothing passes through XLA
        return _error(frame, f"{type(error).__name__}: {error}")
    return None


def _error(frame: Any, message: str) -> int | None:
    """An error of XLA's, which then owns it."""
    create = ctypes.CFUNCTYPE(c_void_p, c_void_p)(_Api.from_address(frame.api).create_error)
    made = _Error(ctypes.sizeof(_Error), None, message.encode(), _INTERNAL)
    found: int | None = create(ctypes.addressof(made))
    return found


# As long as the process lives, as the registration does.
_HANDLER = ctypes.CFUNCTYPE(c_void_p, c_void_p)(_handle)


@lru_cache
def is_there() -> bool:
    """Whether this version of JAX takes the handler."""
    try:
        capsule = jax.ffi.pycapsule(_HANDLER)
        jax.ffi.register_ffi_target(TARGET, capsule, platform="cpu", api_version=1)
    except Exception:  # another major version, or none
        return False
    return True


def call(*arguments: Any, kind: Kind) -> Any:
    """A primitive in a program that is being compiled for the CPU."""
    waits_for_programs()
    result = jax.ShapeDtypeStruct(*shape_of(kind, arguments))
    compiled: Callable[..., Any] = jax.ffi.ffi_call(TARGET, result)
    return compiled(*arguments, kind=str(kind))
