"""What crosses the process boundary: calls, results, failures and descriptions as built-in types.

Guarantees that bits arrive unchanged: an array travels as the name of its dtype, its shape and its
raw bytes, whatever the format. Nothing here may import a framework or execnet, because it runs on
both sides.
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

FrozenArray = tuple[str, tuple[int, ...], bytes]
Message = dict[str, Any]

# Named explicitly: NumPy knows `bfloat16` by its name only once ml_dtypes is imported.
_BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


def freeze(array: Array) -> FrozenArray:
    """Return ``array`` as (dtype name, shape, bytes in C order).

    Raises:
        TypeError: the dtype is not boolean, integer, real, complex or bfloat16.
    """
    dtype = array.dtype
    if dtype.kind not in "biufc" and dtype != _BFLOAT16:
        raise TypeError(
            f"array has dtype {dtype}, which cannot travel to a backend; accepted are boolean, "
            "integer, real and complex dtypes and bfloat16"
        )
    if not dtype.isnative:
        array = array.astype(dtype.newbyteorder("="))
    return dtype.name, array.shape, array.tobytes()


def thaw(frozen: FrozenArray) -> Array:
    """Return the array that ``freeze`` was given: C-contiguous, writable, aligned."""
    name, shape, data = frozen
    dtype = _BFLOAT16 if name == _BFLOAT16.name else np.dtype(name)
    # The copy makes it writable: frameworks that wrap memory (torch) refuse or warn otherwise.
    return np.frombuffer(data, dtype).reshape(shape).copy()


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
    }


def unpack_call(message: Message) -> LossCall:
    """Invert ``pack_call``."""
    arrays: dict[str, Any] = {name: thaw(frozen) for name, frozen in message["arrays"].items()}
    fields = {name: value for name, value in message.items() if name != "arrays"}
    return LossCall(**arrays, **fields)


def pack_result(result: LossResult) -> Message:
    """Return ``result`` in built-in types."""
    values = {quantity: freeze(value) for quantity, value in result.values.items()}
    return {"result": {"values": values, "device": result.device, "warnings": result.warnings}}


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
    return LossResult(values, fields["device"], fields["warnings"])


def unpack_info(message: Message) -> BackendInfo | Failure:
    """Invert ``pack_info``, or return the failure that the worker sent instead."""
    if "failure" in message:
        return Failure(**message["failure"])
    fields = dict(message["info"])
    devices = tuple(Device(kind, name) for kind, name in fields.pop("devices"))
    return BackendInfo(devices=devices, **fields)
