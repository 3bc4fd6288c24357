"""What crosses the process boundary: calls, results, failures and descriptions as built-in types.

Guarantees that bits and layouts arrive unchanged: an array travels as the name of its dtype, its
layout and the raw bytes under it, whatever the format. Nothing here may import a framework or
execnet, because it runs on both sides.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from bce_conformance.backends.calls import (
    OPERANDS,
    Array,
    BackendInfo,
    Device,
    Failure,
    LossCall,
    LossResult,
)
from bce_conformance.backends.memory import Layout, layout_of, memory_of, rebuilt

# The dtype's name, the fields of the Layout, and the bytes.
FrozenArray = tuple[str, tuple[Any, ...], bytes]
Message = dict[str, Any]

# Named explicitly: NumPy knows `bfloat16` by its name only once ml_dtypes is imported.
_BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


def freeze(array: Array) -> FrozenArray:
    """Return ``array`` as built-in types; in the machine's byte order where it has another.

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
    return dtype.name, layout, memory_of(array).tobytes()


def thaw(frozen: FrozenArray) -> Array:
    """Return the array that ``freeze`` was given, in memory of its own."""
    name, layout, data = frozen
    dtype = _BFLOAT16 if name == _BFLOAT16.name else np.dtype(name)
    return rebuilt(data, dtype, Layout(*layout))


def pack_call(call: LossCall) -> Message:
    """Return ``call`` in built-in types."""
    arrays = {name: getattr(call, name) for name in (*OPERANDS, "cotangent", "tangent")}
    return {
        "arrays": {name: freeze(array) for name, array in arrays.items() if array is not None},
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


def modified(call: LossCall, message: Message) -> tuple[str, ...]:
    """Name the arrays of ``call``, unpacked from ``message``, whose memory has changed since."""
    return tuple(
        name
        for name, (_, _, data) in message["arrays"].items()
        if memory_of(getattr(call, name)).tobytes() != data
    )


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
