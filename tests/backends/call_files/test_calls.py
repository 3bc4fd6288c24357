"""A call as JSON: every call comes back as it was, and what is no call is refused by name."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bce_conformance.backends.array_memory import layout_of, memory_of
from bce_conformance.backends.call_files.calls import dumps, loads
from bce_conformance.backends.call_files.numbers import DTYPES
from bce_conformance.backends.calls import ARRAYS, FORMS, QUANTITIES, Array, LossCall

CASES = 400
SPECIAL = (0.0, -0.0, 1.0, 0.1, -3.0, np.inf, -np.inf, np.nan, 1e-45, 5e-324, 1e300, 2.0**60, 16.5)


def random_bits(rng: np.random.Generator, dtype: np.dtype[Any], size: int) -> Array:
    if dtype.kind == "b":
        return rng.integers(0, 2, size).astype(bool)
    raw = rng.integers(0, 256, size * dtype.itemsize, np.uint8)
    values: Array = raw.view(dtype)
    kind = rng.random()
    if dtype.kind in "iuc" or kind < 0.3:
        return values
    with np.errstate(all="ignore"):
        if kind < 0.4:  # NaN, with all kinds of significands
            infinity = np.array([np.inf], dtype).view(f"u{dtype.itemsize}")
            return (raw.view(infinity.dtype) | infinity).view(dtype)
        return rng.choice(SPECIAL, size).astype(dtype)


def random_values(rng: np.random.Generator, dtype: np.dtype[Any], size: int) -> Array:
    """Bit patterns of every kind: many different ones, few in runs, or one throughout."""
    kind = rng.integers(0, 3)
    if kind == 0 or not size:
        return random_bits(rng, dtype, size)
    pool = random_bits(rng, dtype, 1 if kind == 1 else 3)
    return np.repeat(pool[rng.integers(0, pool.size, -(-size // 30))], 30)[:size]


def random_layout(rng: np.random.Generator, array: Array) -> Array:
    """The same values, laid out in some way."""
    kind = rng.integers(0, 9)
    if kind == 1:
        return np.asfortranarray(array)
    if kind == 2 and array.ndim and array.size:
        wide = random_bits(rng, array.dtype, 3 * array.size).reshape(*array.shape[:-1], -1)
        wide[..., ::3] = array
        return wide[..., ::3]
    if kind == 3 and array.ndim:
        return array[::-1].copy()[::-1]
    if kind == 4 and array.size:
        return np.broadcast_to(array.ravel()[0], array.shape)
    if kind == 5 and array.ndim > 1:
        return np.broadcast_to(array[:1], array.shape)
    if kind == 6:
        offset = int(rng.integers(0, 70))
        memory = np.full(array.nbytes + 200, 7, np.uint8)
        moved = memory[offset : offset + array.nbytes].view(array.dtype).reshape(array.shape)
        moved[...] = array
        return moved
    if kind == 7 and array.ndim:
        spaced = np.zeros((*array.shape, 2), array.dtype)[..., 1]
        spaced[...] = array
        return spaced
    if kind == 8:
        array = array.copy()
        array.flags.writeable = False
    return array


def random_array(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    dtype = DTYPES[rng.choice(list(DTYPES))]
    array = random_values(rng, dtype, int(np.prod(shape))).reshape(shape)
    if rng.random() < 0.2 and dtype.itemsize > 1 and dtype.name != "bfloat16":
        array = array.byteswap().view(dtype.newbyteorder())
    return random_layout(rng, array)


def random_call(seed: int) -> LossCall:
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(0, 7, rng.integers(0, 4)).tolist())
    if rng.random() < 0.1:
        shape = (400,)
    arrays = {name: random_array(rng, shape) for name in ARRAYS if rng.random() < 0.7}
    for name in ("logits", "targets", "tangent"):
        arrays.setdefault(name, random_array(rng, shape))
    if rng.random() < 0.4 and shape:  # parts of one memory
        base = random_array(rng, (2 * shape[0] + 1, *shape[1:]))
        for start, name in enumerate(rng.choice(list(arrays), 2, replace=False)):
            step = int(rng.choice([1, 2, -1]))
            arrays[name] = base[:: -1 if step < 0 else step][start : start + shape[0]]
    has = [q for q in QUANTITIES if q.removeprefix("grad_") in (*arrays, q)]
    return LossCall(
        **arrays,
        reduction=str(rng.choice(["none", "mean", "sum", "average"])),
        quantities=tuple(rng.permutation(has)[: rng.integers(0, 4)].tolist()),
        device=str(rng.choice(["cpu", "cuda:1"])),
        forms={} if rng.random() < 0.7 else {"weight": str(rng.choice(FORMS))},
        interface=str(rng.choice(["function", "class"])),
        arguments={}
        if rng.random() < 0.7
        else {"reduce": False, "name": "n", "size_average": None},
        threads=None if rng.random() < 0.7 else 3,
    )


def address(array: Array) -> int:
    return array.ctypes.data - layout_of(array).start


def assert_same_array(got: Array, expected: Array) -> None:
    assert got.dtype == expected.dtype
    assert got.dtype.byteorder == expected.dtype.byteorder
    assert (got.shape, got.strides) == (expected.shape, expected.strides)
    assert got.flags.writeable == expected.flags.writeable
    assert memory_of(got).tobytes() == memory_of(expected).tobytes()
    if expected.size:
        assert address(got) % 16 == address(expected) % 16


def assert_same_skew(got: Array, expected: Array) -> None:
    if expected.size and address(expected) % 16:
        assert address(got) % 64 == address(expected) % 64


def assert_same_sharing(got: dict[str, Array], expected: dict[str, Array]) -> None:
    for a in expected:
        for b in expected:
            if np.shares_memory(expected[a], expected[b]):
                apart = expected[a].ctypes.data - expected[b].ctypes.data
                assert got[a].ctypes.data - got[b].ctypes.data == apart
            elif got[a].size and got[b].size:
                assert not np.shares_memory(got[a], got[b])


def arrays_of(call: LossCall) -> dict[str, Array]:
    return {n: getattr(call, n) for n in ARRAYS if getattr(call, n) is not None}


@pytest.mark.parametrize("start", range(0, CASES, 100))
def test_every_call_comes_back_as_it_was(start: int) -> None:
    for seed in range(start, start + 100):
        call = random_call(seed)
        text = dumps(call)
        got = loads(text)
        expected = arrays_of(call)
        assert arrays_of(got).keys() == expected.keys()
        for name, array in expected.items():
            assert_same_array(getattr(got, name), array)
            if "memory" not in text:
                assert_same_skew(getattr(got, name), array)
        assert_same_sharing(arrays_of(got), expected)
        plain = dict.fromkeys(ARRAYS) | {"logits": call.logits, "targets": call.targets}
        plain["tangent"] = call.tangent
        bare = {"quantities": ()} | plain
        assert replace(got, **bare) == replace(call, **bare)
        assert got.quantities == call.quantities
        assert dumps(got) == text
        assert dumps(got, inline=True) == json.dumps(json.loads(text))


def test_the_random_calls_have_everything() -> None:
    """A property that is tested on plain calls only would say little."""
    texts = [json.loads(dumps(random_call(seed))) for seed in range(CASES)]
    arrays = [t[n] for t in texts for n in ARRAYS if isinstance(t.get(n), dict)]
    for field in ("strides", "gaps", "skew", "readonly", "memory", "offset", "fill", "base64"):
        assert sum(field in array for array in arrays) > 10, field
    assert sum("runs" in a for t in texts for a in t.get("memory", []) + arrays) > 10
    assert sum("nan(" in json.dumps(text) for text in texts) > 10


def test_a_small_call_reads_like_one() -> None:
    x = np.array([0.5, -3, 0.1, -0.0], np.float32)
    call = LossCall(x, np.array([1, 0, 1, 0], np.float32), np.full(4, 2.0), reduction="sum")
    assert json.loads(dumps(call)) == {
        "version": 1,
        "dtype": "float32",
        "logits": [0.5, -3, "0x1.99999ap-4", "-0"],
        "targets": [1, 0, 1, 0],
        "weight": {"dtype": "float64", "values": [2, 2, 2, 2]},
        "reduction": "sum",
        "quantities": ["loss"],
    }


def test_large_arrays_are_compact() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=100_000).astype(np.float32)
    few = np.zeros(100_000, np.float32)
    few[7] = np.nan
    call = LossCall(x, few, np.ones(100_000, np.float32))
    document = json.loads(dumps(call))
    assert len(dumps(call)) < 1.4 * x.nbytes
    assert document["targets"]["runs"] == [[7, 0], [1, "nan"], [99_992, 0]]
    assert document["weight"] == {"shape": [100_000], "fill": 1}


def test_what_is_written_by_hand() -> None:
    call = loads('{"logits": [[0.1, -0, 3]], "targets": [[1, "0x1p-1", 0]]}')
    assert call.logits.dtype == np.float32
    assert call.logits.tolist() == np.array([[0.1, 0, 3]], np.float32).tolist()
    assert np.signbit(call.logits[0, 1])
    assert (call.reduction, call.quantities) == ("mean", ("loss",))
    assert loads('{"dtype": "float16", "logits": 2, "targets": 1}').logits.shape == ()
    strided = loads('{"logits": {"values": [1, 2], "strides": [-8], "gaps": 0}, "targets": [1, 0]}')
    assert strided.logits.strides == (-8,)
    assert memory_of(strided.logits).view(np.float32).tolist() == [2, 0, 1]


GOOD = '"targets": [1, 0]'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Expecting property name"),
        ("[1]", r"the call is \[1\]; accepted is an object with version"),
        ('{"logits": [1, 0]}', "the call has no targets"),
        (f'{{"logits": [1, 0], {GOOD}, "wieght": 1}}', "'wieght', which is no field; .* weight"),
        (f'{{"logits": [1, 0], "logits": [1], {GOOD}}}', "'logits' is given twice"),
        (f'{{"version": 2, "logits": [1, 0], {GOOD}}}', "version is 2; accepted is 1"),
        (f'{{"dtype": "float8", "logits": [1, 0], {GOOD}}}', "dtype is 'float8'; accepted are"),
        (f'{{"logits": [1, NaN], {GOOD}}}', "NaN is no JSON; accepted are the texts 'nan'"),
        (f'{{"logits": [1, "one"], {GOOD}}}', r"logits.values\[1\] is 'one'; accepted are numbers"),
        (f'{{"logits": [1, true], {GOOD}}}', r"logits.values\[1\] is True; accepted are numbers"),
        (f'{{"logits": [1, null], {GOOD}}}', r"logits.values\[1\] is None"),
        (f'{{"logits": [1, 1e39], {GOOD}}}', r"values\[1\] is 1e\+39, which is beyond float32"),
        (f'{{"logits": [1, "0x1.000001p+0"], {GOOD}}}', "which float32 does not hold"),
        (f'{{"logits": [1, "nan(0x800000)"], {GOOD}}}', "significands of float32 are 0x1 to 0x7f"),
        (f'{{"logits": [1, [0]], {GOOD}}}', "logits.values has rows of different shapes"),
        (f'{{"logits": {{"shape": [2]}}, {GOOD}}}', "logits has no numbers; accepted is one of"),
        (f'{{"logits": {{"fill": 1}}, {GOOD}}}', "logits has no shape, which 'fill' needs"),
        (f'{{"logits": {{"fill": 1, "shape": [{10**20}]}}, {GOOD}}}', "larger than the memory"),
        (f'{{"logits": {{"fill": 1, "shape": [{10**15}]}}, {GOOD}}}', "larger than the memory"),
        (f'{{"logits": {{"values": [1], "shape": [{10**20}]}}, {GOOD}}}', "larger than the memo"),
        (f'{{"logits": {{"fill": 1, "shape": [-1]}}, {GOOD}}}', r"logits.shape is \[-1\]"),
        (f'{{"logits": {{"values": [1], "shape": [2]}}, {GOOD}}}', r"has shape \[1\], but shape"),
        (f'{{"logits": {{"runs": [[1, 0]], "shape": [2]}}, {GOOD}}}', "has 1 numbers; the shape"),
        (f'{{"logits": {{"runs": [1], "shape": [2]}}, {GOOD}}}', "pairs of a count and a number"),
        (f'{{"logits": {{"base64": "AAA=", "shape": [2]}}, {GOOD}}}', "has 2 bytes; 2 numbers of"),
        (f'{{"logits": {{"base64": "*", "shape": [2]}}, {GOOD}}}', "logits.base64 is no base64"),
        (f'{{"logits": {{"values": [1, 0], "strides": [1, 2]}}, {GOOD}}}', "strides has 2 steps"),
        (
            f'{{"logits": {{"values": [1, 0], "strides": [0]}}, {GOOD}}}',
            "let different numbers over",
        ),
        (
            f'{{"logits": {{"values": [1, 0], "gaps": 256}}, {GOOD}}}',
            "gaps is 256; accepted is one",
        ),
        (
            f'{{"logits": {{"values": [1, 0], "skew": 64}}, {GOOD}}}',
            "skew is 64; accepted is 0 to 63",
        ),
        (
            f'{{"logits": {{"values": [1, 0], "readonly": 1}}, {GOOD}}}',
            "readonly is 1; accepted are",
        ),
        (f'{{"logits": {{"values": [1, 0], "offset": 4}}, {GOOD}}}', "'offset', which is no field"),
        (f'{{"logits": {{"memory": 0, "shape": [2]}}, {GOOD}}}', "logits.memory is 0; accepted is"),
        (
            f'{{"memory": [[1, 2]], "logits": {{"memory": 0, "shape": [2]}}, {GOOD}}}',
            r"memory\[0\] is \[1, 2\]; accepted is an object",
        ),
        (
            '{"memory": [{"dtype": "float32", "values": [1, 2]}], '
            f'"logits": {{"memory": 0, "shape": [2], "offset": 4}}, {GOOD}}}',
            r"logits goes from byte 4 to 12 of memory\[0\], which has 8",
        ),
        (
            '{"memory": [{"dtype": "float32", "values": [1, 2]}], '
            f'"logits": {{"memory": 0, "shape": [2], "strides": [-4]}}, {GOOD}}}',
            r"logits goes from byte -4 to 4 of memory\[0\]",
        ),
        (
            f'{{"logits": [1, 0], "weight": {{"dtype": "uint8", "values": [256]}}, {GOOD}}}',
            r"weight.values\[0\] is 256, no number of uint8; accepted are 0 to 255",
        ),
        (
            f'{{"logits": [1, 0], "weight": {{"dtype": "bool", "values": [2]}}, {GOOD}}}',
            "no number of bool; accepted are true and false",
        ),
        (
            f'{{"logits": [1, 0], {GOOD}, "reduction": null}}',
            "reduction is None; accepted is a text",
        ),
        (
            f'{{"logits": [1, 0], {GOOD}, "quantities": "loss"}}',
            "quantities is 'loss'; accepted is",
        ),
        (f'{{"logits": [1, 0], {GOOD}, "quantities": ["gain"]}}', r"quantities has \['gain'\]"),
        (
            f'{{"logits": [1, 0], {GOOD}, "threads": true}}',
            "threads is True; accepted is an integer",
        ),
        (
            f'{{"logits": [1, 0], {GOOD}, "arguments": {{"a": 1}}}}',
            "accepted are booleans and texts",
        ),
    ],
)
def test_what_is_no_call_is_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        loads(text)


def test_objects_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="targets has dtype object; accepted are bfloat16"):
        dumps(LossCall(np.zeros(1), np.array([None])))
