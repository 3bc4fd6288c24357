"""Harm: how much a defect matters, by a rule that stands in ``harm.toml``.

Guarantees that a defect's harm depends on its grades alone, and that all grades but that of the
inputs follow from what was expected and what came back.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from bce_conformance.results.model import Harm

RULE = Path(__file__).with_name("harm.toml")
ERROR = "an error"
"""How what is expected, or what came back, begins where it is an exception."""

_TENTH, _THOUSANDTH = 1e-1, 1e-3


@cache
def rule() -> dict[str, dict[str, tuple[int, str]]]:
    """Factor → grade → its weight, and what it means."""
    document = tomllib.loads(RULE.read_text("utf-8"))
    return {
        factor: {grade: (entry["weight"], entry["text"]) for grade, entry in grades.items()}
        for factor, grades in document.items()
    }


def harm(inputs: str, quantity: str, expected: str, returned: str) -> Harm:
    """The harm of a defect.

    Args:
        inputs: the grade of the inputs that meet it.
        quantity: what is wrong, such as ``grad_logits``; empty where it is no number.
        expected: the exact value, or what should happen in words.
        returned: what came back, likewise.

    Raises:
        ValueError: the grade is unknown, or the defect returns what is expected of it.
    """
    if inputs not in rule()["inputs"]:
        raise ValueError(f"inputs is {inputs!r}; accepted are {', '.join(rule()['inputs'])}")
    grades = {
        "wrong": _wrong(expected, returned),
        "inputs": inputs,
        "noticed": _noticed(returned),
        "reaches": "training" if quantity == "grad_logits" else "results",
    }
    score = math.prod(rule()[factor][grade][0] for factor, grade in grades.items())
    return Harm(score=score, **grades)


def meaning(grades: Mapping[str, str]) -> list[str]:
    """What grades mean, one sentence a factor."""
    return [rule()[factor][grade][1] for factor, grade in grades.items()]


def number(text: str) -> float | None:
    """The number that a text is; None where it is words."""
    try:
        return float(text)
    except ValueError:
        return None


def _wrong(expected: str, returned: str) -> str:
    exact, got = number(expected), number(returned)
    if exact is not None and got is not None:
        return _off(exact, got)
    if expected == returned:
        raise ValueError(f"expected and returned are both {expected!r}: there is no defect")
    if returned.startswith(ERROR):
        return "refused"
    return "accepted" if expected.startswith(ERROR) else "other"


def _off(exact: float, got: float) -> str:
    """How wrong a number is; an infinite exact value makes any other one useless."""
    if exact == got:
        raise ValueError(f"expected and returned are both {exact!r}: there is no defect")
    error = abs(got - exact)
    if not error < _TENTH * abs(exact):
        return "useless"
    return "imprecise" if error >= _THOUSANDTH * abs(exact) else "digits"


def _noticed(returned: str) -> str:
    if returned.startswith(ERROR):
        return "loud"
    got = number(returned)
    return "silent" if got is None or math.isfinite(got) else "visible"
