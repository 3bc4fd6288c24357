"""Tiers: how much a run tries.

What a smaller tier tries, a larger one tries too, so that a smaller one can only miss deviations.
"""

from __future__ import annotations

from dataclasses import dataclass

from bce_conformance.backends import BackendSpec

from .specification import Requirement, requirements

FAMILIES = tuple(dict.fromkeys(requirement.family for requirement in requirements().values()))
# Families whose numbers hang on the format: what a backend that compiles for each shape loses in
# the others shows in the thorough tier, at four times the compilations.
BY_FORMAT = ("VAL", "RED")

# A backend that compiles for each shape is not tried with everything: each combination of shapes,
# types or threads costs it a compilation of a tenth of a second to seconds. Least of all a compiled
# variant under requirements (or families) about how a call is made, where it has the front door of
# its framework. A variant that compiles nothing, such as native:torch, is tried with every shape.
# One that has the kernels of its backend is tried in one format wherever anything is, and there
# not with OF_KERNELS.
ABOUT_CALLS = ("DTY", "DET-2", "ERR", "API", "DEV", "BRD-10", "BRD-11")
# Requirements of BY_FORMAT that ask what comes out, not how right it is.
ABOUT_RESULTS = ("RED-1", "RED-3")
# Each shape, reduction or kind of derivative of these is a compilation of its own: they are left to
# the thorough tier, and in the others to calls that are drawn. What traces some of them only is
# tried with them in one format.
MANY_SHAPES = (
    *("INF-15", "INF-16", "INF-17", "INF-18", "INF-20", "INF-21", "INF-22", "INF-23", "INF-24"),
    *("GRAD-21", "GRAD-25", "GRAD-26", "GRAD-27", "GRAD-28", "GRAD-31", "GRAD-32"),
    *("BRD-13", "BRD-14", "BRD-15", "BRD-16", "DTY-12"),
)
# Many elements, on which nothing is judged but kernels.
OF_KERNELS = ("LAT", "VAL-11")
# Requirements about calls that are drawn from the space of calls.
DRAWN = "ANY"
# What is tried in one format only is tried in this one.
ONE_FORMAT = "float32"


@dataclass(frozen=True)
class Tier:
    """How much is tried.

    Attributes:
        name: as on the command line.
        pool_draws: how often elements are drawn: the same in every run, and anew with each seed.
        sum_draws: the same for inputs whose sum or mean is one result.
        few_draws: the most draws of inputs that have few elements and are the same in every run.
        search_rounds: how often inputs are searched near those at which a backend is worst; each
            time as many as one draw has.
        reduction_sizes: N of the sums and means whose accuracy is judged.
        float32_stride: one in so many float32 logits is tried, from two starts; a power of two.
        exhaustive: whether every bit pattern of the 16-bit formats is tried.
        lattice: how dense the lattice of special values is: 0, 1 or 2.
        variants: whether compiled variants are tried without being asked for.
        compiling: families that variants are tried with, and backends which compile for each shape.
        not_compiling: requirements of those families that what compiles is not tried with.
        one_format: those of them, or of their requirements, that variants and those backends are
            tried with in one format only.
        variants_one_format: likewise for variants only.
        instruction_sets: whether results are compared between instruction sets without being asked
            for.
        call_strengths: how many levels of different factors occur together in drawn calls, in every
            combination: those of the covering arrays that are drawn one after the other; the second
            for backends to which a new shape costs much.
        usual_calls: whether usual calls, plain ones made in every way, and those for a result that
            an operand spares are drawn beyond those, likewise.
        random_calls: how many calls are drawn beyond those for each format, likewise.
        drawn_for_variants: whether calls are drawn for compiled variants, too.
        causes: how many causes are looked for of what drawn calls show of a quantity.
        left_out: what the tier does not try, for the report.
    """

    name: str
    pool_draws: tuple[int, int]
    sum_draws: tuple[int, int]
    few_draws: int
    search_rounds: int
    reduction_sizes: tuple[int, ...]
    float32_stride: int
    exhaustive: bool
    lattice: int
    variants: bool
    compiling: tuple[str, ...]
    not_compiling: tuple[str, ...]
    one_format: tuple[str, ...]
    variants_one_format: tuple[str, ...]
    instruction_sets: bool
    call_strengths: tuple[tuple[int, ...], tuple[int, ...]]
    usual_calls: tuple[bool, bool]
    random_calls: tuple[int, int]
    drawn_for_variants: bool
    causes: int
    left_out: tuple[str, ...]

    def _draws(self, spec: BackendSpec) -> bool:
        """Whether calls are drawn for a backend."""
        of_variants = self.drawn_for_variants or not spec.variant
        return bool(self.call_strengths[spec.few_shapes]) and of_variants

    def tries(self, requirement: Requirement, spec: BackendSpec, dtype: str) -> bool:
        """Whether a requirement is tried with a backend in a format."""
        if requirement.each_instruction_set and not self.instruction_sets:
            return False
        if requirement.family == DRAWN and not self._draws(spec):
            return False
        if spec.traces and requirement.id in self.not_compiling:
            return dtype == ONE_FORMAT
        if not spec.compiles and not spec.variant:
            return True
        if requirement.family not in self.compiling:
            return False
        if spec.compiles and requirement.id in self.not_compiling:
            return False
        if spec.same_kernels and self.one_format:
            of_kernels = {requirement.family, requirement.id} & set(OF_KERNELS)
            return dtype == ONE_FORMAT and not of_kernels
        one_format = self.one_format + (self.variants_one_format if spec.variant else ())
        return dtype == ONE_FORMAT or not {requirement.family, requirement.id} & set(one_format)


TIERS: dict[str, Tier] = {
    tier.name: tier
    for tier in (
        Tier(
            "quick",
            (1, 1),
            (1, 1),
            1,
            0,
            (10**3, 10**5),
            2**16,
            exhaustive=False,
            lattice=0,
            variants=False,
            compiling=("VAL", "INF", "GRAD", "LAT"),
            not_compiling=MANY_SHAPES,
            one_format=FAMILIES,
            variants_one_format=(),
            instruction_sets=False,
            call_strengths=((), ()),
            usual_calls=(False, False),
            random_calls=(0, 0),
            drawn_for_variants=False,
            causes=0,
            left_out=(
                "every bit pattern of the 16-bit formats (VAL-9 samples them)",
                "most of the lattice of special values",
                "half of the elements, three quarters of the sums, most bit patterns of float32",
                "reductions over more than 10⁵ elements",
                "other instruction sets than the processor's (DET-6)",
                "calls drawn from the space of calls (ANY)",
                "variants, unless they are asked for",
                "backends that compile for each shape (jax and optax too) but in float32, and of "
                "those all but values, infinities, gradients and the lattice",
            ),
        ),
        Tier(
            "default",
            (3, 1),
            (6, 2),
            6,
            0,
            (10**3, 10**5, 10**7),
            2**13,
            exhaustive=True,
            lattice=1,
            variants=True,
            compiling=FAMILIES,
            not_compiling=MANY_SHAPES,
            one_format=(*(f for f in FAMILIES if f not in BY_FORMAT), *ABOUT_RESULTS),
            variants_one_format=("RED",),
            instruction_sets=False,
            call_strengths=((3,), (2,)),
            usual_calls=(True, False),
            random_calls=(50, 0),
            drawn_for_variants=False,
            causes=2,
            left_out=(
                "most bit patterns of float32 (VAL-11 tries two in 8,192)",
                "reductions over more than 1.7·10⁷ elements, in float64 10⁷",
                "other instruction sets than the processor's (DET-6)",
                "three quarters of the elements and of the sums, and any search near the worst",
                "drawn calls (ANY) beyond every three levels, and for variants",
                "of native:torch and native:jax the lattice (LAT), most bit patterns of float32, "
                "and other formats than float32",
                "of what compiles for each shape (jax, optax, compiled variants) in other formats "
                "than float32 all but the accuracy of values and, of jax and optax, of reductions",
                "of what compiles for each shape the derivatives of each rank, reduction and size; "
                "of tensorflow, which traces some, in other formats than float32",
            ),
        ),
        Tier(
            "thorough",
            (3, 13),
            (6, 26),
            6,
            12,
            (10**3, 10**5, 10**7, 10**8),
            2**7,
            exhaustive=True,
            lattice=2,
            variants=True,
            compiling=FAMILIES,
            not_compiling=(),
            one_format=(),
            variants_one_format=ABOUT_CALLS,
            instruction_sets=True,
            call_strengths=((4,), (2, 3)),
            usual_calls=(True, False),
            random_calls=(2_000, 0),
            drawn_for_variants=True,
            causes=8,
            left_out=(
                "most bit patterns of float32 (VAL-11 tries two in 128, one of them by seed)",
                "sums of 10⁸ elements in formats for which the memory does not suffice",
                "types, arguments, threads and small shapes of compiled variants but in float32",
            ),
        ),
    )
}
