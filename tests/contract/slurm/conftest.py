"""Fixtures of the recorded cases."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from pytest_mock import MockerFixture

from airavata_mesos_plugin.clock import ManualClock
from airavata_mesos_plugin.config import ProviderSettings
from airavata_mesos_plugin.provider import Provider
from airavata_mesos_plugin.sandbox.agent.files_api import FilesClient
from airavata_mesos_plugin.sandbox.outputs.fetch import Fetcher, FetchReport
from airavata_mesos_plugin.slurm import install, view
from airavata_mesos_plugin.store import Ledger
from airavata_mesos_plugin.testing.parts import parts_of
from tests.contract.slurm.playground import SETTINGS, USERS, ObedientCluster, Playground


class Account(NamedTuple):
    pw_name: str
    pw_uid: int
    pw_gid: int


class Group(NamedTuple):
    gr_name: str


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The installed commands; which daemon they ask is said in their environment."""
    directory = tmp_path_factory.mktemp("commands")
    install.install(directory, directory / "nobody.sock")
    return directory


@pytest.fixture
def recorded_accounts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process knows the accounts of the recorded cluster, and no others."""
    by_name = {name: Account(name, uid, uid) for name, uid in USERS.items()}
    by_uid = {account.pw_uid: account for account in by_name.values()}
    groups = {account.pw_gid: Group(account.pw_name) for account in by_name.values()}
    monkeypatch.setattr(pwd, "getpwnam", by_name.__getitem__)
    monkeypatch.setattr(pwd, "getpwuid", by_uid.__getitem__)
    monkeypatch.setattr(grp, "getgrgid", groups.__getitem__)
    view.group.cache_clear()
    yield
    view.group.cache_clear()


@pytest.fixture
def make_playground(
    tmp_path_factory: pytest.TempPathFactory,
    commands: Path,
    recorded_accounts: None,  # noqa: ARG001 - has to be there first
    mocker: MockerFixture,
) -> Iterator[Callable[..., Playground]]:
    ledgers: list[Ledger] = []
    made: list[Playground] = []

    def make_provider(
        settings: ProviderSettings, clock: ManualClock, cluster: ObedientCluster, path: Path
    ) -> Provider:
        ledger = Ledger(path, clock)
        ledgers.append(ledger)
        fetcher = mocker.create_autospec(Fetcher, instance=True)
        fetcher.fetch.return_value = FetchReport(files=0, bytes=0, left_out=(), result=None, seconds=0.0)
        files = mocker.create_autospec(FilesClient, instance=True)
        files.browse.return_value = []
        parts = parts_of(settings, ledger, {"main": cluster}, clock, files=files, fetcher=fetcher)
        return Provider(parts)

    def make(settings: ProviderSettings = SETTINGS) -> Playground:
        # A short path: Unix sockets have no room for more.
        made.append(Playground(tmp_path_factory.mktemp("p"), commands, make_provider, settings))
        return made[-1]

    yield make
    for playground in made:
        playground.close()
    for ledger in ledgers:
        ledger.close()


@pytest.fixture
def playground(make_playground: Callable[..., Playground]) -> Playground:
    """The usual cluster with an empty ledger."""
    return make_playground()
