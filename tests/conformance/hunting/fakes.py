"""A process that needs none: exact results of this interpreter, but for one planted error."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from bce_conformance.backends import BackendInfo, Failure, LossCall, LossResult
from bce_conformance.conformance.hunting.hunt import Hunt
from bce_conformance.conformance.hunting.starts import Region
from bce_conformance.reference import format_of, ground_truth


class Fake:
    """Off by as many ulps as ``ulps`` says of each element of a call."""

    spec = SimpleNamespace(id="fake")

    def __init__(self, ulps: Callable[[LossCall], np.ndarray], failing: bool = False) -> None:
        self.ulps, self.failing, self.calls = ulps, failing, 0

    def info(self) -> BackendInfo:
        return BackendInfo("fake", "fake", "1", dtypes=("float16", "float32"))

    def evaluate(self, call: LossCall) -> LossResult | Failure:
        self.calls += 1
        if self.failing:
            return Failure("raised", "ValueError: no")
        (quantity,) = call.quantities
        operands = (call.logits, call.targets, call.weight, call.pos_weight)
        right = ground_truth(*operands, quantity=quantity, dtype=call.logits.dtype, cached=False)
        format_ = format_of(call.logits.dtype)
        off = np.asarray(self.ulps(call), np.int64)
        return LossResult({quantity: format_.from_ordinal(format_.ordinal(right.nearest) + off)})


def hunted(process: Any, region: Region, rounds: int, *quantities: str, seed: int = 0) -> Hunt:
    hunt = Hunt(process, region, quantities or ("loss",), seed)
    left = iter(range(rounds))
    hunt.run(lambda: next(left, None) is not None)
    return hunt
