"""Airavata's side of the SLURM command line: what it types over SSH, and how it reads the answers.

Written from Airavata's sources and from nothing of ours, so that a mistake made there is seen here.
Sources: Airavata develop and master: ``SlurmOutputParser``, ``SlurmJobConfiguration``, ``JobUtil``,
``DefaultJobSubmissionTask``, ``RemoteJobCancellationTask``, ``ClusterStatusMonitorJob``, ``MonitoringJob``
and master's ``sacct`` monitor.
"""

from __future__ import annotations

import os
import pwd
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from airavata_mesos_plugin.testing.airavata_script import JobScript

STATES = {
    **dict.fromkeys(("C", "CD", "E", "CG", "DONE"), "COMPLETE"),
    **dict.fromkeys(("Q", "qw", "PEND", "W", "PD", "I"), "QUEUED"),
    **dict.fromkeys(("R", "CF", "r", "RUN"), "ACTIVE"),
    **dict.fromkeys(("S", "PSUSP", "USUSP", "SSUSP"), "SUSPENDED"),
    **dict.fromkeys(("CA", "X"), "CANCELED"),
    **dict.fromkeys(("F", "NF", "TO", "EXIT", "PR", "Er"), "FAILED"),
}
"""JobUtil: what the letters of squeue's ST column mean. Everything else is UNKNOWN."""

FINAL_STATES = frozenset({"COMPLETE", "CANCELED", "FAILED"})

END_OF_OUTPUT_SECONDS = 60.0
"""Airavata reads to the end of stdout without a limit of its own; here it is an error not to come to it."""

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Answer:
    """What came back over the channel."""

    stdout: str
    stderr: str
    exit_code: int


@dataclass(frozen=True)
class Submission:
    """What Airavata keeps of a submission; the id is empty when it found none."""

    job_id: str
    job_name: str
    directory: Path
    answer: Answer


Shell = Callable[[str], Answer]
"""Runs a command line on the compute resource."""


class Airavata:
    """One compute resource with a job manager of type SLURM, commands named as usual."""

    def __init__(self, bin_path: Path | str, login_user: str, shell: Shell | None = None) -> None:
        """Without a ``shell`` command lines run here, in the way in which sshd runs them."""
        self._bin = f"{bin_path}/"
        self._user = login_user
        self._shell = shell or self._here
        # An exec channel of sshd: the account's own variables and no others.
        self._environment = {
            "PATH": f"{bin_path}:{SYSTEM_PATH}",
            "HOME": pwd.getpwuid(os.getuid()).pw_dir,
            "USER": login_user,
            "LOGNAME": login_user,
            "SHELL": "/bin/sh",
        }

    def execute(self, command: str, directory: Path | None = None) -> Answer:
        """Run a command line: the login shell, no terminal, nothing on stdin.

        Both streams are read to their end, so a child that stays with one of them hangs, and that is an
        error here.
        """
        return self._shell(f"cd {directory}; {command}" if directory else command)

    def _here(self, text: str) -> Answer:
        process = subprocess.Popen(
            ["/bin/sh", "-c", text],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            env=self._environment,
            start_new_session=True,
        )
        try:
            stdout, stderr = process.communicate(timeout=END_OF_OUTPUT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(f"no end of output after {END_OF_OUTPUT_SECONDS:g} s: {text}") from None
        return Answer(stdout.decode("utf-8"), stderr.decode("utf-8"), process.returncode)

    def submit(self, script: JobScript) -> Submission:
        """Write a script where an upload would put it, and submit it."""
        script.write()
        return self.submit_uploaded(script)

    def submit_uploaded(self, script: JobScript) -> Submission:
        """Submit a script that lies in its directory."""
        saved = script.directory / script.job_name
        answer = self.execute(f"{self._bin}sbatch {script.path} | tee {saved}", script.directory)
        if not answer.stdout:
            again = self.execute(f"cat {saved}", script.directory)
            answer = Answer(again.stdout or answer.stdout, answer.stderr, answer.exit_code)
        return self._submission(script, answer)

    def submit_plainly(self, script: JobScript) -> Submission:
        """Submit as 0.17 does: the answer is kept nowhere."""
        return self._submission(script, self.execute(f"{self._bin}sbatch {script.path}", script.directory))

    def _submission(self, script: JobScript, answer: Answer) -> Submission:
        found = re.search(r"Submitted batch job (?P<jobId>[^\s]*)", answer.stdout)
        return Submission(found["jobId"] if found else "", script.job_name, script.directory, answer)

    def letters(self, job_id: str) -> str | None:
        """The letters of the job's state, None when the pattern finds nothing."""
        return self.parse_letters(job_id, self.execute(self.status_command(job_id)))

    def status_command(self, job_id: str) -> str:
        """What is typed to see a job."""
        return f"{self._bin}squeue -j {job_id}"

    def find_command(self, job_name: str) -> str:
        """What is typed to find a job by its name."""
        return f"{self._bin}squeue -n {job_name} -u {self._user}"

    def cancel_command(self, job_id: str) -> str:
        """What is typed to end a job."""
        return f"{self._bin}scancel {job_id}"

    @staticmethod
    def parse_letters(job_id: str, answer: Answer) -> str | None:
        """The fourth word after the id."""
        found = re.search(rf"{job_id}(?=\s+\S+\s+\S+\s+\S+\s+(?P<status>\w+))", answer.stdout)
        return found["status"] if found else None

    def state(self, job_id: str) -> str | None:
        """The job's state by squeue alone."""
        return self.meaning(self.letters(job_id))

    @staticmethod
    def meaning(letters: str | None) -> str | None:
        """What letters of the ST column mean; None stays None."""
        return None if letters is None else STATES.get(letters, "UNKNOWN")

    def monitored_state(self, job_id: str) -> str:
        """The job's state as master's monitor sees it: sacct is asked where squeue says nothing."""
        state = self.state(job_id)
        return state if state not in (None, "UNKNOWN") else self.accounted_state(job_id)

    def accounted_word(self, job_id: str) -> str | None:
        """The word of the newest submission that sacct shows; None without a line."""
        answer = self.execute(f"sacct -X -n -P -o State,Submit --duplicates -j {job_id}")
        rows = [line.split("|") for line in answer.stdout.splitlines() if line.strip()]
        return max(rows, key=lambda row: row[1])[0] if rows else None

    def accounted_state(self, job_id: str) -> str:
        """The job's state by sacct; a job without a line counts as completed."""
        return self.accounted_meaning(self.accounted_word(job_id))

    @staticmethod
    def accounted_meaning(word: str | None) -> str:
        """What master makes of a word of sacct."""
        if word is None:
            return "COMPLETE"
        if word == "COMPLETED":
            return "COMPLETE"
        if word.startswith("CANCELLED"):
            return "CANCELED"
        if word in ("RUNNING", "COMPLETING"):
            return "ACTIVE"
        if word in ("PENDING", "REQUEUED", "RESIZING", "SUSPENDED", "CONFIGURING"):
            return "QUEUED"
        return "FAILED"

    def find(self, job_name: str) -> str | None:
        """The id of a job by its name, as when a submission gave none."""
        return self.parse_job_id(job_name, self.execute(self.find_command(job_name)))

    @staticmethod
    def parse_job_id(job_name: str, answer: Answer) -> str | None:
        """The number before the partition and the first eight characters of the name."""
        found = re.search(rf"(?=(?P<jobId>\d+)\s+\w+\s+{job_name[:8]})", answer.stdout)
        return found["jobId"] if found else None

    def cancel(self, job_id: str) -> Answer:
        """Cancel a job."""
        return self.execute(self.cancel_command(job_id))

    def queue_status(self, queue: str) -> tuple[bool, int, int]:
        """The cluster status monitor: is the queue up, and the first two numbers of its nodes."""
        answer = self.execute(f'sinfo -s -p {queue} -o "%a %F" | tail -1')
        words = answer.stdout.strip().split(" ")
        numbers = words[1].split("/")
        return words[0].lower() == "up", int(numbers[0]), int(numbers[1])

    def queue_available(self, queue: str) -> bool:
        """The meta-scheduler's look at a queue."""
        answer = self.execute(f"sinfo -p {queue}")
        return any("up" in line.split() for line in answer.stdout.splitlines()[1:])

    def count(self, state: str) -> int:
        """The meta-scheduler's count of jobs, ``running`` or ``pending``."""
        answer = self.execute(f"squeue -h -t {state} -r | wc -l")
        return int(answer.stdout.strip())
