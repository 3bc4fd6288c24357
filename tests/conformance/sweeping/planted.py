"""Backends with one planted fault each, run as ``planted:Name``: the exact values but for it."""

import time

import numpy as np

from bce_conformance.backends import BackendInfo, LossResult
from bce_conformance.reference import ground_truth


class Exact:
    """No fault: rounds the truth."""

    def info(self):
        return BackendInfo("exact", "exact", "1")

    def bind(self, call):
        return lambda: {name: self.value(call, name) for name in call.quantities}

    def value(self, call, quantity):
        truth = ground_truth(
            call.logits,
            call.targets,
            call.weight,
            call.pos_weight,
            quantity=quantity,
            dtype=call.logits.dtype,
            cached=False,
        )
        return truth.nearest.copy()

    def fetch(self, raw):
        return LossResult(raw)


def patterns(values):
    return np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}")


class OnePattern(Exact):
    """Its loss is two ulps too large at one bit pattern of the logits."""

    def value(self, call, quantity):
        value = super().value(call, quantity)
        if quantity == "loss":
            patterns(value)[patterns(call.logits) == 0x3F812345] += 2
        return value


class OnePair(Exact):
    """Its gradient has the wrong sign at one pair of a logit and a target."""

    def value(self, call, quantity):
        value = super().value(call, quantity)
        if quantity == "grad_logits":
            found = (patterns(call.logits) == 0x4111) & (patterns(call.targets) == 0x3801)
            value[found] = -value[found]
        return value


class Slow(Exact):
    """Takes its time."""

    def value(self, call, quantity):
        time.sleep(0.05)
        return super().value(call, quantity)


class DiesOnce(Exact):
    """Its process ends at one of the pieces."""

    def value(self, call, quantity):
        if patterns(call.logits).max() == 0x1FFFFF:
            raise SystemExit(3)
        return super().value(call, quantity)


class NoGradient(Exact):
    """Leaves the gradient out."""

    def fetch(self, raw):
        return LossResult({name: value for name, value in raw.items() if name == "loss"})
