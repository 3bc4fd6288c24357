"""``bce-conformance cache`` and ``warmup``: what is kept on disk."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer
from rich import filesize
from rich.progress import Progress

from bce_conformance.reference import cache
from bce_conformance.terminal.console import console, errors
from bce_conformance.terminal.help import Command

cache_app = typer.Typer(help="The cache of truths and compiled code.", no_args_is_help=True)

OTHERS = {"environments": "versions that @pip= has installed", "history": "what histories measured"}
"""Folders beside the truths and the compiled code, which are deleted on request only."""


@cache_app.command("info", cls=Command)
def cache_info() -> None:
    """Show where the cache is and what it holds."""
    found = cache.info()
    state = "" if found.enabled else f"  (switched off by {cache.VARIABLE})"
    for name, text in (
        ("folder", f"{found.path}{state}"),
        ("truths", f"{found.entries}, {filesize.decimal(found.bytes)}"),
        ("limit", filesize.decimal(found.limit)),
        ("compiled code", filesize.decimal(found.compiled_bytes)),
        *((name, filesize.decimal(_size(found.path / name))) for name in OTHERS),
    ):
        console.print(f"{name:<13}  {text}", soft_wrap=True, markup=False, highlight=False)


def _size(folder: Path) -> int:
    """Bytes of the files in a folder; links count as nothing."""
    paths = folder.rglob("*")
    return sum(path.lstat().st_size for path in paths if path.is_file() and not path.is_symlink())


@cache_app.command("clear", cls=Command, short_help="Delete all truths and all compiled code.")
def cache_clear(
    environments: Annotated[
        bool, typer.Option("--environments", help=f"delete {OTHERS['environments']}, too")
    ] = False,
    history: Annotated[
        bool, typer.Option("--history", help=f"delete {OTHERS['history']}, too")
    ] = False,
) -> None:
    """Delete all truths and all compiled code; both are made again when they are needed."""
    before = cache.clear()
    freed = before.bytes + before.compiled_bytes
    what = [f"{before.entries} truths", "compiled code"]
    for name, chosen in (("environments", environments), ("history", history)):
        if chosen:
            freed += _size(before.path / name)
            what.append(name)
            shutil.rmtree(before.path / name, ignore_errors=True)
    named = f"{', '.join(what[:-1])} and {what[-1]}"
    console.print(f"deleted {named}, {filesize.decimal(freed)} in all")


def warmup() -> None:
    """Compile ahead of use, once a machine.

    Compiles the native kernels, in several processes, and what decides truths.
    """
    from bce_conformance.native.warmup import compile_all
    from bce_conformance.reference import compile_kernels

    with Progress(console=errors, transient=True) as progress:
        task = progress.add_task("compiling", total=None)

        def show(done: int, total: int, step: str) -> None:
            progress.update(task, completed=done, total=total, description=f"compiling {step}")

        compile_all(show)
        progress.update(task, description="compiling what decides truths")
        compile_kernels()
    console.print("the native kernels and what decides truths are compiled")
