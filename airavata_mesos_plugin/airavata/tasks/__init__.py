"""Airavata's tasks over this provider: the same steps, in-process, without a login host in between."""

from airavata_mesos_plugin.airavata.tasks.context import (
    JobProvider,
    ProcessContext,
    Registry,
    Storage,
    TaskContext,
)
from airavata_mesos_plugin.airavata.tasks.factory import TASKS, TaskFactory
from airavata_mesos_plugin.airavata.tasks.files import LocalStorage
from airavata_mesos_plugin.airavata.tasks.monitoring import (
    CompletingTask,
    MonitoringTask,
    RemoteJobCancellationTask,
)
from airavata_mesos_plugin.airavata.tasks.spi import JobSubmissionTask, Task, TaskException
from airavata_mesos_plugin.airavata.tasks.staging import (
    ArchiveTask,
    EnvSetupTask,
    InputDataStagingTask,
    OutputDataStagingTask,
)
from airavata_mesos_plugin.airavata.tasks.submission import DefaultJobSubmissionTask

__all__ = [
    "TASKS",
    "ArchiveTask",
    "CompletingTask",
    "DefaultJobSubmissionTask",
    "EnvSetupTask",
    "InputDataStagingTask",
    "JobProvider",
    "JobSubmissionTask",
    "LocalStorage",
    "MonitoringTask",
    "OutputDataStagingTask",
    "ProcessContext",
    "Registry",
    "RemoteJobCancellationTask",
    "Storage",
    "Task",
    "TaskContext",
    "TaskException",
    "TaskFactory",
]
