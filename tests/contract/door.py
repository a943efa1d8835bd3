"""A whole compute resource with Airavata before it: a site, SSH, monitors and the three releases."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeVar

from tests.contract.airavata_caller import FINAL_STATES
from tests.contract.airavata_gateway import Gateway
from tests.contract.airavata_process import Process
from tests.contract.airavata_ssh import SshAdaptor
from tests.contract.monitors import Monitors, monitors
from tests.contract.release_017 import Release017
from tests.contract.release_develop import Develop
from tests.contract.release_master import Master
from tests.contract.ssh_host import SshHost, ssh_host
from tests.support.site import Document, Site, running_site
from tests.support.waiting import wait_for

G = TypeVar("G", bound=Gateway)


class Pace:
    """Airavata's clock, thirty times as fast. What was asked for is kept."""

    FASTER = 30.0

    def __init__(self) -> None:
        self.asked: list[float] = []
        self._never = threading.Event()

    def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        self._never.wait(seconds / self.FASTER)


class Door:
    """What the tests of a module share."""

    def __init__(self, site: Site, host: SshHost, heard: Monitors, storage: Path) -> None:
        self.site = site
        self.host = host
        self.heard = heard
        self.storage = storage
        self.pace = Pace()
        self.ssh = SshAdaptor("127.0.0.1", host.port, host.user, host.identity)

    def gateway(self, release: type[G], *, commands: Path | None = None, pace: Pace | None = None) -> G:
        """A server of that release, whose clock keeps what it was asked for."""
        return release(
            self.ssh,
            commands or self.site.commands,
            self.host.user,
            self.site.directory / "scratch",
            self.storage,
            pace or self.pace,
        )

    @property
    def develop(self) -> Develop:
        return self.gateway(Develop)

    @property
    def master(self) -> Master:
        return self.gateway(Master)

    def document(self, process: Process) -> Document:
        """What the provider knows of the job."""
        document: Document = self.site.client.ask("show", str(process.job_id))
        return document

    def follow(self, gateway: Develop | Release017, process: Process, seconds: float = 100.0) -> list[str]:
        """Give the gateway each message as it comes, until the last one; all of them."""
        hear = self.heard.realtime if isinstance(gateway, Develop) else self.heard.mailed
        given: list[str] = []

        def step() -> list[str]:
            for state in hear(process)[len(given) :]:
                given.append(state)
                gateway.receive(process, state)
            return given

        return wait_for(
            step,
            lambda told: bool(FINAL_STATES.intersection(told)),
            f"the end of job {process.job_id}",
            seconds=seconds,
            context=lambda: f"{self.document(process)}\n{self.site.daemon.log}",
        )

    def in_phase(self, process: Process, phase: str) -> None:
        """Wait until the job is there."""
        wait_for(
            lambda: self.document(process)["phase"],
            phase.__eq__,
            phase,
            context=lambda: str(self.document(process)),
        )


MakeSite = Callable[[dict[str, object]], AbstractContextManager[Site]]


@contextmanager
def door_of(make_site: MakeSite, directory: Path) -> Iterator[Door]:
    """A site with SSH before it, until the end of the block; sacct and sinfo are on its sessions' PATH."""
    with (
        monitors() as heard,
        make_site({"airavata": heard.settings()}) as site,
        ssh_host(directory / "ssh", path=[site.commands]) as host,
    ):
        door = Door(site, host, heard, directory / "storage")
        try:
            yield door
        finally:
            door.ssh.close()


def usual_site(directory: Path, **more: object) -> MakeSite:
    """Makes a site in that directory with more settings."""
    return lambda settings: running_site(directory, settings={**settings, **more})
