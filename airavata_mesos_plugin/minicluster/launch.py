"""The order to start a task, as the scheduler gives it to an agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Command(NamedTuple):
    """What Mesos' own executor runs. Times in seconds; without `user` it runs as the agent does."""

    program: str
    arguments: tuple[str, ...]
    """What the program finds as its arguments, its own name first."""
    environment: tuple[tuple[str, str], ...] = ()
    user: str = ""
    grace: float = 3.0
    """Between TERM and KILL."""
    max_seconds: float | None = None
    """The task is ended after that."""
    killing_state: bool = False
    """Whether TASK_KILLING is told."""


class Launch(NamedTuple):
    """`memory_mb` and `disk_mb` in MiB. `data` is the executor's configuration, opaque to everybody but
    it."""

    task_id: str
    executor_id: str
    name: str
    source: str
    role: str
    environment: str
    instance: int
    hostname: str
    ports: Mapping[str, int]
    data: str | None
    cpus: float
    memory_mb: int
    disk_mb: int
    gpus: int
    labels: tuple[tuple[str, str], ...]
    uris: tuple[tuple[str, str, bool, bool] | tuple[str, str, bool, bool, bool], ...] = ()
    """For the fetcher: address, name in the run directory or nothing, whether to extract, whether to keep,
    whether it is a program."""
    command: Command | None = None
    """What to run without Thermos."""
