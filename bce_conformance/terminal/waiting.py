"""What takes long before anything is measured is told while it lasts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import Timer

from bce_conformance.backends import BackendSpec, environments, registry

from .console import errors


@contextmanager
def told_after(seconds: float, message: str) -> Iterator[None]:
    """Print a message on stderr if what is done within takes longer than some seconds."""
    timer = Timer(seconds, _say, [message])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def announce(specs: Iterable[BackendSpec]) -> None:
    """Say on stderr which environments of ``@pip=`` are not there yet and are made now."""
    for spec in (spec for spec in specs if spec.release):
        distribution = registry.distribution_of(spec)
        if environments.is_made(distribution, spec.release):
            continue
        folder = environments.folder_of(distribution, spec.release)
        _say(f"installing {distribution} {spec.release} in an environment of its own: {folder}")
        _say("once; pip downloads it with all that it needs, for some frameworks gigabytes")


def _say(message: str) -> None:
    errors.print(message, style="dim", markup=False, highlight=False, soft_wrap=True)
