"""A hunt: the largest errors of a backend, searched for from many starts.

A climb begins with a start, looks near and far from the worst elements that it has met, and ends
where it gets no further; then the next begins. Guarantees that the same seed tries the same
elements in the same order, and that every error is measured against the exact value.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bce_conformance.backends import BackendInfo, BackendProcess, LossCall
from bce_conformance.backends.calls import Array
from bce_conformance.conformance.inputs.bounds import as_float64
from bce_conformance.conformance.inputs.inputs import Inputs, hex_of
from bce_conformance.conformance.inputs.intervals import interval
from bce_conformance.conformance.inputs.sampler import generator
from bce_conformance.conformance.inputs.search import far, near
from bce_conformance.conformance.sweeping.evaluating import exact_of, values_of
from bce_conformance.conformance.sweeping.kernels import FLUSHED, measure, units_of
from bce_conformance.reference import Format

from .starts import Region, Starts

KEPT = 8
"""Elements of a quantity that are kept, at most one from an interval of the logit and a target."""

_PATIENCE = 6  # rounds without a larger error after which a climb ends
_HOPELESS = 3  # failed rounds after which a hunt without a single result ends
Floats = NDArray[np.float64]


class HuntError(Exception):
    """The hunt cannot go on; the text says why."""


@dataclass(frozen=True)
class Catch:
    """One element with a large error.

    Attributes:
        quantity: what is wrong.
        ulp: the error in units in the last place.
        element: operand → value in hex.
        got: what came back, in hex.
        exact: the exact value, rounded, in hex.
        alone: the error in a call of this element alone; None where it was not asked for.
    """

    quantity: str
    ulp: float
    element: tuple[tuple[str, str], ...]
    got: str
    exact: str
    alone: float | None = None


@dataclass
class Climb:
    """The search of one quantity.

    Attributes:
        quantity: what is judged.
        starts: where its climbs begin.
        random: chooses all that is tried.
        tried: how many elements were evaluated.
        climbs: how many climbs there were.
        failures: of the backend, each once, with how often.
        caught: the worst elements, by interval of the logit and kind of target.
        inputs: what is tried next; None before a start.
    """

    quantity: str
    starts: Starts
    random: np.random.Generator
    tried: int = 0
    climbs: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    caught: dict[tuple[int, int], Catch] = field(default_factory=dict)
    inputs: Inputs | None = None
    _height: float = -1.0
    _waited: int = 0

    @property
    def best(self) -> list[Catch]:
        """The worst elements, the largest error first."""
        order = sorted(self.caught.values(), key=lambda one: (-one.ulp, one.element))
        return order[:KEPT]

    @property
    def max(self) -> float:
        """The largest error so far; 0 before the first."""
        return max((one.ulp for one in self.caught.values()), default=0.0)

    def next(self) -> Inputs:
        """What is to be tried now."""
        if self.inputs is None:
            self.inputs, self._height, self._waited = self.starts.next(), -1.0, 0
            self.climbs += 1
        return self.inputs

    def go_on(self, errors: Floats, region: Region) -> None:
        """Choose what is tried next, from the errors of what was tried."""
        inputs, highest = self.inputs, float(errors.max())
        assert inputs is not None
        self._waited = 0 if highest > self._height else self._waited + 1
        self._height = max(self._height, highest)
        if self._waited >= _PATIENCE:
            self.inputs = None
            return
        moved = far(near(inputs, errors, self.random), self.random)
        self.inputs = replace(moved, targets=region.within(moved))


class Hunt:
    """A search of some quantities of one backend, in turn.

    Args:
        process: the backend.
        region: where to look.
        quantities: what to look at.
        seed: of all that is tried.

    Raises:
        HuntError: the backend does not start, or has no such format.
    """

    def __init__(
        self, process: BackendProcess, region: Region, quantities: tuple[str, ...], seed: int
    ) -> None:
        self.region, self._process, self.stopped = region, process, False
        info = process.info()
        if not isinstance(info, BackendInfo):
            raise HuntError(f"{process.spec.id} does not start: {info.reason}")
        if region.format.name not in info.dtypes:
            has = ", ".join(info.dtypes)
            raise HuntError(f"{info.id} has no {region.format.name}; it has {has}")
        self.info = info
        self.climbs = tuple(
            Climb(
                quantity,
                Starts(region, f"{region.format.name} {quantity}", seed),
                generator(f"hunt {quantity} near", seed),
            )
            for quantity in quantities
        )

    def stop(self) -> None:
        """Let ``run`` end after the round that it is at."""
        self.stopped = True

    def run(self, go_on: Callable[[], bool]) -> None:
        """Search, a round of each quantity after another.

        Args:
            go_on: is asked before each round of all quantities.

        Raises:
            HuntError: the backend gives no result.
        """
        with ThreadPoolExecutor(1, "backend") as backend:
            while not self.stopped and go_on():
                for climb in self.climbs:
                    self._round(climb, backend)
                if all(np.isinf(climb.max) for climb in self.climbs):
                    return  # no error is larger

    def _round(self, climb: Climb, backend: ThreadPoolExecutor) -> None:
        """Evaluate what a climb tries now, and choose what it tries next."""
        inputs, format_ = climb.next(), self.region.format
        call = inputs.call(climb.quantity)
        outcome = backend.submit(self._process.evaluate, call)
        exact = exact_of(call, climb.quantity, format_)
        values = values_of(outcome.result(), call)
        climb.tried += inputs.logits.size
        if isinstance(values, str):
            climb.failures[values] = climb.failures.get(values, 0) + 1
            if not climb.caught and sum(climb.failures.values()) >= _HOPELESS:
                raise HuntError(f"{self.info.id} gives no result: {values}")
            climb.inputs = None
            return
        got = values[climb.quantity]
        errors = errors_of(got, exact.nearest, exact.offset, format_)
        self._catch(climb, inputs, errors, got, exact.nearest)
        climb.go_on(errors, self.region)

    def _catch(
        self, climb: Climb, inputs: Inputs, errors: Floats, got: Array, nearest: Floats
    ) -> None:
        """Keep the worst elements, the worst of each interval and kind of target."""
        places = interval(inputs.logits.astype(np.float64)).tolist()
        targets = inputs.targets.astype(np.float64)
        hardness = np.where(targets == 0, 0, np.where(targets == 1, 1, 2)).tolist()
        least = climb.best[-1].ulp if len(climb.caught) >= KEPT else 0.0
        order = np.argsort(-errors, kind="stable")[: 8 * KEPT]
        for index in order[errors[order] > 0].tolist():
            where, ulp = (places[index], hardness[index]), float(errors[index])
            before = climb.caught.get(where)
            if ulp < least or (before is not None and ulp <= before.ulp):
                continue
            rows = inputs.rows().items()
            element = tuple((name, hex_of(operand[index])) for name, operand in rows)
            found = Catch(climb.quantity, ulp, element, hex_of(got[index]), hex_of(nearest[index]))
            climb.caught[where] = found

    def results(self) -> list[Catch]:
        """The worst elements of each quantity, with the errors that they have alone."""
        return [self._alone(one) for climb in self.climbs for one in climb.best]

    def _alone(self, found: Catch) -> Catch:
        call = call_of([found], self.region.format)
        values = values_of(self._process.evaluate(call), call)
        if isinstance(values, str):
            return found
        exact = exact_of(call, found.quantity, self.region.format)
        got = values[found.quantity]
        errors = errors_of(got, exact.nearest, exact.offset, self.region.format)
        return replace(found, alone=max(float(errors[0]), 0.0))


def call_of(found: list[Catch], format_: Format) -> LossCall:
    """The call of elements of one quantity, in order."""
    rows: dict[str, Any] = {
        name: np.array(
            [float.fromhex(dict(one.element)[name]) for one in found], np.float64
        ).astype(format_.dtype)
        for name, _ in found[0].element
    }
    return LossCall(**rows, reduction="none", quantities=(found[0].quantity,))


def errors_of(got: Array, nearest: Floats, offset: Floats, format_: Format) -> Floats:
    """The errors of results in ulps, shape [points]; −1 where a subnormal result was flushed."""
    errors, level = np.empty(got.size), np.empty(got.size, np.int8)
    computed, bits = as_float64(got), nearest.view(np.int64)
    units, limits = units_of(format_), (format_.emin, format_.emax)
    measure(computed, nearest, bits, offset, units, *limits, errors, level)
    return np.where(level == FLUSHED, -1.0, errors)
