"""Directories of an agent, laid out as Mesos does."""

from __future__ import annotations

from pathlib import Path


def executor_dir(work_dir: Path, agent_id: str, framework_id: str, executor_id: str) -> Path:
    return work_dir / "slaves" / agent_id / "frameworks" / framework_id / "executors" / executor_id


def make_run_dir(executor: Path, container_id: str) -> Path:
    """A new run directory, private to the account, with `runs/latest` pointing at it.  Raises OSError."""
    runs = executor / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    directory = runs / container_id
    directory.mkdir(mode=0o700)
    fresh = runs / f".latest-{container_id}"
    fresh.symlink_to(directory)
    fresh.replace(runs / "latest")
    return directory


def virtual_paths(directory: Path, framework_id: str, executor_id: str) -> tuple[str, ...]:
    """Names under which a run directory is offered: itself, `runs/latest` (Mesos 1.4), and one that needs
    no knowledge of the disk (Mesos 1.5)."""
    return (
        str(directory),
        str(directory.parent / "latest"),
        f"/frameworks/{framework_id}/executors/{executor_id}/runs/latest",
    )
