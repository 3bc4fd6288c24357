"""A call as JSON, which replays: ``dumps`` and ``loads``.

Guarantees that a call is read back as it was: bits, dtypes, shapes, strides, gaps, flags, and which
operands share memory. A small call reads like one::

    {"version": 1, "dtype": "float32", "logits": [0.5, "0x1.8p-30"], "targets": [1, 0],
     "weight": {"dtype": "float64", "values": [2]}, "reduction": "mean", "quantities": ["loss"]}

Decimals are rounded to the nearest number of their format, once.
An array is a number or nested lists of them, in the ``dtype`` of the call (that of the logits,
float32 unless given), or an object: ``dtype``; its numbers as ``values``, ``fill``, ``runs``
([count, number] pairs) or ``base64`` (little-endian), all but the first with a ``shape``; and
``strides`` in bytes, ``gaps`` (the byte between elements), ``skew`` (the address modulo 64) and
``readonly``. Operands that share memory lie in one array of ``memory``, of which each says the
number, with ``offset``, ``shape``, ``strides`` and ``dtype``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bce_conformance.backends.array_memory import (
    ALIGNMENT,
    groups_of,
    laid_over,
    placed,
    reach,
    span_of,
    union_of,
)
from bce_conformance.backends.calls import ARRAYS, USUAL_MODE, Array, LossCall

from .arrays import (
    CHOSEN,
    CONTENTS,
    LAYOUT,
    Json,
    check_fields,
    content,
    dense_strides,
    dtype_name,
    gap_of,
    integers,
    is_integer,
    layout_fields,
    read_array,
    read_content,
    read_dtype,
    read_layout,
)
from .numbers import WrittenDecimal

VERSION = 1
_OTHERS = (
    *("reduction", "quantities", "device", "forms", "interface", "arguments", "threads"),
    *("repetition", "autograd", "mode"),
)
_FIELDS = ("version", "dtype", "memory", *ARRAYS, *_OTHERS)
_OWN = ("dtype", "shape", *CONTENTS, *LAYOUT)
_VIEW = ("dtype", "shape", "memory", "offset", "strides", "readonly")
_BLOCK = ("dtype", "shape", *CONTENTS, "skew")
# By field: the value that is not written, or stands for a field that is not given.
_PLAIN: dict[str, Json] = {
    "reduction": "mean",
    "quantities": ["loss"],
    "device": "cpu",
    "forms": {},
    "interface": "function",
    "arguments": {},
    "threads": None,
    "repetition": "once",
    "autograd": "usual",
    "mode": USUAL_MODE,
}
_KINDS: dict[str, tuple[Any, str]] = {
    "reduction": (str, "a text"),
    "quantities": (list, "a list of names"),
    "device": (str, "a text"),
    "forms": (dict, "an object: operand to form"),
    "interface": (str, "a text"),
    "arguments": (dict, "an object"),
    "threads": (int | None, "an integer or null"),
    "repetition": (str, "a text"),
    "autograd": (str, "a text"),
    "mode": (str, "a text"),
}


def dumps(call: LossCall, *, inline: bool = False) -> str:
    """A call as JSON text: a line a field, or with ``inline`` all in one line.

    Raises:
        ValueError: an array has a dtype that a file does not have, such as object.
    """
    document = encode(call)
    if inline:
        return json.dumps(document)
    lines = (f"{json.dumps(name)}: {json.dumps(value)}" for name, value in document.items())
    return "{\n  " + ",\n  ".join(lines) + "\n}\n"


def loads(text: str) -> LossCall:
    """The call that a text describes.

    Raises:
        ValueError: it is no JSON, or no call; the message names the field and says what is
            accepted.
    """
    return decode(parse(text))


def parse(text: str) -> Json:
    """JSON with integers that keep the sign of −0, unique names, and no ``NaN`` or ``Infinity``.

    Decimals keep their text.

    Raises:
        ValueError: it is something else.
    """
    try:
        return json.loads(
            text,
            parse_int=_integer,
            parse_float=WrittenDecimal,
            parse_constant=_no_constant,
            object_pairs_hook=_unique,
        )
    except RecursionError:
        raise ValueError(
            "the call is nested too deeply; accepted are lists of a few levels"
        ) from None


def _integer(text: str) -> int | float:
    return -0.0 if text == "-0" else int(text)


def _no_constant(text: str) -> Json:
    raise ValueError(f"{text} is no JSON; accepted are the texts 'nan', 'inf' and '-inf'")


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} is given twice; accepted is each field once")
    return found


def encode(call: LossCall) -> dict[str, Json]:
    """A call in JSON's types.

    Raises:
        ValueError: an array has a dtype that a file does not have, such as object.
    """
    arrays = {n: np.asarray(getattr(call, n)) for n in ARRAYS if getattr(call, n) is not None}
    names = {name: dtype_name(array.dtype, name) for name, array in arrays.items()}
    blocks = list(_blocks(arrays))
    views = {n: _view(arrays[n], i, block) for i, block in enumerate(blocks) for n in block.names}
    document: dict[str, Json] = {"version": VERSION, "dtype": names["logits"]}
    if blocks:
        document["memory"] = [block.content for block in blocks]
    for name, array in arrays.items():
        written = views.get(name) or {**content(array), **layout_fields(array)}
        if names[name] != names["logits"]:
            written = {"dtype": names[name], **written}
        document[name] = written["values"] if written.keys() == {"values"} else written
    return document | _other_fields(call)


def _other_fields(call: LossCall) -> dict[str, Json]:
    given: dict[str, Json] = {name: getattr(call, name) for name in _OTHERS}
    given["quantities"] = list(call.quantities)
    given |= {name: dict(given[name]) for name in ("forms", "arguments")}
    shown = ("reduction", "quantities")
    return {n: v for n, v in given.items() if n in shown or v != _PLAIN[n]}


@dataclass(frozen=True)
class _Block:
    """Memory that operands lie in which cannot be written by themselves.

    Attributes:
        names: the operands.
        start: the address of its first byte.
        content: its bytes as a one-dimensional array, in the dtype of the first of the operands.
    """

    names: tuple[str, ...]
    start: int
    content: dict[str, Json]


def _blocks(arrays: Mapping[str, Array]) -> Iterator[_Block]:
    """The memory of operands that share it, or whose gaps are not all alike."""
    for names in groups_of(arrays):
        if len(names) > 1 or gap_of(arrays[names[0]]) is None:
            yield _block(names, arrays)


def _block(names: tuple[str, ...], arrays: Mapping[str, Array]) -> _Block:
    start, data = union_of([arrays[name] for name in names])
    first = arrays[names[0]]
    whole = not (data.size % first.itemsize or (span_of(first)[0] - start) % first.itemsize)
    numbers = data.view(first.dtype if whole else np.uint8)
    skew = {"skew": start % ALIGNMENT} if start % CHOSEN else {}
    written = {"dtype": dtype_name(numbers.dtype, names[0]), **content(numbers), **skew}
    return _Block(names, start, written)


def _view(array: Array, index: int, block: _Block) -> dict[str, Json]:
    offset = array.ctypes.data - block.start
    fields = {"memory": index, "shape": list(array.shape)} | ({"offset": offset} if offset else {})
    if array.strides != dense_strides(array.shape, array.itemsize):
        fields["strides"] = list(array.strides)
    return fields if array.flags.writeable else {**fields, "readonly": True}


def decode(document: Json) -> LossCall:
    """The call that ``encode`` wrote, or one written by hand.

    Raises:
        ValueError: it is no call; the message names the field and says what is accepted.
    """
    given = check_fields(document, _FIELDS, "the call")
    if given.get("version", VERSION) != VERSION:
        raise ValueError(f"version is {given['version']!r}; accepted is {VERSION}")
    default = read_dtype(given.get("dtype", "float32"), "dtype")
    for name in ("logits", "targets"):
        if given.get(name) is None:
            raise ValueError(f"the call has no {name}")
    try:
        blocks = _read_blocks(given.get("memory", []))
        arrays: dict[str, Any] = {
            name: _read_operand(given[name], default, blocks, name)
            for name in ARRAYS
            if given.get(name) is not None
        }
    except (MemoryError, OverflowError) as error:
        raise ValueError(
            "an array of the call is larger than the memory; accepted are smaller shapes and steps"
        ) from error
    return LossCall(**arrays, **_read_others(given))


def _read_blocks(given: Json) -> list[NDArray[np.uint8]]:
    if not isinstance(given, list):
        raise ValueError(f"memory is {given!r}; accepted is a list of arrays")
    return [_read_block(block, f"memory[{index}]") for index, block in enumerate(given)]


def _read_block(given: Json, where: str) -> NDArray[np.uint8]:
    block = check_fields(given, _BLOCK, where)
    dtype = read_dtype(block.get("dtype", "uint8"), f"{where}.dtype")
    values = read_content(block, dtype, where).reshape(-1)
    return placed(values.view(np.uint8), read_layout(block, (), dtype, where).skew)


def _read_operand(
    given: Json, default: np.dtype[Any], blocks: list[NDArray[np.uint8]], name: str
) -> Array:
    if not isinstance(given, dict):
        given = {"values": given}
    accepted = _VIEW if "memory" in given else _OWN
    operand = check_fields(given, accepted, name)
    dtype = read_dtype(operand["dtype"], f"{name}.dtype") if "dtype" in operand else default
    if "memory" in operand:
        return _read_view(operand, dtype, blocks, name)
    return read_array(operand, dtype, name)


def _read_view(
    given: Mapping[str, Json], dtype: np.dtype[Any], blocks: list[NDArray[np.uint8]], where: str
) -> Array:
    index, offset = given["memory"], given.get("offset", 0)
    if not is_integer(index, 0) or index >= len(blocks):
        raise ValueError(f"{where}.memory is {index!r}; accepted is below {len(blocks)}, from 0 on")
    if not is_integer(offset, 0):
        raise ValueError(f"{where}.offset is {offset!r}; accepted are bytes from 0 on")
    shape = integers(given.get("shape"), f"{where}.shape", least=0)
    layout = replace(read_layout(given, shape, dtype, where), start=offset)
    before, behind = reach(layout, dtype.itemsize)
    size = blocks[index].size
    if before > offset or offset + behind > size:
        raise ValueError(
            f"{where} goes from byte {offset - before} to {offset + behind} of memory[{index}], "
            f"which has {size}"
        )
    return laid_over(blocks[index], dtype, layout)


def _read_others(given: Mapping[str, Json]) -> dict[str, Any]:
    found = {name: given.get(name, _PLAIN[name]) for name in _OTHERS}
    for name, (kind, accepted) in _KINDS.items():
        if not isinstance(found[name], kind) or isinstance(found[name], bool):
            raise ValueError(f"{name} is {found[name]!r}; accepted is {accepted}")
    if any(not isinstance(value, bool | str | None) for value in found["arguments"].values()):
        raise ValueError(f"arguments is {found['arguments']!r}; accepted are booleans and texts")
    return found | {"quantities": tuple(found["quantities"])}
