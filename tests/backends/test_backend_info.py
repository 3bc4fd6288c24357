"""A description that nobody could use is refused where it is made, by the name of its field."""

from typing import Any

import pytest

from bce_conformance.backends import BackendInfo, Device

RIGHT: dict[str, Any] = {"id": "mine", "framework": "my_package", "version": "1.0"}


def test_a_description_with_everything() -> None:
    more = {"devices": (Device("cuda", "a card"),), "dtypes": ("float32",), "notes": ("by hand",)}
    info = BackendInfo(**RIGHT, **more, composed=("weight",))
    assert (info.dtypes, info.notes, info.composed) == (("float32",), ("by hand",), ("weight",))


@pytest.mark.parametrize(
    ("fields", "error", "told"),
    [
        ({"version": 1.0}, TypeError, "BackendInfo.version is 1.0; accepted is a string"),
        ({"id": ""}, ValueError, "BackendInfo.id is empty"),
        ({"dtypes": "float32"}, TypeError, r"dtypes is 'float32'; accepted is a tuple of str"),
        ({"dtypes": ["float32"]}, TypeError, r"dtypes is \['float32'\]; accepted is a tuple"),
        ({"dtypes": ("fp32",)}, ValueError, r"dtypes has \['fp32'\]; accepted are \['float16'"),
        ({"devices": ("cpu",)}, TypeError, r"a tuple of Device, such as \(Device\('cpu', 'cpu'\)"),
        ({"devices": ()}, ValueError, "devices is .*; accepted are named devices"),
        ({"composed": (1,)}, TypeError, r"composed is \(1,\); accepted is a tuple of str"),
        ({"notes": "by hand"}, TypeError, "notes is 'by hand'; accepted is a tuple of str"),
    ],
)
def test_a_field_that_is_not_accepted(
    fields: dict[str, Any], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        BackendInfo(**{**RIGHT, **fields})
