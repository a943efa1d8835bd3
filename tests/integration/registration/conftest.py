"""An Airavata of each version, and the command as a process."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml

from airavata_mesos_plugin.cli.main import main
from tests.integration.registration.develop_server import DevelopServer
from tests.integration.registration.master_server import MasterServer
from tests.integration.registration.rules import GATEWAY, TOKEN, USER

RESOURCE: dict[str, Any] = {
    "name": "Mesos",
    "ssh": {"host": "submit.example.org", "port": 2222},
    "login_user": "airavata",
    "scratch": "/home/airavata/scratch",
    "bin_path": "/home/airavata/bin",
    "credential": {"description": "Mesos key"},
    "queues": [
        {"name": "normal", "max_run_time_minutes": 600, "max_processors": 8, "max_memory_mb": 4096},
        {
            "name": "long",
            "default": True,
            "max_run_time_minutes": 6000,
            "max_processors": 4,
            "max_memory_mb": 2048,
            "macros": ["#SBATCH --requeue", "#SBATCH --comment=long"],
        },
    ],
    "profile": {"name": "Mesos users", "allocation_project": "proj1"},
    "storage": {"host": "storage.example.org", "login_user": "gateway", "root": "/srv/data"},
    "applications": [
        {
            "name": "Echo",
            "version": "1.0",
            "executable": "/bin/echo",
            "inputs": [{"name": "Text", "value": "Hello"}, {"name": "File", "type": "URI"}],
            "outputs": [{"name": "Result", "value": "result.txt"}],
            "before": ["export A=1"],
            "environment": [{"name": "LANG", "value": "C.UTF-8"}],
        }
    ],
}


Command = tuple[list[str], dict[str, str]]


@dataclass(frozen=True)
class Done:
    """How a run ended."""

    returncode: int
    stdout: str
    stderr: str


class Airavata:
    """One Airavata with the command that registers there."""

    def __init__(self, version: str, server: DevelopServer | MasterServer, directory: Path) -> None:
        self.version = version
        self.server = server
        self.catalogue = server.catalogue
        self.switches = server.switches
        self.directory = directory
        self.home = directory / "home"
        self.resource: dict[str, Any] = json.loads(json.dumps(RESOURCE))

    def command(self, *arguments: str, token: str = TOKEN, server: str | None = None) -> Command:
        """Arguments and environment of one run."""
        file = self.directory / "compute-resource.yaml"
        file.write_text(yaml.safe_dump(self.resource))
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "AIRAVATA_MESOS_HOME": str(self.home),
            "AIRAVATA_TOKEN": token,
            "AIRAVATA_SERVER": server if server is not None else f"127.0.0.1:{self.server.port}",
        }
        name, *options = arguments
        identity = ["--gateway", GATEWAY, "--user", USER, "--timeout", "60"]
        return [name, "--airavata", self.version, "--config", str(file), *identity, *options], environment

    def run(self, *arguments: str, token: str = TOKEN, server: str | None = None) -> Done:
        """Register or unregister."""
        line, environment = self.command(*arguments, token=token, server=server)
        return self.main(line, environment, token)

    def main(self, line: list[str], environment: dict[str, str] | None = None, token: str = TOKEN) -> Done:
        """Run the command in this process, as its entry point does."""
        out, err = io.StringIO(), io.StringIO()
        code: object = 0
        with (
            mock.patch.dict(os.environ, environment or {"AIRAVATA_MESOS_HOME": str(self.home)}, clear=True),
            mock.patch.object(sys, "argv", ["airavata-mesos", *line]),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            try:
                main()
            except SystemExit as end:
                code = end.code
        assert token not in out.getvalue() + err.getvalue()
        return Done(int(str(code)), out.getvalue(), err.getvalue())

    def good(self, command: str, *options: str) -> dict[str, Any]:
        """Run it, expect success; its JSON."""
        done = self.run(command, *options, "--json")
        assert done.returncode == 0, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def actions(self, command: str, *options: str) -> dict[tuple[str, str], str]:
        """What became of each thing."""
        return {(one["kind"], one["name"]): one["action"] for one in self.good(command, *options)["outcomes"]}

    def only(self, kind: str) -> dict[str, Any]:
        """The one thing of a kind that Airavata holds."""
        (one,) = self.catalogue.of(kind).values()
        return one


@pytest.fixture(params=["develop", "master"])
def airavata(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Airavata]:
    server = DevelopServer() if request.param == "develop" else MasterServer()
    try:
        yield Airavata(request.param, server, tmp_path)
    finally:
        server.stop()


@pytest.fixture
def airavata_class() -> type[Airavata]:
    """For tests that start their own server; a conftest cannot be imported."""
    return Airavata
