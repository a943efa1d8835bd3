"""The threads that drive the life cycle: one per cluster, and a pool that fetches outputs."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.config import ClusterSettings
from airavata_mesos_plugin.provider import Parts, Provider

log = logging.getLogger(__name__)

T = TypeVar("T")

SHORTEST_PAUSE_SECONDS = 0.25
"""Between two monitoring rounds, however often somebody asks for one."""

GATHER_SECONDS = 0.02
"""Between the first job that comes in and its submission."""

NODES_SECONDS = 30.0
"""Between two looks at the nodes of a cluster."""

OUTPUTS_SECONDS = 1.0
"""Between two looks for outputs whose next try is due."""

LIVE_SECONDS = 5.0
"""Between two looks for running jobs whose live outputs are due, at most."""

LIVE_JOBS = 2
"""Jobs whose live outputs are brought at the same time."""


DELIVERY_SECONDS = 0.5
"""Between two looks for jobs that wait for the daemon to write their inputs."""

DELIVERIES = 8
"""Jobs whose inputs are written at the same time."""


class Loops:
    """Starts and ends the threads."""

    def __init__(self, provider: Provider, parts: Parts, stop: threading.Event) -> None:
        self._provider = provider
        self._parts = parts
        self._stop = stop
        self._threads: list[threading.Thread] = []
        self._live_pool = ThreadPoolExecutor(LIVE_JOBS, thread_name_prefix="live")
        self._delivery_pool = ThreadPoolExecutor(DELIVERIES, thread_name_prefix="delivery")
        fetch = parts.settings.fetch
        self._pool = ThreadPoolExecutor(fetch.jobs + fetch.long_jobs, thread_name_prefix="fetch")

    def start(self) -> None:
        """Start all threads; they take up every job where the ledger says that it is."""
        for cluster in self._parts.settings.clusters:
            self._spawn(f"cluster-{cluster.name}", ClusterLoop(self._provider, self._parts, cluster).run)
        self._spawn("outputs", self._outputs)
        self._spawn("live", self._live)
        if self._provider.deliveries is not None:
            self._spawn("deliveries", self._deliver)

    def close(self) -> None:
        """End all threads and wait for them."""
        self._stop.set()
        for view in self._parts.views.values():
            view.wake.set()
        self._parts.outputs_due.set()
        for thread in self._threads:
            thread.join()
        for job_id in self._provider.live.under_way():
            self._provider.live.leave(job_id)
        for pool in (self._delivery_pool, self._live_pool, self._pool):
            pool.shutdown(wait=True, cancel_futures=True)

    def _spawn(self, name: str, target: Callable[[threading.Event], None]) -> None:
        thread = threading.Thread(target=target, args=(self._stop,), name=name)
        thread.start()
        self._threads.append(thread)

    def _outputs(self, stop: threading.Event) -> None:
        due = self._parts.outputs_due
        while not stop.is_set():
            due.clear()
            none: list[int] = []
            self._collect_all(guarded(self._provider.collector.take_due, none))
            self._parts.clock.wait(due, OUTPUTS_SECONDS)

    def _live(self, stop: threading.Event) -> None:
        queues = self._parts.settings.queues
        pause = min([LIVE_SECONDS, *(queue.outputs.live_interval_seconds for queue in queues)])
        while not self._parts.clock.wait(stop, pause):
            none: list[int] = []
            for job_id in guarded(self._provider.live.take_due, none):
                with contextlib.suppress(RuntimeError):  # the pool has been closed meanwhile
                    self._live_pool.submit(guarded, partial(self._provider.live.bring, job_id), None)

    def _deliver(self, stop: threading.Event) -> None:
        deliveries = self._provider.deliveries
        assert deliveries is not None
        while not self._parts.clock.wait(stop, DELIVERY_SECONDS):
            none: list[int] = []
            for job_id in guarded(deliveries.take_due, none):
                with contextlib.suppress(RuntimeError):  # the pool has been closed meanwhile
                    self._delivery_pool.submit(guarded, partial(deliveries.deliver, job_id), None)

    def _collect_all(self, jobs: Iterable[int]) -> None:
        for job_id in jobs:
            with contextlib.suppress(RuntimeError):  # the pool has been closed meanwhile
                self._pool.submit(guarded, partial(self._collect, job_id), None)

    def _collect(self, job_id: int) -> None:
        if self._stop.is_set():
            return
        guarded(partial(self._provider.collector.collect, job_id), None)
        self._collect_all(self._provider.collector.take_next())


class ClusterLoop:
    """Submission, cancels and monitoring of one cluster, one after the other."""

    def __init__(self, provider: Provider, parts: Parts, cluster: ClusterSettings) -> None:
        self._provider = provider
        self._view = parts.views[cluster.name]
        self._clock: Clock = parts.clock
        self._cluster = cluster
        self._round_due = 0.0
        self._nodes_due = 0.0

    def run(self, stop: threading.Event) -> None:
        """Until ``stop`` is set."""
        while not stop.is_set():
            self.turn()
            if self._clock.wait(self._view.wake, self._pause()):
                # The command that woke us gets its answer first, and jobs that come together go together.
                self._clock.wait(stop, GATHER_SECONDS)

    def turn(self) -> None:
        """What is to be done now."""
        name = self._cluster.name
        woken = self._view.wake.is_set()
        self._view.wake.clear()
        now = self._clock.monotonic()
        if now >= self._nodes_due:
            self._nodes_due = now + NODES_SECONDS
            guarded(lambda: self._provider.monitor.refresh_nodes(name), None)
        guarded(lambda: self._provider.eligibility.step(name), 0)
        guarded(lambda: self._provider.gangs.step(name), None)
        guarded(lambda: self._provider.submitter.step(name), None)
        if woken:
            self._round_due = min(self._round_due, now + SHORTEST_PAUSE_SECONDS)
        if self._clock.monotonic() >= self._round_due:
            guarded(lambda: self._provider.monitor.round(name), None)
            self._round_due = self._clock.monotonic() + self._cluster.poll_interval_seconds

    def _pause(self) -> float:
        return max(0.0, min(self._round_due, self._nodes_due) - self._clock.monotonic())


def guarded(step: Callable[[], T], otherwise: T) -> T:
    """Run a step that must not end its thread: a fault of ours is logged, and the next turn tries again."""
    try:
        return step()
    except Exception:
        log.exception("a step of the life cycle failed; it is tried again")
        return otherwise
