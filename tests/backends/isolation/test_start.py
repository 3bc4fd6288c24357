"""An adapter that does not start says in a line what is wrong with it, before anything is asked."""

import re

import pytest

from bce_conformance.backends import BackendProcess, Failure, resolve


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("SaysNothing", r"TypeError: info\(\) returned an object of type NoneType; accepted is a"),
        ("SaysNonsense", r"ValueError: BackendInfo\.dtypes has \['fp32'\].*\(faulty\.py, line \d+"),
        ("IsNoAdapter", "TypeError: IsNoAdapter is no adapter: it has no method bind, fetch"),
    ],
)
def test_an_adapter_that_is_none(name: str, told: str) -> None:
    with BackendProcess(resolve(f"faulty:{name}")) as process:
        failure = process.info()
    assert isinstance(failure, Failure)
    assert re.match(f"raised {told}", failure.reason)
    assert "\n" not in failure.reason
