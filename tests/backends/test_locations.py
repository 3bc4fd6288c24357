"""Locations: what may stand behind a backend's id, and what it means."""

import pytest

from bce_conformance.backends import installed, locations, resolve


@pytest.mark.parametrize(
    ("name", "backend", "given"),
    [
        ("torch", "torch", {}),
        ("torch@ssh=gpu1", "torch", {"host": "gpu1"}),
        ("jax:jit@ssh=me@gpu1", "jax:jit", {"host": "me@gpu1"}),
        ("jax@ssh=me@gpu", "jax", {"host": "me@gpu"}),
        ("jax@ssh=me@gpu@isa=x86-64-v2", "jax", {"host": "me@gpu", "instruction_set": "x86-64-v2"}),
        (
            "torch@ssh=gpu1.example.org:2222@python=/opt/python@3.11/bin/python",
            "torch",
            {"host": "gpu1.example.org:2222", "python": "/opt/python@3.11/bin/python"},
        ),
        ("torch@pip=2.10.0", "torch", {"release": "2.10.0"}),
        # No level that this machine must have: the other one may.
        (
            "torch@ssh=a@isa=x86-64-v4-fp16",
            "torch",
            {"host": "a", "instruction_set": "x86-64-v4-fp16"},
        ),
    ],
)
def test_what_locations_mean(name: str, backend: str, given: dict[str, str]) -> None:
    assert locations.read(name) == (backend, given)
    assert locations.without(name) == backend


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("torch@ssh=", "ssh=HOST"),
        ("torch@ssh=a@ssh=b", "each once"),
        ("torch@ssh=-oProxyCommand=x", "names the host"),
        ("torch@ssh=a b", "names the host"),
        ("torch@ssh=a;b", "names the host"),
        ("torch@ssh=me@", "accepted are"),
        ("torch@ssh=a@pip=2.10.0", "name its interpreter"),
        ("torch@ssh=a@isa=fast", "'fast' is unknown"),
        ("torch@host=a", "accepted are"),
    ],
)
def test_what_is_no_location_is_told_what_is(name: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        resolve(name)


def test_a_backend_on_another_machine_is_there_until_it_is_started() -> None:
    spec = resolve("package.module:Class@ssh=gpu1@python=/opt/python")
    assert (spec.host, spec.python, spec.factory) == ("gpu1", "/opt/python", "package.module:Class")
    assert installed(spec)
    assert installed(resolve("tinygrad@ssh=gpu1"))  # whatever program it needs
