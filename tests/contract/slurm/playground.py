"""A stage for recorded command lines: real launchers, a real provider with its ledger, a cluster that obeys.

A line is run by bash as it was typed. The launchers reach a socket of this process, where the commands are
carried out as the user of the case, on a clock that stands still.
"""

from __future__ import annotations

import io
import re
import socket
import sqlite3
import subprocess
import tarfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from airavata_mesos_plugin.clock import ManualClock
from airavata_mesos_plugin.config import ProviderSettings
from airavata_mesos_plugin.jobs import JobKey, JobPhase, JobRecord, JobRequest, Resources
from airavata_mesos_plugin.provider import Provider
from airavata_mesos_plugin.sandbox import result
from airavata_mesos_plugin.schedulers.base import (
    CallResult,
    Check,
    Node,
    SandboxAddress,
    Scheduler,
    Submission,
    TaskObservation,
)
from airavata_mesos_plugin.slurm import dispatch, wire
from airavata_mesos_plugin.slurm.session import Invocation
from airavata_mesos_plugin.store import JobSelection

NOW = 1_795_365_000.0  # 2026-11-22T16:30:00 UTC, when the cases were recorded
HOST = "login1"
USERS = {"root": 0, "alice": 5001, "bob": 5002, "carol": 5003, "gatewayaccount": 5004}

SETTINGS = ProviderSettings.model_validate(
    {
        "name": "cluster",
        "clusters": [
            {"name": "main", "schedulers": ["http://127.0.0.1:1"], "mesos_masters": ["http://127.0.0.1:1"]}
        ],
        "queues": [
            {
                "name": name,
                "cluster": "main",
                "role": "airavata",
                "default_memory_mb_per_cpu": 500,
                "disk_mb": 1000,
                "default_wall_time_minutes": usual,
                "max_wall_time_minutes": most,
            }
            for name, usual, most in (
                ("batch", 30, 1440),
                ("short", 5, 5),
                ("infin", 30, 600_000),
            )
        ],
        "default_queue": "batch",
    }
)


def node(name: str, used: float = 0, gpus: int = 0, active: bool = True) -> Node:
    """One of the nodes of the recorded cluster."""
    return Node(
        name,
        Resources(cpus=2, memory_mb=4000, disk_mb=10_000, gpus=gpus),
        Resources(cpus=used, memory_mb=int(used * 500), disk_mb=0),
        attributes={"feature": {"node1": "avx", "node2": "avx,ib"}.get(name, "")},
        active=active,
    )


class ObedientCluster(Scheduler):
    """Takes every job and leaves it waiting; what else happens is told."""

    kind = "aurora"

    def __init__(self) -> None:
        self.tasks: dict[JobKey, TaskObservation] = {}
        self.nodes: list[Node] = [node("node1"), node("node2", gpus=2)]

    def validate(self, document: Mapping[str, object]) -> None:
        assert document

    def submit(self, submissions: Sequence[Submission]) -> list[CallResult]:
        for wish in submissions:
            self.tasks[wish.key] = TaskObservation(
                wish.key, f"task-{wish.key.name}", "PENDING", JobPhase.QUEUED, 0, NOW, queued_at=NOW
            )
        return [CallResult(wish.key) for wish in submissions]

    def poll(self, keys: Sequence[JobKey]) -> dict[JobKey, TaskObservation]:
        return {key: self.tasks[key] for key in keys if key in self.tasks}

    def cancel(self, keys: Sequence[JobKey], message: str) -> list[CallResult]:
        assert message
        for key in keys:
            task = self.tasks.get(key)
            if task is not None and task.phase is JobPhase.QUEUED:
                del self.tasks[key]
            elif task is not None and not task.phase.final:
                self.tasks[key] = replace(
                    task, native_state="KILLED", phase=JobPhase.CANCELLED, kill_seen=True, changed_at=NOW
                )
        return [CallResult(key) for key in keys]

    def pending_reasons(self, keys: Sequence[JobKey]) -> dict[JobKey, str]:
        return dict.fromkeys(keys, "Insufficient: CPU")

    def sandboxes(self, tasks: Sequence[TaskObservation]) -> dict[JobKey, SandboxAddress]:
        return {task.key: SandboxAddress("http://127.0.0.1:1", "/sandbox") for task in tasks}

    def capacity(self) -> list[Node]:
        return self.nodes

    def check(self) -> list[Check]:
        return []

    def close(self) -> None:
        self.tasks.clear()


class Playground:
    """Everything that a case needs, in one directory."""

    def __init__(
        self,
        root: Path,
        commands: Path,
        make_provider: Callable[[ProviderSettings, ManualClock, ObedientCluster, Path], Provider],
        settings: ProviderSettings = SETTINGS,
    ) -> None:
        self.root = root
        self.commands = commands
        self.clock = ManualClock(NOW)
        self.cluster = ObedientCluster()
        self.ledger_path = root / "ledger.db"
        self.provider = make_provider(settings, self.clock, self.cluster, self.ledger_path)
        self.provider.monitor.refresh_nodes("main")
        self.user = "alice"
        self.sandboxes: dict[str, str] = {}
        for name in USERS:
            (root / "home" / name / "run").mkdir(parents=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.path = root / "s"
        self._socket.bind(str(self.path))
        self._socket.listen(32)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        self.faults: list[BaseException] = []

    def close(self) -> None:
        """Serve no more."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()
        assert self.faults == []

    # What is in the ledger

    def next_id(self, number: int) -> None:
        """The id of the job that is submitted next."""
        with sqlite3.connect(self.ledger_path) as ledger:
            ledger.execute("DELETE FROM sqlite_sequence WHERE name = 'jobs'")
            ledger.execute("INSERT INTO sqlite_sequence VALUES ('jobs', ?)", (number - 1,))
        ledger.close()

    def add(self, number: int, name: str = "job.sh", user: str = "alice", **more: Any) -> JobRecord:
        """A job with this id, not sent anywhere."""
        self.next_id(number)
        members: dict[str, object] = {
            "name": name,
            "user": user,
            "uid": USERS[user],
            "gid": USERS[user],
            "queue": "batch",
            "working_directory": str(self.root / "home" / user / "run"),
            "command": str(self.root / "home" / user / "run" / "sleep.sh"),
            "submit_line": "sbatch sleep.sh",
            "submit_host": HOST,
            "resources": Resources(cpus=1, memory_mb=500, disk_mb=1000),
            "wall_time_seconds": 1800,
            "account": "physics",
            "qos": "normal",
            **more,
        }
        return self.provider.submit(JobRequest.model_validate(members), "#!/bin/bash\nsleep 600\n")

    def start(self, number: int, seconds: float = 9.0, host: str = "node1") -> None:
        """The job has been running for some seconds."""
        self.tick()
        key = self.provider.job(number).key
        self.cluster.tasks[key] = replace(
            self.cluster.tasks[key],
            native_state="RUNNING",
            phase=JobPhase.RUNNING,
            started_at=self.clock.now() - seconds,
            host=host,
        )
        self.tick()

    def end(
        self, number: int, phase: JobPhase, *, code: int | None = None, signal: int | None = None
    ) -> None:
        """The job is over."""
        ledger = self.provider._parts.ledger
        ledger.advance(
            number,
            phase,
            source="case",
            fields={"ended_at": self.clock.now(), "exit_code": code, "signal": signal},
        )

    def ran(
        self, number: int, phase: JobPhase = JobPhase.COMPLETED, code: int | None = 0, **more: Any
    ) -> None:
        """A job that ran and is over."""
        self.add(number, **more)
        self.start(number)
        self.end(number, phase, code=code)

    def tick(self) -> None:
        """What the daemon does between two commands."""
        self.provider.eligibility.step("main")
        self.provider.submitter.step("main")
        self.provider.monitor.round("main")
        for number in self.provider.collector.take_due():
            self.provider.collector.collect(number)

    def run_waiting(self) -> None:
        """Run every job that waits at the scheduler to its end, with the real wrapper."""
        self.tick()
        for record in self.all_jobs():
            if record.phase is JobPhase.QUEUED:
                self._run(record)
        self.tick()

    def _run(self, record: JobRecord) -> None:
        # Beside the homes, so that nothing in the sandbox's path looks like one.
        sandbox = self.root / f"sandbox-{record.id}"
        sandbox.mkdir()
        self.sandboxes[str(sandbox)] = record.request.working_directory
        stream = b"".join(self.provider.inputs.stream(record))
        with tarfile.open(fileobj=io.BytesIO(stream)) as archive:
            archive.extractall(sandbox)
        before = _files(sandbox)
        subprocess.run(
            ["/bin/bash", ".airavata-mesos/run.sh"],
            cwd=sandbox,
            env={
                "HOME": "/home/alice",
                "LOGNAME": "alice",
                "PATH": "/usr/local/bin:/usr/bin:/bin",
                "SHELL": "/bin/bash",
                "USER": "alice",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
        outcome = result.parse((sandbox / ".airavata-mesos" / "result").read_bytes())
        assert outcome is not None
        for name, content in _files(sandbox).items():
            if before.get(name) != content:
                target = Path(record.request.working_directory) / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
                target.chmod((sandbox / name).stat().st_mode & 0o777)
        ledger = self.provider._parts.ledger
        started = {"started_at": self.clock.now(), "host": "node1"}
        ledger.advance(record.id, JobPhase.RUNNING, source="case", fields=started)
        phase = JobPhase.FAILED if outcome.exit_code else JobPhase.COMPLETED
        self.end(record.id, phase, code=outcome.exit_code, signal=outcome.signal)

    def all_jobs(self) -> list[JobRecord]:
        """The ledger, oldest first."""
        return self.provider.jobs(JobSelection())[::-1]

    # What is typed

    def type(
        self,
        line: str,
        *,
        user: str = "alice",
        cwd: str = "",
        environ: Mapping[str, str] | None = None,
        stdin: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Let bash run a line. Paths below ``/home`` mean ours, and the output names them as in the line."""
        self.user = user
        directory = self.root / "home" / user / "run" if not cwd else Path(self.here(cwd))
        directory.mkdir(parents=True, exist_ok=True)
        env = {
            "AIRAVATA_MESOS_SOCKET": str(self.path),
            "HOME": str(self.root / "home" / user),
            "LANG": "C.UTF-8",
            "LOGNAME": user,
            "PATH": f"{self.commands}:/usr/local/bin:/usr/bin:/bin",
            "SHELL": "/bin/bash",
            "TZ": "UTC",
            "USER": user,
            **{name: self.here(value) for name, value in (environ or {}).items()},
        }
        # Nobody has to wait here: what happens meanwhile happens in `tick`.
        text = re.sub(r"\bsleep [0-9]+; ?", "", self.here(line))
        text = text.replace("/usr/bin/s", f"{self.commands}/s")
        done = subprocess.run(
            ["/bin/bash", "-c", f"umask 022; {text}"],
            cwd=directory,
            env=env,
            input="" if stdin is None else self.here(stdin),
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        assert self.faults == [], self.faults
        done.stdout, done.stderr = self.there(done.stdout), self.there(done.stderr)
        return done

    def here(self, text: str) -> str:
        """The text with our home directories."""
        return text.replace("/home/", f"{self.root}/home/")

    def there(self, text: str) -> str:
        """The text with the recorded home directories."""
        return text.replace(f"{self.root}/home/", "/home/")

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                try:
                    self._answer(connection)
                except ConnectionError:
                    continue  # a command whose output nobody wants, as with head
                except BaseException as fault:
                    self.faults.append(fault)

    def _answer(self, connection: socket.socket) -> None:
        side = wire.ServerSide()

        def receive() -> wire.Request | wire.FileAnswer:
            while True:
                data = connection.recv(65536)
                if not data:
                    raise ConnectionResetError
                if (message := side.feed(data)) is not None:
                    return message

        def read_file(path: str | None) -> bytes:
            limit = SETTINGS.max_script_bytes + 1
            side.expect_file(limit)
            connection.sendall(wire.encode_file_request(path, limit))
            answer = receive()
            assert isinstance(answer, wire.FileAnswer)
            return answer.bytes_or_raise(path)

        request = receive()
        assert isinstance(request, wire.Request)
        invocation = Invocation(
            request.command,
            request.argv,
            request.cwd,
            request.environ,
            USERS[self.user],
            self.user,
            f"/home/{self.user}",
            HOST,
            read_file,
        )
        connection.sendall(wire.encode_result(dispatch.run(invocation, self.provider, self.clock)))


def _files(directory: Path) -> dict[str, bytes]:
    """The files below a sandbox, but for those of the wrapper."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and ".airavata-mesos" not in path.parts
    }
