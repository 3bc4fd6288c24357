"""One-line reproductions of what a cell shows."""

from __future__ import annotations

import shlex

from bce_conformance.conformance.judging.worst import WorstResult
from bce_conformance.results.cells import Place

# What `bce-conformance explain` evaluates: one element, no cotangent.
EXPLAINED = ("loss", "grad_logits", "grad_targets", "grad_weight", "grad_pos_weight")


def explain_line(backend: str, device: str, worst: WorstResult) -> str | None:
    """The ``explain`` command that shows one worst element; None where no such command can."""
    element = worst.element
    inputs = worst.inputs
    if element is None or worst.quantity not in EXPLAINED or inputs.cotangent is not None:
        return None
    if inputs.mixed:  # `explain` rounds all operands into one format
        return None
    words = ["bce-conformance", "explain", backend]
    words += [f"--logit={element.logit}", f"--target={element.target}"]
    words += [f"--weight={element.weight}"] if element.weight is not None else []
    words += [f"--pos-weight={element.pos_weight}"] if element.pos_weight is not None else []
    words += [f"--dtype={inputs.format.name}", f"--quantity={worst.quantity}"]
    words += [f"--device={device}"] if device != "cpu" else []
    return shlex.join(words)


def reproduce_line(place: Place, tier: str, seed: int, instruction_set: str = "") -> str:
    """The ``reproduce`` command that measures one cell again, whatever results are there."""
    words = ["bce-conformance", "reproduce", str(place), f"--tier={tier}", f"--seed={seed}"]
    words += [f"--isa={instruction_set}"] if instruction_set else []
    return shlex.join(words)
