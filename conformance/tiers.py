"""Tiers: how much a run tries.

What a smaller tier tries, a larger one tries too, so that a smaller one can only miss deviations.
"""

from __future__ import annotations

from dataclasses import dataclass

from bce_conformance.backends import BackendSpec
from bce_conformance.backends.calls import DTYPES

from .specification import Requirement

# Requirements (or families of them) about how a call is made. A compiled variant has the front door
# of its framework, and each combination of types, shapes or threads costs it a compilation of
# seconds: it is tried under these in one format.
ABOUT_CALLS = ("DTY", "DET-2", "ERR", "API", "DEV", "BRD-10", "BRD-11")
VARIANT_CALLS = "float32"


@dataclass(frozen=True)
class Tier:
    """How much is tried.

    Attributes:
        name: as on the command line.
        pool_draws: how often elements are drawn: the same in every run, and anew with each seed.
        sum_draws: the same for inputs whose sum or mean is one result.
        few_draws: the most draws of inputs that have few elements and are the same in every run.
        reduction_sizes: N of the sums and means whose accuracy is judged.
        float32_stride: one in so many float32 logits is tried, from two starts; a power of two.
        exhaustive: whether every bit pattern of the 16-bit formats is tried.
        variants: whether compiled variants are tried without being asked for.
        compiling: formats in which backends are tried that compile for each shape.
        compiling_families: families of requirements that those are tried with; none means all.
        strict: whether the ledger is made with this tier: then a cell that is better than its entry
            fails as stale. A tier that tries less may miss a deviation, one that tries more may
            find what the ledger does not know yet.
        left_out: what the tier does not try, for the report.
    """

    name: str
    pool_draws: tuple[int, int]
    sum_draws: tuple[int, int]
    few_draws: int
    reduction_sizes: tuple[int, ...]
    float32_stride: int
    exhaustive: bool
    variants: bool
    compiling: tuple[str, ...]
    compiling_families: tuple[str, ...]
    strict: bool
    left_out: tuple[str, ...]

    def tries(self, requirement: Requirement, spec: BackendSpec, dtype: str) -> bool:
        """Whether a requirement is tried with a backend in a format."""
        about_calls = bool({requirement.family, requirement.id} & set(ABOUT_CALLS))
        if spec.variant and about_calls and dtype != VARIANT_CALLS:
            return False
        families = self.compiling_families or (requirement.family,)
        chosen = dtype in self.compiling and requirement.family in families
        return chosen or not spec.compiles


TIERS: dict[str, Tier] = {
    tier.name: tier
    for tier in (
        Tier(
            "quick",
            (1, 1),
            (1, 1),
            1,
            (10**3, 10**5),
            2**16,
            exhaustive=False,
            variants=False,
            compiling=("float32",),
            compiling_families=("VAL", "INF", "GRAD", "RED"),
            strict=False,
            left_out=(
                "every bit pattern of the 16-bit formats (VAL-9 samples them)",
                "half of the elements, three quarters of the sums, most bit patterns of float32",
                "reductions over more than 10⁵ elements",
                "compiled variants, unless they are asked for",
                "backends that compile for each shape (jax and optax too) but in float32, and of "
                "those broadcasting, types, layouts, relations, determinism, errors and interface",
            ),
        ),
        Tier(
            "default",
            (3, 1),
            (6, 2),
            6,
            (10**3, 10**5, 10**7),
            2**13,
            exhaustive=True,
            variants=True,
            compiling=DTYPES,
            compiling_families=(),
            strict=True,
            left_out=(
                "most bit patterns of float32 (VAL-11 tries two in 8,192)",
                "reductions over more than 10⁷ elements",
                "three quarters of the elements and of the sums",
                "types, arguments, threads and small shapes of compiled variants but in float32",
            ),
        ),
        Tier(
            "thorough",
            (3, 13),
            (6, 26),
            6,
            (10**3, 10**5, 10**7, 10**8),
            2**7,
            exhaustive=True,
            variants=True,
            compiling=DTYPES,
            compiling_families=(),
            strict=False,
            left_out=(
                "most bit patterns of float32 (VAL-11 tries two in 128, one of them by seed)",
                "sums of 10⁸ elements in formats for which the memory does not suffice",
                "types, arguments, threads and small shapes of compiled variants but in float32",
            ),
        ),
    )
}
