"""Jobs made, ended, restarted and grown."""

from __future__ import annotations

from typing import Any

from airavata_mesos_plugin.minicluster.scheduler.calls.base import DONE, Answer, Calls, Method
from airavata_mesos_plugin.minicluster.scheduler.envelope import failed_precondition, invalid
from airavata_mesos_plugin.minicluster.scheduler.names import key_of
from airavata_mesos_plugin.minicluster.scheduler.resources import amount_of
from airavata_mesos_plugin.minicluster.scheduler.status import Status


class JobCalls(Calls):
    def methods(self) -> dict[str, Method]:
        return {
            "createJob": lambda a, _: self._create(a.description),
            "killTasks": lambda a, user: self._kill(a.job, a.instances, a.message, user),
            "restartShards": lambda a, user: self._restart(a.job, a.shardIds, user),
            "addInstances": lambda a, _: self._add(a.key, a.count),
        }

    def _create(self, description: Any) -> Answer:
        job = self.valid_job(description)
        if job.cronSchedule is not None:
            raise invalid("Cron jobs may only be created/updated by calling scheduleCronJob.")
        key = key_of(job.key)
        self.check_not_updating(key)
        self.check_absent(key)
        self.check_count(job.instanceCount)
        self.check_quota(job.taskConfig, key, amount_of(job.taskConfig).times(job.instanceCount))
        self.scheduler.create(job)
        return DONE

    def _kill(self, job: Any, instances: Any, message: str | None, user: str) -> Answer:
        key = self.key(job)
        self.check_not_updating(key)
        text = f"Killed by {user}" if message is None else f"Killed by {user}.\n{message}"
        killed = 0
        for task in list(self.store.active_of_job(key)):
            if not instances or task.instance in instances:
                killed += self.scheduler.manager.change(task, Status.KILLING, text)
        return DONE if killed else (None, ("No tasks to kill.",))

    def _restart(self, job: Any, instances: Any, user: str) -> Answer:
        key = self.key(job)
        if not instances:
            raise failed_precondition("Argument cannot be blank")
        self.check_not_updating(key)
        active = {task.instance: task for task in self.store.active_of_job(key)}
        if not active.keys() >= set(instances):
            raise invalid("Not all requested shards are active.")
        for instance in sorted(instances):
            self.scheduler.manager.change(active[instance], Status.RESTARTING, f"Restarted by {user}")
        return DONE

    def _add(self, instance_key: Any, count: int | None) -> Answer:
        key = self.key(None if instance_key is None else instance_key.jobKey)
        count = count or 0
        if count <= 0:
            raise invalid("Instance count must be positive.")
        if key in self.scheduler.cron.entries:
            raise invalid("Instances may not be added to cron jobs.")
        self.check_not_updating(key)
        active = {task.instance: task for task in self.store.active_of_job(key)}
        model = active.get(instance_key.instanceId or 0)
        if model is None:
            raise invalid("No active task found for a given instance ID.")
        self.check_count(len(active) + count)
        used = self.scheduler.quotas.of_job(key, production=True, dedicated=False)
        self.check_quota(model.config, key, used.plus(model.needs.times(count)))
        first = max(active) + 1
        self.scheduler.manager.create(model.config, range(first, first + count))
        return DONE
