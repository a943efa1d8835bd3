"""State that survives the end of the process."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.minicluster.clock import ManualClock
from airavata_mesos_plugin.minicluster.probe import Probe, events, get, job, job_key, process, thermos, until
from airavata_mesos_plugin.minicluster.settings import AgentSettings, ClusterSettings
from airavata_mesos_plugin.minicluster.state import Lock, SqliteJournal
from airavata_mesos_plugin.minicluster.threaded import ThreadedCluster

S = api.ScheduleStatus
SLEEP = thermos(process("main", "exec sleep 1000"))


def settings(work_dir: Path) -> ClusterSettings:
    return ClusterSettings(
        work_dir, durable=True, stop_grace=0.3, agents=(AgentSettings(cpus=4, memory_mb=4096),)
    )


def test_a_restart_keeps_everything_and_replaces_what_ran(tmp_path: Path) -> None:
    with ThreadedCluster(settings(tmp_path)) as cluster:
        probe = Probe(cluster.scheduler_url)
        probe.create(job("done", thermos(process("main", "true"))))
        probe.create(job("runs", SLEEP))
        probe.create(job("waits", SLEEP, cpus=100))
        before = {
            name: probe.wait(name, *wanted)
            for name, wanted in (("done", (S.FINISHED,)), ("runs", (S.RUNNING,)), ("waits", (S.PENDING,)))
        }
        cron = job("cron", SLEEP)
        cron = api.JobConfiguration(
            **{**cron.__dict__, "cronSchedule": "0 0 1 1 *", "cronCollisionPolicy": 0}
        )
        assert probe.call("scheduleCronJob", cron).responseCode == api.ResponseCode.OK
        quota = api.ResourceAggregate(
            resources={api.Resource(numCpus=1.5), api.Resource(ramMb=10), api.Resource(diskMb=20)}
        )
        assert probe.call("setQuota", "www", quota).responseCode == api.ResponseCode.OK
        probe.call("startMaintenance", api.Hosts(hostNames={"localhost"}))
    with ThreadedCluster(settings(tmp_path)) as cluster:
        probe = Probe(cluster.scheduler_url)
        assert probe.tasks("done") == before["done"]
        assert probe.tasks("waits") == before["waits"]
        old, new = probe.wait("runs", S.LOST, S.RUNNING)
        assert old.assignedTask == before["runs"][0].assignedTask
        assert events(old)[-1] == ("LOST", "Agent removed: health check timed out")
        assert (new.status, new.ancestorId) == (S.RUNNING, old.assignedTask.taskId)
        assert get(cluster.scheduler_url, "/cron").json() == {"scheduled": {"www/devel/cron": "0 0 1 1 *"}}
        assert get(cluster.scheduler_url, "/quotas", role="www").json() == {
            "www": {"cpu_cores": 1.5, "ram_mb": 10, "disk_mb": 20}
        }
        assert get(cluster.scheduler_url, "/maintenance").json()["SCHEDULED"] == ["localhost"]
        probe.kill("waits")
        assert probe.tasks("waits") == []
    with ThreadedCluster(settings(tmp_path)) as cluster:
        assert Probe(cluster.scheduler_url).tasks("waits") == []


def test_an_update_goes_on_after_a_restart(tmp_path: Path) -> None:
    with ThreadedCluster(settings(tmp_path)) as cluster:
        probe = Probe(cluster.scheduler_url)
        request = api.JobUpdateRequest(
            taskConfig=job("j", SLEEP, isService=True).taskConfig,
            instanceCount=1,
            settings=api.JobUpdateSettings(
                updateGroupSize=1, maxPerInstanceFailures=1, maxFailedInstances=0,
                minWaitInInstanceRunningMs=600_000, rollbackOnFailure=False, waitForBatchCompletion=False,
            ),
        )  # fmt: skip
        started = probe.call("startJobUpdate", request, "go").result.startJobUpdateResult
        probe.wait("j", S.RUNNING)
    with ThreadedCluster(settings(tmp_path)) as cluster:
        probe = Probe(cluster.scheduler_url)
        found = probe.call("getJobUpdateDetails", None, api.JobUpdateQuery(jobKey=job_key("j")))
        (details,) = found.result.getJobUpdateDetailsResult.detailsList
        assert details.update.summary.key == started.key
        assert details.update.summary.state.status == api.JobUpdateStatus.ROLLING_FORWARD
        assert [(event.instanceId, event.action) for event in details.instanceEvents] == [(0, 3)]


@pytest.mark.parametrize("durable", [True, False])
def test_a_committed_backup_takes_the_place_of_the_storage(tmp_path: Path, durable: bool) -> None:
    with ThreadedCluster(replace(settings(tmp_path), durable=durable)) as cluster:
        probe = Probe(cluster.scheduler_url)
        probe.create(job("before", SLEEP))
        probe.wait("before", S.RUNNING)
        probe.create(job("deleted", SLEEP))
        probe.wait("deleted", S.RUNNING)
        assert probe.call("performBackup").responseCode == api.ResponseCode.OK
        probe.create(job("after", SLEEP))
        probe.wait("after", S.RUNNING)
        (name,) = probe.call("listBackups").result.listBackupsResult.backups
        for call in (
            ("stageRecovery", name),
            ("deleteRecoveryTasks", api.TaskQuery(jobKeys=frozenset({job_key("deleted")}))),
            ("commitRecovery",),
        ):
            assert probe.call(*call).responseCode == api.ResponseCode.OK

        def led() -> list[object]:
            answer = probe.call("getTierConfigs")
            return [answer] if answer.responseCode == api.ResponseCode.OK else []

        until(led)
        # What it knows runs on, and what it does not know is ended.
        (task,) = probe.tasks("before")
        assert task.status == S.RUNNING
        assert probe.tasks("after") == probe.tasks("deleted") == []

        def left() -> list[bool]:
            running = cluster.run(lambda c: [t.launch.name for t in c.master.active.values()])
            return [True] if running == ["www/devel/before"] else []

        until(left)
        refused = probe.call("commitRecovery")
        assert [detail.message for detail in refused.details] == ["No backup loaded."]
        probe.create(job("next", thermos(process("main", "true"))))
        probe.wait("next", S.FINISHED)
    if durable:
        with ThreadedCluster(settings(tmp_path)) as cluster:
            probe = Probe(cluster.scheduler_url)
            assert len(probe.wait("before", S.LOST, S.RUNNING)) == 2
            assert probe.tasks("after") == []


def test_without_the_setting_nothing_is_kept(tmp_path: Path) -> None:
    plain = ClusterSettings(tmp_path, stop_grace=0.3)
    for _ in range(2):
        with ThreadedCluster(plain) as cluster:
            probe = Probe(cluster.scheduler_url)
            assert probe.tasks("j") == []
            probe.create(job("j", SLEEP, cpus=1000))
    assert not (tmp_path / "scheduler.db").exists()


def test_two_clusters_cannot_write_the_same_state(tmp_path: Path) -> None:
    with ThreadedCluster(settings(tmp_path)), pytest.raises(OSError, match="another minicluster"):
        ThreadedCluster(settings(tmp_path)).__enter__()
    with ThreadedCluster(settings(tmp_path)):
        pass


def test_a_file_that_is_no_state_is_refused(tmp_path: Path) -> None:
    (tmp_path / "scheduler.db").write_text("something else entirely, and long enough to be looked at" * 40)
    with pytest.raises(OSError, match=r"scheduler\.db"):
        ThreadedCluster(settings(tmp_path)).__enter__()


def test_changes_are_written_together_and_at_the_latest_soon(tmp_path: Path) -> None:
    clock = ManualClock()
    journal = SqliteJournal(tmp_path / "db", clock)
    values = iter([b"first", b"second"])
    for _ in range(3):
        journal.put("kind", "key", lambda: next(values))
    journal.put("kind", "gone", lambda: b"x")
    journal.delete("kind", "gone")
    with sqlite3.connect(tmp_path / "db") as other:
        assert other.execute("SELECT count(*) FROM things").fetchone() == (0,)
        clock.advance(0)
        assert other.execute("SELECT * FROM things").fetchall() == [("kind", "key", b"first")]
    other.close()
    journal.put("kind", "key", lambda: next(values))
    journal.close()
    journal.close()
    again = SqliteJournal(tmp_path / "db", clock)
    assert again.all() == {"kind": [("key", b"second")]}
    again.close()


def test_the_lock_is_held_once(tmp_path: Path) -> None:
    one, other = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    assert (one.take(), one.take(), other.take()) == (True, True, False)
    one.give_back()
    one.give_back()
    assert other.take()
    other.give_back()
