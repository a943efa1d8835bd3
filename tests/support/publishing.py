"""Jobs to tell Airavata about, and what Airavata does with what it is told."""

from __future__ import annotations

from pathlib import Path

from airavata_mesos_plugin.jobs import JobKey, JobRecord, JobRequest, Resources
from airavata_mesos_plugin.store import Ledger
from tests.contract.airavata_script import JobScript

JOB_NAME = "A1620574137"

ALLOWED = {
    "SUBMITTED": {"QUEUED", "ACTIVE", "COMPLETE", "CANCELED", "FAILED", "NON_CRITICAL_FAIL"},
    "QUEUED": {"ACTIVE", "COMPLETE", "CANCELED", "FAILED", "NON_CRITICAL_FAIL"},
    "ACTIVE": {"COMPLETE", "CANCELED", "FAILED", "NON_CRITICAL_FAIL"},
    "NON_CRITICAL_FAIL": {"QUEUED", "ACTIVE", "COMPLETE", "CANCELED", "FAILED"},
    "COMPLETE": set[str](),
    "CANCELED": set[str](),
    "FAILED": set[str](),
}
"""JobStateValidator of Airavata develop, without the states that nobody may send."""

FINAL = frozenset({"COMPLETE", "CANCELED", "FAILED"})


def legal(states: list[str], begin: str = "QUEUED") -> bool:
    """Whether Airavata, at ``begin``, accepts each of ``states`` in turn."""
    for state in states:
        if state not in ALLOWED[begin]:
            return False
        begin = state
    return True


def request(**more: object) -> JobRequest:
    document: dict[str, object] = {
        "name": JOB_NAME,
        "user": "airavata",
        "uid": 5001,
        "queue": "default",
        "working_directory": "/scratch/PROCESS_1",
        "resources": Resources(cpus=1, memory_mb=1024, disk_mb=1024),
        "wall_time_seconds": 1800,
    }
    return JobRequest.model_validate({**document, **more})


def script(endpoint: str | None = None) -> str:
    """A job script of Airavata develop, with its status lines for ``endpoint``."""
    text = JobScript(Path("/scratch/PROCESS_1"), "true", job_name=JOB_NAME).text()
    return (
        text
        if endpoint is None
        else text.replace("http://airavata.host:8082/topics/helix-airavata-mq", endpoint)
    )


def accept(ledger: Ledger, wanted: JobRequest | None = None, text: str | None = None) -> JobRecord:
    return ledger.accept(
        wanted or request(),
        script() if text is None else text,
        snapshot="[]",
        cluster="c",
        key=lambda job_id, attempt: JobKey("www", "prod", f"job-{job_id}-{attempt}"),
        source="sbatch",
    )
