"""What crosses the process boundary: calls, results, failures and descriptions as built-in types.

Guarantees that bits and layouts arrive unchanged: an array travels as the name of its dtype, its
layout and the raw bytes under it, whatever the format, and arrays of one call that share memory
share it there too. Large ones can lie in memory that both sides
map instead of being sent. Nothing here may import a framework or execnet, because it runs on both
sides.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from bce_conformance.backends.array_memory import (
    ALIGNMENT,
    Layout,
    groups_of,
    laid_over,
    layout_of,
    memory_of,
    placed,
    reach,
    rebuilt,
    union_of,
)
from bce_conformance.backends.calls import (
    ARRAYS,
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
    """Return ``array`` as built-in types.

    Args:
        array: any array of numbers.
        shared: given, a large array is not copied into the message but lies in shared memory until
            this is closed.

    Raises:
        TypeError: the dtype is not boolean, integer, real, complex or bfloat16.
    """
    array = np.asarray(array)  # a NumPy scalar has no memory of its own
    layout = tuple(vars(layout_of(array)).values())
    return _name(array.dtype), layout, _sent(memory_of(array), shared)


def _name(dtype: np.dtype[Any]) -> str:
    """The name of a dtype, with its byte order before it where that is not the machine's."""
    if dtype.kind not in "biufc" and dtype != _BFLOAT16:
        raise TypeError(
            f"array has dtype {dtype}, which cannot travel to a backend; accepted are boolean, "
            "integer, real and complex dtypes and bfloat16"
        )
    return dtype.name if dtype.isnative else f"{dtype.byteorder}{dtype.name}"


def _dtype(name: str) -> np.dtype[Any]:
    plain = name.lstrip("<>")
    dtype = _BFLOAT16 if plain == _BFLOAT16.name else np.dtype(plain)
    return dtype if plain == name else dtype.newbyteorder("<" if name[0] == "<" else ">")


def _sent(memory: NDArray[np.uint8], shared: contextlib.ExitStack | None) -> Content:
    if shared is not None and memory.nbytes >= SHARED_FROM and hasattr(os, "memfd_create"):
        return shared.enter_context(_shared(memory))
    return memory.tobytes()


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


def _received(data: Content) -> NDArray[np.uint8]:
    """The bytes that were sent, read-only and in place."""
    if isinstance(data, bytes):
        return np.frombuffer(data, np.uint8)
    with open(data, "rb") as file:
        return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)


def content(frozen: FrozenArray) -> NDArray[np.uint8]:
    """The bytes under an array that was frozen, read-only and in place."""
    name, fields, data = frozen
    layout = Layout(*fields)
    before, behind = reach(layout, _dtype(name).itemsize)
    return _received(data)[layout.start - before : layout.start + behind]


def thaw(frozen: FrozenArray) -> Array:
    """Return the array that ``freeze`` was given, in memory of its own."""
    name, layout, data = frozen
    return rebuilt(_received(data), _dtype(name), Layout(*layout))


def _freeze_together(
    arrays: Mapping[str, Array], shared: contextlib.ExitStack | None
) -> dict[str, FrozenArray]:
    """Freeze arrays whose spans overlap: each with the bytes of all, and its start in them."""
    start, data = union_of(list(arrays.values()))
    sent = _sent(data, shared)
    frozen = {}
    for name, array in arrays.items():
        at = int(array.ctypes.data) - start
        layout = replace(layout_of(array), start=at, skew=start % ALIGNMENT)
        frozen[name] = _name(array.dtype), tuple(vars(layout).values()), sent
    return frozen


def _thaw_together(frozen: Mapping[str, FrozenArray]) -> dict[str, Array]:
    """Invert ``_freeze_together``: the arrays share memory as they did."""
    _, fields, data = next(iter(frozen.values()))
    memory = placed(_received(data), Layout(*fields).skew)
    return {
        name: laid_over(memory, _dtype(dtype), Layout(*layout))
        for name, (dtype, layout, _) in frozen.items()
    }


def pack_call(call: LossCall, shared: contextlib.ExitStack | None = None) -> Message:
    """Return ``call`` in built-in types; ``shared`` as in ``freeze``."""
    fields = {name: getattr(call, name) for name in ARRAYS}
    arrays = {name: np.asarray(array) for name, array in fields.items() if array is not None}
    frozen: dict[str, FrozenArray] = {}
    together = [names for names in groups_of(arrays) if len(names) > 1]
    for names in together:
        frozen |= _freeze_together({name: arrays[name] for name in names}, shared)
    return {
        "arrays": {n: frozen[n] if n in frozen else freeze(a, shared) for n, a in arrays.items()},
        "together": tuple(together),
        "reduction": call.reduction,
        "quantities": tuple(call.quantities),
        "device": call.device,
        "forms": dict(call.forms),
        "interface": call.interface,
        "arguments": dict(call.arguments),
        "threads": call.threads,
        "repetition": call.repetition,
        "autograd": call.autograd,
        "mode": call.mode,
    }


def unpack_call(message: Message) -> LossCall:
    """Invert ``pack_call``."""
    frozen = message["arrays"]
    arrays: dict[str, Any] = {}
    for names in message["together"]:
        arrays |= _thaw_together({name: frozen[name] for name in names})
    arrays |= {name: thaw(array) for name, array in frozen.items() if name not in arrays}
    fields = {name: value for name, value in message.items() if name not in ("arrays", "together")}
    return LossCall(**arrays, **fields)


def pack_result(result: LossResult) -> Message:
    """Return ``result`` in built-in types; its arrays in the machine's byte order."""
    values = {quantity: freeze(_native(value)) for quantity, value in result.values.items()}
    given = {name: value for name, value in vars(result).items() if name != "values"}
    return {"result": {"values": values, **given}}


def _native(array: Array) -> Array:
    dtype = np.asarray(array).dtype
    return array if dtype.isnative else array.astype(dtype.newbyteorder("="))


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
