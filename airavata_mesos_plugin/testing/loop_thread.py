"""An event loop on a thread of its own, for servers in tests that have no loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

STEP_SECONDS = 60.0


class LoopThread:
    """Runs from `start` to `stop`."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)

    def start(self) -> None:
        """Not to be repeated."""
        self._thread.start()

    def run(self, step: Coroutine[Any, Any, T]) -> T:
        """What ``step`` gives on the loop. Raises what it raises, and TimeoutError after a minute."""
        return asyncio.run_coroutine_threadsafe(step, self._loop).result(STEP_SECONDS)

    def stop(self) -> None:
        """End loop and thread. Repeatable."""
        if self._thread.is_alive():
            self.run(_end_tasks())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()


async def _end_tasks() -> None:
    """End what still goes on, such as an answer that is delayed for ever."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
