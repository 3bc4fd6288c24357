"""What crosses the process boundary: calls, results, failures and descriptions as built-in types.

Guarantees that bits and layouts arrive unchanged: an array travels as the name of its dtype, its
layout and the raw bytes under it, whatever the format. Large ones can lie in memory that both sides
map instead of being sent. Nothing here may import a framework or execnet, because it runs on both
sides.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from bce_conformance.backends.array_memory import Layout, layout_of, memory_of, rebuilt
from bce_conformance.backends.calls import (
    OPERANDS,
    Array,
    BackendInfo,
    Device,
    Failure,
    LossCall,
    LossResult,
)

# The bytes, or where this machine's processes can open them for as long as the call takes.
Content = bytes | str
# The dtype's name, the fields of the Layout, and the bytes.
FrozenArray = tuple[str, tuple[Any, ...], Content]
Message = dict[str, Any]

# Sending takes a process several copies through a pipe: from here on it takes longer than mapping.
SHARED_FROM = 1 << 20

# Named explicitly: NumPy knows `bfloat16` by its name only once ml_dtypes is imported.
_BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


def freeze(array: Array, shared: contextlib.ExitStack | None = None) -> FrozenArray:
    """Return ``array`` as built-in types; in the machine's byte order where it has another.

    Args:
        array: any array of numbers.
        shared: given, a large array is not copied into the message but lies in shared memory until
            this is closed.

    Raises:
        TypeError: the dtype is not boolean, integer, real, complex or bfloat16.
    """
    array = np.asarray(array)  # a NumPy scalar has no memory of its own
    dtype = array.dtype
    if dtype.kind not in "biufc" and dtype != _BFLOAT16:
        raise TypeError(
            f"array has dtype {dtype}, which cannot travel to a backend; accepted are boolean, "
            "integer, real and complex dtypes and bfloat16"
        )
    if not dtype.isnative:
        array = array.astype(dtype.newbyteorder("="))
    layout = tuple(vars(layout_of(array)).values())
    memory = memory_of(array)
    if shared is not None and memory.nbytes >= SHARED_FROM and hasattr(os, "memfd_create"):
        return dtype.name, layout, shared.enter_context(_shared(memory))
    return dtype.name, layout, memory.tobytes()


@contextlib.contextmanager
def _shared(memory: NDArray[np.uint8]) -> Iterator[str]:
    """Copy ``memory`` to where other processes can open it meanwhile."""
    file = os.memfd_create("bce-conformance")
    try:
        with open(file, "wb", closefd=False) as room:  # half the time of writing to a mapping
            room.write(memory.data)
        yield f"/proc/{os.getpid()}/fd/{file}"
    finally:
        os.close(file)


def content(frozen: FrozenArray) -> NDArray[np.uint8]:
    """The bytes under an array that was frozen, read-only and in place."""
    data = frozen[2]
    if isinstance(data, bytes):
        return np.frombuffer(data, np.uint8)
    with open(data, "rb") as file:
        return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)


def thaw(frozen: FrozenArray) -> Array:
    """Return the array that ``freeze`` was given, in memory of its own."""
    name, layout, _ = frozen
    dtype = _BFLOAT16 if name == _BFLOAT16.name else np.dtype(name)
    return rebuilt(content(frozen), dtype, Layout(*layout))


def pack_call(call: LossCall, shared: contextlib.ExitStack | None = None) -> Message:
    """Return ``call`` in built-in types; ``shared`` as in ``freeze``."""
    arrays = {name: getattr(call, name) for name in (*OPERANDS, "cotangent", "tangent")}
    return {
        "arrays": {
            name: freeze(array, shared) for name, array in arrays.items() if array is not None
        },
        "reduction": call.reduction,
        "quantities": tuple(call.quantities),
        "device": call.device,
        "forms": dict(call.forms),
        "interface": call.interface,
        "arguments": dict(call.arguments),
        "threads": call.threads,
    }


def unpack_call(message: Message) -> LossCall:
    """Invert ``pack_call``."""
    arrays: dict[str, Any] = {name: thaw(frozen) for name, frozen in message["arrays"].items()}
    fields = {name: value for name, value in message.items() if name != "arrays"}
    return LossCall(**arrays, **fields)


def pack_result(result: LossResult) -> Message:
    """Return ``result`` in built-in types."""
    values = {quantity: freeze(value) for quantity, value in result.values.items()}
    given = {name: value for name, value in vars(result).items() if name != "values"}
    return {"result": {"values": values, **given}}


def pack_info(info: BackendInfo) -> Message:
    """Return ``info`` in built-in types."""
    fields = dict(vars(info))
    fields["devices"] = tuple((device.kind, device.name) for device in info.devices)
    return {"info": fields}


def unpack_result(message: Message) -> LossResult | Failure:
    """Invert ``pack_result``, or return the failure that the worker sent instead."""
    if "failure" in message:
        return Failure(**message["failure"])
    fields = message["result"]
    values = {quantity: thaw(frozen) for quantity, frozen in fields["values"].items()}
    return LossResult(**{**fields, "values": values})


def unpack_info(message: Message) -> BackendInfo | Failure:
    """Invert ``pack_info``, or return the failure that the worker sent instead."""
    if "failure" in message:
        return Failure(**message["failure"])
    fields = dict(message["info"])
    devices = tuple(Device(kind, name) for kind, name in fields.pop("devices"))
    return BackendInfo(devices=devices, **fields)
