"""A run as a command measures it: into a folder of its own, with its progress on the terminal.

Guarantees that no cell which was measured is lost unasked, and that two runs do not write into one
folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Any

from bce_conformance.conformance.cluster import ClusterError, SchedulerError
from bce_conformance.conformance.run import Exit
from bce_conformance.conformance.run import run as run_matrix
from bce_conformance.conformance.running import folder
from bce_conformance.conformance.running.journal import NAME, SOURCES, brief
from bce_conformance.conformance.running.matrix import Matrix
from bce_conformance.conformance.running.outcome import identity_of_backends, identity_of_settings
from bce_conformance.conformance.running.scheduler import Engine
from bce_conformance.conformance.settings import Settings, judged
from bce_conformance.results.model import Results

from .console import errors, misuse, read
from .progress import Silent


def measure(
    settings: Settings,
    out: Path,
    shown: Silent,
    so_far: Callable[[Results], None] | None = None,
    engine: AbstractContextManager[Engine] | None = None,
    *,
    resume: bool,
    overwrite: bool,
) -> Exit:
    """Measure into a folder, or go on with what an interrupted run has left in it.

    What stands in the way is said, and leaves the command.

    Args:
        settings: what is measured.
        out: where results.json goes, and the journal meanwhile.
        shown: the progress; it is entered while something is measured.
        so_far: is given what was measured so far, from time to time.
        engine: where the checks run; None for this process.
        resume: whether to go on; a run that is complete is not measured again.
        overwrite: whether cells may be lost that other runs have left there.
    """
    keep = not resume and not overwrite
    with ExitStack() as until_the_end:
        try:
            folder.require_writable(out)
            until_the_end.enter_context(folder.held(out))
            if keep:
                folder.require_nothing_lost(out, settings)
        except ValueError as error:
            misuse(str(error))
        if resume and not (out / NAME).exists():
            return _as_before(out, settings, engine, shown)
        results = out / "results.json"
        before = written(results)
        with shown:
            told = settings, results.resolve(), shown, print_suite_failure, print_stop
            code = _run_on(engine, *told, resume=resume, so_far=so_far, keep=keep)
        if written(results) == before and code not in (Exit.SUITE_FAILED, Exit.MISUSE):
            errors.print("nothing was measured", style="red")
    return code


def _run_on(engine: AbstractContextManager[Engine] | None, *arguments: Any, **options: Any) -> Exit:
    """Measure the matrix where the checks are to run; what is wrong with that place is said."""
    try:
        with engine or nullcontext() as begun:
            return run_matrix(*arguments, **options, engine=begun)
    except SchedulerError as error:
        misuse(str(error))
    except ClusterError as error:
        print_stop(str(error))
        return Exit.SUITE_FAILED
    except KeyboardInterrupt:  # before there was anything to measure
        return Exit.INTERRUPTED


def written(results: Path) -> int | None:
    """When a file was last written, in nanoseconds; None where it does not exist."""
    return results.stat().st_mtime_ns if results.exists() else None


def _as_before(
    out: Path,
    settings: Settings,
    engine: AbstractContextManager[Engine] | None,
    shown: Silent,
) -> Exit:
    """What the complete run in a folder came to, if it was one of these settings and versions."""
    found = read(out)
    before = dict(found.run.identity or {})  # of all settings, where the run has kept them
    before |= {
        "tier": found.run.tier,
        "seed": found.run.seed,
        "commit": found.run.commit,
        "requirements": [requirement.id for requirement in found.requirements],
        "backends": [backend.id for backend in found.backends],
    }
    _require_same(out, before, identity_of_settings(settings))
    sources = {backend.id: backend.source for backend in found.backends}
    for spec in settings.specs():
        if sources[spec.id] not in ("", settings.source(spec)):
            misuse(
                f"--resume: the run in {out} is complete, and {judged(spec)} has changed since: "
                "choose another --out FOLDER, or start anew with --overwrite"
            )
    if found.run.interrupted:
        misuse(f"--resume: {out} has no {NAME} to go on from; start anew with --overwrite")
    before |= {f"version of {b.id}": b.version for b in found.backends if b.status == "ok"}
    _require_same(out, before, _described(settings, engine, shown))
    errors.print(f"nothing to resume: the run in {out} is complete", highlight=False)
    as_expected = all(map(settings.accepts, found.cells))
    return Exit.AS_EXPECTED if as_expected else Exit.UNEXPECTED


def _require_same(out: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Leave where the complete run in a folder is another one; sources are looked at apart."""
    for name in sorted(before.keys() & now.keys() - {SOURCES}, key=list(now).index):
        if before[name] != now[name]:
            misuse(
                f"--resume: the run in {out} is complete, of {name} {brief(before[name])}; this "
                f"one is of {brief(now[name])}: ask for the same, choose another --out FOLDER, or "
                "start anew with --overwrite"
            )


def _described(
    settings: Settings, engine: AbstractContextManager[Engine] | None, shown: Silent
) -> dict[str, Any]:
    """What the backends say of themselves now, where the checks would run."""
    matrix = Matrix(settings, shown)
    try:
        with shown, engine or nullcontext() as begun:
            if begun is not None:
                begun.prepare(matrix)
            return identity_of_backends(matrix)
    except (SchedulerError, ClusterError) as error:
        misuse(str(error))
    finally:
        matrix.processes.close()


def print_stop(text: str) -> None:
    """Show in one line why the suite could not go on."""
    errors.print(text, style="red", markup=False, highlight=False, soft_wrap=True)


def print_suite_failure(text: str) -> None:
    """Show a failure that is the suite's own."""
    errors.print("the suite itself failed:", style="bold red")
    errors.print(text, markup=False, highlight=False)
