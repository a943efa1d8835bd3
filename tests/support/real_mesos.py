"""Fixtures: real Apache Mesos clusters, see tests/realmesos."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn, Protocol

import pytest

from tests.realmesos.build import build_directory
from tests.realmesos.cluster import RealMesosCluster
from tests.realmesos.hosts import Network, Unavailable


class RealMesosFactory(Protocol):
    """Starts a cluster with the arguments of `RealMesosCluster`; it is stopped after the test."""

    def __call__(self, **options: Any) -> RealMesosCluster: ...


@pytest.fixture(scope="session")
def real_mesos_build() -> Path:
    """Where the build is. Without it CI fails, and anybody else is told how to get it."""
    directory = build_directory()
    if not directory.is_dir():
        _not_here("needs a real Mesos: run `make realmesos`")
    os.utime(directory)  # in use: not one to make room
    return directory


@pytest.fixture(scope="session")
def own_hosts(tmp_path_factory: pytest.TempPathFactory) -> bool:
    """True, for tests whose agents are on hosts of their own. Where that cannot be, CI fails."""
    try:
        with Network(tmp_path_factory.mktemp("network")) as network:
            network.node(1, ())
            network.submission_host()
    except (Unavailable, OSError) as error:
        _not_here(f"needs namespaces, and network cards in them: {error}")
    return True


@pytest.fixture(scope="session")
def real_mesos(
    real_mesos_build: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealMesosCluster]:
    """One master and two agents without authentication, shared by all tests: none may stop a server."""
    with RealMesosCluster(tmp_path_factory.mktemp("mesos"), real_mesos_build) as cluster:
        yield cluster


@pytest.fixture
def own_real_mesos(
    real_mesos_build: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealMesosFactory]:
    """Makes clusters for one test, which may do anything to them."""
    with ExitStack() as stack:

        def make(**options: Any) -> RealMesosCluster:
            directory = tmp_path_factory.mktemp("mesos")
            return stack.enter_context(RealMesosCluster(directory, real_mesos_build, **options))

        yield make


def _not_here(message: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)
