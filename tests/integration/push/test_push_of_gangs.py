"""Of a job over several nodes only the first one sends its outputs: each of them has the same command."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from airavata_mesos_plugin.config import ClusterSettings, QueueSettings
from airavata_mesos_plugin.jobs import JobKey, JobPhase, JobRecord, JobRequest, Resources
from airavata_mesos_plugin.templating import StageIn, TemplateLibrary, job_context

CURL = '#!/bin/sh\necho asked >>"$0.calls"\nprintf 200\n'


def push_of(kind: str, nodes: int, number: int) -> str:
    """The command of node ``number`` that sends the outputs."""
    request = JobRequest(
        name="job",
        user="alice",
        uid=5001,
        queue="q",
        working_directory="/work",
        nodes=nodes,
        tasks=nodes,
        resources=Resources(cpus=1, memory_mb=300, disk_mb=400),
        wall_time_seconds=60,
    )
    key = JobKey("www", "prod", "mesos-x-7-1")
    record = JobRecord(7, request, JobPhase.ACCEPTED, "c", key, 1, 0, accepted_at=0, changed_at=0)
    queue = QueueSettings.model_validate(
        {"name": "q", "cluster": "c", "role": "www", "max_nodes": 2, "outputs": {"method": "push"}}
    )
    address = ("http://127.0.0.1:1",)
    members = {"schedulers": address} if kind == "aurora" else {"kind": "mesos"}
    cluster = ClusterSettings.model_validate({"name": "c", "mesos_masters": address, **members})
    context = job_context(
        record, queue, cluster, StageIn("http", f"{address[0]}/inputs/t"), push_url=f"{address[0]}/outputs/t"
    )
    document: Any = TemplateLibrary().render_job(kind, "mpi" if nodes > 1 else "serial", context)
    if kind == "aurora":
        (process,) = (process for process in document["task"]["processes"] if process.get("final"))
        return str(process["cmdline"]).replace("{{mesos.instance}}", str(number))
    script = "\n".join(document["tasks"][number]["arguments"])
    function = re.search(r"^push\(\) \(\n.*?^\)$", script, re.DOTALL | re.MULTILINE)
    assert function is not None
    return f"AIRAVATA_MESOS_NODE={number}\n{function[0]}\npush"


@pytest.mark.parametrize("kind", ["aurora", "mesos"])
@pytest.mark.parametrize(("nodes", "number", "calls"), [(1, 0, 1), (2, 0, 1), (2, 1, 0)])
def test_who_sends(tmp_path: Path, kind: str, nodes: int, number: int, calls: int) -> None:
    curl = tmp_path / "bin" / "curl"
    curl.parent.mkdir()
    curl.write_text(CURL)
    curl.chmod(0o755)
    sandbox = tmp_path / "sandbox"
    (sandbox / ".airavata-mesos").mkdir(parents=True)
    (sandbox / ".airavata-mesos" / "started").touch()
    path = f"{curl.parent}:/usr/bin:/bin"
    subprocess.run(
        ["/bin/bash", "-c", push_of(kind, nodes, number)],
        cwd=sandbox,
        env={"PATH": path},
        check=True,
        timeout=100,
    )
    counted = curl.with_name("curl.calls")
    assert (len(counted.read_text().splitlines()) if counted.exists() else 0) == calls
