from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from bce_conformance.reference import FORMATS, format_of


@pytest.mark.parametrize("name", FORMATS)
def test_table_agrees_with_the_dtypes_own_limits(name):
    fmt, info = FORMATS[name], ml_dtypes.finfo(FORMATS[name].dtype)
    assert fmt.smallest_normal == float(info.smallest_normal)
    assert fmt.smallest_subnormal == float(info.smallest_subnormal)
    assert fmt.largest_finite == float(info.max)
    assert 2 * fmt.unit_roundoff == float(info.eps)
    assert fmt.ulp(fmt.largest_finite) == fmt.largest_ulp


@pytest.mark.parametrize("name", FORMATS)
def test_ulp_is_the_distance_to_the_next_number_outwards(name):
    fmt = FORMATS[name]
    top = int(fmt.ordinal(fmt.largest_finite))
    ordinals = np.unique(np.r_[0, 1, 2, np.arange(0, top - 1, max(1, top // 5000)), top - 2])
    here, there = fmt.from_ordinal(ordinals), fmt.from_ordinal(ordinals + 1)
    expected = there.astype(np.float64) - here.astype(np.float64)
    np.testing.assert_array_equal(fmt.ulp(here), expected)
    np.testing.assert_array_equal(fmt.ulp(-here), expected)


@pytest.mark.parametrize("name", FORMATS)
def test_ulp_at_zero_infinity_and_nan(name):
    fmt = FORMATS[name]
    got = fmt.ulp(np.array([0.0, -0.0, np.inf, -np.inf]))
    low, high = fmt.smallest_subnormal, fmt.largest_ulp
    np.testing.assert_array_equal(got, [low, low, high, high])
    assert np.isnan(fmt.ulp(np.nan))
    assert fmt.ulp(fmt.smallest_normal / 2) == low


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_ordinals_of_every_bit_pattern_are_in_order_and_come_back(name):
    fmt = FORMATS[name]
    values = np.arange(1 << 16, dtype=np.uint16).view(fmt.dtype)
    with np.errstate(invalid="ignore"):
        values = values[~np.isnan(values.astype(np.float64))]
    ordinals = fmt.ordinal(values)
    order = np.argsort(ordinals, kind="stable")
    assert (np.diff(values[order].astype(np.float64)) >= 0).all()
    back = fmt.from_ordinal(ordinals)
    np.testing.assert_array_equal(back.astype(np.float64), values.astype(np.float64))
    assert fmt.ordinal(-0.0) == fmt.ordinal(0.0) == 0
    assert fmt.ordinal(-np.inf) == -fmt.ordinal(np.inf)
    assert fmt.ordinal(np.inf) == fmt.ordinal(fmt.largest_finite) + 1


def test_hex_reads_back():
    for name, fmt in FORMATS.items():
        value = fmt.from_ordinal(3)
        assert float.fromhex(fmt.hex(value)) == float(value), name
    assert format_of("float32").hex(np.float32(-0.0)) == "-0x0.0p+0"


def test_exactly_refuses_what_is_not_of_the_format():
    with pytest.raises(ValueError, match="not exactly a float32"):
        FORMATS["float32"].exactly(0.1)
    with pytest.raises(ValueError, match="not exactly a bfloat16"):
        FORMATS["bfloat16"].ordinal(np.float32(1.001))


@pytest.mark.parametrize("dtype", ["float32", np.float32, np.dtype("float32"), FORMATS["float32"]])
def test_format_of_takes_names_types_dtypes_and_formats(dtype):
    assert format_of(dtype) is FORMATS["float32"]


def test_format_of_knows_bfloat16_and_refuses_others():
    assert format_of(ml_dtypes.bfloat16) is FORMATS["bfloat16"]
    for wrong in ("float8", np.int32, np.complex64, ml_dtypes.float8_e4m3fn, None, 3, object()):
        with pytest.raises(TypeError, match=r"dtype is .*; accepted are float16"):
            format_of(wrong if wrong is not None else "none")
