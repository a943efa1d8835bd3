"""Airavata develop: three workflows, before the job, after a message over its end, and for a cancel.

Sources: Airavata develop: ``PreWorkflowManager``, ``PostWorkflowManager``, ``JobVerificationTask``,
``RemoteJobCancellationTask``, ``ArchiveTask``.
"""

from __future__ import annotations

import shutil
import subprocess

from tests.contract.airavata_gateway import Gateway
from tests.contract.airavata_process import Experiment, Fatal, Process, TaskFailed, legal

ENDED = frozenset({"FAILED", "CANCELED", "COMPLETE", "SUSPENDED"})
VERIFICATIONS = 4
VERIFICATION_SECONDS = 0.03  # a slip of the unit there: milliseconds where seconds were meant
ARCHIVE_LIMIT = 20 << 30


class Develop(Gateway):
    """Nothing is asked of the resource while a job runs; `receive` is how the end becomes known."""

    realtime = True

    def launch(self, experiment: Experiment) -> Process:
        """The workflow before the job."""
        process = Process(experiment, self.scratch, realtime=self.realtime)
        for task in (self.set_up, self.stage_inputs, self.submit):
            if not self.attempt(process, task):
                process.end("FAILED")
                return process
        process.end("STARTED", "EXECUTING")
        return process

    def receive(self, process: Process, state: str) -> None:
        """A message over the job's state from a monitor; what is no step from the last one is dropped."""
        if state == process.job_state:
            return
        if not legal(process.job_state, state):
            process.dropped.append(f"{process.job_state} -> {state}")
            return
        assert process.job_id is not None
        process.save_job(process.job_id, state)
        if process.state == "CANCELLING":
            return
        if state in ("COMPLETE", "FAILED"):
            self.finish(process)
        elif state == "CANCELED":
            process.end("CANCELED")

    def finish(self, process: Process) -> None:
        """The workflow after the job, for one that failed as well."""
        tasks = [self.verify, self.fetch]
        if process.experiment.archive:
            tasks.append(self.archive)
        for task in tasks:
            if not self.attempt(process, task):
                process.end("FAILED")
                return
        process.end("COMPLETED")

    def verify(self, process: Process) -> None:
        """Look whether the job is over; four looks within a moment, then it goes on all the same."""
        assert process.job_id is not None
        for number in range(1, VERIFICATIONS + 1):
            answer = self.caller.execute(self.caller.status_command(process.job_id))
            if answer.exit_code != 0:
                raise TaskFailed(f"the status of job {process.job_id}: {answer.stderr}")
            if self.caller.meaning(self.caller.parse_letters(process.job_id, answer)) in ENDED:
                process.verified = True
                return
            self.sleep(VERIFICATION_SECONDS * number)

    def archive(self, process: Process) -> None:
        """Everything in the working directory as one file, unpacked in the user's storage."""
        directory = process.directory
        packed = directory / "archive.tar"
        made = self.ssh.execute(
            f"cd {directory} && find ./ -not -type l -not -type d -print0"
            f" | tar --null --files-from - -cvf {packed}"
        )
        if made.exit_code != 0:
            raise TaskFailed(f"the archive was not made: {made.stderr}")
        if self.ssh.size(packed) > ARCHIVE_LIMIT:
            raise Fatal("the archive is too large")
        local = self.local(process) / "archive.tar"
        self.ssh.download(packed, local)
        self.ssh.execute(f"rm {packed}")
        target = self.kept(process) / "ARCHIVE"
        target.mkdir(exist_ok=True)
        tar = shutil.which("tar")
        assert tar
        subprocess.run([tar, "-xf", str(local), "-C", str(target)], check=True)

    def cancel(self, process: Process) -> None:
        """The workflow for a cancel: ask, then end what is not over; stored as cancelled in any case."""
        if process.job_id is None:
            process.end("CANCELED")
            return
        before, process.state = process.state, "CANCELLING"
        if process.job_state in ENDED:
            process.state = before
            return
        answer = self.caller.execute(self.caller.status_command(process.job_id))
        if answer.exit_code == 0:
            state = self.caller.meaning(self.caller.parse_letters(process.job_id, answer))
            if state in ENDED:
                process.warnings.append(f"not cancelled: {state}")
                process.state = before
                return
        done = self.caller.cancel(process.job_id)
        if done.exit_code != 0:
            process.warnings.append(done.stderr)
        process.save_job(process.job_id, "CANCELED")
        process.end("CANCELED")
