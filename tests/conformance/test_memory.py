"""How much memory there is: the least of all limits, in containers of both kinds."""

import resource
from pathlib import Path

import pytest

from bce_conformance.conformance import memory
from bce_conformance.results.host import physical_memory

LIMIT = 3 << 20  # below that of any machine


def machine(root: Path, cgroup: str, limits: dict[str, str]) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(cgroup, "utf-8")
    for name, text in limits.items():
        (root / "sys/fs/cgroup" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "sys/fs/cgroup" / name).write_text(f"{text}\n", "utf-8")
    return root


@pytest.mark.parametrize(
    ("cgroup", "limits"),
    [
        ("0::/a/b\n", {"a/b/memory.max": str(LIMIT), "a/memory.max": "max"}),
        ("0::/a/b\n", {"a/b/memory.max": "max", "a/memory.max": str(LIMIT)}),
        ("0::/\n", {"memory.max": str(LIMIT)}),
        ("0::/outside/the/container\n", {"memory.max": str(LIMIT)}),
        ("4:cpu,memory:/a\n0::/\n", {"memory/a/memory.limit_in_bytes": str(LIMIT)}),
        ("4:memory:/outside\n", {"memory/memory.limit_in_bytes": str(LIMIT)}),
    ],
)
def test_the_least_limit_of_all_cgroups_counts(
    tmp_path: Path, cgroup: str, limits: dict[str, str]
) -> None:
    assert memory.usable(machine(tmp_path, cgroup, limits)) == LIMIT


@pytest.mark.parametrize("text", ["max", "9223372036854771712"])
def test_no_limit_leaves_the_memory_of_the_machine(tmp_path: Path, text: str) -> None:
    root = machine(tmp_path, "0::/a\n", {"a/memory.max": text})
    assert memory.usable(root) == physical_memory() > LIMIT
    assert memory.usable(tmp_path / "nowhere") == physical_memory()


def test_the_limit_of_the_address_space_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda what: (8 << 20, resource.RLIM_INFINITY))
    assert memory.usable(tmp_path) == 8 << 20
    assert memory.default_bound() == 2 << 20


@pytest.mark.parametrize(
    ("text", "amount"), [("2GiB", 2 << 30), ("1.5 MiB", 3 << 19), ("7B", 7), ("1TiB", 1 << 40)]
)
def test_amounts(text: str, amount: int) -> None:
    assert memory.parse(text) == amount


@pytest.mark.parametrize("text", ["", "2", "GiB", "-1GiB", "0GiB", "2GB", "1e3B", "infGiB"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="accepted is a positive number with one of the units"):
        memory.parse(text)
