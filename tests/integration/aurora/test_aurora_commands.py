"""airavata-mesos aurora on a cluster with real tasks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click.testing
import pytest

from airavata_mesos_plugin.cli.aurora_clusters import from_json, json_files
from airavata_mesos_plugin.cli.main import command
from airavata_mesos_plugin.errors import ConfigurationError
from airavata_mesos_plugin.minicluster.settings import AgentSettings
from airavata_mesos_plugin.minicluster.settings import ClusterSettings as MiniSettings
from airavata_mesos_plugin.minicluster.threaded import ThreadedCluster
from tests.support.waiting import wait_for


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreadedCluster]:
    agent = AgentSettings(host="127.0.0.1", cpus=4.0, memory_mb=2048, disk_mb=8192)
    settings = MiniSettings(work_dir=tmp_path_factory.mktemp("cluster"), agents=(agent,))
    with ThreadedCluster(settings) as running:
        yield running


Run = Callable[..., click.testing.Result]


@pytest.fixture
def run(cluster: ThreadedCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    config = tmp_path / "provider.yaml"
    config.write_text(
        f"clusters: [{{name: dev, schedulers: ['{cluster.scheduler_url}'],"
        f" mesos_masters: ['{cluster.master_url}']}}]\n"
        "queues: [{name: q, cluster: dev, role: www}]\n"
    )
    (tmp_path / "clusters.json").write_text(
        json.dumps([{"name": "old", "scheduler_uri": cluster.scheduler_url}, {"zk": "nameless"}])
    )
    monkeypatch.setenv("AIRAVATA_MESOS_CONFIG", str(config))
    monkeypatch.setenv("AURORA_CONFIG_ROOT", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))

    def invoke(*arguments: str, code: int = 0) -> click.testing.Result:
        result = click.testing.CliRunner().invoke(command, ["aurora", *arguments])
        assert result.exit_code == code, (result.output, result.exception)
        return result

    return invoke


def document(name: str, cmdline: str = "sleep 600", **changes: Any) -> dict[str, Any]:
    return {
        "role": "www",
        "cluster": "dev",
        "environment": "prod",
        "name": name,
        "tier": "preemptible",
        "task": {
            "processes": [{"name": "run", "cmdline": cmdline}],
            "resources": {"cpu": 0.1, "ram": 16 * 2**20, "disk": 16 * 2**20},
            "finalization_wait": 1,
        },
        **changes,
    }


def written(tmp_path: Path, *documents: dict[str, Any]) -> str:
    path = tmp_path / "job.json"
    path.write_text(json.dumps({"jobs": list(documents)} if len(documents) > 1 else documents[0]))
    return str(path)


def tasks(run: Run, job: str) -> Any:
    return json.loads(run("status", job, "--write-json").stdout)


def running(run: Run, job: str, count: int) -> list[Any]:
    def look() -> list[Any]:
        found = tasks(run, job)
        active = found[0]["active"] if isinstance(found, list) else []
        return [task for task in active if task["status"] == "RUNNING"]

    return wait_for(look, lambda now: len(now) == count, f"{count} running tasks of {job}")


def test_life_of_a_job(run: Run, tmp_path: Path) -> None:
    path = written(tmp_path, document("other"), document("life", instances=2))
    job = "dev/www/prod/life"
    run("create", job, "--read-json", path)
    (one, _) = running(run, job, 2)
    assert one["assignedTask"]["task"]["isService"] is False
    assert one["taskEvents"][-1]["status"] == "RUNNING"
    assert job in run("jobs", "dev/www").stdout
    assert "RUNNING" in run("status", job).stdout
    assert "sleep 600" in run("inspect", job).stdout
    back = json.loads(run("inspect", job, "--write-json").stdout)
    assert back["instances"] == 2
    (tmp_path / "back.json").write_text(json.dumps({**back, "name": "again"}))
    run("create", "dev/www/prod/again", "--read-json", str(tmp_path / "back.json"))
    running(run, "dev/www/prod/again", 2)
    run("kill", "dev/www/prod/again")
    before = {task["assignedTask"]["taskId"] for task in running(run, job, 2)}
    run("restart", f"{job}/1")
    wait_for(
        lambda: {task["assignedTask"]["taskId"] for task in running(run, job, 2)},
        lambda now: len(now & before) == 1,
        "one task restarted",
    )
    run("add", f"{job}/0", "1")
    running(run, job, 3)
    run("kill", f"{job}/0-1", "-m", "enough")
    running(run, job, 1)
    run("kill", job)
    wait_for(lambda: tasks(run, job)[0]["active"], lambda now: now == [], "ended")
    assert "enough" in json.dumps(tasks(run, job))


def test_cluster_of_auroras_own_file(run: Run) -> None:
    assert "preemptible" in run("tiers", "old").stdout
    assert "dev, old" in run("tiers", "nowhere", code=4).stderr


def test_pending(run: Run, tmp_path: Path) -> None:
    huge = document("huge")
    huge["task"]["resources"]["cpu"] = 64
    job = "dev/www/prod/huge"
    run("create", job, "--read-json", written(tmp_path, huge))
    for where in (job, "dev/www"):
        wait_for(lambda where=where: run("pending", where).stdout, lambda now: "CPU" in now, "a reason")  # type: ignore[misc]
    run("kill", job)
    assert tasks(run, job) == {"jobspec": job, "error": "No matching jobs found"}


def test_quota(run: Run) -> None:
    run("quota", "set", "dev/www", "3.5", "1024", "2048")
    assert "quota\t3.5\t1024\t2048" in run("quota", "get", "dev/www").stdout
    wire = json.loads(run("quota", "get", "dev/www", "--write-json").stdout)
    assert {"numCpus": 3.5} in wire["quota"]["resources"]


def test_cron(run: Run, tmp_path: Path) -> None:
    job = "dev/www/prod/nightly"
    path = written(
        tmp_path, document("nightly", cron_schedule="0 3 * * *", cron_collision_policy="CANCEL_NEW")
    )
    run("cron", "schedule", job, "--read-json", path)
    listed = run("cron", "list", "dev/www").stdout
    assert "0 3 * * *\tCANCEL_NEW" in listed
    run("cron", "start", job)
    running(run, job, 1)
    run("cron", "kill", job)
    run("cron", "deschedule", job)
    assert "nightly" not in run("cron", "list", "dev").stdout
    run("cron", "start", job, code=10)


def test_template_makes_a_job_file(run: Run, tmp_path: Path) -> None:
    job = "dev/www/prod/cleaning"
    wanted = ("--set", "command=sleep 600", "--set", "schedule=30 4 * * *", "--ram-mb", "16")
    path = tmp_path / "cleaning.json"
    path.write_text(run("template", "cron", job, *wanted).stdout)
    assert json.loads(path.read_text())["task"]["resources"]["ram"] == 16 * 2**20
    run("cron", "schedule", job, "--read-json", str(path))
    assert "30 4 * * *" in run("cron", "list", "dev/www").stdout
    run("cron", "deschedule", job)
    assert "command" in run("template", "cron", job, "--set", "schedule=x", code=3).stderr
    run("template", "cron", job, "--set", "schedule", code=6)
    run("template", "nosuch", job, code=3)


def test_update(run: Run, tmp_path: Path) -> None:
    quick = {"batch_size": 2, "watch_secs": 0}
    job = "dev/www/prod/service"
    first = document("service", service=True, instances=2, update_config=quick)
    run("update", "start", job, "--read-json", written(tmp_path, first), "--watch", "-m", "first")
    running(run, job, 2)
    assert "unchanged" in run("update", "start", job, "--read-json", written(tmp_path, first)).stdout
    paused = {**first, "priority": 5, "update_config": {"batch_size": 1, "watch_secs": 3600}}
    started = run("update", "start", job, "--read-json", written(tmp_path, paused)).stdout
    update_id = started.strip().rsplit("/", 1)[1]
    run("update", "pause", job, "-m", "hold on")
    listed = json.loads(run("update", "list", "dev/www", "--write-json").stdout)
    assert (listed[0]["id"], listed[0]["status"]) == (update_id, "ROLL_FORWARD_PAUSED")
    assert "time is up" in run("update", "watch", job, "--timeout", "0", code=9).stderr
    assert "hold on" in run("update", "info", job).stdout
    run("update", "resume", job, update_id)
    run("update", "pulse", job)
    run("update", "abort", job)
    assert "ABORTED" in run("update", "watch", job, code=4).stdout
    run("update", "pause", job, code=4)
    run("update", "pause", job, update_id, code=10)
    run("kill", job)


def test_maintenance(run: Run) -> None:
    shown = run("maintenance", "status", "dev", "127.0.0.1", "elsewhere").stdout
    assert "elsewhere\tnot known" in shown
    run("maintenance", "start", "dev", "127.0.0.1")
    assert "SCHEDULED" in run("maintenance", "status", "dev", "127.0.0.1").stdout
    assert "NONE" in run("maintenance", "end", "dev", "127.0.0.1").stdout


def test_administration(run: Run) -> None:
    run("backups", "dev", "--make")
    run("reconcile", "dev")
    run("reconcile", "dev", "--all")
    run("force-state", "dev", "no-such-task", "LOST")
    run("force-state", "dev", "no-such-task", "DEAD", code=10)


def test_exit_codes(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("status", "dev/www/prod/unknown", code=4)
    run("status", "dev/www/prod", code=6)
    run("no-such-command", code=5)
    run("kill", "dev/www/prod/x/9-1", code=6)
    wrong = written(tmp_path, document("x", colour="red"))
    assert "colour" in run("create", "dev/www/prod/x", "--read-json", wrong, code=3).stderr
    mine = written(tmp_path, document("x"))
    assert "holds no job" in run("create", "dev/www/prod/y", "--read-json", mine, code=3).stderr
    golden = written(tmp_path, document("x", tier="golden"))
    assert "golden" in run("create", "dev/www/prod/x", "--read-json", golden, code=10).stderr
    (tmp_path / "clusters.json").write_text('[{"name": "dead", "scheduler_uri": "http://127.0.0.1:1"}]')
    run("tiers", "dead", code=7)
    bad = {**document("x", service=True), "update_config": {"speed": 1}}
    run("update", "start", "dev/www/prod/x", "--read-json", written(tmp_path, bad), code=6)
    monkeypatch.setenv("AIRAVATA_MESOS_CONFIG", str(tmp_path / "gone.yaml"))
    run("tiers", "dev", code=3)


def test_clusters_json_as_auroras_own_client_reads_it(tmp_path: Path) -> None:
    system, user = json_files({"AURORA_CONFIG_ROOT": str(tmp_path), "HOME": str(tmp_path / "me")})
    user.parent.mkdir(parents=True)
    system.write_text(
        json.dumps(
            {
                "a": {"name": "a", "zk": "z1,z2:2182", "zk_port": 2191, "scheduler_zk_path": "/x/y"},
                "b": {"name": "b", "scheduler_uri": "http://b:8081", "auth_mechanism": "KERBEROS"},
            }
        )
    )
    user.write_text(json.dumps([{"name": "b", "scheduler_uri": "http://mine:8081", "slave_root": "/v"}]))
    found = from_json((system, user))
    keeper = found["a"].zookeeper
    assert keeper is not None
    assert (keeper.hosts, keeper.aurora_path) == (("z1:2191", "z2:2182"), "/x/y")
    assert found["b"].schedulers == ("http://mine:8081",)
    assert found["b"].authentication.mechanism == "none"
    assert from_json((system,))["b"].authentication.mechanism == "kerberos"
    system.write_text("{")
    with pytest.raises(ConfigurationError, match=r"clusters\.json"):
        from_json((system, user))
    system.write_text('[{"name": "c"}]')
    with pytest.raises(ConfigurationError, match="'c'"):
        from_json((system,))
