"""Leaders change, ZooKeeper goes away, the daemon is killed: what was acknowledged ran, and ran once."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from airavata_mesos_plugin.errors import AiravataMesosError
from airavata_mesos_plugin.jobs import ACTIVE_PHASES, JobPhase
from airavata_mesos_plugin.store import JobSelection, LedgerReader
from airavata_mesos_plugin.testing.compute_resource import ComputeResource
from airavata_mesos_plugin.testing.embedded import EmbeddedCluster, roomy
from airavata_mesos_plugin.testing.waiting import wait_for
from tests.support.zookeeper import ZooKeeperServer, ensemble

MARKING = """{% extends "aurora/serial.json.j2" %}
{% block processes %}
{"name": "run", "min_duration": 0, "cmdline": {{ ("echo ran >> " ~ values.marks ~ "/" ~ name) | tojson }}}
{% endblock %}
{% block order %}[]{% endblock %}
"""
"""Runs no script, so that a machine can do many: each run leaves a mark in the file of its job's key."""

PAUSE = threading.Event()
"""Never set: the pause between two tries of a submitter."""


SUBMITTERS = 4


class Crowd:
    """Submitters, and the checker of what became of their jobs."""

    def __init__(self, resource: ComputeResource, marks: Path, script: Path) -> None:
        self.resource = resource
        self.acknowledged: list[int] = []
        self._marks = marks
        self._script = script
        self._troubles: list[BaseException] = []
        self._left = iter(range(0))
        self._lock = threading.Lock()

    @contextmanager
    def submitting(self, jobs: int) -> Iterator[None]:
        """Jobs are submitted meanwhile; all have been acknowledged when it is left."""
        self._left = iter(range(jobs))
        threads = [threading.Thread(target=self._work) for _ in range(SUBMITTERS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            for thread in threads:
                thread.join()
        assert self._troubles == []

    def _work(self) -> None:
        try:
            while True:
                with self._lock:
                    if next(self._left, None) is None:
                        return
                job_id = self._submit()
                with self._lock:
                    self.acknowledged.append(job_id)
        except BaseException as error:
            self._troubles.append(error)

    def _submit(self) -> int:
        work = str(self.resource.directory / "work")
        for _ in range(600):
            try:
                answer = self.resource.client.call("sbatch", ["-D", work, str(self._script)])
            except AiravataMesosError:  # the daemon is being killed, or is not up again
                PAUSE.wait(0.1)
                continue
            found = re.fullmatch(rb"Submitted batch job (\d+)\n", answer.stdout)
            assert found, answer
            return int(found[1])
        raise AssertionError("the daemon did not come back")

    def check(self, jobs: int) -> None:
        """Wait for the end of all jobs, and compare acknowledgements, marks and ledger."""
        with closing(LedgerReader(self.resource.home / "ledger.db")) as ledger:
            wait_for(
                lambda: len(ledger.jobs(JobSelection(phases=ACTIVE_PHASES))),
                (0).__eq__,
                "all over",
                seconds=180,
                pause=0.3,
                context=lambda: self.resource.daemon.log,
            )
            records = ledger.jobs(JobSelection())
        assert {record.phase for record in records} == {JobPhase.COMPLETED}
        assert {(record.attempt, record.run) for record in records} == {(1, 0)}
        ids = {record.id for record in records}
        assert len(set(self.acknowledged)) == len(self.acknowledged), "an id was given twice"
        assert set(self.acknowledged) <= ids, "an acknowledged job is not in the ledger"
        marks = {path.name: path.read_text() for path in self._marks.iterdir()}
        assert set(marks) == {record.key.name for record in records}, "what ran is not what the ledger has"
        assert set(marks.values()) == {"ran\n"}, "a job ran twice"
        assert len(self.acknowledged) == jobs
        assert jobs <= len(records) <= jobs + SUBMITTERS, "a killed daemon says no more to each submitter"


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Callable[..., tuple[Crowd, EmbeddedCluster]]]:
    """Makes a daemon on a cluster with two schedulers that elect their leader in an ensemble."""
    with ExitStack() as stack:

        def make(servers: list[ZooKeeperServer]) -> tuple[Crowd, EmbeddedCluster]:
            hosts = [server.address for server in servers]
            settings = roomy(
                tmp_path / "cluster",
                zookeeper=",".join(hosts),
                zk_session_timeout=2.0,
                schedulers=2,
                history_max_per_job=1,
            )
            cluster = EmbeddedCluster(settings)
            stack.enter_context(cluster)
            marks, templates = tmp_path / "marks", tmp_path / "templates" / "aurora"
            marks.mkdir()
            templates.mkdir(parents=True)
            (templates / "marking.json.j2").write_text(MARKING)
            (tmp_path / "work").mkdir()
            script = tmp_path / "job.sh"
            script.write_text("#!/bin/sh\n#SBATCH -o /dev/null\ntrue\n")
            resource = ComputeResource(
                tmp_path,
                cluster,
                {
                    "clusters": {
                        "schedulers": [],
                        "zookeeper": {"hosts": hosts},
                        "call_timeout_seconds": 20,
                        "poll_interval_seconds": 0.5,
                    },
                    "queues": {
                        "template": "marking",
                        "values": {"marks": str(marks)},
                        "default_memory_mb_per_cpu": 16,
                        "disk_mb": 16,
                    },
                    "template_directories": [str(tmp_path / "templates")],
                },
            )
            stack.callback(resource.stop)
            wait_for(cluster.leading, lambda now: now is not None, "a leader")
            resource.start()
            return Crowd(resource, marks, script), cluster

        yield make


@pytest.mark.timeout(400)
def test_a_thousand_submissions_while_leaders_change(
    made: Callable[..., tuple[Crowd, EmbeddedCluster]], tmp_path: Path
) -> None:
    with ensemble(tmp_path / "zookeeper") as servers:
        crowd, cluster = made(servers)

        def acknowledged(number: int) -> None:
            wait_for(
                lambda: len(crowd.acknowledged), lambda now: now >= number, f"{number} jobs", seconds=200
            )

        with crowd.submitting(1000):
            acknowledged(100)
            cluster.change_leader()
            acknowledged(300)
            crowd.resource.kill()
            cluster.change_leader(expire=True)
            crowd.resource.start()
            acknowledged(500)
            # Without ZooKeeper nobody leads, and the daemon goes on taking jobs.
            servers[0].stop()
            wait_for(cluster.leading, lambda now: now is None, "without a leader")
            acknowledged(700)
            servers[0].start()
            servers[0].wait()
            cluster.change_leader()
        crowd.check(1000)


@pytest.mark.timeout(400)
def test_leaders_change_while_jobs_are_followed(
    made: Callable[..., tuple[Crowd, EmbeddedCluster]], tmp_path: Path
) -> None:
    with ensemble(tmp_path / "zookeeper", 3) as servers:
        crowd, cluster = made(servers)
        with crowd.submitting(60):
            pass
        cluster.change_leader()
        with crowd.submitting(60):
            servers[0].stop()
        cluster.change_leader(expire=True)
        with crowd.submitting(60):
            servers[1].stop()  # no quorum is left
            wait_for(cluster.leading, lambda now: now is None, "without a leader")
            crowd.resource.kill()
            crowd.resource.start()
        for server in servers[:2]:
            server.start()
        wait_for(cluster.leading, lambda now: now is not None, "a leader")
        crowd.check(180)
