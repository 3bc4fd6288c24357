"""Explains one call: the exact results beside those that backends return.

This is what shows a result of any cell again, on its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np

from bce_conformance.backends import (
    BackendInfo,
    BackendProcess,
    Failure,
    LossCall,
    installed,
    not_installed,
    resolve,
)
from bce_conformance.backends.call_files.calls import encode
from bce_conformance.backends.calls import Array, LossResult
from bce_conformance.backends.isolation.process import TIME_LIMIT
from bce_conformance.conformance.judging.calls import (
    CallJudgement,
    Expected,
    ExpectedCall,
    Fault,
    expectations,
    judge_call,
)
from bce_conformance.conformance.judging.judge import Judgement
from bce_conformance.reference import FORMATS
from bce_conformance.results.cells import OPERANDS, Level

DIGITS = 30


@dataclass(frozen=True)
class Explanation:
    """What was found.

    Attributes:
        expected: the exact results; None where the call has none.
        no_truth: why it has none; empty where it has.
        outcomes: backend → what it returned.
        judgements: backend → how that is judged; empty where there are no exact results.
        versions: backend → that of its framework.
    """

    expected: ExpectedCall | None
    no_truth: str
    outcomes: Mapping[str, LossResult | Failure]
    judgements: Mapping[str, CallJudgement]
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Element:
    """One element of a result.

    Attributes:
        index: where it is in the result.
        inputs: operand → its entry, of an array without dimensions; empty where the result sums.
        got: what was returned.
        exact: the exact value, to ``DIGITS`` digits.
        nearest: the number of the format that is nearest to it.
        ulp: the error in units in the last place.
        level: the level reached.
    """

    index: tuple[int, ...]
    inputs: Mapping[str, Array]
    got: Array
    exact: str
    nearest: Array
    ulp: float
    level: Level


def explain(
    call: LossCall, backends: Sequence[str], *, time_limit: float = TIME_LIMIT
) -> Explanation:
    """Evaluate a call with backends, each in its process, and judge everything that comes back.

    Args:
        call: what is evaluated.
        backends: their ids.
        time_limit: seconds that each may take.

    Raises:
        ValueError: a backend is unknown, not installed, or does not start.
    """
    specs = {name: resolve(name) for name in backends}
    for spec in specs.values():
        if not installed(spec):
            raise ValueError(not_installed(spec))
    expected, no_truth = None, ""
    try:
        expected = expectations(call)
    except (ValueError, TypeError) as error:
        no_truth = str(error)
    outcomes: dict[str, LossResult | Failure] = {}
    versions: dict[str, str] = {}
    for name, spec in specs.items():
        with BackendProcess(spec, time_limit=time_limit) as process:
            info = process.info()
            if not isinstance(info, BackendInfo):
                raise ValueError(f"backend {name} does not start: {info.reason}")
            versions[name] = info.version
            outcomes[name] = process.evaluate(call)
    judged = {} if expected is None else {n: judge_call(expected, o) for n, o in outcomes.items()}
    return Explanation(expected, no_truth, outcomes, judged, versions)


def element(
    call: LossCall, quantity: str, expected: Expected, got: Array, found: Judgement, flat: int
) -> Element:
    """One element of a judged result, by its flat index."""
    nearest = expected.truth.nearest
    index = tuple(int(i) for i in np.unravel_index(flat, nearest.shape))
    return Element(
        index,
        _inputs(call, index) if _is_elementwise(call, quantity, expected) else {},
        np.asarray(got[index]),
        exact_digits(expected, flat),
        np.asarray(nearest[index]),
        float(found.ulp[flat]),
        Level(int(found.levels[flat])),
    )


def document(call: LossCall, explanation: Explanation) -> dict[str, Any]:
    """An explanation as JSON has it: of each quantity its level, and its worst element in hex.

    Args:
        call: what was explained.
        explanation: what was found.

    Returns:
        ``call`` as in a call file, ``no_truth``, and ``backends``: by backend its ``version``, and
        ``failure`` or ``quantities`` and ``faults``.
    """
    backends: dict[str, Any] = {}
    for backend, outcome in explanation.outcomes.items():
        judgement = explanation.judgements.get(backend)
        entry: dict[str, Any] = {"version": explanation.versions[backend]}
        if isinstance(outcome, Failure):
            entry |= {"failure": str(outcome)}
        elif judgement is None or explanation.expected is None:
            shapes = {name: list(value.shape) for name, value in outcome.values.items()}
            entry |= {"shapes": shapes}
        else:
            expected = explanation.expected.results
            entry |= {
                "quantities": {
                    quantity: _judged(call, quantity, expected[quantity], outcome, found)
                    for quantity, found in judgement.results.items()
                },
                "faults": [str(fault) for fault in judgement.faults],
            }
        backends[backend] = entry
    return {
        "call": encode(call),
        "no_truth": explanation.no_truth,
        "backends": backends,
    }


def _judged(
    call: LossCall, quantity: str, expected: Expected, outcome: LossResult, found: Judgement | Fault
) -> dict[str, Any]:
    """One quantity of one backend: the fault, or the level and the worst element."""
    if isinstance(found, Fault):
        return {"fault": str(found)}
    judged: dict[str, Any] = {"level": found.level.verdict, "size": found.size}
    if found.levels.size:
        got = outcome.values[quantity]
        worst = element(call, quantity, expected, got, found, found.worst())
        judged["worst"] = {
            "index": list(worst.index),
            "inputs": {name: _hex(value) for name, value in worst.inputs.items()},
            "got": _hex(worst.got),
            "exact": worst.exact,
            "nearest": _hex(worst.nearest),
            "ulp": worst.ulp if np.isfinite(worst.ulp) else str(worst.ulp),
        }
    return judged


def _hex(value: Array) -> str:
    """A number in hex, an integer in decimal."""
    return describe(value).partition(" ")[0]


def exact_digits(expected: Expected, flat: int, digits: int = DIGITS) -> str:
    """An exact value, to ``digits`` digits."""
    exact = expected.truth.exact(flat)
    return str(mpmath.nstr(exact, digits, strip_zeros=False, min_fixed=-4, max_fixed=17))


def _is_elementwise(call: LossCall, quantity: str, expected: Expected) -> bool:
    same_shape = expected.truth.nearest.shape == call.logits.shape
    return same_shape and (call.logits.size == 1 or expected.bounds.terms == 1)


def _inputs(call: LossCall, index: tuple[int, ...]) -> dict[str, Array]:
    shape = call.logits.shape
    given = {name: getattr(call, name) for name in OPERANDS}
    return {
        name: np.asarray(np.broadcast_to(operand, shape)[index])
        for name, operand in given.items()
        if operand is not None
    }


def describe(value: Array) -> str:
    """A number: of a format hex, and decimal with as many digits as the format needs."""
    number = np.asarray(value).ravel()[0]
    format_ = FORMATS.get(value.dtype.name)
    if format_ is None:
        return str(number)
    return f"{float(number).hex()}  ({decimal(value)})"


def decimal(value: Array) -> str:
    """A number with as many decimal digits as tell all numbers of its format apart."""
    number = np.asarray(value).ravel()[0]
    format_ = FORMATS.get(value.dtype.name)
    if format_ is None:
        return str(number)
    return f"{float(number):.{int(np.ceil(1 + format_.precision * np.log10(2)))}g}"
