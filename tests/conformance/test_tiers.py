"""What each tier tries: backends, formats and requirements."""

from dataclasses import replace
from itertools import islice

import pytest

from bce_conformance.backends import DTYPES, builtin_backends, resolve
from bce_conformance.conformance.settings import Settings
from bce_conformance.conformance.specification import requirements
from bce_conformance.conformance.surveying.calls import CallStore
from bce_conformance.conformance.tiers import DRAWN, TIERS


def names(tier: str, *backends: str) -> list[str]:
    return [spec.id for spec in Settings(backends, tier=tier).specs()]


def test_the_quick_tier_measures_compiled_variants_when_asked() -> None:
    every = [spec.id for spec in builtin_backends() if not spec.on_request]
    assert names("quick") == [name for name in every if ":" not in name]
    assert names("quick", "all") == names("default") == names("thorough") == every
    assert not {"scipy", "torch:vmap", "keras:jax"}.intersection(every)
    assert names("quick", "jax:jit") == ["jax:jit"]


@pytest.mark.parametrize("tier", TIERS)
def test_every_measures_those_on_request_too(tier: str) -> None:
    every = [spec.id for spec in builtin_backends()]
    assert names(tier, "every") == names(tier, "all", "every") == every
    assert names(tier, "scipy", "torch:vmap") == ["scipy", "torch:vmap"]


def test_a_backend_named_twice_is_measured_once() -> None:
    assert names("quick", "jax", "torch", "jax") == ["jax", "torch"]
    assert names("default", "jax", "all") == names("default")


def test_all_and_one_of_ones_own_are_measured_together() -> None:
    own = "json:JSONDecoder"  # an importable class: nothing is started here
    assert names("default", "all", own) == [*names("default"), own]


@pytest.mark.parametrize("tier", TIERS)
def test_a_backend_that_compiles_nothing_is_tried_with_everything(tier: str) -> None:
    torch = resolve("torch")
    drawn = bool(TIERS[tier].call_strengths[0])  # whether it draws calls
    for requirement in requirements().values():
        if not requirement.each_instruction_set and (drawn or requirement.family != DRAWN):
            assert all(TIERS[tier].tries(requirement, torch, dtype) for dtype in DTYPES)


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("backend", ["native", "jax:jit"])
def test_only_the_thorough_tier_tries_other_instruction_sets_unasked(
    tier: str, backend: str
) -> None:
    (requirement,) = (one for one in requirements().values() if one.each_instruction_set)
    found = [TIERS[tier].tries(requirement, resolve(backend), dtype) for dtype in DTYPES]
    assert found == [tier == "thorough"] * 4
    assert Settings(requirements=(requirement.id,)).names(requirement)
    assert not Settings(requirements=("DET",)).names(requirement)


@pytest.mark.parametrize(
    ("tier", "backend", "requirement", "expected"),
    [
        ("quick", "jax", "VAL-1", ["float32"]),
        ("quick", "jax:jit", "VAL-1", ["float32"]),
        ("quick", "jax", "LAY-1", []),
        ("quick", "jax", "RED-1", []),
        ("default", "jax", "LAY-1", ["float32"]),
        ("default", "jax", "RED-4", list(DTYPES)),
        ("default", "jax", "RED-1", ["float32"]),
        ("default", "jax", "DTY-1", ["float32"]),
        ("default", "jax:jit", "VAL-1", list(DTYPES)),
        ("default", "jax:jit", "DTY-1", ["float32"]),
        ("default", "jax", "GRAD-1", ["float32"]),
        ("quick", "jax", "LAT-1", ["float32"]),
        ("default", "jax", "LAT-2", ["float32"]),
        ("default", "torch:compile", "LAT-7", ["float32"]),
        ("default", "torch", "LAT-7", list(DTYPES)),
        ("thorough", "jax:jit", "LAT-1", list(DTYPES)),
        ("default", "jax:jit", "RED-4", ["float32"]),
        ("default", "torch:compile", "INF-1", ["float32"]),
        ("default", "torch", "GRAD-1", list(DTYPES)),
        ("default", "jax:jit", "BRD-1", ["float32"]),
        ("default", "jax", "GRAD-20", ["float32"]),
        ("default", "jax", "BRD-13", []),
        ("default", "torch", "BRD-13", list(DTYPES)),
        ("thorough", "jax", "BRD-13", list(DTYPES)),
        ("thorough", "jax", "ERR-1", list(DTYPES)),
        ("thorough", "jax:jit", "RED-1", list(DTYPES)),
        ("default", "tensorflow", "BRD-13", ["float32"]),
        ("default", "tensorflow", "BRD-1", list(DTYPES)),
        ("thorough", "tensorflow", "BRD-13", list(DTYPES)),
        ("quick", "torch", "ANY-1", []),
        ("default", "torch", "ANY-1", list(DTYPES)),
        ("default", "tensorflow", "ANY-1", list(DTYPES)),
        ("default", "jax", "ANY-1", ["float32"]),
        ("default", "jax:jit", "ANY-1", []),
        ("thorough", "jax:jit", "ANY-1", list(DTYPES)),
        ("thorough", "torch:compile", "API-1", ["float32"]),
        ("thorough", "torch:compile", "BRD-10", ["float32"]),
        ("thorough", "torch:compile", "BRD-1", list(DTYPES)),
        ("quick", "native:torch", "LAY-1", []),
        ("default", "native:torch", "VAL-1", ["float32"]),
        ("default", "native:torch", "BRD-13", ["float32"]),
        ("default", "native:jax", "VAL-1", ["float32"]),
        ("default", "native:jax", "BRD-13", []),
        ("default", "native:jax", "LAT-1", []),
        ("default", "native:torch", "VAL-11", []),
        ("thorough", "native:torch", "LAT-1", list(DTYPES)),
        ("thorough", "native:torch", "VAL-1", list(DTYPES)),
        ("thorough", "native:torch", "API-1", ["float32"]),
        ("thorough", "native:jax", "BRD-13", list(DTYPES)),
    ],
)
def test_formats(tier: str, backend: str, requirement: str, expected: list[str]) -> None:
    chosen, spec = requirements()[requirement], resolve(backend)
    assert [d for d in DTYPES if TIERS[tier].tries(chosen, spec, d)] == expected


@pytest.mark.slow
@pytest.mark.parametrize("few_shapes", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_the_default_tier_draws_the_thorough_one_draws_first(
    dtype: str, few_shapes: bool
) -> None:
    store = CallStore(0, few_shapes=few_shapes)
    alone = {name: replace(tier, random_calls=(0, 0)) for name, tier in TIERS.items()}
    default = list(store.planned(alone["default"], dtype))
    thorough = store.planned(alone["thorough"], dtype)
    assert default
    assert list(islice(thorough, len(default))) == default
    assert next(thorough, None) is not None
