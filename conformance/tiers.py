"""Tiers: how much a run tries.

What a smaller tier tries, a larger one tries too, so that a smaller one can only miss deviations:
pools are the same in all tiers.
"""

from __future__ import annotations

from dataclasses import dataclass

# Requirements (or families of them) about how a call is made. A compiled variant has the front door
# of its framework, and each combination of types or shapes costs it a compilation of seconds.
ABOUT_CALLS = ("DTY", "ERR", "API", "DEV", "BRD-10", "BRD-11")


@dataclass(frozen=True)
class Tier:
    """How much is tried.

    Attributes:
        name: as on the command line.
        reduction_sizes: N of the sums and means whose accuracy is judged.
        exhaustive: whether every bit pattern of the 16-bit formats is tried.
        compiled_dtypes: formats in which compiled variants are tried under ``ABOUT_CALLS``.
        strict: whether a cell that is better than its entry in the ledger fails as stale; a tier
            that tries less than the ledger was made with may miss a deviation.
        left_out: what the tier does not try, for the report.
    """

    name: str
    reduction_sizes: tuple[int, ...]
    exhaustive: bool
    compiled_dtypes: tuple[str, ...]
    strict: bool
    left_out: tuple[str, ...]


TIERS: dict[str, Tier] = {
    tier.name: tier
    for tier in (
        Tier(
            "quick",
            (10**3, 10**5),
            exhaustive=False,
            compiled_dtypes=("float32",),
            strict=False,
            left_out=(
                "every bit pattern of the 16-bit formats (VAL-9 samples them)",
                "reductions over more than 10⁵ elements",
                "types, arguments and small shapes of compiled variants but in float32",
            ),
        ),
        Tier(
            "default",
            (10**3, 10**5, 10**7),
            exhaustive=True,
            compiled_dtypes=("float32",),
            strict=True,
            left_out=(
                "every bit pattern of float32",
                "types, arguments and small shapes of compiled variants but in float32",
            ),
        ),
    )
}
