"""Help and misuse of every command alike: examples below the options, and the nearest choice.

Guarantees that a value which is none of an option's choices is refused with the nearest of them.
"""

from __future__ import annotations

import re
from typing import Any

import typer
from typer.core import TyperCommand

from bce_conformance.backends.names import meant

EXAMPLES: dict[str, tuple[str, ...]] = {
    "run": (
        "--backend torch --tier quick --out first",
        "--requirement VAL --requirement GRAD-3 --dtype float32 --out some",
        "--backend torch::./loss.py:loss --claims AA --out mine",
        "--resume",
        "--tier thorough --scheduler tcp://host:8786 --out thorough",
    ),
    "sweep": (
        "torch --dtype float16 --targets 0,1",
        "native --targets 0 --range 0x0:0xffff --resume",
        "torch --status",
    ),
    "hunt": ("torch --budget 60s", "jax --dtype float16 --quantity grad_logits --json"),
    "report": ("reports/out --format junit --format badge", "some --timings reports/out"),
    "compare": ("before/ after/ --html compare.html", "jax@pip=0.7.2 jax --dtype float32"),
    "history": (
        "optax GRAD-3 --versions 0.2.0:0.2.8 --dtype float32",
        "paddle --html h.html",
    ),
    "bench": ("--backend native --backend torch --size 1000000", "--rounds 20 --real-time"),
    "warmup": ("",),
    "backends": ("", "torch jax", "--json"),
    "explain": (
        "torch jax --logit 20 --target 1 --quantity grad_logits",
        "jax --logit=-0x1.8p+4 --target 0 --dtype bfloat16",
        "torch --logits '[[20, 1]]' --targets '[[1, 0]]' --reduction mean --write call.json",
        "jax --call call.json",
    ),
    "reproduce": ("GRAD-3/torch/cpu/float32", "VAL-2/jax/cpu/float16 --tier thorough --seed 1"),
    "findings list": ("--backend torch", "torch-gradient-saturates", "reports/out --json"),
    "findings export": ("to_send --backend torch",),
    "ledger check": ("", "some --ledger ledger.toml"),
    "ledger update": ("some --ledger ledger.toml",),
    "cache info": ("",),
    "cache clear": ("", "--environments --history"),
}
"""Arguments of each command that are worth an example."""

_CHOICE = re.compile(r"(?:Value error, )?'(.*)' is not one of ('.*')\.?")


class Command(TyperCommand):
    """A command with examples in its help, which names the nearest of an option's choices."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments.

        Raises:
            typer.BadParameter: one is not valid; of an unknown choice with the nearest that are.
        """
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            match = _CHOICE.fullmatch(error.message)
            if match:
                unknown, choices = match[1], re.findall(r"'([^']*)'", match[2])
                near = meant(unknown, choices)
                error.message = f"{unknown!r}; accepted are {', '.join(choices)}{near}"
            raise

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples."""
        name = ctx.command_path.partition(" ")[2]
        typed = name.removesuffix(" list")  # which may be left out
        with formatter.section("Examples"):
            for arguments in EXAMPLES[name]:
                formatter.write(f"  bce-conformance {typed} {arguments}".rstrip() + "\n")
