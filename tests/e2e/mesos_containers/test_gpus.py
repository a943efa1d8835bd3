"""A job has its share of GPUs, and of what a cluster names itself; never are more in use than there are."""

from __future__ import annotations

import pytest

from airavata_mesos_plugin.errors import AiravataMesosError
from airavata_mesos_plugin.testing.airavata_script import JobScript
from tests.contract.airavata_caller import Submission
from tests.e2e.mesos_containers.conftest import LICENSES, ContainerSite
from tests.support.site import lines
from tests.support.waiting import wait_for

# Nothing answers for the devices: opening one fails with "no such device" where it is allowed, and with "not
# permitted" where it is not.
WHICH = (
    "for device in /dev/nvidia[0-9]; do"
    ' { : <"$device"; } 2>&1 | while read -r line; do'
    ' [[ $line == *"not permitted"* ]] || echo "$device"; done; done'
)
BOTH = ["/dev/nvidia0", "/dev/nvidia1"]


def device_of(site: ContainerSite, job: Submission) -> str:
    """What a job that still runs has written."""

    def look() -> bytes:
        try:
            return site.client.read(int(job.job_id), "App.stdout", 0)[0]
        except AiravataMesosError:
            return b""  # nothing yet

    return wait_for(look, bool, "a device").decode().strip()


@pytest.mark.parametrize(
    ("queue", "directives", "count", "told"),
    [
        ("gpu", ("--gpus=2",), 2, ["2"]),
        ("gpu", ("--gres=gpu:1",), 1, ["1"]),
        ("gpu", (), 1, [""]),
        ("gpu_image", ("--gpus=2",), 2, ["2"]),
        ("default", (), 0, [""]),
        ("image", (), 0, [""]),
    ],
)
def test_a_job_may_use_the_gpus_that_it_asked_for(
    site: ContainerSite, queue: str, directives: tuple[str, ...], count: int, told: list[str]
) -> None:
    job = site.job(queue, f"{WHICH} >devices; echo $SLURM_GPUS_ON_NODE", *directives)
    site.finished(job, "COMPLETE")
    assert len(lines(job.directory / "devices")) == count
    assert lines(job.directory / "App.stdout") == told


def test_a_job_waits_for_a_gpu_and_gets_the_one_that_came_free(site: ContainerSite) -> None:
    jobs = []
    for name in "abc":
        go = site.directory / f"gpu-{name}"
        jobs.append(site.job("gpu", f"{WHICH}; while [ ! -e {go} ]; do sleep 0.05; done", "--gpus=1"))
        if name != "c":
            site.in_phase(jobs[-1], "running")
    site.waits(jobs[2], "the largest free node has 0 GPUs, the job needs 1")
    used = [device_of(site, job) for job in jobs[:2]]
    assert sorted(used) == BOTH
    for name in "bc":
        (site.directory / f"gpu-{name}").touch()
    site.finished(jobs[1], "COMPLETE")
    site.finished(jobs[2], "COMPLETE")
    assert [lines(job.directory / "App.stdout") for job in jobs[1:]] == [[used[1]], [used[1]]]
    (site.directory / "gpu-a").touch()
    site.finished(jobs[0], "COMPLETE")


def test_an_image_that_asks_for_it_has_the_programs_of_the_driver(site: ContainerSite) -> None:
    job = site.job("gpu_image", "/usr/local/nvidia/bin/nvidia-smi")
    site.finished(job, "COMPLETE")
    assert lines(job.directory / "App.stdout") == ["a program of NVIDIA"]


def test_more_gpus_than_any_node_has_are_refused(site: ContainerSite) -> None:
    script = JobScript(site.work(), "true", queue="gpu", directives=("#SBATCH --gpus=3",))
    answer = site.airavata.submit(script).answer
    assert answer.stdout == ""
    assert "no node of partition gpu has 1 CPUs, 3 GPUs" in answer.stderr


def test_no_more_jobs_run_than_there_are_licenses(site: ContainerSite) -> None:
    go, held = site.directory / "licenses", site.directory / "held"
    held.mkdir()
    # Each job notes how many hold a license beside it.
    command = (
        f"touch {held}/$SLURM_JOB_ID; while [ ! -e {go} ]; do sleep 0.05; done;"
        f" ls {held} | wc -l >count; rm {held}/$SLURM_JOB_ID"
    )
    jobs = [site.job("licensed", command) for _ in range(LICENSES + 1)]
    for job in jobs[:LICENSES]:
        site.in_phase(job, "running")
    site.waits(jobs[-1], "the largest free node has 0 licenses, the job needs 1")
    go.touch()
    for job in jobs:
        site.finished(job, "COMPLETE")
        assert 1 <= int(lines(job.directory / "count")[0]) <= LICENSES
    assert not list(held.iterdir())
