"""The adapters of this package keep the contract of a scheduler."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import ClusterSettings
from airavata_mesos_plugin.jobs import JobKey
from airavata_mesos_plugin.minicluster.settings import AgentSettings
from airavata_mesos_plugin.minicluster.settings import ClusterSettings as MiniSettings
from airavata_mesos_plugin.minicluster.threaded import ThreadedCluster
from airavata_mesos_plugin.schedulers.aurora.scheduler import AuroraScheduler
from airavata_mesos_plugin.schedulers.base import Scheduler
from airavata_mesos_plugin.schedulers.mesos.scheduler import MesosScheduler
from airavata_mesos_plugin.store import Ledger
from airavata_mesos_plugin.testing.scheduler_contract import METADATA, Document, Job, SchedulerContract
from tests.realmesos.cluster import RealMesosCluster


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreadedCluster]:
    agent = AgentSettings(host="127.0.0.1", cpus=8.0, memory_mb=4096, disk_mb=8192)
    settings = MiniSettings(work_dir=tmp_path_factory.mktemp("cluster"), agents=(agent,))
    with ThreadedCluster(settings) as running:
        yield running


class TestAurora(SchedulerContract):
    """Aurora, on a minicluster."""

    @pytest.fixture
    def scheduler(self, mini: ThreadedCluster) -> Iterator[Scheduler]:
        urls = {"schedulers": (mini.scheduler_url,), "mesos_masters": (mini.master_url,)}
        settings = ClusterSettings(name="c", **urls)
        made = AuroraScheduler(settings, SystemClock())
        yield made
        made.close()

    @pytest.fixture
    def job(self) -> Job:
        def make(key: JobKey, command: str, cpus: float = 0.1) -> Document:
            return {
                "role": key.role,
                "cluster": "c",
                "environment": key.environment,
                "name": key.name,
                "tier": "preemptible",
                "metadata": [{"key": METADATA[0], "value": METADATA[1]}],
                "task": {
                    "processes": [{"name": "run", "cmdline": command, "min_duration": 0}],
                    "resources": {"cpu": cpus, "ram": 16 * 2**20, "disk": 16 * 2**20},
                    "finalization_wait": 1,
                },
            }

        return make


class OnMesos(SchedulerContract):
    """The adapter as a framework of a master."""

    @pytest.fixture
    def scheduler(self, framework: Callable[[], Scheduler]) -> Iterator[Scheduler]:
        made = framework()
        yield made
        made.close()

    @pytest.fixture
    def job(self) -> Job:
        user = pwd.getpwuid(os.geteuid()).pw_name

        def make(key: JobKey, command: str, cpus: float = 0.1) -> Document:
            return {
                "role": key.role,
                "environment": key.environment,
                "name": key.name,
                "metadata": [{"key": METADATA[0], "value": METADATA[1]}],
                "tasks": [
                    {
                        "user": user,
                        "arguments": ["/bin/sh", "-c", command],
                        "resources": {"cpus": cpus, "mem": 16, "disk": 16},
                        "kill_grace_seconds": 1,
                    }
                ],
            }

        return make


@contextmanager
def daemons(master_url: str, directory: Path) -> Iterator[Callable[[], Scheduler]]:
    """One adapter after the other, as a daemon that is started again and again."""
    clock = SystemClock()
    ledger = Ledger(directory / "ledger.sqlite", clock)
    settings = ClusterSettings(name="c", kind="mesos", mesos_masters=(master_url,))
    yield lambda: MesosScheduler(settings, clock, ledger.notes("c"))
    ledger.close()


Daemons = Callable[[], Scheduler]


@pytest.fixture(scope="module")
def on_real_mesos(
    real_mesos: RealMesosCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Daemons]:
    with daemons(real_mesos.url(real_mesos.masters[0]), tmp_path_factory.mktemp("ledger")) as made:
        yield made


@pytest.fixture(scope="module")
def on_mini(mini: ThreadedCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemons]:
    with daemons(mini.master_url, tmp_path_factory.mktemp("ledger")) as made:
        yield made


class TestRealMesos(OnMesos):
    """Mesos itself."""

    @pytest.fixture
    def framework(self, on_real_mesos: Daemons) -> Daemons:
        return on_real_mesos


class TestMinicluster(OnMesos):
    """The master of a minicluster."""

    @pytest.fixture
    def framework(self, on_mini: Daemons) -> Daemons:
        return on_mini
