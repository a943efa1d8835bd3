"""What the sources besides the files API need to know of a job, as plain data."""

from __future__ import annotations

from airavata_mesos_plugin.sandbox import layout

SHARED = "shared"
SFTP = "sftp"
PUSH = "push"

Details = tuple[tuple[str, str], ...]
"""`source.Origin.details`."""


def shared_details(directory: str, job_id: int, attempt: int) -> Details:
    """Of a job in a shared directory; ``directory`` is the working directory as this host sees it."""
    return (("directory", directory), ("result", layout.shared_result(job_id, attempt)))


def sftp_details(cluster: str, agent_id: str, role: str) -> Details:
    """Of a job whose sandbox is reached over SSH."""
    return (("cluster", cluster), ("agent_id", agent_id), ("role", role))


def push_details(directory: str, job_id: int, attempt: int) -> Details:
    """Of a job whose agent sends the outputs into the working directory ``directory``."""
    return (("directory", directory), ("archive", layout.pushed_archive(job_id, attempt)))
