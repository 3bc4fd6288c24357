"""What is evaluated before all else: of every number of dimensions, without a graph."""

import pytest

from bce_conformance.conformance.surveying.first_calls import first_calls
from bce_conformance.reference import FORMATS


@pytest.mark.parametrize("name", FORMATS)
def test_every_number_of_dimensions_comes_without_and_with_weights(name: str) -> None:
    calls = list(first_calls(FORMATS[name], "cpu"))
    assert [call.logits.ndim for call in calls] == [n for n in range(7) for _ in range(2)]
    assert [call.weight is None for call in calls] == [True, False] * 7
    assert all(call.pos_weight is call.weight for call in calls)
    assert all(call.autograd == "off" and call.quantities == ("loss",) for call in calls)
    assert {call.logits.dtype.name for call in calls} == {name}
