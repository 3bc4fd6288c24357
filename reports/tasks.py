"""What is safe to rely on: the cells of a run by what people train with.

Guarantees that a task is called no safer than the worst of its cells, and safe only if none of them
is unknown, and that tasks are data: ``tasks.toml`` says which requirements each rests on.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from bce_conformance.results.cells import VERDICTS, Cell
from bce_conformance.results.model import Results

from .grid import UNMEASURED

ANSWERS = {
    "AAA": "safe",
    "AA": "safe",
    "A": "with care",
    "fails": "not safe",
    "crashed": "not safe",
    "timeout": "not safe",
    "unsupported": "not offered",
    "not measured": "not measured",
}
"""What the worst level of a task's cells means to someone who must choose. ``A`` is never far off
at the scale of the operands, and may lose every digit of a small result."""

SO_FAR = "safe so far"
"""The answer where all that was measured is safe, and some was not measured."""


@dataclass(frozen=True)
class Task:
    """Something people train with: its name, a sentence, its formats, its requirements."""

    name: str
    text: str
    dtypes: tuple[str, ...]
    requirements: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """How a backend does at a task.

    Attributes:
        verdict: the worst verdict of what was measured; ``unsupported`` or ``not measured`` where
            nothing was.
        worst: the cell that decides it; None where there is no cell.
        met: how many measured cells reach AA or AAA.
        measured: how many cells were measured.
        lacking: how many more are unsupported or not measured.
        unknown: how many of these nobody has tried: they are not measured, or not in the run.
    """

    verdict: str
    worst: Cell | None
    met: int
    measured: int
    lacking: int
    unknown: int

    @property
    def word(self) -> str:
        """The answer in a word or two, such as ``not safe``."""
        word = ANSWERS[self.verdict]
        return SO_FAR if word == "safe" and self.unknown else word


@lru_cache(maxsize=1)
def tasks() -> tuple[Task, ...]:
    """The tasks, in their order."""
    text = Path(__file__).with_name("tasks.toml").read_text(encoding="utf-8")
    return tuple(
        Task(one["name"], one["text"], tuple(one["dtypes"]), tuple(one["requirements"]))
        for one in tomllib.loads(text)["task"]
    )


def answers(results: Results) -> dict[str, dict[str, Answer]]:
    """How each backend that has cells does at each task.

    Args:
        results: a run.

    Returns:
        Backend id → name of the task → answer; empty where the run has no cell of any task.
    """
    found: dict[str, dict[str, list[Cell]]] = {}
    for cell in results.cells:
        named = found.setdefault(cell.backend, {})
        for task in tasks():
            if cell.requirement in task.requirements and cell.dtype in task.dtypes:
                named.setdefault(task.name, []).append(cell)
    if not any(found.values()):
        return {}
    return {
        backend: {task.name: answer(task, named.get(task.name, [])) for task in tasks()}
        for backend, named in found.items()
    }


def answer(task: Task, cells: list[Cell]) -> Answer:
    """What the cells of a task say of one backend; what has no cell at all is not measured."""
    there = {(cell.requirement, cell.dtype) for cell in cells}
    absent = len(task.requirements) * len(task.dtypes) - len(there)
    measured = [cell for cell in cells if cell.verdict not in UNMEASURED]
    decisive = measured or cells
    worst = max(decisive, key=_badness) if decisive else None
    return Answer(
        verdict=worst.verdict if worst else "not measured",
        worst=worst,
        met=sum(cell.verdict in ("AAA", "AA") for cell in measured),
        measured=len(measured),
        lacking=len(cells) - len(measured) + absent,
        unknown=sum(cell.verdict == "not measured" for cell in cells) + absent,
    )


def _badness(cell: Cell) -> tuple[int, float]:
    return VERDICTS.index(cell.verdict), cell.ulp.max if cell.ulp else 0.0
