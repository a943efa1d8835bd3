"""The calls of the API (Aurora 0.22): who may make them, and which job each is about."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple


class Access(Enum):
    READ = "ReadOnlyScheduler"
    JOB = "AuroraSchedulerManager"
    ADMIN = "AuroraAdmin"


class Entry(NamedTuple):
    access: Access
    job_key: Callable[[Any], Any] | None = None
    """The key, or None, that the arguments of a call about a job name."""


def _at(path: str) -> Callable[[Any], Any]:
    names = path.split(".")

    def find(arguments: Any) -> Any:
        value = arguments
        for name in names:
            value = None if value is None else getattr(value, name)
        return value

    return find


_READ = (
    "getRoleSummary", "getJobSummary", "getTasksStatus", "getTasksWithoutConfigs", "getPendingReason",
    "getConfigSummary", "getJobs", "getQuota", "populateJobConfig", "getJobUpdateSummaries",
    "getJobUpdateDetails", "getJobUpdateDiff", "getTierConfigs",
)  # fmt: skip
_JOB = {
    "createJob": "description.key",
    "scheduleCronJob": "description.key",
    "replaceCronTemplate": "config.key",
    "descheduleCronJob": "job",
    "startCronJob": "job",
    "restartShards": "job",
    "killTasks": "job",
    "addInstances": "key.jobKey",
    "startJobUpdate": "request.taskConfig.job",
    "pauseJobUpdate": "key.job",
    "resumeJobUpdate": "key.job",
    "abortJobUpdate": "key.job",
    "rollbackJobUpdate": "key.job",
    "pulseJobUpdate": "key.job",
}
_ADMIN = (
    "setQuota", "forceTaskState", "pruneTasks", "startMaintenance", "drainHosts", "slaDrainHosts",
    "maintenanceStatus", "endMaintenance", "performBackup", "listBackups", "snapshot",
    "triggerExplicitTaskReconciliation", "triggerImplicitTaskReconciliation", "stageRecovery",
    "queryRecovery", "deleteRecoveryTasks", "commitRecovery", "unloadRecovery",
)  # fmt: skip

METHODS: dict[str, Entry] = {
    **{name: Entry(Access.READ) for name in _READ},
    **{name: Entry(Access.JOB, _at(path)) for name, path in _JOB.items()},
    **{name: Entry(Access.ADMIN) for name in _ADMIN},
}
