"""HTTP of the scheduler, the master and the agents, byte for byte where it matters."""

from __future__ import annotations

import gzip
import http.client
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.minicluster.probe import (
    BINARY,
    JSON,
    Probe,
    Reply,
    get,
    job,
    process,
    request,
    run_dir,
    thermos,
    until,
)
from airavata_mesos_plugin.minicluster.settings import AgentSettings, ClusterSettings
from airavata_mesos_plugin.minicluster.threaded import ThreadedCluster

S = api.ScheduleStatus
CALL = b'[1,"getTierConfigs",1,5,{}]'


@pytest.fixture(scope="module")
def work_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mini")


@pytest.fixture(scope="module")
def cluster(work_dir: Path) -> Iterator[ThreadedCluster]:
    agents = (
        AgentSettings(cpus=2, memory_mb=1024, disk_mb=1024, attributes={"rack": ("r1",)}),
        AgentSettings(cpus=2, memory_mb=1024, disk_mb=1024, attributes={"rack": ("r2",)}),
    )
    with ThreadedCluster(ClusterSettings(work_dir=work_dir, agents=agents)) as running:
        yield running


def post(cluster: ThreadedCluster, body: bytes, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return request(cluster.scheduler_url, "/api", "POST", body, named)


@pytest.mark.parametrize(
    "content_type", ["application/x-thrift", "application/json", f"{JSON}; charset=UTF-8"]
)
def test_json_in_json_out(cluster: ThreadedCluster, content_type: str) -> None:
    reply = post(cluster, CALL, Content_Type=content_type)
    assert (reply.status, reply.headers["Content-Type"]) == (200, JSON)
    version, name, kind, seqid, struct = reply.json()
    assert (version, name, kind, seqid) == (1, "getTierConfigs", 2, 5)
    response = struct["0"]["rec"]
    assert response["1"] == {"i32": 1}
    assert response["5"]["rec"] == {"1": {"str": "minicluster"}, "3": {"str": ""}}
    assert response["6"] == {"lst": ["rec", 0]}
    result = response["3"]["rec"]["27"]["rec"]
    assert result["1"] == {"str": "preemptible"}
    settings = {tier["1"]["str"]: tier["2"]["map"][3] for tier in result["2"]["set"][2:]}
    assert settings["revocable"] == {"preemptible": "true", "revocable": "true"}


def test_a_body_without_content_type_is_json(cluster: ThreadedCluster) -> None:
    parts = urlsplit(cluster.scheduler_url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    connection.putrequest("POST", "/api")
    connection.putheader("Content-Length", str(len(CALL)))
    connection.endheaders(CALL)
    assert connection.getresponse().status == 200
    connection.close()


def test_request_and_answer_choose_their_protocols_apart(cluster: ThreadedCluster) -> None:
    reply = post(cluster, CALL, Content_Type=JSON, Accept=BINARY)
    assert (reply.headers["Content-Type"], reply.body[:4]) == (BINARY, b"\x80\x01\x00\x02")
    reply = post(cluster, CALL, Content_Type=JSON, Accept=f"{BINARY}, */*")
    assert reply.headers["Content-Type"] == JSON


def test_content_types_that_are_refused(cluster: ThreadedCluster) -> None:
    reply = post(cluster, CALL, Content_Type="text/plain")
    assert (reply.status, reply.text) == (415, "Unsupported Content-Type: text/plain")
    assert post(cluster, CALL, Content_Type="nonsense").status == 500


@pytest.mark.parametrize("body", [b"", b"hello", b"\x80\x01\x00\x01", b"{}"])
def test_what_is_no_message_is_500(cluster: ThreadedCluster, body: bytes) -> None:
    for content_type in (JSON, BINARY):
        assert post(cluster, body, Content_Type=content_type).status == 500


def test_get_needs_a_message_too_and_other_methods_are_refused(cluster: ThreadedCluster) -> None:
    assert request(cluster.scheduler_url, "/api").status == 500
    assert request(cluster.scheduler_url, "/api", "GET", CALL).status == 200
    assert request(cluster.scheduler_url, "/api", "PUT", CALL).status == 405


@pytest.mark.parametrize("method", ["noSuchCall", "getVersion"])
def test_calls_that_are_missing_are_thrift_exceptions(cluster: ThreadedCluster, method: str) -> None:
    reply = post(cluster, json.dumps([1, method, 1, 3, {}]).encode(), Content_Type=JSON)
    text = f"Invalid method name: '{method}'"
    assert reply.json() == [1, method, 3, 3, {"1": {"str": text}, "2": {"i32": 1}}]


def test_arguments_that_cannot_be_read_are_thrift_exceptions(cluster: ThreadedCluster) -> None:
    reply = post(cluster, b'[1,"createJob",1,3,{"1":{"rec":7}}]', Content_Type=JSON)
    assert reply.status == 200
    assert reply.json()[2] == 3
    assert reply.json()[4]["2"] == {"i32": 7}


def test_missing_arguments_are_errors_without_message(cluster: ThreadedCluster) -> None:
    for method in (
        "createJob",
        "killTasks",
        "getTasksStatus",
        "getPendingReason",
        "getQuota",
        "populateJobConfig",
    ):
        response = post(cluster, json.dumps([1, method, 1, 3, {}]).encode(), Content_Type=JSON).json()[4][
            "0"
        ]["rec"]
        assert (response["1"], response["6"]) == ({"i32": 2}, {"lst": ["rec", 1, {}]}), method


def test_answers_are_compressed_on_request(cluster: ThreadedCluster) -> None:
    body = b'[1,"getTasksStatus",1,1,{"1":{"rec":{}}}]'
    probe = Probe(cluster.scheduler_url)
    probe.create(job("compressed", thermos(process("main", "x" * 5000)), cpus=99))
    plain = post(cluster, body, Content_Type=JSON)
    packed = post(cluster, body, Content_Type=JSON, Accept_Encoding="gzip, deflate")
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(packed.body)) == plain.json()
    probe.kill("compressed")


def test_small_pages(cluster: ThreadedCluster) -> None:
    url = cluster.scheduler_url
    assert get(url, "/health").text == "OK\n"
    assert get(url, "/leaderhealth").status == 200
    names = [line.split(" ")[0] for line in get(url, "/vars").text.splitlines()]
    assert names == sorted(names)
    assert "task_store_RUNNING" in get(url, "/vars.json").json()
    assert get(url, "/tiers").json()["tiers"]["preferred"] == {"preemptible": False, "revocable": False}
    assert get(url, "/nowhere").status == 404


@pytest.fixture(scope="module")
def ended(cluster: ThreadedCluster) -> Any:
    """A task on the second agent that left files of all kinds behind."""
    cmdline = "; ".join(
        (
            "echo hello > out.txt",
            ": > empty",
            "mkdir sub many",
            "echo in > sub/file",
            "ln -s sub/file inside",
            "ln -s /etc/passwd out",
            "ln -s nowhere dangling",
            "mkfifo pipe",
            "printf '\\376\\377' > raw",
            "head -c 3000000 /dev/zero > big.tar.gz",
            "echo q > $'a b\\'\"\\n\\303\\251%&+#?'",
            "echo x > $'\\377'",
            "cd many",
            "for i in $(seq 1000); do echo $i > f$i; done",
        )
    )
    probe = Probe(cluster.scheduler_url)
    rack = api.TaskConstraint(value=api.ValueConstraint(negated=False, values=frozenset({"r2"})))
    constraints = frozenset({api.Constraint(name="rack", constraint=rack)})
    probe.create(job("files", thermos(process("main", cmdline)), constraints=constraints))
    (task,) = probe.wait("files")
    assert task.status == S.FINISHED
    return task


@pytest.fixture
def base(cluster: ThreadedCluster, ended: Any) -> str:
    framework = get(cluster.master_url, "/frameworks").json()["frameworks"][0]["id"]
    return f"/frameworks/{framework}/executors/thermos-{ended.assignedTask.taskId}/runs/latest"


@pytest.fixture
def agent(cluster: ThreadedCluster, ended: Any) -> str:
    """The address of the agent that ran the task, found as a client finds it."""
    reply = get(cluster.master_url, "/slaves", slave_id=ended.assignedTask.slaveId).json()
    (found,) = reply["slaves"]
    assert found["pid"] == f"slave(1)@127.0.0.1:{found['port']}"
    assert found["attributes"] == {"host": "localhost", "rack": "r2"}
    url = f"http://{found['hostname']}:{found['port']}"
    assert found["port"] == urlsplit(cluster.agent_urls[1]).port
    return url


def test_browse(agent: str, base: str, work_dir: Path, ended: Any) -> None:
    listed = get(agent, "/files/browse", path=f"{base}/sandbox/sub").json()
    (entry,) = listed
    assert (entry["path"], entry["size"]) == (f"{base}/sandbox/sub/file", 3)
    assert (entry["nlink"], entry["mode"]) == (1, "-rw-r--r--")
    real = run_dir(work_dir, ended).resolve()
    for virtual in (str(real), str(real.parent / "latest")):
        paths = [item["path"] for item in get(agent, "/files/browse", path=virtual).json()]
        assert paths == [f"{virtual}/{name}" for name in ("sandbox", "stderr", "stdout", "task.json")]
    assert len(get(agent, "/files/browse", path=f"{base}/sandbox/many").json()) == 1000
    assert get(agent, "/files/browse", path=f"{base}/sandbox/out.txt").json() == []


def test_browse_of_unusual_names_and_links(agent: str, base: str) -> None:
    body = get(agent, "/files/browse", path=f"{base}/sandbox").body
    names = {item["path"].rpartition("/")[2] for item in json.loads(body.decode("utf-8", "surrogateescape"))}
    assert {"a b'\"\né%&+#?", "\udcff", "inside", "out", "pipe", ".logs"} <= names
    assert "dangling" not in names
    for name in ("a b'\"\né%&+#?", "\udcff"):
        path = quote(f"{base}/sandbox/{name}", errors="surrogateescape")
        assert request(agent, f"/files/download?path={path}").body in (b"q\n", b"x\n")


def test_read(agent: str, base: str) -> None:
    path = f"{base}/sandbox/out.txt"
    assert get(agent, "/files/read", path=path).json() == {"data": "", "offset": 6}
    assert get(agent, "/files/read", path=path, offset=1, length=3).json() == {"data": "ell", "offset": 1}
    raw = get(agent, "/files/read", path=f"{base}/sandbox/raw", offset=0)
    assert (raw.body, raw.headers["Content-Type"]) == (b'{"data":"\xfe\xff","offset":0}', "application/json")
    big = get(agent, "/files/read", path=f"{base}/sandbox/big.tar.gz", offset=0, length=10**7).json()
    assert len(big["data"]) == 65536
    wrapped = get(agent, "/files/read", path=path, offset=0, jsonp="f")
    assert (wrapped.body[:2], wrapped.headers["Content-Type"]) == (b"f(", "text/javascript")


def test_download(agent: str, base: str) -> None:
    reply = get(agent, "/files/download", path=f"{base}/sandbox/out.txt")
    assert reply.body == b"hello\n"
    assert reply.headers["Content-Type"] == "text/plain"
    assert reply.headers["Content-Disposition"] == "attachment; filename=out.txt"
    empty = get(agent, "/files/download", path=f"{base}/sandbox/empty")
    assert (empty.status, empty.headers["Content-Length"], empty.body) == (200, "0", b"")
    path = f"/files/download?path={quote(base)}/sandbox/big.tar.gz"
    headers = {"Range": "bytes=5-9", "Accept-Encoding": "gzip"}
    big = request(agent, path, headers=headers)
    assert (big.status, len(big.body), big.body.count(0)) == (200, 3_000_000, 3_000_000)
    assert big.headers["Content-Type"] == "application/octet-stream"
    assert "Content-Encoding" not in big.headers
    head = request(agent, path, "HEAD")
    assert (head.status, head.headers["Content-Length"], head.body) == (200, "3000000", b"")


@pytest.mark.parametrize("endpoint", ["browse", "read", "download"])
@pytest.mark.parametrize(
    ("path", "status"),
    [
        (None, 400), ("", 400), ("/", 404), ("/etc/passwd", 404), ("{base}/nothing", 404),
        ("{base}/../../x", 404),
        ("{base}/..", 400), ("{base}/sandbox/out", 400), ("{base}/sandbox/../../..", 400),
        ("{base}/sandbox/dangling", 404), ("{base}x", 404),
    ],
)  # fmt: skip
def test_hostile_paths(agent: str, base: str, endpoint: str, path: str | None, status: int) -> None:
    parameters = {} if path is None else {"path": path.format(base=base)}
    assert get(agent, f"/files/{endpoint}", **parameters).status == status


@pytest.mark.parametrize("endpoint", ["read", "download"])
def test_no_directory_goes_out(agent: str, base: str, endpoint: str) -> None:
    assert get(agent, f"/files/{endpoint}", path=f"{base}/sandbox/sub", offset=0).status == 400


def test_debug_lists_what_is_attached(agent: str, base: str, work_dir: Path, ended: Any) -> None:
    assert get(agent, "/files/debug").json()[base] == str(run_dir(work_dir, ended).resolve())


def test_agent_state_moves_the_framework(agent: str, ended: Any) -> None:
    # The executor itself leaves a moment after its task.
    until(lambda: not get(agent, "/state/").json()["frameworks"])
    state = get(agent, "/slave(1)/state").json()
    assert state["id"] == ended.assignedTask.slaveId
    assert state["frameworks"] == []
    assert request(agent, "/slave%281%29/state").json()["id"] == state["id"]
    (framework,) = state["completed_frameworks"]
    (executor,) = framework["completed_executors"]
    assert executor["id"] == f"thermos-{ended.assignedTask.taskId}"
    assert Path(executor["directory"]).name == executor["container"]
    assert executor["completed_tasks"][0]["state"] == "TASK_FINISHED"


def test_master_objects(cluster: ThreadedCluster, ended: Any) -> None:
    url = cluster.master_url
    assert (get(url, "/health").status, get(url, "/health").body) == (200, b"")
    assert get(url, "/version").json()["version"]
    state = get(url, "/master/state").json()
    assert state["leader"] == state["pid"]
    assert (state["activated_slaves"], len(state["slaves"])) == (2.0, 2)
    assert get(url, "/redirect").headers["Location"] == f"//{urlsplit(url).netloc}"
    assert get(url, "/redirect").status == 307
    task_id = ended.assignedTask.taskId
    (task,) = get(url, "/tasks", task_id=task_id).json()["tasks"]
    assert (task["executor_id"], task["state"]) == (f"thermos-{task_id}", "TASK_FINISHED")
    assert [status["state"] for status in task["statuses"]] == [
        "TASK_STARTING",
        "TASK_RUNNING",
        "TASK_FINISHED",
    ]
    assert set(task["statuses"][0]) == {"state", "timestamp"}
    assert get(url, "/tasks", framework_id="other").json() == {"tasks": []}
    assert get(url, "/tasks", limit="x").status == 400
    assert get(url, "/metrics/snapshot").json()["master/slaves_active"] == 2.0
    summary = get(url, "/state-summary").json()
    assert sum(agent["TASK_FINISHED"] for agent in summary["slaves"]) >= 1
    assert get(url, "/slaves", slave_id="other").json()["slaves"] == []
    assert request(url, "/state", "POST", b"").status == 405


def test_tasks_are_ordered_and_paged(cluster: ThreadedCluster) -> None:
    probe = Probe(cluster.scheduler_url)
    probe.create(job("paged", thermos(process("main", "true")), instances=3))
    probe.wait("paged")
    newest = [task["id"] for task in get(cluster.master_url, "/tasks").json()["tasks"]]
    oldest = [task["id"] for task in get(cluster.master_url, "/tasks", order="asc").json()["tasks"]]
    assert oldest == newest[::-1]
    page = get(cluster.master_url, "/tasks", offset=1, limit=2).json()["tasks"]
    assert [task["id"] for task in page] == newest[1:3]


def test_used_resources_are_shown_while_a_task_runs(cluster: ThreadedCluster) -> None:
    probe = Probe(cluster.scheduler_url)
    probe.create(job("busy", thermos(process("main", "sleep 600")), cpus=1.5))
    (task,) = probe.wait("busy", S.RUNNING)
    (agent,) = get(cluster.master_url, "/slaves", slave_id=task.assignedTask.slaveId).json()["slaves"]
    assert agent["used_resources"]["cpus"] == 1.5
    probe.kill("busy")
    probe.wait("busy")

    def used() -> list[float]:
        slaves = get(cluster.master_url, "/slaves").json()["slaves"]
        return [slave["used_resources"]["cpus"] for slave in slaves]

    until(lambda: used() == [0, 0])


def test_a_file_that_shrinks_while_it_is_sent_breaks_the_connection(
    agent: str, base: str, work_dir: Path, ended: Any
) -> None:
    victim = run_dir(work_dir, ended) / "sandbox" / "shrinking"
    size = 64 * 1024 * 1024
    with victim.open("wb") as out:
        out.truncate(size)
    parts = urlsplit(agent)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    connection.request("GET", f"/files/download?path={quote(base)}/sandbox/shrinking")
    answer = connection.getresponse()
    assert answer.getheader("Content-Length") == str(size)
    os.truncate(victim, 1024)
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        answer.read()
    connection.close()
