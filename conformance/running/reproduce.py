"""One-line reproductions of what a cell shows."""

from __future__ import annotations

import shlex

from bce_conformance.backends.call_files.calls import dumps
from bce_conformance.backends.calls import LossCall
from bce_conformance.conformance.judging.worst import WorstResult
from bce_conformance.results.cells import Place

# Of whose elements the operands in one format say all.
_ELEMENTWISE = ("loss", "grad_logits", "grad_targets", "grad_weight", "grad_pos_weight")
MOST_SHOWN = 8  # elements of a call that a line shows whole


def call_line(backend: str, call: LossCall) -> str:
    """The ``explain`` command that shows a whole call."""
    return shlex.join(["bce-conformance", "explain", backend, "--call", dumps(call, inline=True)])


def explain_line(backend: str, device: str, worst: WorstResult) -> str | None:
    """The ``explain`` command that shows a worst result; None where its call is large.

    One element is shown by its numbers, if these are all, and else its call as a whole.
    """
    element = worst.element
    inputs = worst.inputs
    directed = inputs.cotangent is not None or worst.quantity not in _ELEMENTWISE
    if element is None or directed or inputs.mixed or inputs.autograd != "usual":
        if inputs.logits.size > MOST_SHOWN:
            return None
        return call_line(backend, inputs.call(worst.quantity, device=device))
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
