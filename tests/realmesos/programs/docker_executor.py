"""Stands in for mesos-docker-executor: runs one task as a container of Docker.

The command lines of docker are made by Mesos' own code (mesos-docker, native/docker.hpp).
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

from .agent_link import Json
from .command_executor import CommandExecutor

INSPECT_SECONDS = 0.1


class DockerExecutor(CommandExecutor):
    what = "Container"

    def __init__(self, flags: dict[str, str]) -> None:
        super().__init__(None)
        self._flags = flags

    def _start(self, task: Json) -> subprocess.Popen[bytes]:
        command = dict(task["command"])
        command.pop("uris", None)  # they have been fetched
        child = self._mesos_docker(
            "run",
            f"--sandbox_directory={self._flags['sandbox_directory']}",
            f"--mapped_directory={self._flags['mapped_directory']}",
            f"--resources={_amounts(task)}",
            f"--container_info={json.dumps(task['container'])}",
            f"--command_info={json.dumps(command)}",
        )
        # A container that docker does not know yet could not be stopped.
        while child.poll() is None and not self._known():
            time.sleep(INSPECT_SECONDS)
        return child

    def _terminate(self, grace: float) -> None:
        stop = self._mesos_docker("stop", f"--grace_nanoseconds={int(grace * 1e9)}")
        threading.Thread(target=stop.wait, daemon=True).start()

    def _mesos_docker(self, part: str, *flags: str) -> subprocess.Popen[bytes]:
        program = Path(self._flags["launcher_dir"], "mesos-docker")
        passed = [f"--{name}={self._flags[name]}" for name in ("docker", "docker_socket", "container")]
        return subprocess.Popen([program, part, *passed, *flags], start_new_session=True)

    def _known(self) -> bool:
        command = [self._flags["docker"], "-H", f"unix://{self._flags['docker_socket']}", "inspect"]
        done = subprocess.run([*command, self._flags["container"]], capture_output=True, check=False)
        return done.returncode == 0 and bool(json.loads(done.stdout)[0]["State"]["Pid"])


def _amounts(task: Json) -> str:
    scalars = [item for item in task.get("resources", []) if item["type"] == "SCALAR"]
    return ";".join(f"{item['name']}:{item['scalar']['value']}" for item in scalars)


def main() -> None:
    DockerExecutor(dict(argument.removeprefix("--").split("=", 1) for argument in sys.argv[1:])).run()
