"""Summaries: what a sweep keeps of the results of some points.

Guarantees that summaries of disjoint points merge to that of all of them, bit for bit, in whatever
order and grouping: they hold counts, least and greatest values, and no rounded sums.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bce_conformance.reference import Format

from .kernels import BINS
from .plan import bits_of

Int64 = NDArray[np.int64]
UInt64 = NDArray[np.uint64]

LOST = ("AAA", "AA", "A")
"""The levels that results can fall short of, in the order of a bucket's columns."""

_NONE = np.iinfo(np.uint64).max
_EXACT_TO = 3  # bits of the significand that tell buckets apart: eight an octave
_COUNTS = ("points", "right", "undecided", "flushed")


def bucket_shift(format_: Format) -> int:
    """By how many bits a pattern of the logit is shifted to give its bucket."""
    return format_.precision - 1 - _EXACT_TO


def bucket_count(format_: Format) -> int:
    """How many buckets a format has: eight an octave, of either sign."""
    return 1 << (bits_of(format_) - bucket_shift(format_))


@dataclass
class Summary:
    """The results of some points.

    Attributes:
        format: of the results and the logits.
        points: how many.
        right: how many results are correctly rounded, their sign included.
        undecided: how many exact values the fast path left to the certified one.
        flushed: how many results are zero although the exact value is a subnormal one, and are not
            within one ulp. They are in no histogram, and no peak.
        bins: [BINS]: how many errors lie in each bin.
        lost: [buckets, 3]: how many results are below AAA, AA and A.
        first: [buckets, 3]: the least patterns of the logits of these.
        last: [buckets, 3]: the greatest.
        peak: [buckets]: the largest error in ulps; −1 for none.
        worst: [buckets, 4]: the patterns of target, logit, result and nearest number there.
    """

    format: Format
    points: int = 0
    right: int = 0
    undecided: int = 0
    flushed: int = 0
    bins: Int64 = field(default_factory=lambda: np.zeros(BINS, np.int64))
    lost: Int64 = field(init=False)
    first: UInt64 = field(init=False)
    last: UInt64 = field(init=False)
    peak: NDArray[np.float64] = field(init=False)
    worst: UInt64 = field(init=False)

    def __post_init__(self) -> None:
        count = bucket_count(self.format)
        self.lost = np.zeros((count, 3), np.int64)
        self.first = np.full((count, 3), _NONE, np.uint64)
        self.last = np.zeros((count, 3), np.uint64)
        self.peak = np.full(count, -1.0)
        self.worst = np.zeros((count, 4), np.uint64)

    def merge(self, other: Summary) -> None:
        """Take in the summary of other points.

        Raises:
            ValueError: it is one of another format.
        """
        if other.format != self.format:
            raise ValueError(f"other is of {other.format.name}, this one of {self.format.name}")
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.bins += other.bins
        self.lost += other.lost
        np.minimum(self.first, other.first, out=self.first)
        np.maximum(self.last, other.last, out=self.last)
        better = other.peak > self.peak
        for bucket in np.flatnonzero((other.peak == self.peak) & (other.peak >= 0)).tolist():
            mine, theirs = self.worst[bucket].tolist(), other.worst[bucket].tolist()
            better[bucket] = theirs < mine
        self.peak[better] = other.peak[better]
        self.worst[better] = other.worst[better]

    @property
    def max(self) -> float:
        """The largest error in ulps at finite logits; 0 where there is none."""
        return max(float(self.peak[~self.special].max()), 0.0)

    @property
    def special(self) -> NDArray[np.bool_]:
        """[buckets]: which are those of infinities and NaNs."""
        exponents = np.arange(self.peak.size) >> _EXACT_TO
        top = (1 << (bits_of(self.format) - self.format.precision)) - 1
        return np.asarray(exponents & top == top)

    def encoded(self) -> bytes:
        """The summary as bytes, the same for the same summary."""
        used = np.flatnonzero((self.peak >= 0) | (self.lost[:, 0] > 0))
        bins = np.flatnonzero(self.bins)
        head = {name: getattr(self, name) for name in _COUNTS}
        head |= {"buckets": used.size, "bins": bins.size}
        parts: list[NDArray[Any]] = [used, bins, self.bins[bins], self.lost[used]]
        parts += [self.first[used], self.last[used], self.peak[used], self.worst[used]]
        body = b"".join(np.ascontiguousarray(part).tobytes() for part in parts)
        return zlib.compress(json.dumps(head).encode() + b"\n" + body, 1)

    @classmethod
    def decoded(cls, content: bytes, format_: Format) -> Summary:
        """The summary that ``encoded`` made bytes of."""
        head, _, body = zlib.decompress(content).partition(b"\n")
        sizes = json.loads(head)
        buckets, bins = sizes.pop("buckets"), sizes.pop("bins")
        words = np.frombuffer(body, np.int64)
        lengths = [buckets, bins, bins, *(buckets * columns for columns in (3, 3, 3, 1, 4))]
        parts = np.split(words, np.cumsum(lengths)[:-1])
        used = parts[0]
        summary = cls(format_, **sizes)
        summary.bins[parts[1]] = parts[2]
        summary.lost[used] = parts[3].reshape(-1, 3)
        summary.first[used] = parts[4].view(np.uint64).reshape(-1, 3)
        summary.last[used] = parts[5].view(np.uint64).reshape(-1, 3)
        summary.peak[used] = parts[6].view(np.float64)
        summary.worst[used] = parts[7].view(np.uint64).reshape(-1, 4)
        return summary
