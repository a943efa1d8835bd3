"""The two threads of a framework: one reads events, the other handles them and sends calls.

They are apart so that a slow call never keeps heartbeats and events from being read.
"""

from __future__ import annotations

import logging
import queue
import random
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.errors import AiravataMesosError
from airavata_mesos_plugin.schedulers.mesos.driver import Json, Subscribed
from airavata_mesos_plugin.schedulers.mesos.framework import Framework
from airavata_mesos_plugin.schedulers.mesos.link import EventStream, MasterLink
from airavata_mesos_plugin.schedulers.retry import RetryPolicy

log = logging.getLogger(__name__)

TICK_SECONDS = 0.5
"""Longest pause between two looks at what is due."""

RECONNECTING = RetryPolicy(first_pause_seconds=0.5, longest_pause_seconds=5.0)
"""An election takes some seconds, and jobs wait for its end."""

_Item = tuple[EventStream | None, Sequence[Json], str, threading.Event | None]


class Runner:
    """Keeps a framework subscribed from `start` to `close`."""

    def __init__(
        self,
        framework: Framework,
        driver: Subscribed,
        link: MasterLink,
        clock: Clock,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._framework = framework
        self._driver = driver
        self._link = link
        self._clock = clock
        self._chance = chance
        self._stop = threading.Event()
        self._queue: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._stream: EventStream | None = None
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin to subscribe. Repeatable."""
        with self._lock:
            if self._threads or self._stop.is_set():
                return
            for name, target in (("mesos-events", self._read), ("mesos-framework", self._work)):
                thread = threading.Thread(target=target, name=name, daemon=True)
                self._threads.append(thread)
                thread.start()

    @property
    def started(self) -> bool:
        """Whether anything is being subscribed."""
        return bool(self._threads)

    def wake(self) -> None:
        """Something is to be done at once."""
        self._queue.put((None, (), "", None))

    def close(self) -> None:
        """End the subscription, not the framework: its tasks run on. Repeatable."""
        self._stop.set()
        with self._lock:
            stream, threads = self._stream, list(self._threads)
        if stream is not None:
            stream.close()
        self.wake()
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join()

    # The reading thread

    def _read(self) -> None:
        failures = 0
        while not self._stop.is_set():
            trouble, subscribed = self._subscribe_and_read()
            failures = 1 if subscribed else failures + 1
            # All that was read is handled before the next subscription is made: it may change our id.
            handled = threading.Event()
            self._queue.put((None, (), trouble, handled))
            while not self._stop.is_set() and not handled.wait(TICK_SECONDS):
                pass
            self._link.lost()
            pause = self._framework.take_pause() or RECONNECTING.pause(failures, self._chance())
            self._clock.wait(self._stop, pause)

    def _subscribe_and_read(self) -> tuple[str, bool]:
        """Until the stream ends; why it did, and whether the master had taken us."""
        try:
            stream = self._link.subscribe(self._driver.subscription())
        except AiravataMesosError as error:
            return str(error), False
        except Exception as error:
            log.exception("the subscription at the Mesos master failed")
            return f"{type(error).__name__}: {error}", False
        with self._lock:
            self._stream = stream
        subscribed = False
        try:
            if self._stop.is_set():
                return "", False
            for events in stream.events():
                subscribed = subscribed or any(one.get("type") == "SUBSCRIBED" for one in events)
                self._queue.put((stream, events, "", None))
            return f"the Mesos master at {stream.url} ended the stream", subscribed
        except AiravataMesosError as error:
            return str(error), subscribed
        finally:
            stream.release()

    # The working thread

    def _work(self) -> None:
        attached: EventStream | None = None
        while not self._stop.is_set():
            items = self._take()
            for stream, events, trouble, handled in items:
                if stream is not None and stream is not attached:
                    attached = stream
                    self._driver.attach(stream)
                    self._framework.opened()
                for event in events:
                    self._driver.handle(event)
                if handled is not None:
                    attached = None
                    self._driver.attach(None)
                    self._framework.closed(trouble)
                    handled.set()
            self._step(attached)

    def _take(self) -> list[_Item]:
        """What has come, at most one tick later."""
        items: list[_Item] = []
        with suppress(queue.Empty):
            items.append(self._queue.get(timeout=TICK_SECONDS))
            while True:
                items.append(self._queue.get_nowait())
        return items

    def _step(self, attached: EventStream | None) -> None:
        try:
            self._framework.step(self._driver)
        except AiravataMesosError as error:
            if not self._stop.is_set():
                log.warning("the subscription at the Mesos master is renewed: %s", error)
            if attached is not None:
                attached.close()
        except Exception:
            # A fault of ours must end neither the thread nor the framework; what is written down stays true.
            log.exception("a step of the Mesos framework failed; the subscription is renewed")
            if attached is not None:
                attached.close()
        if attached is not None and self._framework.unusable:
            attached.close()
