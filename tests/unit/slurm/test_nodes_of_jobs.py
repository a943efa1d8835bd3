"""Jobs over several nodes: which nodes the commands show, and jobs found by one of their nodes."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from airavata_mesos_plugin.jobs import JobPhase, JobRecord, PastAttempt, Resources
from airavata_mesos_plugin.slurm.session import Result
from tests.unit.slurm.conftest import NOW, FakeProvider

Call = Callable[..., Result]
AddJob = Callable[..., JobRecord]
AddNode = Callable[..., None]

WIDE: dict[str, object] = {
    "nodes": 3,
    "tasks": 6,
    "resources": Resources(cpus=2, memory_mb=500, disk_mb=1000),
    "stdout": "log-%N",
}


@pytest.fixture
def jobs(add_job: AddJob) -> None:
    """One over three nodes that are known to sinfo by longer names, one on a single node, one that waits."""
    running = {"started_at": NOW - 60}
    add_job(JobPhase.RUNNING, WIDE, host="agent-1.example.org", node_list="agent-[1-2],big", **running)
    add_job(JobPhase.RUNNING, {"stdout": "log-%N"}, host="agent-2.example.org", **running)
    add_job(JobPhase.QUEUED, WIDE)


@pytest.mark.usefixtures("jobs")
def test_squeue_shows_all_nodes_and_the_first_one(call: Call) -> None:
    assert call("squeue -h -o '%i|%N|%B|%R'").stdout == (
        "3||n/a|(Resources)\n"
        "2|agent-2.example.org|agent-2.example.org|agent-2.example.org\n"
        "1|agent-[1-2],big|agent-1|agent-[1-2],big\n"
    )


@pytest.mark.usefixtures("jobs")
def test_the_name_of_a_file_has_the_first_node_as_the_script_knows_it(call: Call) -> None:
    assert call("squeue -h -O JobID:3,STDOUT:60").stdout.split() == [
        *("3", "/home/alice/run/log-%N"),
        *("2", "/home/alice/run/log-agent-2"),
        *("1", "/home/alice/run/log-agent-1"),
    ]


@pytest.mark.usefixtures("jobs")
def test_scontrol_shows_all_nodes_and_the_first_one(call: Call) -> None:
    shown = call("scontrol -o show job 1").stdout
    assert " NodeList=agent-[1-2],big BatchHost=agent-1 NumNodes=3 NumCPUs=6 " in shown
    assert " StdOut=/home/alice/run/log-agent-1 " in shown


@pytest.mark.usefixtures("jobs")
def test_documents_show_all_nodes_and_the_first_one(call: Call) -> None:
    (job,) = json.loads(call("squeue -j 1 --json").stdout)["jobs"]
    assert (job["nodes"], job["batch_host"]) == ("agent-[1-2],big", "agent-1")
    assert job["job_resources"] == {"allocated_cores": 6, "allocated_hosts": 3, "nodes": "agent-[1-2],big"}
    (accounted,) = json.loads(call("sacct -j 1 --json").stdout)["jobs"]
    assert accounted["nodes"] == "agent-[1-2],big"


@pytest.mark.usefixtures("jobs")
def test_the_script_has_the_first_node_alone(call: Call) -> None:
    assert call("squeue -h -s -j 1 -o '%i|%N'").stdout == "1.batch|agent-1\n"
    assert call("sacct -n -P -j 1 -o JobID,NodeList,NNodes,AllocNodes,AllocCPUS,AllocTRES").stdout == (
        "1|agent-[1-2],big|3|3|6|billing=6,cpu=6,mem=1500M,node=3\n"
        "1.batch|agent-1|1|1|2|billing=2,cpu=2,mem=500M,node=1\n"
    )


@pytest.mark.usefixtures("jobs")
@pytest.mark.parametrize(
    ("nodes", "found"),
    [
        ("agent-1", ["1"]),
        ("agent-2", ["1", "2"]),
        ("agent-2.example.org", ["1", "2"]),
        ("agent-2.example.net", ["1"]),
        ("agent-[2-3]", ["1", "2"]),
        ("big,nosuch", ["1"]),
        ("agent-[1-2],big", ["1", "2"]),
        ("agent", []),
    ],
)
def test_jobs_are_found_by_any_of_their_nodes(
    call: Call, cancelled: list[int], nodes: str, found: list[str]
) -> None:
    assert sorted(call(f"squeue -h -o %i -w {nodes}").stdout.split()) == found
    assert call(f"sacct -X -n -P -o JobID -N {nodes}").stdout.split() == found
    assert call(f"scancel -u alice -w {nodes}") == Result()
    assert sorted(map(str, cancelled)) == found


@pytest.mark.usefixtures("jobs")
def test_a_node_may_be_called_what_sinfo_or_a_job_calls_it(call: Call, add_node: AddNode) -> None:
    for number in (1, 2, 3):
        add_node(f"agent-{number}.example.org", 4, 4000)
    for name, found in (("agent-3", ""), ("agent-3.example.org", ""), ("big", "1\n"), ("agent-1", "1\n")):
        assert call(f"squeue -h -o %i -w {name}") == Result(found)
    assert call("squeue -w agent-4").stderr == "squeue: error: Invalid node name agent-4\n"


def test_attempts_are_found_by_the_nodes_that_they_had(
    call: Call, add_job: AddJob, fake: FakeProvider
) -> None:
    job = add_job(JobPhase.RUNNING, WIDE, host="c", node_list="c[1-3]", attempt=2, started_at=NOW - 60)
    times = {"submitted_at": NOW - 200, "started_at": NOW - 150, "ended_at": NOW - 100}
    fake.attempts = [
        PastAttempt(job.id, 1, "NODE_FAIL", **times, host="a.x", node_list="a,b", exit_code=None, signal=None)
    ]
    columns = "sacct -D -n -P -j 1 -o JobID,State,NodeList"
    before = "1|NODE_FAIL|a,b\n"
    assert call(f"{columns} -N b").stdout == before
    assert call(f"{columns} -N a").stdout == f"{before}1.batch|CANCELLED|a\n"
    assert call(f"{columns} -N c3").stdout == "1|RUNNING|c[1-3]\n"
    assert call(f"{columns} -X").stdout == f"{before}1|RUNNING|c[1-3]\n"
