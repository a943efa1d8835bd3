"""Airavata 0.17: the same commands over JSch, with rules of its own for what is an error.

Sources: Airavata 0.17: ``HPCRemoteCluster``, ``DefaultJobSubmissionTask``, ``EmailBasedMonitor``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.contract.airavata_caller import Answer
from tests.contract.airavata_gateway import LOOKUP_SECONDS, Gateway
from tests.contract.airavata_process import Experiment, Fatal, Process
from tests.contract.airavata_ssh import SshError
from tests.contract.monitors import INBOX

COPIES = 3


class CommandError(Exception):
    """SSHApiException: what stands on stderr was taken for an error."""


class Release017(Gateway):
    """Mails tell the end of a job; `receive` is what their parser found."""

    def launch(self, experiment: Experiment) -> Process:
        """The tasks up to monitoring; none is tried again."""
        mail = f"#SBATCH --mail-user={INBOX}"
        asked = replace(experiment, directives=(mail, *experiment.directives))
        process = Process(asked, self.scratch, realtime=False)
        try:
            for task in (self.set_up, self.stage_inputs, self.submit):
                task(process)
        except (Fatal, SshError, CommandError) as error:
            process.errors.append(str(error))
            process.end("FAILED")
        else:
            process.end("MONITORING", "EXECUTING")
        return process

    def upload(self, file: Path, target: Path) -> None:
        """Send a file, three times at most."""
        for left in reversed(range(COPIES)):
            try:
                self.ssh.upload(file, target)
                return
            except SshError:
                if not left:
                    raise

    def submit(self, process: Process) -> None:
        self.upload_script(process)
        submission = self.caller.submit_plainly(process.script)
        if submission.job_id:
            process.save_job(submission.job_id, "SUBMITTED")
            if self.state(submission.job_id) not in (None, "UNKNOWN"):
                process.save_job(submission.job_id, "QUEUED")
            return
        for seconds in LOOKUP_SECONDS:
            found = self.caller.parse_job_id(
                process.script.job_name, self.run(self.caller.find_command(process.script.job_name))
            )
            if found is not None:
                process.save_job(found, "QUEUED")
                return
            self.sleep(seconds)
        raise Fatal(f"no job id: {submission.answer.stderr}")

    def state(self, job_id: str) -> str | None:
        """The job's state by squeue. Raises CommandError."""
        answer = self.run(self.caller.status_command(job_id))
        return self.caller.meaning(self.caller.parse_letters(job_id, answer))

    def receive(self, process: Process, state: str) -> None:
        """What a mail said; what the job left is staged when it has ended by itself."""
        assert process.job_id is not None
        process.save_job(process.job_id, state)
        if process.state not in ("MONITORING", "CANCELLING"):
            return
        if state in ("COMPLETE", "FAILED"):
            self.fetch(process)
            process.end("COMPLETED")
        elif state == "CANCELED":
            process.end("CANCELED")

    def cancel(self, process: Process) -> str | None:
        """End the job; the state that it had before. Raises CommandError."""
        assert process.job_id is not None
        before = self.state(process.job_id)
        self.run(self.caller.cancel_command(process.job_id))
        return before

    def run(self, command: str) -> Answer:
        """Run a command whose stderr is read for errors. Raises CommandError."""
        answer = self.caller.execute(command)
        said = answer.stderr
        echoed = command.rsplit("/", 1)[-1] in said and "Warning" not in said
        if echoed or "error" in said:
            raise CommandError(said)
        return answer
