"""The ``bce-conformance`` command.

Exit codes: 0 as expected, 1 some cell is not as expected, 2 misuse, 3 the suite itself failed,
130 interrupted.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from bce_conformance import __version__
from bce_conformance.commands.backends import backends
from bce_conformance.commands.bench import bench
from bce_conformance.commands.cache import cache_app, warmup
from bce_conformance.commands.explain import explain
from bce_conformance.commands.findings import findings_app
from bce_conformance.commands.ledger import ledger_app
from bce_conformance.commands.maxima.hunt import hunt
from bce_conformance.commands.maxima.sweep import sweep
from bce_conformance.commands.report import report
from bce_conformance.commands.reproduce import reproduce
from bce_conformance.commands.run import run
from bce_conformance.commands.upgrades import compare, history
from bce_conformance.conformance.run import Exit
from bce_conformance.terminal.console import console, errors, write_all_characters
from bce_conformance.terminal.help import Command

app = typer.Typer(
    help="How right is an implementation of binary cross-entropy with logits?",
    epilog="Begin with: bce-conformance explain native --logit 20 --target 1",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for command in (
    *(run, sweep, hunt, report, compare, history, bench, warmup, backends, explain, reproduce),
):
    app.command(cls=Command)(command)
app.add_typer(findings_app, name="findings")
app.add_typer(ledger_app, name="ledger")
app.add_typer(cache_app, name="cache")


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    if version:
        console.print(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line; an error of the suite itself exits 3."""
    write_all_characters()
    try:
        app(prog_name="bce-conformance")  # by whatever name it is run
    except KeyboardInterrupt:  # before a command took care of it
        sys.exit(Exit.INTERRUPTED)
    except Exception:
        errors.print_exception()
        sys.exit(Exit.SUITE_FAILED)
