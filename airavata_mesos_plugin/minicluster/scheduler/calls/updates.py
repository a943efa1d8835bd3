"""Updates begun, steered and read (Aurora 0.22)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.minicluster.scheduler.calls.base import DONE, Answer, Calls, Method
from airavata_mesos_plugin.minicluster.scheduler.envelope import Code, Refusal, failed_precondition, invalid
from airavata_mesos_plugin.minicluster.scheduler.names import JobKey, is_valid_key, key_of
from airavata_mesos_plugin.minicluster.scheduler.normal import normalised
from airavata_mesos_plugin.minicluster.scheduler.quota import larger
from airavata_mesos_plugin.minicluster.scheduler.resources import Amount, amount_of
from airavata_mesos_plugin.minicluster.scheduler.updates import plan
from airavata_mesos_plugin.minicluster.scheduler.updates.controller import Refused
from airavata_mesos_plugin.minicluster.scheduler.updates.machine import ACTIVE, UpdateStatus
from airavata_mesos_plugin.minicluster.scheduler.updates.model import Update
from airavata_mesos_plugin.minicluster.scheduler.validation import Invalid, validated_task
from airavata_mesos_plugin.minicluster.settings import ClusterSettings
from airavata_mesos_plugin.minicluster.wire.text import thrift_text

_DEPRECATED = "The key argument is deprecated, use the query argument instead"
_NO_CRON = "Cron jobs may only be created/updated by calling scheduleCronJob."
_IN_PROGRESS = (
    "An active update already exists for this job, please terminate it before starting another. "
    f"Active updates are those in states [{', '.join(s.name for s in sorted(ACTIVE))}]"
)


class Unfinished(Refusal):
    """Refused because of another update, which the answer tells of."""

    def __init__(self, result: Any) -> None:
        super().__init__(Code.INVALID_REQUEST, _IN_PROGRESS)
        self.result = result


def _objection(request: Any, settings: ClusterSettings) -> str | None:
    """What speaks against a request before its task configuration is looked at."""
    wanted = request.settings
    strategy = wanted.updateStrategy
    if not request.taskConfig.isService:
        return "Updates are not supported for non-service tasks."
    varied = None if strategy is None else strategy.varBatchStrategy
    if varied is not None and any(size <= 0 for size in varied.groupSizes):
        return "All update group sizes must be positive."
    if sum(plan.Portions(wanted).sizes) <= 0:
        return "Update results in no instance being modified."
    if wanted.maxPerInstanceFailures < 0:
        return "maxPerInstanceFailures must be non-negative."
    if wanted.maxFailedInstances < 0:
        return "maxFailedInstances must be non-negative."
    if wanted.maxPerInstanceFailures * request.instanceCount > settings.max_update_instance_failures:
        return (
            "Your update allows too many failures to occur, consider decreasing the per-instance failures or "
            "maxFailedInstances."
        )
    if wanted.minWaitInInstanceRunningMs < 0:
        return "minWaitInInstanceRunningMs must be non-negative."
    if wanted.blockIfNoPulsesAfterMs < 0:
        return "blockIfNoPulsesAfterMs must be positive."
    if wanted.slaAware and request.taskConfig.slaPolicy is None:
        return "slaAware is true, but no task slaPolicy is specified."
    return None


class UpdateCalls(Calls):
    def methods(self) -> dict[str, Method]:
        updates = self.scheduler.updates
        return {
            "startJobUpdate": lambda a, user: self._start(a.request, a.message, user),
            "pauseJobUpdate": lambda a, user: self._move(a, user, updates.pause),
            "resumeJobUpdate": lambda a, user: self._move(a, user, updates.resume),
            "abortJobUpdate": lambda a, user: self._move(a, user, self._to(UpdateStatus.ABORTED)),
            "rollbackJobUpdate": lambda a, user: self._move(a, user, self._to(UpdateStatus.ROLLING_BACK)),
            "pulseJobUpdate": lambda a, _: self._pulse(a.key),
            "getJobUpdateSummaries": lambda a, _: self._summaries(a.jobUpdateQuery),
            "getJobUpdateDetails": lambda a, _: self._details(a.key, a.query),
            "getJobUpdateDiff": lambda a, _: self._diff(a.request),
        }

    def _to(self, status: UpdateStatus) -> Callable[[Update, str, str | None], None]:
        return lambda update, user, message: self.scheduler.updates.move(update, status, user, message)

    def _valid_request(self, request: Any) -> Any:
        if request is None or request.taskConfig is None or request.settings is None:
            raise failed_precondition()
        return normalised(request)

    def _valid_config(self, request: Any) -> Any:
        try:
            return validated_task(request.taskConfig, self.settings, request.instanceCount)
        except Invalid as error:
            raise invalid(str(error)) from None

    def _current(self, key: JobKey) -> dict[int, Any]:
        return {task.instance: task.config for task in self.store.active_of_job(key)}

    def _start(self, request: Any, message: str | None, user: str) -> Answer:
        request = self._valid_request(request)
        self.check_message(message)
        objection = _objection(request, self.settings)
        if objection is not None:
            raise invalid(objection)
        config = self._valid_config(request)
        key = key_of(config.job)
        if key in self.scheduler.cron.entries:
            raise invalid(_NO_CRON)
        current = self._current(key)
        only = plan.members(request.settings.updateOnlyTheseInstances)
        diff = plan.Diff(current, config, request.instanceCount, only)
        if diff.irrelevant:
            raise invalid(
                "The update request attempted to update specific instances, but some are irrelevant to the "
                f"update and current job state: {diff.irrelevant}"
            )
        if diff.empty:
            return None, ("Job is unchanged by proposed update.",)
        self.check_count(request.instanceCount)
        self._check_quota(key, config, current, diff)
        active = self.scheduler.updates.active_of(key)
        if active is not None:
            raise Unfinished(self._started(active))
        instructions = plan.instructions(diff, current, config, request.settings)
        update = self.scheduler.updates.start(config.job, instructions, request.metadata, user, message)
        return self._started(update, with_state=False), ()

    def _check_quota(self, key: JobKey, config: Any, current: dict[int, Any], diff: plan.Diff) -> None:
        total, new = Amount(), amount_of(config)
        for instance in set(current) | diff.add:
            before = current.get(instance)
            old = Amount() if before is None or not before.production else amount_of(before)
            touched = instance in diff.add or instance in diff.update
            total = total.plus(larger(old, new) if touched else old)
        self.check_quota(config, key, total)

    def _started(self, update: Update, with_state: bool = True) -> Any:
        result = api.StartJobUpdateResult(
            key=update.key_struct(), updateSummary=update.summary(with_state=with_state)
        )
        return api.Result(startJobUpdateResult=result)

    def _key_of(self, key: Any) -> tuple[JobKey, str]:
        if key is None or not is_valid_key(key.job) or not (key.id or "").strip():
            raise failed_precondition()
        return key_of(key.job), key.id

    def _move(self, arguments: Any, user: str, how: Callable[[Update, str, str | None], None]) -> Answer:
        job, update_id = self._key_of(arguments.key)
        self.check_message(arguments.message)
        update = self.scheduler.updates.get(job, update_id)
        if update is None:
            raise invalid(f"Update does not exist: {thrift_text(arguments.key)}")
        try:
            how(update, user, arguments.message)
        except Refused as error:
            raise invalid(str(error)) from None
        return DONE

    def _pulse(self, key: Any) -> Answer:
        known = self.scheduler.updates.pulse(*self._key_of(key))
        status = api.JobUpdatePulseStatus.OK if known else api.JobUpdatePulseStatus.FINISHED
        return api.Result(pulseJobUpdateResult=api.PulseJobUpdateResult(status=status)), ()

    def _found(self, query: Any) -> list[Update]:
        if query is None:
            raise failed_precondition()

        def matches(update: Update) -> bool:
            return (
                (not query.role or update.job.role == query.role)
                and (query.jobKey is None or update.job == key_of(query.jobKey))
                and (not query.user or update.user == query.user)
                and (not query.updateStatuses or update.status in query.updateStatuses)
                and (query.key is None or update.key_struct() == query.key)
            )

        offset = max(0, query.offset or 0)
        stop = offset + query.limit if query.limit and query.limit > 0 else None
        return list(islice(filter(matches, self.scheduler.updates.all()), offset, stop))

    def _summaries(self, query: Any) -> Answer:
        summaries = tuple(update.summary() for update in self._found(query))
        result = api.GetJobUpdateSummariesResult(updateSummaries=summaries)
        return api.Result(getJobUpdateSummariesResult=result), ()

    def _details(self, key: Any, query: Any) -> Answer:
        if query is not None:
            found = tuple(update.details() for update in self._found(query))
            result = api.GetJobUpdateDetailsResult(detailsList=found)
            return api.Result(getJobUpdateDetailsResult=result), ()
        if key is None:
            raise failed_precondition("Either key or query must be set.")
        job, update_id = self._key_of(key)
        update = self.scheduler.updates.get(job, update_id)
        if update is None:
            raise invalid(f"Invalid update: {thrift_text(key)}")
        result = api.GetJobUpdateDetailsResult(details=update.details(), detailsList=())
        return api.Result(getJobUpdateDetailsResult=result), (_DEPRECATED,)

    def _diff(self, request: Any) -> Answer:
        request = self._valid_request(request)
        config = self._valid_config(request)
        key = key_of(config.job)
        if key in self.scheduler.cron.entries:
            raise invalid("Cron jobs are not supported.")
        current = self._current(key)
        only = plan.members(request.settings.updateOnlyTheseInstances)
        diff = plan.Diff(current, config, request.instanceCount, only)
        new = dict.fromkeys(diff.add, config)
        result = api.GetJobUpdateDiffResult(
            add=plan.config_groups(diff.add, new),
            remove=plan.config_groups(diff.remove, current),
            update=plan.config_groups(diff.update, current),
            unchanged=plan.config_groups(diff.unchanged, current),
        )
        return api.Result(getJobUpdateDiffResult=result), ()
