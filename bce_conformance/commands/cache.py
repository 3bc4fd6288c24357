"""``bce-conformance cache`` and ``warmup``: what is kept on disk."""

from __future__ import annotations

import typer
from rich import filesize
from rich.progress import Progress

from bce_conformance.reference import cache
from bce_conformance.terminal.console import console, errors

cache_app = typer.Typer(help="The cache of truths and compiled code.", no_args_is_help=True)


@cache_app.command("info")
def cache_info() -> None:
    """Show where the cache is and what it holds."""
    found = cache.info()
    state = "" if found.enabled else f"  (switched off by {cache.VARIABLE})"
    for name, text in (
        ("folder", f"{found.path}{state}"),
        ("truths", f"{found.entries}, {filesize.decimal(found.bytes)}"),
        ("limit", filesize.decimal(found.limit)),
        ("compiled code", filesize.decimal(found.compiled_bytes)),
    ):
        console.print(f"{name:<13}  {text}", soft_wrap=True, markup=False, highlight=False)


@cache_app.command("clear")
def cache_clear() -> None:
    """Delete all truths and all compiled code; both are made again when they are needed."""
    before = cache.clear()
    freed = filesize.decimal(before.bytes + before.compiled_bytes)
    console.print(f"deleted {before.entries} truths and compiled code, {freed} in all")


def warmup() -> None:
    """Compile the native kernels ahead of use, once a machine."""
    from bce_conformance.native.warmup import compile_all

    with Progress(console=errors, transient=True) as progress:
        task = progress.add_task("compiling", total=None)

        def show(done: int, total: int, step: str) -> None:
            progress.update(task, completed=done, total=total, description=f"compiling {step}")

        compile_all(show)
    console.print("the native kernels are compiled")
