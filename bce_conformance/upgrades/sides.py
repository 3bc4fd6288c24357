"""The sides of an upgrade: what one run has measured of a backend in two places, as two runs.

Guarantees that a cell of one side is compared with the cell of the same requirement, device and
format of the other, whatever their backends' ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
        raise ValueError(
            f"{before} is given twice; name it in two locations, as {before}@pip=VERSION"
        )
    one, other = locations.without(before), locations.without(after)
    framework, others = one.partition(":")[0], other.partition(":")[0]
    if framework != others:
        raise ValueError(
            f"{before} and {after} are of two frameworks; compare is for two versions or locations "
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
    alone = replace(
        found,
        run=replace(found.run, id=backend),
        backends=tuple(entry for entry in found.backends if entry.id == backend),
        cells=tuple(cell for cell in found.cells if cell.backend == backend),
        curves=tuple(curve for curve in found.curves if curve.backend == backend),
        maps=tuple(one for one in found.maps if one.backend == backend),
        timings=None,
    )
    return _renamed(alone, {backend: name})


def aligned(before: Results, after: Results) -> tuple[Results, Results]:
    """Two runs in which a backend has one name where only its location differed.

    A backend that only one of them has is left as it is, and so is one that a run has in several
    places: which of them is meant cannot be told.
    """
    ids = [{entry.id for entry in found.backends} for found in (before, after)]
    alone = [_by_name(ids[0] - ids[1]), _by_name(ids[1] - ids[0])]
    names = {
        name
        for name in alone[0].keys() & alone[1].keys()
        if len(alone[0][name]) == len(alone[1][name]) == 1 and name not in ids[0] & ids[1]
    }
    one, other = ({alone[n][name][0]: name for name in names} for n in (0, 1))
    return _renamed(before, one), _renamed(after, other)


def _by_name(ids: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for backend in ids:
        found.setdefault(locations.without(backend), []).append(backend)
    return found


def _renamed(found: Results, names: Mapping[str, str]) -> Results:
    """A run in which backends have other ids."""
    return replace(
        found,
        backends=tuple(replace(one, id=names.get(one.id, one.id)) for one in found.backends),
        cells=tuple(replace(c, backend=names.get(c.backend, c.backend)) for c in found.cells),
        curves=tuple(replace(c, backend=names.get(c.backend, c.backend)) for c in found.curves),
        maps=tuple(replace(m, backend=names.get(m.backend, m.backend)) for m in found.maps),
    )
