"""One session: every series in a process of its own, one of them measuring at a time.

Guarantees that an interrupted session keeps what it measured, and that no process outlives it.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from bce_conformance.backends import BackendInfo, BackendProcess, BackendSpec, Failure
from bce_conformance.backends.measuring.workload import Workload
from bce_conformance.results.model import Timing

from . import unpaired_goals
from .goals import UNPAIRED
from .machine_load import Others
from .plan import AGAIN, LIMIT, NATIVE, Group, has_goals
from .records import records

SECONDS = 0.05  # of measuring, for one series in one round
CALL_LIMIT = 120.0  # the first call may compile
_LIMIT = BackendSpec(LIMIT, "bce_conformance.backends.measuring.memory_limit:MemoryLimit")

Told = Callable[[str], None]


class Session:
    """Processes of all series, and what they measured.

    Args:
        specs: the backends.
        plan: what is measured.
        rounds: how often each is measured.
        ahead: with real-time priority.
    """

    def __init__(
        self,
        specs: Sequence[BackendSpec],
        plan: Sequence[Group],
        rounds: int,
        *,
        ahead: bool = False,
    ) -> None:
        self.plan = plan
        self.rounds = rounds
        self.others = Others()
        self._ahead = ahead
        self.infos: dict[str, BackendInfo | Failure] = {}
        self.timings: tuple[Timing, ...] = ()
        self.unpaired: dict[str, float] = {}
        self.interrupted = False
        known = {spec.id: spec for spec in specs} | {LIMIT: _LIMIT}
        series = dict.fromkeys(name for group in plan for name, _ in group.entries)
        self._processes = {
            name: BackendProcess(known[name.removesuffix(AGAIN)], time_limit=CALL_LIMIT)
            for name in series
        }
        # Its threads live as long as the session: a worker ends with the thread that started it.
        self._starters = ThreadPoolExecutor(thread_name_prefix="start-backend")

    @property
    def steps(self) -> int:
        """How many measurements there are, every round and every unpaired goal counted."""
        turns = self.rounds * sum(len(group.entries) for group in self.plan)
        return turns + (len(UNPAIRED) if has_goals(self.plan) else 0)

    def start(self) -> dict[str, BackendInfo | Failure]:
        """Start all processes, and return what each says of itself, or why it does not start."""
        if not self.infos:
            infos = self._starters.map(BackendProcess.info, self._processes.values())
            self.infos = dict(zip(self._processes, infos, strict=True))
        return self.infos

    def run(self, told: Told) -> None:
        """Measure; an interruption ends it and keeps what there is.

        Args:
            told: is given the name of each measurement when it is done.
        """
        try:
            self.start()
            for group in self.plan:
                self._measure(group, told)
            if has_goals(self.plan) and isinstance(self.infos[NATIVE], BackendInfo):
                for goal, figure in unpaired_goals.measure(self._processes[NATIVE]):
                    self.unpaired[goal] = figure
                    told(goal)
        except KeyboardInterrupt:
            self.interrupted = True

    def close(self) -> None:
        """End all processes."""
        for process in self._processes.values():
            process.close()
        self._starters.shutdown(wait=True, cancel_futures=True)

    def _measure(self, group: Group, told: Told) -> None:
        taken: dict[tuple[str, Workload], list[float] | Failure] = {}
        try:
            for turn in range(self.rounds):
                # Nobody is always measured after the same neighbour.
                shift = turn * len(group.entries) // self.rounds
                for entry in (*group.entries[shift:], *group.entries[:shift]):
                    self._one(entry, taken)
                    told(f"{entry[0]}, {entry[1].what}, {entry[1].dtype}, {entry[1].size:,}")
        finally:
            self.timings += records(group, taken)

    def _one(
        self, entry: tuple[str, Workload], taken: dict[tuple[str, Workload], list[float] | Failure]
    ) -> None:
        rounds = taken.get(entry, [])
        if isinstance(rounds, Failure):
            return
        info = self.infos[entry[0]]
        if isinstance(info, Failure):
            taken[entry] = info
            return
        process = self._processes[entry[0]]
        with self.others.watch(process.pid):
            samples = process.time(entry[1], SECONDS, ahead=self._ahead)
        if isinstance(samples, Failure):
            taken[entry] = samples
        else:
            taken[entry] = [*rounds, statistics.median(samples)]
