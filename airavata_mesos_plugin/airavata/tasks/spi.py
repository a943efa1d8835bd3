"""What every task promises: Airavata's task interface, in Python.

Source: `Task` and `JobSubmissionTask` of Airavata 0.17 (GFac), `AbstractTask` of develop (Helix). One
instance of a class serves all processes at the same time, so tasks keep nothing but their properties.
"""

from __future__ import annotations

import logging
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar

from airavata_mesos_plugin.airavata.tasks.context import ProcessContext, TaskContext
from airavata_mesos_plugin.airavata.tasks.jobs import job_status, jobs_of
from airavata_mesos_plugin.airavata.tasks.model import (
    ErrorModel,
    JobStatus,
    TaskState,
    TaskStatus,
    TaskTypes,
)
from airavata_mesos_plugin.errors import AiravataMesosError, ConfigurationError

log = logging.getLogger(__name__)


class TaskException(AiravataMesosError):
    """A task could not do what it is for."""


class TryAgain(TaskException):
    """A task could not do it now."""

    transient = True


class Cancelled(TaskException):
    """The process was asked to end while the task was at work."""


class Task(ABC):
    """One kind of step. Made without arguments, then given its properties once."""

    task_type: ClassVar[TaskTypes | None]
    """None for the steps that Airavata knows as parts of a workflow only."""

    defaults: ClassVar[Mapping[str, float]] = {}
    """The properties that the task knows, all of them numbers, and their values if nothing is said."""

    def __init__(self) -> None:
        self._properties = dict(self.defaults)

    def init(self, properties: Mapping[str, str]) -> None:
        """Take the properties of the settings. Raises ConfigurationError for one that is not known."""
        for name, text in properties.items():
            if name not in self.defaults:
                known = ", ".join(sorted(self.defaults)) or "none"
                raise ConfigurationError(f"{type(self).__name__} has no property {name!r}; known: {known}")
            try:
                number = float(text)
            except ValueError:
                number = -1.0
            if not 0 <= number < float("inf"):
                raise ConfigurationError(f"{type(self).__name__}: {name}={text!r} is not a number from 0 up")
            self._properties[name] = number

    def get_type(self) -> TaskTypes | None:
        """The kind of step."""
        return self.task_type

    def execute(self, context: TaskContext) -> TaskStatus:
        """Do it. The result is COMPLETED or FAILED, has been given to the registry, and says why.

        Raises nothing that it can put into a result. A repeat does no harm.
        """
        return self._told(context, self._run)

    def recover(self, context: TaskContext) -> TaskStatus:
        """Go on after a restart of the caller, from wherever the first try was left. Repeatable."""
        return self._told(context, self._run)

    def cancel(self, context: TaskContext) -> JobStatus | None:
        """Let all tasks of the process end soon. Returns at once, and may be called from any thread.

        The result is the state that the job of the process had before; None when it has none.
        """
        context.process.cancelled.set()
        records = jobs_of(context.process)
        return job_status(records[0]) if records else None

    @abstractmethod
    def _run(self, context: TaskContext) -> str:
        """Do it, and return what is worth saying about it. Raises AiravataMesosError or OSError."""

    def _told(self, context: TaskContext, step: Callable[[TaskContext], str]) -> TaskStatus:
        process = context.process
        process.registry.add_task_status(TaskStatus(TaskState.EXECUTING, process.now()), context.task_id)
        try:
            status = TaskStatus(TaskState.COMPLETED, reason=step(context), time_of_state_change=process.now())
        except (AiravataMesosError, OSError) as error:
            log.warning("%s of %s failed: %s", type(self).__name__, process.process_id, error)
            status = TaskStatus(TaskState.FAILED, reason=str(error), time_of_state_change=process.now())
            process.registry.add_errors("TASK_ERROR", _error(process, error), context.task_id)
        process.registry.add_task_status(status, context.task_id)
        return status


class JobSubmissionTask(Task):
    """A task that sends a job."""

    task_type = TaskTypes.JOB_SUBMISSION

    @abstractmethod
    def cancel(self, context: TaskContext) -> JobStatus | None:
        """Ask for the end of the job as well. Durable on return; repeatable."""


def check_not_cancelled(process: ProcessContext) -> None:
    """Raises Cancelled when the process was asked to end."""
    if process.cancelled.is_set():
        raise Cancelled(f"process {process.process_id} was cancelled")


def _error(process: ProcessContext, error: AiravataMesosError | OSError) -> ErrorModel:
    advice = error.advice if isinstance(error, AiravataMesosError) else ""
    return ErrorModel(
        error_id=str(uuid.uuid4()),
        creation_time=process.now(),
        actual_error_message=f"{type(error).__name__}: {error}",
        user_friendly_message=advice or str(error),
        transient_or_persistent=not isinstance(error, AiravataMesosError) or error.transient,
    )
