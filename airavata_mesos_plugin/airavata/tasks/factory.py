"""Which class does which step, and how it is made once for all processes."""

from __future__ import annotations

from collections.abc import Mapping

from airavata_mesos_plugin.airavata.tasks.model import DataStageType, DataStaging, TaskModel, TaskTypes
from airavata_mesos_plugin.airavata.tasks.monitoring import (
    CompletingTask,
    MonitoringTask,
    RemoteJobCancellationTask,
)
from airavata_mesos_plugin.airavata.tasks.spi import Task
from airavata_mesos_plugin.airavata.tasks.staging import (
    ArchiveTask,
    EnvSetupTask,
    InputDataStagingTask,
    OutputDataStagingTask,
)
from airavata_mesos_plugin.airavata.tasks.submission import DefaultJobSubmissionTask
from airavata_mesos_plugin.errors import ConfigurationError, InvalidRequest

TASKS: Mapping[str, type[Task]] = {
    kind.__name__: kind
    for kind in (
        EnvSetupTask,
        InputDataStagingTask,
        DefaultJobSubmissionTask,
        MonitoringTask,
        OutputDataStagingTask,
        ArchiveTask,
        CompletingTask,
        RemoteJobCancellationTask,
    )
}
"""All tasks by the names of their classes."""

_BY_TYPE: Mapping[TaskTypes, type[Task]] = {
    TaskTypes.ENV_SETUP: EnvSetupTask,
    TaskTypes.JOB_SUBMISSION: DefaultJobSubmissionTask,
    TaskTypes.MONITORING: MonitoringTask,
}
_BY_STAGE: Mapping[DataStageType, type[Task]] = {
    DataStageType.INPUT: InputDataStagingTask,
    DataStageType.OUPUT: OutputDataStagingTask,
    DataStageType.ARCHIVE_OUTPUT: ArchiveTask,
}


class TaskFactory:
    """Holds one instance of each task. Safe to use from several threads."""

    def __init__(self, properties: Mapping[str, Mapping[str, str]] | None = None) -> None:
        """``properties`` are those of each class, by its name. Raises ConfigurationError."""
        given = dict(properties or {})
        self._tasks: dict[type[Task], Task] = {}
        for name, kind in TASKS.items():
            task = kind()
            task.init(given.pop(name, {}))
            self._tasks[kind] = task
        if given:
            raise ConfigurationError(f"there is no task {sorted(given)[0]!r}; there are: {', '.join(TASKS)}")

    def task(self, model: TaskModel) -> Task:
        """The task for a step. Raises InvalidRequest for a kind that has none."""
        kind = _BY_TYPE.get(model.task_type)
        if model.task_type is TaskTypes.DATA_STAGING and isinstance(model.sub_task_model, DataStaging):
            kind = _BY_STAGE[model.sub_task_model.type]
        if kind is None:
            raise InvalidRequest(f"task {model.task_id}: there is no task for {model.task_type.name}")
        return self._tasks[kind]

    def completing(self) -> Task:
        """The last step of a process."""
        return self._tasks[CompletingTask]

    def cancellation(self) -> Task:
        """The step that ends the jobs of a process."""
        return self._tasks[RemoteJobCancellationTask]
