"""Airavata master: one list of tasks, and a task that looks after the job every five seconds.

Sources: Airavata master: ``ProcessExecutor``, ``MonitoringTask``.
"""

from __future__ import annotations

from tests.contract.airavata_gateway import MISSING, Gateway
from tests.contract.airavata_process import NO_JOB, Experiment, Fatal, Output, Process, TaskFailed
from tests.contract.airavata_ssh import SshError

POLL_SECONDS = 5.0
POLLS = 360  # half an hour
INFRASTRUCTURE_FAILURES = 6


class Master(Gateway):
    """Runs a process from its first task to its end."""

    def run(self, experiment: Experiment) -> Process:
        """The whole process."""
        process = Process(experiment, self.scratch, realtime=self.realtime)
        self.execute(process)
        return process

    def execute(self, process: Process) -> None:
        """All tasks; the first one that fails ends process and experiment."""
        process.experiment_state = "LAUNCHED"
        for task in (self.set_up, self.stage_inputs, self.submit, self.monitor, self.fetch):
            if not self.attempt(process, task):
                process.end("FAILED")
                return
        process.end("COMPLETED")

    def monitor(self, process: Process) -> None:
        """Look after the job until it is over; half an hour at most, then the task is tried again."""
        if process.job_id in (None, NO_JOB):
            raise Fatal("there is no job to look after")
        broken = 0
        for _ in range(POLLS):
            state = self.look(process)
            broken = broken + 1 if state == "INFRASTRUCTURE" else 0
            if broken >= INFRASTRUCTURE_FAILURES:
                state = "FAILED"
            if state not in (process.job_state, "INFRASTRUCTURE"):
                process.save_job(str(process.job_id), state)
            if state == "COMPLETE":
                return
            if state in ("FAILED", "CANCELED"):
                raise Fatal(f"job {process.job_id} is {state}")
            self.sleep(POLL_SECONDS)
        raise TaskFailed(f"job {process.job_id} is not over")

    def look(self, process: Process) -> str:
        """The job's state: squeue's answer when it has one, sacct's otherwise."""
        job_id = str(process.job_id)
        try:
            state = self.caller.state(job_id)
            if state not in (None, "UNKNOWN"):
                return state
            word = self.caller.accounted_word(job_id)
        except SshError as error:
            process.warnings.append(str(error))
            return "QUEUED"
        if word is None:
            process.guesses.append(f"no line for job {job_id}: taken for completed")
        if word in ("NODE_FAIL", "BOOT_FAIL"):
            return "INFRASTRUCTURE"
        return self.caller.accounted_meaning(word)

    def missing(self, process: Process, output: Output, name: str) -> None:
        if output.required:
            raise Fatal(f"{name}: {MISSING}")
        super().missing(process, output, name)
