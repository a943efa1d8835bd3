"""Cron entries made, replaced, removed and run (Aurora 0.22)."""

from __future__ import annotations

from typing import Any

from airavata_mesos_plugin.minicluster.scheduler.calls.base import DONE, Answer, Calls, Method
from airavata_mesos_plugin.minicluster.scheduler.cron import BadCron, checked_expression
from airavata_mesos_plugin.minicluster.scheduler.envelope import invalid
from airavata_mesos_plugin.minicluster.scheduler.quota import larger
from airavata_mesos_plugin.minicluster.scheduler.resources import Amount, amount_of


class CronCalls(Calls):
    def methods(self) -> dict[str, Method]:
        return {
            "scheduleCronJob": lambda a, _: self._save(a.description, must_exist=False),
            "replaceCronTemplate": lambda a, _: self._save(a.config, must_exist=True),
            "descheduleCronJob": lambda a, _: self._remove(a.job),
            "startCronJob": lambda a, _: self._start(a.job),
        }

    def _save(self, description: Any, must_exist: bool) -> Answer:
        key = self.key(None if description is None else description.key)
        job = self.valid_job(description)
        if job.cronSchedule is None:
            raise invalid(f"Job {key} has no cron schedule")
        self.check_not_updating(key)
        self.check_count(job.instanceCount)
        running = Amount()
        for task in self.store.active_of_job(key):
            running = running.plus(task.needs)
        whole = larger(amount_of(job.taskConfig).times(job.instanceCount), running)
        self.check_quota(job.taskConfig, key, whole)
        cron = self.scheduler.cron
        if key not in cron.entries:
            if must_exist:
                raise invalid(f"No cron job found for {key}.")
            self.check_absent(key)
        try:
            checked_expression(job)
        except BadCron as error:
            raise invalid(str(error)) from None
        cron.save(key, job)
        return DONE

    def _remove(self, job: Any) -> Answer:
        key = self.key(job)
        self.check_not_updating(key)
        if self.scheduler.cron.remove(key):
            return DONE
        return None, (f"Job {key} is not scheduled with cron",)

    def _start(self, job: Any) -> Answer:
        key = self.key(job)
        if key not in self.scheduler.cron.entries:
            raise invalid(f"Failed to start cron job - No cron job found for {key}.")
        self.scheduler.cron.start_soon(key)
        return DONE
