"""Nodes of a parallel job as processes of this host, each with a sandbox of its own, and their rendezvous."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from airavata_mesos_plugin import parallel
from airavata_mesos_plugin.templating import TemplateLibrary

PACKAGE = Path(parallel.__file__).parent
LIMIT_SECONDS = 90

RUN = """#!/bin/bash
# Stands for the wrapper: the script in the place that is the same on all nodes, with its variables.
control=${0%/*}
cd "$(cat "$control/place")" || exit 1
while IFS= read -r -d '' variable; do export "$variable"; done <"$control/parallel.variables"
export SLURMD_NODENAME=$(cat "$control/node_name")
export PATH=$PWD/.airavata-mesos/bin:$PATH
exec /bin/bash "$control/script" >"$control/../out" 2>"$control/../err"
"""


class Rendezvous:
    """What the daemon does for a job: every node hears of all others once they are there."""

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.status = 200
        self.registered: dict[int, dict[str, object]] = {}
        self.changed = threading.Condition()
        meeting = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert self.path == f"/gang/{body['number']}"
                content = json.dumps(meeting.register(body)).encode()
                self.send_response(meeting.status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/gang"

    def register(self, body: dict[str, object]) -> dict[str, object]:
        number = body["number"]
        assert isinstance(number, int)
        with self.changed:
            self.registered[number] = body
            self.changed.notify_all()
            if not self.changed.wait_for(lambda: len(self.registered) == self.expected, 1):
                return {"present": len(self.registered)}
            nodes = [
                {name: self.registered[one][name] for name in ("number", "name", "address", "port")}
                for one in range(self.expected)
            ]
        variables = {
            "SLURM_CPUS_ON_NODE": "2",
            "SLURM_JOB_ID": "77",
            "SLURM_JOB_NODELIST": f"agent-[1-{self.expected}]",
            "SLURM_JOB_NUM_NODES": str(self.expected),
            "SLURM_NNODES": str(self.expected),
        }
        return {"nodes": nodes, "variables": variables}

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Job:
    """A job of some nodes. ``sandboxes`` are their directories; nothing runs before `start`."""

    def __init__(self, base: Path, script: str, nodes: int = 3, silence_seconds: float = 60) -> None:
        self.rendezvous = Rendezvous(nodes)
        self.secret = secrets.token_hex(32)
        self.sandboxes = [base / f"sandbox {number}" for number in range(nodes)]
        self.processes: list[subprocess.Popen[bytes]] = []
        description = {
            "job_id": 77,
            "attempt": 1,
            "nodes": nodes,
            "secret": self.secret,
            "meeting": self.rendezvous.url,
            "tasks": [2] * nodes,
            "cpus": 2,
            "silence_seconds": silence_seconds,
        }
        templates = TemplateLibrary()
        for sandbox in self.sandboxes:
            control = sandbox / ".airavata-mesos"
            (control / "bin").mkdir(parents=True)
            shutil.copytree(PACKAGE, control / "parallel", ignore=shutil.ignore_patterns("__pycache__"))
            (control / "gang").write_text(json.dumps(description))
            (control / "run.sh").write_text(RUN)
            (control / "script").write_text(script)
            for name, text in {**templates.render_parallel(), "bin/srun": templates.render_srun()}.items():
                (control / name).write_text(text)
                (control / name).chmod(0o700)

    @property
    def place(self) -> Path:
        """The path that is the same on all nodes."""
        digest = hashlib.sha256(b"place" + bytes.fromhex(self.secret)).hexdigest()
        return Path("/tmp") / f"airavata-mesos.77.{digest[:32]}" / "job"

    def start(self, *numbers: int) -> None:
        """Start these nodes, or all."""
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.sandboxes[0]), "TEST_JOB": self.secret}
        for number in numbers or range(len(self.sandboxes)):
            sandbox = self.sandboxes[number]
            with (sandbox / "said").open("wb") as said:
                self.processes.append(
                    subprocess.Popen(
                        [".airavata-mesos/bin/node", str(number), f"agent-{number + 1}"],
                        cwd=sandbox,
                        env=environment,
                        stderr=said,
                    )
                )

    def wait(self) -> list[int]:
        """Exit codes of the nodes in the order of their start."""
        return [process.wait(LIMIT_SECONDS) for process in self.processes]

    def text(self, name: str, node: int = 0) -> str:
        return (self.sandboxes[node] / name).read_text()

    def left(self) -> list[str]:
        """Processes of the job that are still there."""
        wanted = f"TEST_JOB={self.secret}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdecimal() and wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(f"{entry.name} {(entry / 'cmdline').read_bytes()!r}")
            except OSError:
                continue  # over
        return found

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        shutil.rmtree(self.place.parent, ignore_errors=True)  # of nodes that were killed
        self.rendezvous.close()


@pytest.fixture
def jobs() -> Iterator[list[Job]]:
    """Jobs that are put in here are ended after the test."""
    made: list[Job] = []
    yield made
    for job in made:
        job.close()
