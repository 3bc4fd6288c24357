"""DEV: where results are, devices that are not there, and backends that do not start."""

import numpy as np
import pytest

from bce_conformance.backends import BackendInfo
from bce_conformance.backends.calls import GRADIENTS, Failure, LossCall
from bce_conformance.conformance.plugin import Unexpected
from bce_conformance.conformance.running.matrix import Matrix
from bce_conformance.conformance.running.subject import Subject

ABSENT = "cuda:63"
SHAPE = (6, 4)


@pytest.mark.requirement("DEV-1")
def test_results_stay_on_the_device(subject: Subject) -> None:
    """Compare the device of each result with the one that was asked for."""
    ones = subject.array(np.ones(SHAPE))
    wanted = ("loss", *GRADIENTS)
    for call in (
        LossCall(ones, ones, reduction="none", quantities=wanted[:2], device=subject.device),
        LossCall(ones, ones, ones, ones, quantities=wanted, device=subject.device),
    ):
        outcome = subject.try_evaluate(call)
        if not isinstance(outcome, Failure):  # gradients that there are not: see GRAD-16
            what = f"{', '.join(outcome.values)} under {call.reduction}"
            subject.require(outcome.device == subject.device, f"{what}: on {outcome.device}")


@pytest.mark.requirement("DEV-2")
def test_an_absent_device_is_an_error(subject: Subject) -> None:
    """Ask for a device that no machine has."""
    ones = subject.array(np.ones(SHAPE))
    outcome = subject.try_evaluate(LossCall(ones, ones, device=ABSENT))
    if isinstance(outcome, Failure):
        subject.require(outcome.kind in ("raised", "unsupported"), f"on {ABSENT}: {outcome}")
    else:
        subject.require(False, f"on {ABSENT}: no error, but results on {outcome.device}")


def test_backend_starts(matrix: Matrix, demanded_backend: str) -> None:
    """A backend that was asked for, or that is installed, starts: never a silent skip."""
    info = matrix.processes.info(demanded_backend)
    if not isinstance(info, BackendInfo):
        status = matrix.processes.status(demanded_backend)
        raise Unexpected(f"{demanded_backend}: {status}", pytrace=False)
    if not info.dtypes:
        raise Unexpected(f"{demanded_backend} takes logits in no format", pytrace=False)
