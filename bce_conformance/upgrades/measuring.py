"""One release measured: in an environment of its own, into a folder of the cache.

Guarantees that what was measured is measured again only where the release, what is asked, the code
of this suite or the processor is another, and that a release which was cut off is gone on with. One
requirement is not measured again where all were.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from hashlib import blake2b
from pathlib import Path

from bce_conformance.backends import (
    BackendSpec,
    environments,
    instruction_sets,
    locations,
    registry,
)
from bce_conformance.conformance.run import Exit, run
from bce_conformance.conformance.running import folder
from bce_conformance.conformance.running.journal import NAME
from bce_conformance.conformance.running.outcome import identity_of_settings
from bce_conformance.conformance.settings import Settings
from bce_conformance.conformance.specification import requirements
from bce_conformance.conformance.sweeping.sweep import digest_of
from bce_conformance.reference import cache as kept
from bce_conformance.results.model import Results
from bce_conformance.results.reading import ResultsError, read
from bce_conformance.terminal.progress import Silent

from .sides import side

# Packages, and patterns of their files: what decides a cell.
_SOURCES = {
    "reference": ["*.py"],
    "backends": ["*.py"],
    "native": ["*.py"],
    "conformance": ["*.py", "*.toml", "*.txt"],
}


class StoppedError(Exception):
    """A history cannot go on; ``code`` is what the command exits with, the text why."""

    def __init__(self, code: Exit, why: str) -> None:
        super().__init__(why)
        self.code = code


@dataclass(frozen=True)
class Plan:
    """How the releases of a backend are measured.

    Attributes:
        settings: what is measured; its only backend is named without a version.
        shown: makes the progress of one release.
        say: is given a line when something is done that takes a while.
        removes: whether environments that this makes are deleted once they have been measured.
    """

    settings: Settings
    shown: Callable[[], Silent]
    say: Callable[[str], None]
    removes: bool = False

    @property
    def backend(self) -> str:
        """The backend, without a version."""
        return self.settings.backends[0]

    def measure(self, release: str) -> Results | str:
        """What a release shows, or why that cannot be found out.

        Raises:
            StoppedError: the run was interrupted, or the suite itself failed.
        """
        name = f"{self.backend}@pip={release}"
        settings = replace(self.settings, backends=(name,))
        place = _folder(settings)
        found = _complete(place) or _part_of_all(settings)
        if found is None:
            spec = registry.resolve(name)
            was_there = environments.is_made(registry.distribution_of(spec), release)
            why = self._make(spec) or self._run(settings, place, release)
            if self.removes and not was_there:
                environments.remove(registry.distribution_of(spec), release)
            found = _complete(place)
            if found is None:
                return why or "nothing was measured"
        return side(found, name, locations.without(name))

    def _make(self, spec: BackendSpec) -> str:
        """Make the environment of a release; why it could not be, if so."""
        if not environments.is_made(registry.distribution_of(spec), spec.release):
            self.say(f"{spec.release}: installing {registry.distribution_of(spec)} {spec.release}")
        try:
            registry.environment(spec)
        except (environments.EnvironmentNotMadeError, OSError) as error:
            return f"cannot be installed: {error}"
        return ""

    def _run(self, settings: Settings, place: Path, release: str) -> str:
        """Measure a release; why it could not be, if so."""
        begin = time.monotonic()
        stopped: list[str] = []
        failed: list[str] = []
        self.say(f"{release}: measuring")
        place.mkdir(parents=True, exist_ok=True)
        with folder.held(place), self.shown() as shown:

            def again(*, resume: bool) -> Exit:
                results = place / "results.json"
                return run(settings, results, shown, failed.append, stopped.append, resume=resume)

            code = again(resume=True) if (place / NAME).exists() else Exit.MISUSE
            if code is Exit.MISUSE:  # nothing to go on with, or its environment is another one now
                stopped.clear()
                code = again(resume=False)
        if code in (Exit.INTERRUPTED, Exit.SUITE_FAILED):
            raise StoppedError(code, "\n".join([*failed, *stopped]))
        cells = len(shown.pace.cells)
        if cells:
            self.say(f"{release}: {cells} cells in {time.monotonic() - begin:.0f} s")
        return "; ".join(stopped).partition(" does not start: ")[2] or "; ".join(stopped)


def _complete(place: Path) -> Results | None:
    """What was measured into a folder, if nothing is left to measure."""
    if (place / NAME).exists():
        return None
    try:
        found = read(place / "results.json")
    except (ResultsError, OSError):
        return None
    return None if found.run.interrupted else found


def _part_of_all(settings: Settings) -> Results | None:
    """What was measured together with all other requirements, if it was.

    A requirement that is tried where it is named may have been left out then.
    """
    found = _complete(_folder(replace(settings, requirements=())))
    if found is None:
        return None
    chosen = tuple(r for r in found.requirements if settings.selects(requirements()[r.id]))
    ids = {requirement.id for requirement in chosen}
    cells = tuple(cell for cell in found.cells if cell.requirement in ids)
    there = {cell.requirement for cell in cells}
    named = (r for r in map(requirements().__getitem__, ids) if settings.names(r))
    if any(r.each_instruction_set and r.id not in there for r in named):
        return None
    return replace(found, requirements=chosen, cells=cells)


def _folder(settings: Settings) -> Path:
    """Where a release is measured into: another one for each that could have other cells."""
    identity = identity_of_settings(settings)
    del identity["commit"]  # the sources themselves say more
    key = [identity, _code(), instruction_sets.processor(), environments.python_name()]
    digest = blake2b(json.dumps(key, sort_keys=True).encode(), digest_size=10).hexdigest()
    return kept.folder() / "history" / digest


@cache
def _code() -> str:
    return digest_of(_SOURCES)
