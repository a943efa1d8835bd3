"""What the groups of calls have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airavata_mesos_plugin.minicluster.scheduler.core import Scheduler
from airavata_mesos_plugin.minicluster.scheduler.envelope import Code, Refusal, failed_precondition, invalid
from airavata_mesos_plugin.minicluster.scheduler.names import JobKey, is_valid_key, key_of
from airavata_mesos_plugin.minicluster.scheduler.validation import Invalid, validated_job

Answer = tuple[Any, tuple["str | None", ...]]
"""Result (or None) and messages of a call that went well."""
Method = Callable[[Any, str], Answer]
"""Takes the arguments and the user who calls.  Raises Refusal."""

DONE: Answer = (None, ())
_LONGEST_MESSAGE = 1024


class Calls:
    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.store = scheduler.store
        self.settings = scheduler.settings

    def key(self, key: Any) -> JobKey:
        """A key given as an argument."""
        if not is_valid_key(key):
            raise failed_precondition()
        return key_of(key)

    def valid_job(self, description: Any, prefix: str = "") -> Any:
        if description is None:
            raise failed_precondition()
        try:
            return validated_job(description, self.settings)
        except Invalid as error:
            raise invalid(f"{prefix}{error}") from None

    def check_not_updating(self, key: JobKey) -> None:
        if self.scheduler.updates.active_of(key) is not None:
            raise Refusal(Code.JOB_UPDATING_ERROR, "Job is currently updating")

    def check_absent(self, key: JobKey) -> None:
        if key in self.scheduler.cron.entries or any(True for _ in self.store.active_of_job(key)):
            raise invalid(f"Job {key} already exists")

    def check_count(self, count: int) -> None:
        most = self.settings.max_instances_per_job
        if not 1 <= count <= most:
            raise invalid(f"Instance count must be between 1 and {most} inclusive.")

    def check_quota(self, config: Any, key: JobKey, whole_job: Any) -> None:
        """`whole_job` is the Amount that the job will count with."""
        shortage = self.scheduler.quotas.shortage(config, key, whole_job)
        if shortage is not None:
            raise invalid(f"Insufficient resource quota: {shortage}")

    def check_message(self, message: str | None) -> None:
        if message is not None and len(message) > _LONGEST_MESSAGE:
            raise failed_precondition(f"Message must be at most {_LONGEST_MESSAGE} characters.")
