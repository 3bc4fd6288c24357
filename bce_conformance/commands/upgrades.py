"""``bce-conformance compare`` and ``history``: what changed between runs and locations."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from bce_conformance.backends import BackendSpec, environments, registry, resolve
from bce_conformance.conformance.run import Exit
from bce_conformance.conformance.settings import Settings
from bce_conformance.results.model import Results
from bce_conformance.results.writing import write_text
from bce_conformance.terminal.console import console, errors, is_there, misuse, print_json, read
from bce_conformance.terminal.measuring import measure
from bce_conformance.terminal.progress import Silent, reporter
from bce_conformance.terminal.waiting import announce
from bce_conformance.upgrades.sides import aligned, common_name, side

from .options import (
    AsJson,
    DeviceNames,
    DtypeName,
    TierName,
    backend_ids,
    options_given,
    requirement_ids,
)

COMPARED = Path("reports/compare")
"""Where a comparison of two backends is measured: a folder in it for each two."""

Device = Annotated[list[str], typer.Option(help="of two backends: cpu, cuda, … or all; repeatable")]
Dtype = Annotated[list[DtypeName], typer.Option(help="of two backends; repeatable")]
Requirement = Annotated[
    list[str], typer.Option(help="of two backends: number or family; repeatable")
]
Tier = Annotated[TierName, typer.Option(help="of two backends: how much is tried")]
Out = Annotated[
    Path | None, typer.Option(help="of two backends: folder; one in reports/compare by default")
]
Resume = Annotated[bool, typer.Option("--resume", help="go on with an interrupted comparison")]
Remove = Annotated[
    bool,
    typer.Option(
        "--remove-environments", help="delete each environment that this makes, once measured"
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="discard what --out holds")]


OF_BACKENDS = ("device", "dtype", "requirement", "tier", "seed", "out", "resume", "overwrite")
"""Options of a comparison that measures."""


def compare(
    context: typer.Context,
    before: Annotated[str, typer.Argument(help="a results.json or its folder, or a backend")],
    after: Annotated[str, typer.Argument(help="another one, measured later, or a later version")],
    html: Annotated[Path | None, typer.Option("--html", help="write a page, too")] = None,
    as_json: AsJson = False,
    device: Device = [],  # noqa: B006 - typer reads it, nobody writes it
    dtype: Dtype = [],  # noqa: B006
    requirement: Requirement = [],  # noqa: B006
    tier: Tier = TierName.quick,
    seed: Annotated[int, typer.Option(help="of two backends: seed of random inputs")] = 0,
    out: Out = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
) -> None:
    """Compare two runs, or two versions of a backend.

    Shows every cell that moved, how far, and what else differs between the two. Two versions or
    locations of one backend are measured first: in one run, whose journal and results.json are in
    --out.

    Exits 1 if a cell is worse. One that the second run could not measure any more counts as worse,
    and so does a refusal that became a wrong result or a crash. One that it did not try, as it had
    fewer requirements or backends, is shown and does not.
    """
    measured = [_is_measured(text) for text in (before, after)]
    if measured[0] != measured[1]:
        kinds = ["what a run has measured" if one else "a backend" for one in measured]
        misuse(
            f"BEFORE is {before!r}, {kinds[0]}, and AFTER is {after!r}, {kinds[1]}; compare two "
            f"runs, or two backends"
        )
    if all(measured):
        for name in options_given(context, OF_BACKENDS):
            misuse(
                f"--{name} is for two backends, and {before} and {after} are runs: leave it out; "
                "all of their cells are compared"
            )
        _show(*aligned(read(Path(before)), read(Path(after))), html=html, as_json=as_json)
    try:
        name = common_name(before, after)
        settings = Settings(
            (before, after),
            tuple(device),
            tuple(map(str, dtype)),
            tuple(requirement),
            str(tier),
            seed,
        )
    except ValueError as error:
        misuse(str(error))
    _make(settings.specs())
    folder = out or COMPARED / _file_name(f"{before} to {after}")
    shown = reporter(errors)
    code = measure(settings, folder, shown, resume=resume, overwrite=overwrite)
    if code not in (Exit.AS_EXPECTED, Exit.UNEXPECTED):
        raise typer.Exit(code)
    found = read(folder)
    errors.print(f"measured: {folder}", markup=False, highlight=False, soft_wrap=True)
    _show(side(found, before, name), side(found, after, name), html=html, as_json=as_json)


def history(
    backend: Annotated[
        str, typer.Argument(help="id, without a version", autocompletion=backend_ids)
    ],
    requirement: Annotated[
        list[str] | None,
        typer.Argument(help="numbers or families; all without", autocompletion=requirement_ids),
    ] = None,
    versions: Annotated[
        str, typer.Option(metavar="FIRST:LAST", help="or versions with commas between them")
    ] = ":",
    dtype: Annotated[list[DtypeName], typer.Option(help="repeatable")] = [],  # noqa: B006
    device: DeviceNames = [],  # noqa: B006
    tier: Annotated[TierName, typer.Option(help="how much is tried")] = TierName.quick,
    seed: Annotated[int, typer.Option(help="seed of all random inputs")] = 0,
    every: Annotated[bool, typer.Option("--all", help="measure each release")] = False,
    remove: Remove = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="write all of it as JSON")
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="print CSV, a row a cell")] = False,
    html: Annotated[Path | None, typer.Option("--html", help="write a page, too")] = None,
) -> None:
    """Find the release of a framework in which cells moved.

    Measures the first and the last release that pip offers, each in an environment that is made
    for it, and where they differ those between them, halving. What was measured is kept in the
    cache folder. A release that cannot be installed is left out.
    """
    from bce_conformance.upgrades import narrowing, table
    from bce_conformance.upgrades.measuring import Plan, StoppedError

    try:
        dtypes, named = tuple(map(str, dtype)), tuple(requirement or ())
        settings = Settings((backend,), tuple(device), dtypes, named, str(tier), seed)
        releases = _offered(backend, versions)
        plan = Plan(settings, _progress, _say, removes=remove)
        found = narrowing.narrow(releases, plan.measure, every=every)
    except ValueError as error:
        misuse(str(error))
    except (StoppedError, KeyboardInterrupt) as stopped:
        _say(str(stopped) or "interrupted; the same command goes on where it stopped")
        code = stopped.code if isinstance(stopped, StoppedError) else Exit.INTERRUPTED
        raise typer.Exit(code) from stopped
    if not found.measured:
        misuse("\n".join(f"{release}: {why}" for release, why in found.left_out.items()))
    asked = {"tier": str(tier), "seed": seed, "versions": versions, "all": every}
    document = table.document(found, backend, asked)
    if json_file is not None:
        _write_json(document, json_file)
    if html is not None:
        _write_page(document, html)
    if as_csv:
        typer.echo(table.as_csv(found, backend), nl=False)
    else:
        console.print(table.table(found))


def _write_page(document: Mapping[str, Any], path: Path) -> None:
    """Write the page of a history."""
    from bce_conformance.reports.pages import history as page

    try:
        page.write(document, path)
    except OSError as error:
        misuse(f"--html {path} cannot be written: {error.strerror}; name another file")
    errors.print(f"page: {path}", markup=False, highlight=False, soft_wrap=True)


def _offered(backend: str, versions: str) -> list[str]:
    """The releases that a history goes through, the oldest first.

    Raises:
        ValueError: the backend has no versions, or pip offers none of those that are wanted.
    """
    from bce_conformance.upgrades import releases

    if resolve(backend).id.partition(":")[0] == "native":
        raise ValueError(f"BACKEND is {backend!r}, which has no releases; name one of a framework")
    spec = resolve(f"{backend}@pip=0")  # raises where pip cannot make an environment of it
    distribution = registry.distribution_of(spec)
    try:
        offered = environments.offered(distribution)
    except (environments.EnvironmentNotMadeError, OSError) as error:
        misuse(f"pip lists no releases of {distribution}: {error}")
    return releases.chosen(offered, versions)


def _progress() -> Silent:
    """A bar where there is a terminal; elsewhere a line a release says enough."""
    return reporter(errors, quiet=not errors.is_terminal)


def _say(text: str) -> None:
    errors.print(text, markup=False, highlight=False, soft_wrap=True)


def _write_json(document: Any, path: Path) -> None:
    try:
        write_text(json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False), path)
    except OSError as error:
        misuse(f"--json {path} cannot be written: {error.strerror}; name another file")


def _is_measured(text: str) -> bool:
    """Whether an argument names what a run has measured; else it names a backend."""
    path = Path(text)
    if path.suffix == ".json" or is_there(path / "results.json"):
        return True
    try:
        resolve(text)
    except ValueError as error:
        if is_there(path) or ("/" in text.partition("@")[0] and "::" not in text):
            return True  # reading it says what is wrong
        misuse(f"{text!r} is no results.json and no folder, and as a backend: {error}")
    return False


def _file_name(text: str) -> str:
    """A text as the name of a folder: ``jax@pip=0.5.3_to_jax``."""
    return re.sub(r"[^\w.@=+-]+", "_", text)


def _make(specs: list[BackendSpec]) -> None:
    """Make the environments of versions that are not there yet; leave where pip cannot."""
    for spec in specs:
        announce([spec])
        try:
            registry.environment(spec)
        except (environments.EnvironmentNotMadeError, OSError) as error:
            misuse(f"backend {spec.id}: {error}")


def _show(before: Results, after: Results, *, html: Path | None, as_json: bool) -> NoReturn:
    """Print a comparison, write its page, and leave as it says."""
    from bce_conformance.reports import compare as comparison
    from bce_conformance.reports import comparison_page

    found = comparison.compare(before, after)
    if as_json:
        print_json(comparison.document(found))
    else:
        console.print(comparison.comparison_table(found))
    if html is not None:
        try:
            comparison_page.write(found, html)
        except OSError as error:
            misuse(f"--html {html} cannot be written: {error.strerror}; name another file")
        stream = errors if as_json else console
        stream.print(f"page: {html}", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(Exit.UNEXPECTED if found.worse else Exit.AS_EXPECTED)
