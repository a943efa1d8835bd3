"""Basic authentication over HTTP."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.transport.TTransport import TMemoryBuffer

from airavata_mesos_plugin.gen.aurora import AuroraAdmin
from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.minicluster.probe import BINARY, Reply, events, job, job_key, request
from airavata_mesos_plugin.minicluster.settings import ClusterSettings
from airavata_mesos_plugin.minicluster.threaded import ThreadedCluster

USERS = {
    "root": ("secret", ("*",)),
    "eng": ("pw", ("thrift.AuroraSchedulerManager:*",)),
    "devel": ("pw", ("thrift.AuroraSchedulerManager:killTasks:*:devel",)),
    "guest": ("pw", ()),
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreadedCluster]:
    ini = tmp_path_factory.mktemp("ini") / "shiro.ini"
    ini.write_text("[users]\nfile = pw, admin\n[roles]\nadmin = *\n")
    settings = ClusterSettings(tmp_path_factory.mktemp("mini"), users=USERS, shiro_ini=ini, stop_grace=0.3)
    with ThreadedCluster(settings) as running:
        yield running


def raw(cluster: ThreadedCluster, login: str | None, method: str, *arguments: object) -> Reply:
    sent = TMemoryBuffer()
    getattr(AuroraAdmin.Client(TBinaryProtocol(sent)), f"send_{method}")(*arguments)
    headers = {"Content-Type": BINARY, "Accept": BINARY}
    if login is not None:
        headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
    return request(cluster.scheduler_url, "/api", "POST", sent.getvalue(), headers)


def call(cluster: ThreadedCluster, login: str | None, method: str, *arguments: object) -> Any:
    reply = raw(cluster, login, method, *arguments)
    assert reply.status == 200, reply.text
    client = AuroraAdmin.Client(TBinaryProtocol(TMemoryBuffer(reply.body)))
    return getattr(client, f"recv_{method}")()


def test_reading_needs_no_login_but_wrong_ones_are_refused(cluster: ThreadedCluster) -> None:
    assert call(cluster, None, "getTierConfigs").responseCode == api.ResponseCode.OK
    refused = raw(cluster, "root:wrong", "getTierConfigs")
    assert (refused.status, refused.headers["WWW-Authenticate"]) == (
        401, 'BASIC realm="Apache Aurora Scheduler"',
    )  # fmt: skip
    assert request(cluster.scheduler_url, "/vars").status == 200


@pytest.mark.parametrize(
    ("method", "arguments"),
    [("createJob", (job("j", "{}"),)), ("performBackup", ()), ("killTasks", (None, None, None))],
)
def test_changing_needs_a_login(cluster: ThreadedCluster, method: str, arguments: tuple[object, ...]) -> None:
    refused = raw(cluster, None, method, *arguments)
    assert refused.status == 401
    assert "WWW-Authenticate" in refused.headers


def test_permissions(cluster: ThreadedCluster) -> None:
    made = job("j", None, cpus=1000)
    refused = call(cluster, "guest:pw", "createJob", made)
    assert refused.responseCode == api.ResponseCode.AUTH_FAILED
    assert [detail.message for detail in refused.details] == [
        "Subject guest is not permitted to JobScopedRpcPermission{rpc=createJob, "
        "permittedJob=IJobKey{role=www, environment=devel, name=j}}."
    ]
    assert call(cluster, "devel:pw", "createJob", made).responseCode == api.ResponseCode.AUTH_FAILED
    assert call(cluster, "eng:pw", "createJob", made).responseCode == api.ResponseCode.OK
    refused = call(cluster, "eng:pw", "listBackups")
    assert refused.responseCode == api.ResponseCode.AUTH_FAILED
    assert [detail.message for detail in refused.details] == [
        "Subject eng lacks permission UnscopedRpcPermission{domain=thrift.AuroraAdmin, rpc=listBackups}"
    ]
    for login in ("root:secret", "file:pw"):
        assert call(cluster, login, "listBackups").responseCode == api.ResponseCode.OK
    assert (
        call(cluster, "devel:pw", "killTasks", job_key("j"), None, None).responseCode == api.ResponseCode.OK
    )
    query = api.TaskQuery(role="www")
    assert not call(cluster, None, "getTasksStatus", query).result.scheduleStatusResult.tasks


def test_the_user_stands_in_the_events(cluster: ThreadedCluster) -> None:
    policy = api.PartitionPolicy(reschedule=False)
    call(cluster, "eng:pw", "createJob", job("k", None, cpus=1000, partitionPolicy=policy))
    query = api.TaskQuery(jobKeys={job_key("k")})

    def task() -> Any:
        return call(cluster, None, "getTasksStatus", query).result.scheduleStatusResult.tasks[0]

    call(cluster, "root:secret", "forceTaskState", task().assignedTask.taskId, api.ScheduleStatus.ASSIGNED)
    assert events(task())[-1] == ("ASSIGNED", "Transition forced by root")


def test_a_call_about_no_job_is_invalid(cluster: ThreadedCluster) -> None:
    refused = call(cluster, "root:secret", "killTasks", None, None, None)
    assert refused.responseCode == api.ResponseCode.INVALID_REQUEST
    assert [d.message for d in refused.details] == ["Missing or invalid job key from request."]


def test_accounts_that_cannot_be_read_are_seen_at_the_start(tmp_path: Path) -> None:
    ini = tmp_path / "shiro.ini"
    ini.write_text("[main]\n")
    with (
        pytest.raises(ValueError, match="may only hold"),
        ThreadedCluster(ClusterSettings(tmp_path / "mini", shiro_ini=ini)),
    ):
        pass
