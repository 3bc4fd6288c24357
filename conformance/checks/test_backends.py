"""A backend that was asked for, or that is installed, starts: never a silent skip."""

from bce_conformance.backends import BackendInfo
from bce_conformance.conformance.plugin import Unexpected
from bce_conformance.conformance.running.matrix import Matrix


def test_backend_starts(matrix: Matrix, demanded_backend: str) -> None:
    """The backend's framework imports in its own process and describes itself."""
    info = matrix.processes.info(demanded_backend)
    if not isinstance(info, BackendInfo):
        status = matrix.processes.status(demanded_backend)
        raise Unexpected(f"{demanded_backend}: {status}", pytrace=False)
    if not info.dtypes:
        raise Unexpected(f"{demanded_backend} takes logits in no format", pytrace=False)
