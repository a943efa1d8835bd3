"""Which process may run next: ordering, retries and the verdict on a group of processes (Thermos, Aurora
0.22).

No processes are started here; times are seconds of a monotonic clock given by the caller.
"""

from __future__ import annotations

from itertools import pairwise

from airavata_mesos_plugin.minicluster.executor.config import Process

MAX_RUNS = 100
_WAITING, _RUNNING, _SUCCESS, _FAILED = range(4)


class InvalidPlan(ValueError):
    """The order constraints cannot be followed."""


class Item:
    """Progress of one process.  `runs` counts the runs begun."""

    __slots__ = ("ended_at", "failures", "needs", "process", "runs", "state")

    def __init__(self, process: Process) -> None:
        self.process = process
        self.state = _WAITING
        self.runs = 0
        self.failures = 0
        self.ended_at: float | None = None
        self.needs: set[str] = set()


def split_orders(
    processes: list[Process], orders: list[list[str]]
) -> tuple[list[list[str]], list[list[str]]]:
    """Orders of the regular and of the final processes.

    An order of unknown names only is ignored, as Thermos does. Raises InvalidPlan when one mixes the two
    groups or known and unknown names.
    """
    regular = {process.name for process in processes if not process.final}
    final = {process.name for process in processes if process.final}
    split: tuple[list[list[str]], list[list[str]]] = ([], [])
    for order in orders:
        names = set(order)
        if names <= regular:
            split[0].append(order)
        elif names <= final:
            split[1].append(order)
        elif names & (regular | final):
            raise InvalidPlan(f"order {order} mixes regular, final or unknown processes")
    return split


class Plan:
    """A group of processes that is run together.  Raises InvalidPlan for orders that cannot be followed."""

    def __init__(
        self,
        processes: list[Process],
        orders: list[list[str]],
        max_failures: int = 1,
        max_concurrency: int = 0,
    ) -> None:
        self.items = {process.name: Item(process) for process in processes}
        self._max_failures = max_failures
        self._max_concurrency = max_concurrency
        for order in orders:
            for before, after in pairwise(order):
                self.items[after].needs.add(before)
        self._check()

    def _check(self) -> None:
        for item in self.items.values():
            for name in item.needs:
                before = self.items[name].process
                if before.daemon:
                    raise InvalidPlan(f"{item.process.name} comes after the daemon {name}")
                if before.ephemeral and not item.process.ephemeral:
                    raise InvalidPlan(f"{item.process.name} comes after the ephemeral {name}")
        settled: set[str] = set()
        while len(settled) < len(self.items):
            free = [n for n, item in self.items.items() if n not in settled and item.needs <= settled]
            if not free:
                raise InvalidPlan("the order constraints form a cycle")
            settled.update(free)

    @property
    def running(self) -> list[str]:
        return [name for name, item in self.items.items() if item.state == _RUNNING]

    @property
    def finished(self) -> bool:
        """No process is waited for any more; those that are ephemeral never are."""
        return all(
            item.state in (_SUCCESS, _FAILED) or item.process.ephemeral for item in self.items.values()
        )

    @property
    def healthy(self) -> bool:
        failed = sum(item.state == _FAILED and not item.process.ephemeral for item in self.items.values())
        if self._max_failures and failed >= self._max_failures:
            return False
        return self.finished or bool(self.running) or any(map(self._ready, self.items.values()))

    def _ready(self, item: Item) -> bool:
        return item.state == _WAITING and all(self.items[name].state == _SUCCESS for name in item.needs)

    def _wait_of(self, item: Item, now: float) -> float:
        if item.ended_at is None:
            return 0.0
        return max(0.0, item.ended_at + item.process.min_duration - now)

    def runnable(self, now: float) -> list[str]:
        """Names to start at once, in the order of the configuration."""
        names = [n for n, i in self.items.items() if self._ready(i) and self._wait_of(i, now) <= 0]
        if self._max_concurrency:
            return names[: max(0, self._max_concurrency - len(self.running))]
        return names

    def wait(self, now: float) -> float | None:
        """Seconds until a process that waits for its next run may start; None when none does."""
        waits = [self._wait_of(item, now) for item in self.items.values() if self._ready(item)]
        positive = [wait for wait in waits if wait > 0]
        return min(positive) if positive else None

    def started(self, name: str) -> int:
        """Note a start; returns the number of the run, from 0."""
        item = self.items[name]
        item.state = _RUNNING
        item.runs += 1
        return item.runs - 1

    def ended(self, name: str, returncode: int, now: float) -> str:
        """Note the end of a run; a negative code is the signal that ended it.  Returns the word for the log.

        A death by signal is not a failure in Thermos: the process is run again and not counted.
        """
        item = self.items[name]
        item.ended_at = now
        if returncode == 0:
            item.state = _WAITING if item.process.daemon else _SUCCESS
            return "SUCCESS"
        if returncode > 0:
            item.failures += 1
        spent = returncode > 0 and 0 < item.process.max_failures <= item.failures
        item.state = _FAILED if spent or item.runs >= MAX_RUNS else _WAITING
        return "FAILED" if returncode > 0 else "KILLED"
