"""What Airavata keeps of one experiment with its one process, and develop's rules for job states."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.contract.airavata_script import JobScript

_LATER = ("COMPLETE", "CANCELED", "FAILED", "SUSPENDED", "UNKNOWN")
TRANSITIONS: Mapping[str | None, frozenset[str]] = {
    "SUBMITTED": frozenset({"QUEUED", "ACTIVE", "NON_CRITICAL_FAIL", *_LATER}),
    "QUEUED": frozenset({"ACTIVE", "NON_CRITICAL_FAIL", *_LATER}),
    "ACTIVE": frozenset({"NON_CRITICAL_FAIL", *_LATER}),
    "NON_CRITICAL_FAIL": frozenset({"QUEUED", "ACTIVE", *_LATER}),
    **dict.fromkeys(_LATER, frozenset()),
}
"""Airavata develop, ``JobStateValidator``: what may follow a job state. Anything may be the first."""

NO_JOB = "DEFAULT_JOB_ID"
"""What Airavata stores as the id of a job that it could not submit."""


def legal(before: str | None, after: str) -> bool:
    """Whether develop takes a message over a job's state."""
    return before is None or after in TRANSITIONS[before]


class TaskFailed(Exception):
    """The task may be tried again."""


class Fatal(TaskFailed):
    """The task is not tried again."""


@dataclass(frozen=True)
class Output:
    """A declared output of an application. ``value`` is a name in the working directory, or a wildcard."""

    value: str
    kind: str = "URI"  # or URI_COLLECTION
    required: bool = True


@dataclass(frozen=True)
class Experiment:
    """What a gateway user asked for."""

    command: str
    inputs: Mapping[str, bytes] = field(default_factory=dict)
    outputs: tuple[Output, ...] = ()
    archive: bool = False
    wall_time: str = "00:5:00"
    directives: tuple[str, ...] = ()
    queue: str = "default"


class Process:
    """The one process of an experiment, and what has become of it."""

    def __init__(self, experiment: Experiment, scratch: Path, *, realtime: bool) -> None:
        self.experiment = experiment
        self.id = f"PROCESS_{uuid.uuid4()}"
        self.directory = scratch / self.id
        self.script = JobScript(
            self.directory,
            experiment.command,
            queue=experiment.queue,
            wall_time=experiment.wall_time,
            directives=experiment.directives,
            realtime=realtime,
        )
        self.job_id: str | None = None
        self.job_states: list[str] = []
        self.job_error = ""
        self.state = "CREATED"
        self.experiment_state = "CREATED"
        self.files: dict[str, Path] = {}
        self.warnings: list[str] = []
        self.errors: list[str] = []
        self.dropped: list[str] = []  # messages over the job that were not legal
        self.guesses: list[str] = []  # conclusions that nobody told Airavata
        self.verified = False

    @property
    def job_state(self) -> str | None:
        return self.job_states[-1] if self.job_states else None

    def save_job(self, job_id: str, state: str, error: str = "") -> None:
        """Store the job's state."""
        self.job_id = job_id
        self.job_states.append(state)
        self.job_error = error or self.job_error

    def end(self, state: str, experiment_state: str | None = None) -> None:
        """Store the end of the process, and of the experiment."""
        self.state = state
        self.experiment_state = experiment_state or state

    @property
    def standard_outputs(self) -> tuple[Output, Output]:
        """The declared STDOUT and STDERR."""
        name = self.script.application
        return Output(f"{name}.stdout"), Output(f"{name}.stderr")
