"""The sides of an upgrade: what one run has measured of a backend in two places, as two runs.

Guarantees that a cell of one side is compared with the cell of the same requirement, device and
format of the other, whatever their backends' ids.
"""

from __future__ import annotations

from dataclasses import replace

from bce_conformance.backends import locations
from bce_conformance.results.model import Results


def common_name(before: str, after: str) -> str:
    """The name under which two backends are compared: ``jax`` of ``jax@pip=0.5.3`` and ``jax``.

    Args:
        before: a backend's id.
        after: another one, of the same framework.

    Raises:
        ValueError: they are of two frameworks, or one and the same.
    """
    if before == after:
        raise ValueError(f"{before} is given twice; name it in two places, as {before}@pip=VERSION")
    one, other = locations.without(before), locations.without(after)
    framework, others = one.partition(":")[0], other.partition(":")[0]
    if framework != others:
        raise ValueError(
            f"{before} and {after} are of two frameworks; compare is for two versions or places "
            "of one, and `run --backend A --backend B` measures any side by side"
        )
    return one if one == other else framework


def side(found: Results, backend: str, name: str) -> Results:
    """What a run has measured of one backend, as a run of it alone that has the backend's id.

    Args:
        found: the run.
        backend: id of the backend.
        name: the id that it has in what is returned.
    """
    return replace(
        found,
        run=replace(found.run, id=backend),
        backends=tuple(replace(b, id=name) for b in found.backends if b.id == backend),
        cells=tuple(replace(c, backend=name) for c in found.cells if c.backend == backend),
        curves=tuple(replace(c, backend=name) for c in found.curves if c.backend == backend),
        timings=None,
    )
