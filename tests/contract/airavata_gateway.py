"""The tasks of a process as develop and master run them over SSH; 0.17 runs most of them in the same way.

Sources: Airavata develop and master: ``EnvSetupTask``, ``InputDataStagingTask``,
``DefaultJobSubmissionTask``, ``OutputDataStagingTask``, ``ArchiveTask``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath

from tests.contract.airavata_caller import Airavata
from tests.contract.airavata_process import NO_JOB, Fatal, Output, Process, TaskFailed
from tests.contract.airavata_ssh import SshAdaptor, SshError

Sleep = Callable[[float], None]

LOOKUP_SECONDS = (10.0, 20.0, 30.0)
EXISTENCE_TRIES = 3
EXISTENCE_SECONDS = 10.0
ATTEMPTS = 3
MISSING = "the output does not exist"


class Gateway:
    """One Airavata server with one compute resource; ``sleep`` is its clock."""

    realtime = False

    def __init__(
        self, ssh: SshAdaptor, bin_path: Path, user: str, scratch: Path, storage: Path, sleep: Sleep
    ) -> None:
        self.ssh = ssh
        self.caller = Airavata(bin_path, user, ssh.execute)
        self.scratch = scratch
        self.storage = storage
        self.sleep = sleep

    def local(self, process: Process) -> Path:
        """The server's own directory of a process."""
        path = self.storage / "tmp" / process.id
        path.mkdir(parents=True, exist_ok=True)
        return path

    def kept(self, process: Process) -> Path:
        """The directory of the user's storage."""
        path = self.storage / process.id
        path.mkdir(parents=True, exist_ok=True)
        return path

    def set_up(self, process: Process) -> None:
        """Environment setup."""
        self.ssh.make_directories(process.directory)

    def stage_inputs(self, process: Process) -> None:
        """Input staging; an empty file is refused before it is sent."""
        for name, content in process.experiment.inputs.items():
            file = self.local(process) / name
            file.write_bytes(content)
            if not content:
                raise Fatal(f"input {name} is empty")
            self.upload(file, process.directory / name)

    def upload(self, file: Path, target: Path) -> None:
        """Send a file."""
        self.ssh.upload(file, target)

    def upload_script(self, process: Process) -> None:
        """Render the script and send it to the working directory."""
        script = self.local(process) / process.script.path.name
        script.write_text(process.script.text(), encoding="utf-8")
        self.upload(script, process.directory)

    def submit(self, process: Process) -> None:
        """Job submission; a job that is stored already is not submitted again."""
        if process.job_id is not None:
            return
        self.upload_script(process)
        submission = self.caller.submit_uploaded(process.script)
        answer = submission.answer
        if answer.exit_code != 0:
            process.save_job(NO_JOB, "FAILED", answer.stderr)
            raise Fatal(f"the submission ended with {answer.exit_code}")
        if submission.job_id:
            process.save_job(submission.job_id, "SUBMITTED")
            if self.caller.state(submission.job_id) not in (None, "UNKNOWN"):
                process.save_job(submission.job_id, "QUEUED")
            return
        for seconds in LOOKUP_SECONDS:
            found = self.caller.find(process.script.job_name)
            if found is not None:
                process.save_job(found, "QUEUED")
                return
            self.sleep(seconds)
        process.save_job(NO_JOB, "FAILED", answer.stderr)
        raise Fatal(f"no job id for {process.script.job_name}")

    def fetch(self, process: Process) -> None:
        """Output staging of everything that is declared."""
        for output in (*process.standard_outputs, *process.experiment.outputs):
            for name in self.names(process, output):
                self.fetch_one(process, output, name)

    def names(self, process: Process, output: Output) -> list[str]:
        """The files that an output stands for; a wildcard is asked of the host."""
        path = PurePosixPath(output.value)
        if "*" not in path.name:
            return [output.value]
        parent = process.directory / path.parent
        answer = self.ssh.execute(f"ls {path.name}", parent)
        found = [str(path.parent / line.strip()) for line in answer.stdout.splitlines() if line.strip()]
        return found[:1] if output.kind == "URI" else found

    def fetch_one(self, process: Process, output: Output, name: str) -> None:
        source = process.directory / name
        for _ in range(EXISTENCE_TRIES):
            if self.ssh.exists(source):
                break
            self.sleep(EXISTENCE_SECONDS)
        if not self.ssh.exists(source):
            self.missing(process, output, name)
            return
        target = self.kept(process) / source.name
        self.ssh.download(source, target)
        process.files[source.name] = target

    def missing(self, process: Process, output: Output, name: str) -> None:
        """develop and 0.17: a warning, whatever the output is."""
        process.warnings.append(f"{output.kind} {name}: {MISSING}")

    def attempt(self, process: Process, task: Callable[[Process], None]) -> bool:
        """Run a task, three times at most; whether it succeeded."""
        for _ in range(ATTEMPTS):
            try:
                task(process)
            except Fatal as error:
                process.errors.append(str(error))
                return False
            except (TaskFailed, SshError) as error:
                process.errors.append(str(error))
            else:
                return True
        return False
