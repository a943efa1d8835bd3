"""Outputs of an account from agents that ask for credentials, which only the daemon has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import FetchSettings
from airavata_mesos_plugin.errors import AuthenticationFailed
from airavata_mesos_plugin.sandbox.accounts.client import AccountFiles
from airavata_mesos_plugin.sandbox.agent.access import AgentAccess
from airavata_mesos_plugin.sandbox.agent.files_api import FilesClient
from airavata_mesos_plugin.sandbox.agent.relayed import RELAYED, agent_opener
from airavata_mesos_plugin.sandbox.inputs.snapshot import Snapshot
from airavata_mesos_plugin.sandbox.source import Origin
from airavata_mesos_plugin.sandbox.sources import FILES_API
from airavata_mesos_plugin.schedulers.base import SandboxAddress
from airavata_mesos_plugin.service.accounts import FilesOfAccounts
from tests.integration.accounts.conftest import Person
from tests.realmesos.access import basic
from tests.realmesos.cluster import RealMesosCluster
from tests.realmesos.scheduler import ENDED, Scheduler, task
from tests.support.real_mesos import RealMesosFactory

NOTHING = Snapshot(1_000_000_000.0).to_json()
CREDENTIALS = {"operator": "o-secret", "provider": "p-secret"}
TASK = """
umask 0
mkdir -p box/many box/deep/er; cd box
head -c 3000000 /dev/urandom > large; echo text > "$(printf 'odd\\n\\377')"; ln -s ../large deep/link
ln -s .. deep/er/up; mkfifo pipe
for n in $(seq 200); do echo $n > many/$n; done
"""


@pytest.fixture
def locked(own_real_mesos: RealMesosFactory) -> RealMesosCluster:
    """The agents' files are for those with credentials."""
    return own_real_mesos(agents=1, credentials=CREDENTIALS)


@pytest.fixture
def sandbox(locked: RealMesosCluster) -> Iterator[tuple[Path, SandboxAddress]]:
    """Of a task that has ended: the real directory and its address."""
    (agent,) = locked.agents
    with Scheduler(locked, principal="operator") as scheduler:
        offer = scheduler.offer()
        scheduler.launch(offer, task(offer, "t", TASK))
        assert scheduler.state("t", *ENDED)["state"] == "TASK_FINISHED"
        directory = Path(locked.sandbox(agent, scheduler.id, "t"), "box")
        virtual = f"/frameworks/{scheduler.id}/executors/t/runs/latest/box"
        yield directory, SandboxAddress(locked.url(agent), virtual, "physics")


@pytest.fixture
def files_with(alice: Person) -> Iterator[Callable[[str], AccountFiles]]:
    """Alice's files, of a daemon with a password."""
    made: list[FilesOfAccounts] = []
    clients: list[FilesClient] = []

    def make(password: str) -> AccountFiles:
        access = AgentAccess(lambda _url: basic("provider", password))
        settings = FetchSettings()
        client = FilesClient(settings, access={"physics": access})
        clients.append(client)
        made.append(FilesOfAccounts(settings, SystemClock(), client, {RELAYED: agent_opener(client)}))
        found = made[-1](alice.uid)
        assert isinstance(found, AccountFiles)
        return found

    yield make
    for files in made:
        files.close()
    for client in clients:
        client.close()


@pytest.fixture
def work(alice: Person, commons: Path) -> Path:
    return alice.makes(commons / "work", mode=0o700)


def test_the_daemon_asks_and_the_account_writes(
    sandbox: tuple[Path, SandboxAddress],
    files_with: Callable[[str], AccountFiles],
    alice: Person,
    work: Path,
) -> None:
    directory, address = sandbox
    files = files_with("p-secret")
    report = files.fetch(Origin(FILES_API, address), str(work), NOTHING, job_id=1)
    assert report.files == 203
    assert (work / "large").read_bytes() == (directory / "large").read_bytes()
    assert (work / "deep" / "link").read_bytes() == (directory / "large").read_bytes()
    assert sorted(path.name for path in (work / "many").iterdir()) == sorted(str(n) for n in range(1, 201))
    assert {path.lstat().st_uid for path in work.rglob("*")} == {alice.uid}
    assert dict(report.left_out)["deep/er/up"] == "a link back to deep"
    for pid in files.pids:  # the account's own process never had it
        for name in ("cmdline", "environ"):
            assert b"p-secret" not in Path(f"/proc/{pid}/{name}").read_bytes()


def test_what_the_agent_says_arrives(
    sandbox: tuple[Path, SandboxAddress], files_with: Callable[[str], AccountFiles], work: Path
) -> None:
    origin = Origin(FILES_API, sandbox[1])
    with pytest.raises(AuthenticationFailed, match="credentials"):
        files_with("wrong").fetch(origin, str(work), NOTHING, job_id=1)
    assert list(work.iterdir()) == []


def test_a_client_is_closed_while_another_goes_on(sandbox: tuple[Path, SandboxAddress]) -> None:
    access = {"physics": AgentAccess(lambda _url: basic("provider", "p-secret"))}
    first, second = FilesClient(FetchSettings(), access=access), FilesClient(FetchSettings(), access=access)
    with closing(second):
        first.close()
        assert second.size(sandbox[1], "large") == 3_000_000
