"""Runs one task from its first process to the last word about it."""

from __future__ import annotations

import json
import os
import signal
import socket
import time

from airavata_mesos_plugin.minicluster.executor import procs
from airavata_mesos_plugin.minicluster.executor.channel import Channel, FetchFailed
from airavata_mesos_plugin.minicluster.executor.config import Context, Refused, Task, load
from airavata_mesos_plugin.minicluster.executor.plan import InvalidPlan, Plan, split_orders
from airavata_mesos_plugin.minicluster.executor.spawn import spawn

_ACTIVE, _CLEANING, _FINALIZING, _ENDED = range(4)
_STAGES = ("ACTIVE", "CLEANING", "FINALIZING", "ENDED")
_HEALTHY = "No health-check defined, task is assumed healthy."
_VERDICTS = {"SUCCESS": ("TASK_FINISHED", "Task finished."), "FAILED": ("TASK_FAILED", "Task failed.")}


class Runner(Channel):
    """One task of Thermos."""

    def __init__(self, launch: dict[str, object], channel: socket.socket, run_dir: str, wakeup: int) -> None:
        super().__init__(launch, channel, run_dir, wakeup)
        self._sandbox = f"{run_dir}/sandbox"
        self._pids: dict[int, tuple[Plan, str]] = {}
        self._stage = _ACTIVE
        self._deadline = 0.0
        self._verdict = ("TASK_FAILED", "Task failed.")

    def run(self) -> None:
        """See `Channel.run`."""
        try:
            if not self._fetch():
                raise Refused("TASK_KILLED", self._stop_reason or "")
            self._report("TASK_STARTING", None)
            task = self._prepare()
            regular, final = self._plans(task)
            self._start_runnable(regular, time.monotonic())
            self._report("TASK_RUNNING", _HEALTHY)
            self._loop(task, regular, final)
        except FetchFailed as error:
            self._verdict = ("TASK_FAILED", str(error))
        except Refused as refusal:
            self._verdict = (refusal.state, refusal.message)
        except OSError as error:
            self._log(f"internal error: {error}")
            self._verdict = ("TASK_LOST", "Thermos failed with internal error.")
        finally:
            if not procs.kill_everything():
                self._log("some processes of the task could not be killed")
        self._report(*self._verdict)

    def _prepare(self) -> Task:
        ports = self._launch["ports"]
        context = Context(
            task_id=str(self._launch["task_id"]),
            role=str(self._launch["role"]),
            instance=int(str(self._launch["instance"])),
            hostname=str(self._launch["hostname"]),
            ports=ports if isinstance(ports, dict) else {},
        )
        data = self._launch["data"]
        task = load(data if isinstance(data, str) else None, context)
        try:
            os.mkdir(self._sandbox, 0o700)  # noqa: PTH102
            with open(f"{self._run_dir}/task.json", "w", encoding="utf-8") as out:  # noqa: PTH123
                json.dump(task.tree, out)
        except OSError as error:
            raise Refused("TASK_FAILED", f"Failed to initialize sandbox: {error}") from None
        return task

    def _plans(self, task: Task) -> tuple[Plan, Plan]:
        try:
            orders, final_orders = split_orders(task.processes, task.orders)
            regular = [process for process in task.processes if not process.final]
            final = [process for process in task.processes if process.final]
            return (
                Plan(regular, orders, task.max_failures, task.max_concurrency),
                Plan(final, final_orders, 0, task.max_concurrency),
            )
        except InvalidPlan as error:
            self._log(f"invalid plan: {error}")
            raise Refused("TASK_FAILED", "Thermos received an invalid task.") from None

    def _loop(self, task: Task, regular: Plan, final: Plan) -> None:
        while self._stage != _ENDED:
            now = time.monotonic()
            self._reap(now)
            self._advance(task, regular, final, now)
            if self._stage != _ENDED:
                self._wait(self._timeout(regular, final, now))

    def _advance(self, task: Task, regular: Plan, final: Plan, now: float) -> None:
        if self._stage == _ACTIVE:
            verdict = self._regular_verdict(regular)
            if verdict is None:
                self._start_runnable(regular, now)
                return
            self._verdict = verdict
            self._deadline = now + max(0, task.finalization_wait)
            self._enter(_CLEANING)
            procs.send_to_all(signal.SIGTERM)
        if self._stage == _CLEANING and (now >= self._deadline or not regular.running):
            # The wait bounds both stages together: without time left there is no finalizing.
            self._enter(_FINALIZING if now < self._deadline or not regular.running else _ENDED)
        if self._stage == _FINALIZING:
            if final.finished or not final.healthy or (now >= self._deadline and final.items):
                self._enter(_ENDED)
            else:
                self._start_runnable(final, now)

    def _regular_verdict(self, regular: Plan) -> tuple[str, str] | None:
        if not regular.healthy:
            return _VERDICTS["FAILED"]
        if regular.finished:
            return _VERDICTS["SUCCESS"]
        if self._stop_reason is not None:
            return "TASK_KILLED", self._stop_reason
        return None

    def _enter(self, stage: int) -> None:
        self._stage = stage
        self._log(f"task is {_STAGES[stage]}")

    def _start_runnable(self, plan: Plan, now: float) -> None:
        for name in plan.runnable(now):
            process = plan.items[name].process
            run = plan.started(name)
            path = os.environ.get("PATH", os.defpath)
            pid = spawn(process, run, self._sandbox, str(self._launch["role"]), path)
            self._pids[pid] = (plan, name)
            self._log(f"process {name} run {run} started with pid {pid}")

    def _reap(self, now: float) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self._pids:  # anything else is an orphan of the task that was handed to us
                plan, name = self._pids.pop(pid)
                code = os.waitstatus_to_exitcode(status)
                self._log(f"process {name} ended: {plan.ended(name, code, now)}, code {code}")

    def _timeout(self, regular: Plan, final: Plan, now: float) -> float | None:
        plan = final if self._stage == _FINALIZING else regular
        waits = [] if self._stage == _CLEANING else [plan.wait(now)]
        if self._stage != _ACTIVE:
            waits.append(max(0.0, self._deadline - now))
        known = [wait for wait in waits if wait is not None]
        return min(known) if known else None
