"""The independence checks at any size.

Run them with ``python -m bce_conformance.reference.verify.selftest --points N``.

Guarantees: exits with 0 only if N points a quantity and format were compared in every check and no
two disagreed; prints what was tried and the worst difference. The checks:

- *fast against slow*: bits of nearest, sign and zeros of offset, on every point that is decided;
- *truth against arb*: what ``ground_truth`` returns, by the textbook formulas in python-flint;
- *slow against mpmath*: the enclosures by formula.py in mpmath, the third way.

Half of the points are random, half adversarial (points.py).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from math import frexp
from multiprocessing import get_context

import mpmath
import numpy as np
from rich.console import Console
from rich.progress import Progress

from bce_conformance.reference.cache import VARIABLE
from bce_conformance.reference.formats import FORMATS, Format
from bce_conformance.reference.quantities import QUANTITIES
from bce_conformance.reference.truth import Truth, ground_truth

from .arb import Inputs, arb_ball, disagreement, plainly_right, working_bits
from .formula import FORMULAS
from .points import Points, adversarial_points, random_points

_ARB = "truth against arb"
_CHUNK = 2000  # points a task
OFFSET_TOLERANCE = 2.0**-10  # what Truth.offset promises


@dataclass(frozen=True)
class Task:
    """One chunk of one check."""

    check: str
    quantity: str
    format: str
    kind: str
    size: int
    seed: int


@dataclass(frozen=True)
class Finding:
    """What a chunk showed: points compared, undecided ones, faults, the worst offset difference."""

    task: Task
    compared: int
    undecided: int
    faults: tuple[str, ...]
    worst: float


def _points(task: Task) -> Points:
    make = random_points if task.kind == "random" else adversarial_points
    return make(FORMATS[task.format], task.size, task.seed)


def _truth(task: Task, points: Points, method: str) -> Truth:
    cotangent = None if task.quantity == "loss" else points.c
    where = points.x, points.y, points.w, points.p
    return ground_truth(
        *where, quantity=task.quantity, cotangent=cotangent, dtype=task.format, method=method
    )


def _rows(task: Task, points: Points) -> Iterator[Inputs]:
    c = np.ones(task.size) if task.quantity == "loss" else points.c
    columns = (points.x, points.y, points.w, points.p, c)
    yield from zip(*(col.tolist() for col in columns), strict=True)


def _described(row: Inputs, fault: str) -> str:
    names = ("logits", "targets", "weight", "pos_weight", "cotangent")
    inputs = ", ".join(f"{n}={v.hex()}" for n, v in zip(names, row, strict=True) if v is not None)
    return f"{inputs}: {fault}"


def fast_against_slow(task: Task) -> Finding:
    """Compare the two paths."""
    points = _points(task)
    fast, slow = _truth(task, points, "fast"), _truth(task, points, "certified")
    known = ~fast.undecided
    near, right = (truth.nearest.astype(np.float64) for truth in (fast, slow))
    wrong = (near != right) | (np.signbit(near) != np.signbit(right))
    wrong |= np.sign(fast.offset) != np.sign(slow.offset)
    with np.errstate(invalid="ignore"):
        apart = np.abs(fast.offset - slow.offset) / np.maximum(1, np.abs(slow.offset))
    wrong = (wrong | (apart > OFFSET_TOLERANCE)) & known
    rows = list(_rows(task, points)) if wrong.any() else []
    faults = tuple(
        _described(
            rows[i],
            f"fast {near[i].hex()} {fast.offset[i]}, slow {right[i].hex()} {slow.offset[i]}",
        )
        for i in np.flatnonzero(wrong)
    )
    worst = float(np.max(apart[known], initial=0.0))
    return Finding(task, int(known.sum()), int((~known).sum()), faults, worst)


def truth_against_arb(task: Task) -> Finding:
    """Compare what ``ground_truth`` returns with arb's enclosures."""
    points = _points(task)
    truth, fmt = _truth(task, points, "auto"), FORMATS[task.format]
    near, off, unit = (a.astype(float).tolist() for a in (truth.nearest, truth.offset, truth.ulp))
    rows = list(_rows(task, points))
    with working_bits(200):
        plain = [
            plainly_right(task.quantity, row, nearest, offset, ulp, fmt)
            for row, nearest, offset, ulp in zip(rows, near, off, unit, strict=True)
        ]
    faults = []
    for i in np.flatnonzero(~np.array(plain)).tolist():
        ball = arb_ball(task.quantity, [rows[i]], bits=400)
        fault = disagreement(truth.nearest[i], off[i], ball, fmt)
        if fault is not None:
            faults.append(_described(rows[i], fault))
    return Finding(task, task.size, 0, tuple(faults), 0.0)


def _second_formula(quantity: str, row: Inputs, fmt: Format) -> tuple[mpmath.mpf, mpmath.mpf]:
    """Return a value by formula.py, and what its rounding errors may have made of it.

    The textbook formulas lose 1.5·|x| bits in the tails, and for tiny x those that 1 + x has not:
    precision makes up for it, so that logits beyond a few thousand are left to arb.
    """
    x, y, w, p, c = (mpmath.mpf(1 if value is None else value) for value in row)
    value = c * FORMULAS[quantity](x, y, w, p)
    scale = abs(c) * abs(w if quantity not in ("grad_weight", "hess_logits_weight") else 1)
    terms = scale * (1 + abs(y)) * (1 + abs(p)) * (1 + abs(x))
    return value, terms * mpmath.mpf(2) ** (16 - mpmath.mp.prec)


def slow_against_mpmath(task: Task) -> Finding:
    """Compare the slow path with formula.py."""
    points, fmt = _points(task), FORMATS[task.format]
    truth = _truth(task, points, "certified")
    faults, compared, worst = [], 0, 0.0
    for i, row in enumerate(_rows(task, points)):
        if abs(row[0]) > 3000:
            continue
        compared += 1
        leading_zeros = max(0, -frexp(row[0])[1])
        with mpmath.workprec(300 + 3 * int(abs(row[0])) + 2 * leading_zeros):
            value, error = _second_formula(task.quantity, row, fmt)
            near = float(truth.nearest[i])
            here = mpmath.mpf(near) if np.isfinite(near) else mpmath.mpf(2) ** (fmt.emax + 1)
            here = here if near > 0 or np.isfinite(near) else -here
            unit = mpmath.mpf(float(truth.ulp[i]))
            apart = abs((value - here) / unit - mpmath.mpf(float(truth.offset[i])))
            allowed = 2.0**-30 * max(1.0, abs(float(truth.offset[i]))) + error / unit
        if apart > allowed or (abs(truth.offset[i]) > 0.5 and np.isfinite(near)):
            faults.append(_described(row, f"{near.hex()}, by {mpmath.nstr(apart, 5)} ulp"))
        worst = max(worst, float(apart / max(1.0, abs(float(truth.offset[i])))))
    return Finding(task, compared, 0, tuple(faults), worst)


CHECKS: dict[str, Callable[[Task], Finding]] = {
    "fast against slow": fast_against_slow,
    _ARB: truth_against_arb,
    "slow against mpmath": slow_against_mpmath,
}


def tasks(checks: list[str], points: int, seed: int) -> list[Task]:
    """Return the chunks of checks: ``points`` a quantity, spread over the four formats."""
    result = []
    for check in checks:
        for quantity in QUANTITIES:
            for number, name in enumerate(FORMATS):
                for half, kind in enumerate(("random", "adversarial")):
                    total = (points + 2 * number + half) // 8  # eighths that add up to all
                    starts = range(0, total, _CHUNK)
                    result += [
                        Task(check, quantity, name, kind, min(_CHUNK, total - s), seed + s)
                        for s in starts
                    ]
    return result


def run_task(task: Task) -> Finding:
    """Run one chunk."""
    return CHECKS[task.check](task)


def _uncached() -> None:
    os.environ[VARIABLE] = "off"  # a check that reads back what it checks would be none


def run(chosen: list[Task], workers: int, console: Console) -> list[Finding]:
    """Run chunks, in this process for one worker, else in several, with a progress bar."""
    _uncached()
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("selftest", total=len(chosen))
        findings = []
        if workers == 1:
            for task in chosen:
                findings.append(run_task(task))
                progress.advance(bar)
            return findings
        context = get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_uncached) as pool:
            for finding in pool.map(run_task, chosen):
                findings.append(finding)
                progress.advance(bar)
    return findings


def report(checks: list[str], findings: list[Finding], console: Console) -> int:
    """Print what was tried, check by check; return the number of faults.

    A check that compared nothing is one.
    """
    faults = 0
    for check in checks:
        of_check = [f for f in findings if f.task.check == check]
        compared, undecided = (
            sum(getattr(f, n) for f in of_check) for n in ("compared", "undecided")
        )
        wrong = [fault for f in of_check for fault in f.faults]
        faults += len(wrong) + (not compared)
        worst = max((f.worst for f in of_check), default=0.0)
        console.print(
            f"{check}: {compared} points compared, {undecided} undecided by the fast path, "
            f"{len(wrong)} disagree, worst offset difference {worst:.3g} ulp"
        )
        for fault in wrong[:5]:
            console.print(f"  {fault}", style="red")
    return faults


def main(arguments: list[str] | None = None) -> int:
    """Run the checks; 0 if all agree, 1 if any disagree or one compared nothing."""
    parser = argparse.ArgumentParser(prog="python -m bce_conformance.reference.verify.selftest")
    parser.add_argument("--points", type=int, default=8000, help="points a quantity and check")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check", action="append", choices=list(CHECKS), help="all by default")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    chosen = parser.parse_args(arguments)
    if chosen.points < 8 or chosen.workers < 1:
        parser.error("--points is at least 8 and --workers at least 1")
    checks = chosen.check or list(CHECKS)
    if _ARB in checks and find_spec("flint") is None:
        others = " ".join(f"--check {check!r}" for check in CHECKS if check != _ARB)
        parser.error(f"{_ARB} needs python-flint: pip install python-flint, or give {others}")
    console = Console(soft_wrap=True)
    findings = run(tasks(checks, chosen.points, chosen.seed), chosen.workers, console)
    return 1 if report(checks, findings, console) else 0


if __name__ == "__main__":
    sys.exit(main())
