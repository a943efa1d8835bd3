"""A ledger, servers that are told, and the daemon's threads that tell them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from airavata_mesos_plugin.airavata.publishers import make_channels
from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config.airavata import AiravataSettings
from airavata_mesos_plugin.service.publishing import Publishing
from airavata_mesos_plugin.store import Ledger
from tests.support.fixtures import own_site
from tests.support.status_servers import Answer, MailServer, RestProxy

__all__ = ["own_site"]


@pytest.fixture
def proxies() -> Iterator[Callable[..., RestProxy]]:
    """Makes REST proxies."""
    with ExitStack() as stack:

        def make(answer: Answer = lambda _number: 200, port: int = 0) -> RestProxy:
            proxy = RestProxy(answer, port)
            stack.callback(proxy.close)
            return proxy

        yield make


@pytest.fixture
def mail_servers() -> Iterator[Callable[..., MailServer]]:
    """Makes mail servers."""
    with ExitStack() as stack:

        def make(*arguments: object, **options: object) -> MailServer:
            server = MailServer(*arguments, **options)  # type: ignore[arg-type]
            stack.callback(server.close)
            return server

        yield make


class Life:
    """One life of a daemon, as far as it tells Airavata."""

    def __init__(self, path: Path, settings: AiravataSettings) -> None:
        self.ledger = Ledger(path, SystemClock())
        channels = make_channels(settings, self.ledger.instance)
        self.publishing = Publishing(channels, self.ledger, SystemClock(), settings)
        self.publishing.start()

    def close(self) -> None:
        self.publishing.close()
        self.ledger.close()


QUICK = {"pause_seconds": 0, "settle_seconds": 0, "retry_seconds": 0.1, "longest_retry_seconds": 0.4}


@pytest.fixture
def lives(tmp_path: Path) -> Iterator[Callable[..., Life]]:
    """Begins lives on one ledger; the one before must have ended."""
    begun: list[Life] = []

    def begin(**settings: object) -> Life:
        life = Life(tmp_path / "ledger.db", AiravataSettings.model_validate({**QUICK, **settings}))
        begun.append(life)
        return life

    yield begin
    for life in begun:
        life.close()
