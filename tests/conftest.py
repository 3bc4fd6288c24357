"""What the processes share that pytest-xdist splits the tests among."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

SHARED = "BCE_CONFORMANCE_IMPOSTORS"  # read in impostors/table.py


@pytest.fixture(scope="session", autouse=True)
def _impostors_are_measured_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Name the file for what the impostors got: beside the folders of all these processes."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        own = tmp_path_factory.getbasetemp()
        os.environ[SHARED] = str(own.with_name("impostors.pickle"))


@pytest.fixture(scope="session")
def the_browser() -> Iterator[Any]:
    """The browser of all tests: a process has room for one driver of it."""
    from tests.reports.browsing import chromium

    with chromium() as browser:
        yield browser


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the example: no other process takes some of its tests, nor makes its environment.

    Whoever has nothing left takes the last tests of another process.
    """
    items.sort(key=lambda item: item.path.name != "test_example.py")
