"""An array as JSON: its numbers, short where they repeat, and how they lie in memory.

Guarantees that an array is read back with its bits, dtype, byte order, shape, strides, gaps and
flags. Its address is kept modulo 64 where it is no multiple of 16, which every address is that
NumPy chooses itself.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import numpy as np

from bce_conformance.backends.array_memory import (
    Layout,
    laid_over,
    layout_of,
    memory_of,
    placed,
    reach,
)
from bce_conformance.backends.calls import Array
from bce_conformance.backends.names import meant, nearest

from .numbers import DTYPES, has_text, numbers, same_bits, tokens

Json = Any
MOST_VALUES = 64  # more numbers than this are written in runs or as bytes
_MOST_RUNS = 32
_FILLED_FROM = 9  # equal numbers
CHOSEN = 16  # NumPy's addresses are multiples of it
CONTENTS = ("values", "fill", "runs", "base64")
LAYOUT = ("strides", "gaps", "skew", "readonly")


def dtype_name(dtype: np.dtype[Any], where: str) -> str:
    """The name of a dtype, with ``<`` or ``>`` before it where it is not in native byte order.

    Raises:
        ValueError: a call file has no such dtype.
    """
    if dtype.name not in DTYPES:
        raise ValueError(f"{where} has dtype {dtype}; accepted are {', '.join(DTYPES)}")
    return dtype.name if dtype.isnative else f"{dtype.byteorder}{dtype.name}"


def read_dtype(name: Json, where: str) -> np.dtype[Any]:
    """The dtype of a name.

    Raises:
        ValueError: there is none; ``where`` names its place.
    """
    plain = name.lstrip("<>") if isinstance(name, str) and name[1:2] not in "<>" else name
    if not isinstance(plain, str) or plain not in DTYPES:
        raise ValueError(
            f"{where} is {name!r}; accepted are {', '.join(DTYPES)}, with < or > before it in a "
            f"byte order of its own{meant(str(name), DTYPES)}"
        )
    if name == plain:
        return DTYPES[plain]
    return DTYPES[plain].newbyteorder("<" if name[0] == "<" else ">")


def check_fields(given: Json, accepted: tuple[str, ...], where: str) -> Mapping[str, Json]:
    """``given``, an object with no field but those that are accepted.

    Raises:
        ValueError: it is another thing, or has another field.
    """
    if not isinstance(given, dict):
        raise ValueError(f"{where} is {given!r}; accepted is an object with {', '.join(accepted)}")
    for name in given:
        if name not in accepted:
            raise ValueError(f"{where} has {name!r}, which is no field; {nearest(name, accepted)}")
    return given


def native(values: Array) -> Array:
    """The elements one after another, in the machine's byte order, bits unchanged."""
    flat = np.ascontiguousarray(values).reshape(-1)
    return flat if flat.dtype.isnative else flat.byteswap().view(flat.dtype.newbyteorder("="))


def content(values: Array) -> dict[str, Json]:
    """The numbers of an array, and its shape where they do not show it."""
    flat, shape = native(values), list(values.shape)
    if not has_text(flat.dtype):
        return {"shape": shape, "base64": _bytes(flat)}
    ends = np.flatnonzero(~same_bits(flat)) + 1 if flat.size else np.empty(0, np.int64)
    if flat.size >= _FILLED_FROM and not ends.size:
        return {"shape": shape, "fill": tokens(flat[:1])[0]}
    if flat.size <= MOST_VALUES:
        shown = {} if flat.size or shape == [0] else {"shape": shape}
        return {**shown, "values": _nested(tokens(flat), values.shape) if flat.size else []}
    if ends.size < _MOST_RUNS:
        starts = np.concatenate([[0], ends])
        lengths = np.diff(np.append(starts, flat.size)).tolist()
        runs = [list(run) for run in zip(lengths, tokens(flat[starts]), strict=True)]
        return {"shape": shape, "runs": runs}
    return {"shape": shape, "base64": _bytes(flat)}


def _bytes(flat: Array) -> str:
    return base64.b64encode(flat.astype(flat.dtype.newbyteorder("<")).tobytes()).decode()


def _nested(flat: list[Json], shape: tuple[int, ...]) -> Json:
    if not shape:
        return flat[0]
    step = len(flat) // shape[0]
    return [_nested(flat[i : i + step], shape[1:]) for i in range(0, len(flat), step)]


def read_content(given: Mapping[str, Json], dtype: np.dtype[Any], where: str) -> Array:
    """The array that ``content`` wrote, dense, in the byte order of ``dtype``.

    Raises:
        ValueError: the fields do not describe one.
    """
    kinds = [kind for kind in CONTENTS if kind in given]
    if len(kinds) != 1:
        raise ValueError(f"{where} has {kinds or 'no numbers'}; accepted is one of {CONTENTS}")
    plain = dtype.newbyteorder("=") if not dtype.isnative else dtype
    shape = None if "shape" not in given else integers(given["shape"], f"{where}.shape", least=0)
    place = f"{where}.{kinds[0]}"
    if kinds[0] == "values":
        flat, shape = _read_values(given["values"], shape, plain, place)
    elif shape is None:
        raise ValueError(f"{where} has no shape, which {kinds[0]!r} needs")
    else:
        flat = _READ[kinds[0]](given[kinds[0]], int(np.prod(shape, dtype=np.int64)), plain, place)
    ordered = flat if dtype.isnative else flat.byteswap().view(dtype)
    return ordered.reshape(shape)


def _read_values(
    given: Json, shape: tuple[int, ...] | None, dtype: np.dtype[Any], where: str
) -> tuple[Array, tuple[int, ...]]:
    flat: list[Json] = []
    found = _flattened(given, flat, where)
    if shape is not None and found != shape:
        size = int(np.prod(shape, dtype=np.int64))
        if len(found) != 1 or len(flat) != size:
            raise ValueError(f"{where} has shape {list(found)}, but shape is {list(shape)}")
        found = shape
    return numbers(flat, dtype, where), found


def _flattened(given: Json, into: list[Json], where: str) -> tuple[int, ...]:
    """Append the numbers of nested lists, and return their shape."""
    if not isinstance(given, list):
        into.append(given)
        return ()
    shapes = {_flattened(part, into, where) for part in given}
    if len(shapes) > 1:
        raise ValueError(f"{where} has rows of different shapes; accepted are rows of one shape")
    return (len(given), *(shapes.pop() if shapes else ()))


def _read_fill(given: Json, size: int, dtype: np.dtype[Any], where: str) -> Array:
    return np.repeat(numbers([given], dtype, where), size)


def _read_runs(given: Json, size: int, dtype: np.dtype[Any], where: str) -> Array:
    if not isinstance(given, list) or any(not isinstance(r, list) or len(r) != 2 for r in given):
        raise ValueError(f"{where} is {given!r}; accepted are pairs of a count and a number")
    counts = integers([run[0] for run in given], where, least=1)
    if sum(counts) != size:
        raise ValueError(f"{where} has {sum(counts)} numbers; the shape has {size}")
    return np.repeat(numbers([run[1] for run in given], dtype, where), counts)


def _read_bytes(given: Json, size: int, dtype: np.dtype[Any], where: str) -> Array:
    try:
        data = base64.b64decode(given, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise ValueError(f"{where} is no base64: {str(given)[:40]!r}") from None
    if len(data) != size * dtype.itemsize:
        raise ValueError(
            f"{where} has {len(data)} bytes; {size} numbers of {dtype.name} have "
            f"{size * dtype.itemsize}"
        )
    return np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype)


_READ = {"fill": _read_fill, "runs": _read_runs, "base64": _read_bytes}


def integers(given: Json, where: str, *, least: int | None = None) -> tuple[int, ...]:
    """A list of integers.

    Raises:
        ValueError: it is none, or one of them is below ``least``.
    """
    accepted = "integers" if least is None else f"integers from {least} on"
    if not isinstance(given, list) or any(not is_integer(i, least) for i in given):
        raise ValueError(f"{where} is {given!r}; accepted is a list of {accepted}")
    return tuple(given)


def is_integer(given: Json, least: int | None = None) -> bool:
    """Whether ``given`` is an integer, from ``least`` on if that is given."""
    whole = isinstance(given, int) and not isinstance(given, bool)
    return whole and (least is None or given >= least)


def dense_strides(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Bytes from one element to the next by dimension, the last dimension nearest."""
    strides, step = [], itemsize
    for length in reversed(shape):
        strides.append(step)
        step *= max(length, 1)
    return tuple(reversed(strides))


def gap_of(array: Array) -> int | None:
    """The byte that fills all gaps between the elements of an array, 255 where there are none.

    None where the gaps are not all alike, or elements overlap.
    """
    if array.flags.c_contiguous:
        return 255
    layout, data = layout_of(array), memory_of(array)
    taken = np.zeros(data.size, np.uint8)
    bytes_of = Layout((*layout.shape, array.itemsize), (*layout.strides, 1), layout.start, 0, True)
    laid_over(taken, np.dtype(np.uint8), bytes_of)[...] = 1
    gaps = data[taken == 0]
    overlaps = data.size - gaps.size < array.nbytes
    same = bool(native(array).size < 2 or same_bits(native(array)).all())
    if (overlaps and not same) or (gaps.size and gaps.min() != gaps.max()):
        return None
    return int(gaps[0]) if gaps.size else 255


def layout_fields(array: Array) -> dict[str, Json]:
    """What differs from a dense array that may be written to, at an address of NumPy's choice.

    The gaps of ``array`` are all alike.
    """
    fields: dict[str, Json] = {}
    layout = layout_of(array)
    if layout.strides != dense_strides(layout.shape, array.itemsize):
        fields["strides"] = list(layout.strides)
        gap = gap_of(array)
        fields |= {} if gap in (None, 255) else {"gaps": gap}
    if array.size and layout.skew % CHOSEN:
        fields["skew"] = layout.skew
    return fields if layout.writeable else {**fields, "readonly": True}


def read_array(given: Mapping[str, Json], dtype: np.dtype[Any], where: str) -> Array:
    """The array that ``content`` and ``layout_fields`` wrote, in memory of its own.

    Raises:
        ValueError: the fields do not describe one.
    """
    values = read_content(given, dtype, where)
    layout = read_layout(given, values.shape, dtype, where)
    before, behind = reach(layout, dtype.itemsize)
    gap = given.get("gaps", 255)
    if not is_integer(gap, 0) or gap > 255:
        raise ValueError(f"{where}.gaps is {gap!r}; accepted is one byte, 0 to 255")
    memory = placed(np.full(before + behind, gap, np.uint8), layout.skew)
    start = Layout(layout.shape, layout.strides, before, 0, True)
    array = laid_over(memory, dtype, start)
    array[...] = values
    if native(array).tobytes() != native(values).tobytes():
        raise ValueError(f"{where}.strides {list(layout.strides)} let different numbers overlap")
    array.flags.writeable = layout.writeable
    return array


def read_layout(
    given: Mapping[str, Json], shape: tuple[int, ...], dtype: np.dtype[Any], where: str
) -> Layout:
    """The layout that ``layout_fields`` wrote, with the start at 0.

    Raises:
        ValueError: the fields do not describe one.
    """
    strides = dense_strides(shape, dtype.itemsize)
    if "strides" in given:
        strides = integers(given["strides"], f"{where}.strides")
        if len(strides) != len(shape):
            raise ValueError(f"{where}.strides has {len(strides)} steps; the shape is {shape}")
    readonly, skew = given.get("readonly", False), given.get("skew", 0)
    if not isinstance(readonly, bool):
        raise ValueError(f"{where}.readonly is {readonly!r}; accepted are true and false")
    if not is_integer(skew, 0) or skew > 63:
        raise ValueError(f"{where}.skew is {skew!r}; accepted is 0 to 63")
    return Layout(shape, strides, 0, skew, not readonly)
