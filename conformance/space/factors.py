"""The factors of the space of calls, as data: in what calls of the loss differ, and why it matters.

Guarantees that the first level of a factor is its plainest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

Combination = Mapping[str, str]  # the name of each factor → that of its level
ABSENT = "absent"  # the level of a factor about an operand that is not given


@dataclass(frozen=True)
class Level:
    """One value of a factor.

    Attributes:
        name: as in files and findings.
        why: why calls with it may be treated in another way.
        costly: whether a call with it takes so long that pairs with it are all that is covered.
    """

    name: str
    why: str
    costly: bool = False


@dataclass(frozen=True)
class Factor:
    """One respect in which calls differ; ``levels`` begin with the plainest."""

    name: str
    levels: tuple[Level, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the levels."""
        return tuple(level.name for level in self.levels)


def _factor(name: str, *levels: tuple[str, str] | tuple[str, str, bool]) -> Factor:
    return Factor(name, tuple(Level(*level) for level in levels))


_NOT_GIVEN = (ABSENT, "the operand is not given, or is another one")

_WEIGHT_SHAPES = (
    ("none", "the branch without it"),
    ("full", "one value an element: nothing is broadcast"),
    ("0-d", "one value for all"),
    ("ones", "dimensions of 1 only: [1], [1, 1], …"),
    ("last", "leading dimensions are missing, or 1: [C], [1, C], the usual ones of classes"),
    ("lead", "the first dimension only: [N, 1], the usual one of samples"),
    ("channels", "the second dimension only: [C, 1, 1], the usual one of the classes of images"),
    ("inner", "other dimensions: [1, M, 1], [N, 1, C], [N, 1, H, W], where sums have gaps"),
)

_FORMATS = (
    ("same", "the format of the logits"),
    (
        "narrower",
        "another format of fewer digits or less range: what is rounded into it?",
    ),
    ("wider", "a format with more digits: is it rounded before it is used?"),
    ("int", "int8 to int64: counts"),
    ("uint", "uint8 to uint64: images, counts"),
    ("bool", "masks and labels: as an operand of a logical operation it has another meaning"),
    ("swapped", "the other byte order: files of other machines"),
)

_LAYOUTS = (
    ("C", "dense, the last dimension nearest"),
    ("F", "dense, the first dimension nearest: a transpose"),
    ("permuted", "dense, dimensions in another order: channels last"),
    ("gaps", "elements lie apart: every n-th, a part of something larger, a column of a table"),
    ("reversed", "negative strides"),
    ("overlapping", "elements share memory: equal rows that lie in it once, sliding windows"),
    ("unaligned", "addresses or steps that are no multiple of the element's size: packed records"),
    ("read-only", "memory that must not be written to"),
)

_WEIGHTS = (
    ("moderate", "2⁻² to 2²"),
    ("ones", "the default, written out"),
    ("powers", "powers of two from 2⁻⁸ to 2⁸: products are exact; or of mean 1, as ones are"),
    ("zeros", "some are 0: masked elements, classes switched off"),
    ("tiny", "towards the smallest normal: products underflow"),
    ("subnormal", "products are zero or lose digits; some hardware takes them for zero"),
    ("huge", "towards the largest number: products overflow"),
    ("any size", "each magnitude alike: what one takes out of range another brings back"),
    ("negative", "some are below 0: differences of losses"),
    ("infinite", "some are +∞: the products follow extended arithmetic"),
    ("NaN", "some are NaN: they must show, and only where they are"),
)

FACTORS: tuple[Factor, ...] = (
    _factor(
        "dtype",
        ("float32", "the usual format"),
        ("float64", "its own code; twice the digits, eight times the range"),
        ("float16", "losses overflow from 65,520 on, squares from 256 on"),
        ("bfloat16", "eight digits: sums stand still at 256"),
    ),
    _factor(
        "shape",
        ("few", "[2] to [7]: shorter than any vector"),
        ("matrix", "[N, C], the usual one"),
        ("0-d", "one element without a dimension"),
        ("one", "[1], [1, 1], …: equal to its mean and to its broadcast"),
        ("vector", "[N] around some vector widths, with and without a rest"),
        ("column", "[N, 1]: broadcasting mistakes make [N, N] of it"),
        ("row", "[1, C]: its first dimension looks like a broadcast one"),
        ("3-d", "three dimensions: sequences"),
        ("4-d", "four dimensions: images"),
        ("5-d", "five dimensions: volumes"),
        ("6-d", "six to eight dimensions: beyond what loops are written out for"),
        ("empty", "no element: some dimension is 0"),
    ),
    _factor(
        "size",
        ("small", "up to 999 elements: one block of any loop"),
        ("blocks", "a multiple of 1,024, often a power of two: whole blocks, nothing is left over"),
        ("beside blocks", "one more or one less: a block of one element, or one that lacks one"),
        ("rest", "2,000 to 12,000 elements: a block that is partly filled"),
        ("tall", "1,024 rows or more of few elements: sums over the samples"),
        ("wide", "few rows of 1,024 elements or more: many classes"),
        ("square", "as many rows as columns: a weight of either broadcasts along the other"),
        ("large", "from 65,536 elements: split among threads", True),
        ("many rows", "65,536 rows or more: beyond indices of 16 bits", True),
        ("huge", "from 2¹⁸ elements, beyond 2²⁰ at times: beyond grids of blocks", True),
    ),
    _factor("weight shape", *_WEIGHT_SHAPES),
    _factor("weight format", _NOT_GIVEN, *_FORMATS),
    _factor("weight layout", _NOT_GIVEN, *_LAYOUTS),
    _factor("weight", _NOT_GIVEN, *_WEIGHTS),
    _factor(
        "pos_weight shape",
        *_WEIGHT_SHAPES,
        ("weight's", "the same array as weight: one memory for two operands"),
    ),
    _factor("pos_weight format", _NOT_GIVEN, *_FORMATS),
    _factor("pos_weight layout", _NOT_GIVEN, *_LAYOUTS),
    _factor(
        "pos_weight",
        _NOT_GIVEN,
        *_WEIGHTS,
        ("balancing", "2ᵏ − 1: with y = 2⁻ᵏ the two terms of a gradient cancel exactly at 0"),
    ),
    _factor("targets format", *_FORMATS),
    _factor(
        "targets layout",
        *_LAYOUTS,
        ("logits'", "the same array as the logits: one memory for two operands"),
        ("interleaved", "beside the logits in one array: two columns of a table"),
    ),
    _factor(
        "targets",
        ("hard", "0 and 1"),
        ("soft", "in the open interval (0, 1)"),
        ("half", "0.5: neither class, and 1 − y = y"),
        ("nearly hard", "ε and 1 − ε: a small ε decides the value in a tail"),
        ("balanced", "at and near σ(x): the gradient is the difference of nearly equal terms"),
        ("balanced by p", "p·y = 1 − y exactly: at x = 0 the gradient vanishes exactly"),
        ("subnormal", "1 − y rounds to 1; p·y underflows, or comes back"),
        ("minus zero", "−0 among 0 and 1: its sign must not show"),
        ("soft at the end", "0 and 1 but for the last: a path that the first ones decide on"),
        ("NaN", "some are NaN: they must show, and only where they are"),
    ),
    _factor("logits layout", *_LAYOUTS),
    _factor(
        "logits",
        ("moderate", "|x| ≤ 8"),
        ("unit", "0 to 1, as what is a probability already, and as targets"),
        ("tails", "1 to where e^−|x| is zero: the loss falls like it"),
        ("huge", "from there to the largest number: the loss is linear or zero"),
        ("tiny", "below u, subnormal numbers among them: the loss is log 2"),
        ("zeros", "+0 and −0"),
        ("thresholds", "where e^−|x| passes a limit of the format, and next to it"),
        ("any size", "each magnitude of the format alike: sums of everything"),
        ("tails at the end", "|x| ≤ 8 but for the last: a path that the first ones decide on"),
        ("infinite", "some are ±∞: limits, where formulas make NaN"),
        ("NaN", "some are NaN: they must show, and only where they are"),
    ),
    _factor(
        "reduction",
        ("none", "one loss an element"),
        ("sum", "their sum"),
        ("mean", "their sum, divided by their number"),
    ),
    _factor(
        "quantities",
        ("loss", "evaluation"),
        ("loss and grad_logits", "a training step"),
        ("grad_logits", "the way back alone"),
        ("grad_targets", "distillation through the targets"),
        ("grad_weight", "learned sample weights"),
        ("grad_pos_weight", "learned class weights"),
        ("jvp_logits", "forward mode"),
        ("hvp_logits", "second order"),
        ("loss and gradients", "of every operand that can have one: they share code"),
        ("everything", "that the call can be asked for, at once"),
    ),
    _factor(
        "cotangent",
        (ABSENT, "nothing is propagated back"),
        ("not given", "ones"),
        ("moderate", "2⁻² to 2², of both signs"),
        ("ones", "the default, written out"),
        ("negative", "all below 0: a loss that is maximised"),
        ("zeros", "some are 0: the gradient is exactly 0 there"),
        ("tiny", "towards the smallest normal: the mean of a mean"),
        ("subnormal", "gradients lose digits or vanish; some hardware takes it for zero"),
        ("scale", "2¹⁰ to 2¹⁶, or what the format holds: loss scaling"),
        ("any size", "each magnitude of the format alike, of both signs: products of all sizes"),
    ),
    _factor("cotangent layout", *_LAYOUTS),
    _factor(
        "tangent",
        (ABSENT, "no direction is asked for"),
        ("moderate", "2⁻² to 2², of both signs"),
        ("ones", "the row sum of the derivative"),
        ("unit", "one 1 among zeros: one column of the derivative"),
        ("tiny", "a step of finite differences"),
    ),
    _factor(
        "interface",
        ("function", "the documented function"),
        ("class", "the documented class"),
    ),
    _factor(
        "threads",
        ("default", "as many as the implementation likes"),
        ("one", "another split of the work"),
        ("eight", "more than there were at first: memory that was measured out for fewer"),
    ),
    _factor(
        "repetition",
        ("once", "after a call of another kind"),
        ("twice", "right after the same call: what it left in caches and memory"),
        ("changed", "its arrays held other numbers in the calls before and after: caches, buffers"),
        ("at once", "the same call in several threads: buffers that they share"),
        ("other format", "after the same call in another format: what is kept for a shape"),
        ("other shape", "after it in another shape, and an error: what is left of them"),
    ),
    _factor(
        "autograd",
        ("usual", "the backward pass follows on the evaluation"),
        ("interleaved", "after evaluations with other logits and shapes: what is saved is lost"),
        ("retained", "a second backward pass, with another cotangent: what the first one left"),
        ("accumulated", "it adds to gradients that the operands hold: as in training loops"),
        ("overwritten", "the operands are written over before it: what is not saved is read late"),
        ("off", "the loss alone, without a graph: evaluation has a path of its own"),
    ),
    _factor(
        "mode",
        ("usual", "as a framework is set when it is imported"),
        ("deterministic", "algorithms that give the same bits each time: a path of its own"),
        ("other formats", "its default format, or autocast: constants and operands are rounded"),
    ),
)
