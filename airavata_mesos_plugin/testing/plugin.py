"""Fixtures for people who develop against this package; pytest loads this module at its start.

Importing it costs next to nothing: what a fixture needs is imported when a test asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest

pytest.register_assert_rewrite("airavata_mesos_plugin.testing.scheduler_contract")

if TYPE_CHECKING:
    from pytest_mock import MockerFixture

    from airavata_mesos_plugin.clock import Clock, ManualClock
    from airavata_mesos_plugin.testing.airavata_script import JobScript
    from airavata_mesos_plugin.testing.compute_resource import ComputeResource
    from airavata_mesos_plugin.testing.embedded import EmbeddedCluster
    from airavata_mesos_plugin.testing.sandbox_agent import SandboxAgent
    from airavata_mesos_plugin.testing.scripted import ScriptedScheduler
    from airavata_mesos_plugin.testing.stage import ProviderStage


@pytest.fixture
def make_minicluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., EmbeddedCluster]]:
    """Makes embedded clusters, listening; the arguments are members of
    `airavata_mesos_plugin.minicluster.settings.ClusterSettings`. They end with the test."""
    from airavata_mesos_plugin.testing.embedded import EmbeddedCluster, roomy

    with ExitStack() as stack:

        def make(**settings: Any) -> EmbeddedCluster:
            cluster = EmbeddedCluster(roomy(tmp_path_factory.mktemp("minicluster"), **settings))
            stack.enter_context(cluster)
            return cluster

        yield make


@pytest.fixture
def minicluster(make_minicluster: Callable[..., EmbeddedCluster]) -> EmbeddedCluster:
    """An Aurora scheduler, a Mesos master and one agent with room for everything, over real sockets."""
    return make_minicluster()


@pytest.fixture
def manual_clock() -> ManualClock:
    """A clock that moves only when told."""
    from airavata_mesos_plugin.clock import ManualClock

    return ManualClock()


@pytest.fixture
def sandbox_agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxAgent]:
    """The files endpoints of a Mesos agent, over a real socket."""
    from airavata_mesos_plugin.testing.sandbox_agent import SandboxAgent

    agent = SandboxAgent(tmp_path_factory.mktemp("agent"))
    agent.start()
    yield agent
    agent.stop()


@pytest.fixture
def scripted_scheduler(
    mocker: MockerFixture, manual_clock: ManualClock, sandbox_agent: SandboxAgent
) -> Iterator[ScriptedScheduler]:
    """A scheduler that says what a test tells it to, behind a mock with the real signatures."""
    from airavata_mesos_plugin.schedulers.base import Scheduler
    from airavata_mesos_plugin.testing.scripted import ScriptedScheduler

    mock = mocker.create_autospec(Scheduler, instance=True)
    scheduler = ScriptedScheduler(mock, manual_clock, sandbox_agent)
    yield scheduler
    scheduler.close()


@pytest.fixture
def make_provider(
    tmp_path_factory: pytest.TempPathFactory, manual_clock: ManualClock
) -> Iterator[Callable[..., ProviderStage]]:
    """Makes providers: ``make_provider(scheduler, clock=None, **settings)``.

    ``scheduler`` is an `EmbeddedCluster`, a `ScriptedScheduler`, or an adapter of one's own. ``settings`` go
    over those of `testing.settings.provider_document`. The clock is ``manual_clock`` unless given.
    """
    from airavata_mesos_plugin.config import ProviderSettings
    from airavata_mesos_plugin.minicluster.threaded import ThreadedCluster
    from airavata_mesos_plugin.schedulers.aurora.scheduler import AuroraScheduler
    from airavata_mesos_plugin.schedulers.base import Scheduler
    from airavata_mesos_plugin.testing.scripted import ScriptedScheduler
    from airavata_mesos_plugin.testing.settings import CLUSTER, NOWHERE, provider_document
    from airavata_mesos_plugin.testing.stage import ProviderStage

    with ExitStack() as stack:

        def make(
            scheduler: ThreadedCluster | ScriptedScheduler | Scheduler,
            clock: Clock | None = None,
            **settings: object,
        ) -> ProviderStage:
            used = clock or manual_clock
            if isinstance(scheduler, ThreadedCluster):
                document = provider_document(scheduler.scheduler_url, scheduler.master_url, settings)
            else:
                document = provider_document(NOWHERE, NOWHERE, settings)
            checked = ProviderSettings.model_validate(document)
            if isinstance(scheduler, ThreadedCluster):
                adapter: Scheduler = AuroraScheduler(checked.cluster(CLUSTER), used)
                stack.callback(adapter.close)
            else:
                adapter = scheduler.mock if isinstance(scheduler, ScriptedScheduler) else scheduler
            stage = ProviderStage(
                tmp_path_factory.mktemp("provider"),
                checked,
                {CLUSTER: adapter},
                used,
                pause=0.0 if isinstance(scheduler, ScriptedScheduler) else 0.05,
            )
            stack.callback(stage.stop)
            stage.start()
            return stage

        yield make


@pytest.fixture
def scripted_provider(
    make_provider: Callable[..., ProviderStage], scripted_scheduler: ScriptedScheduler
) -> ProviderStage:
    """A provider on ``scripted_scheduler``, with ``manual_clock``: no second of it is real."""
    return make_provider(scripted_scheduler)


@pytest.fixture
def minicluster_provider(
    make_provider: Callable[..., ProviderStage], minicluster: EmbeddedCluster
) -> ProviderStage:
    """A provider on ``minicluster``, with the clock of this machine."""
    from airavata_mesos_plugin.clock import SystemClock

    return make_provider(minicluster, SystemClock())


@pytest.fixture
def make_compute_resource(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., ComputeResource]]:
    """Makes compute resources: ``make_compute_resource(cluster, **settings)``, with daemon and commands."""
    from airavata_mesos_plugin.testing.compute_resource import ClusterAddresses, ComputeResource

    with ExitStack() as stack:

        def make(cluster: ClusterAddresses, **settings: object) -> ComputeResource:
            home = Path(stack.enter_context(TemporaryDirectory(prefix="airavata-mesos-")))
            resource = ComputeResource(tmp_path_factory.mktemp("resource"), cluster, settings, home=home)
            stack.callback(resource.stop)
            resource.start()
            resource.install()
            return resource

        yield make


@pytest.fixture
def compute_resource(
    make_compute_resource: Callable[..., ComputeResource], minicluster: EmbeddedCluster
) -> ComputeResource:
    """A daemon with Airavata's commands on ``minicluster``, and Airavata that types them."""
    return make_compute_resource(minicluster)


@pytest.fixture
def mesos_compute_resource(
    make_compute_resource: Callable[..., ComputeResource], minicluster: EmbeddedCluster
) -> ComputeResource:
    """The same without Aurora: the daemon is a framework of the Mesos master of ``minicluster`` itself."""
    return make_compute_resource(minicluster, clusters={"kind": "mesos"})


@pytest.fixture
def airavata_script(tmp_path: Path) -> Callable[..., JobScript]:
    """Makes job scripts as Airavata renders them: ``airavata_script(command, **members of JobScript)``. Each
    has a new working directory unless one is given."""
    from airavata_mesos_plugin.testing.airavata_script import JobScript

    def make(command: str, **members: Any) -> JobScript:
        if "directory" not in members:
            members["directory"] = tmp_path / f"PROCESS_{len(list(tmp_path.iterdir()))}"
            members["directory"].mkdir()
        return JobScript(command=command, **members)

    return make
