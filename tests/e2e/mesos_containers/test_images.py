"""Jobs in images, unpacked by Mesos itself or run by Docker, are jobs like any other for gateway users."""

from __future__ import annotations

import pytest

from tests.e2e.mesos_containers.conftest import IMAGE, ContainerSite
from tests.realmesos.images import MARK, WORDS
from tests.support.site import lines
from tests.support.waiting import wait_for

KINDS = pytest.mark.parametrize("queue", ["image", "docker"])


@KINDS
@pytest.mark.parametrize("exit_code", [0, 3])
def test_a_job_runs_in_the_image(site: ContainerSite, queue: str, exit_code: int) -> None:
    work = site.work()
    (work / "input.txt").write_text("words of the input\n")
    capitals = "tr a-z A-Z <input.txt >result"
    command = f"cat /{MARK} input.txt; pwd; {capitals}; echo $OF_THE_IMAGE; exit {exit_code}"
    job = site.job(queue, command, work=work)
    document = site.finished(job, "FAILED" if exit_code else "COMPLETE")
    assert document["exit_code"] == exit_code
    assert site.airavata.letters(job.job_id) == ("F" if exit_code else "CD")
    assert lines(work / "App.stdout") == [
        WORDS.strip(),
        "words of the input",
        "/mnt/mesos/sandbox/sandbox",
        "yes",
    ]
    assert lines(work / "App.stderr") == []
    assert lines(work / "result") == ["WORDS OF THE INPUT"]


@pytest.mark.parametrize(
    ("queue", "directives"),
    [("image", ()), ("docker", ()), ("docker_push", ()), ("docker", ("-N 2", "-n 2"))],
)
def test_a_job_in_an_image_is_cancelled(site: ContainerSite, queue: str, directives: tuple[str, ...]) -> None:
    command = "trap 'echo end >ended; exit 1' TERM; : >begun.$SLURM_JOB_ID; sleep 600 & wait"
    job = site.job(queue, command, *directives)
    # Seen from outside, as nothing but the sandbox is shared with the image.
    begun = f"agent?/work/slaves/*/frameworks/*/executors/*/runs/*/sandbox/begun.{job.job_id}"
    wait_for(lambda: list(site.mesos.directory.glob(begun)), bool, "begun")
    site.airavata.cancel(job.job_id)
    document = site.finished(job, "CANCELED")
    assert "cancelled by" in document["reason"]
    assert lines(job.directory / "ended") == ["end"]
    wait_for(site.tasks, {}.__eq__, "no task left")


@KINDS
def test_a_directory_of_the_agent_is_in_the_container(site: ContainerSite, queue: str) -> None:
    (site.software / "tool").write_text("a tool\n")
    job = site.job(queue, "cat /software/tool; if echo more >>/software/tool; then exit 1; fi; exit 0")
    site.finished(job, "COMPLETE")
    assert lines(job.directory / "App.stdout") == ["a tool"]
    assert (site.software / "tool").read_text() == "a tool\n"


def test_a_job_in_an_image_outlives_its_agent(site: ContainerSite) -> None:
    go = site.software / "go"
    job = site.job("image", "while [ ! -e /software/go ]; do sleep 0.05; done; echo done")
    host = site.in_phase(job, "running")["host"]
    (agent,) = [one for one in site.mesos.agents if one.ip == host]
    agent.kill()
    agent.start()
    site.mesos.registered(len(site.mesos.agents))
    go.touch()
    site.finished(job, "COMPLETE")
    assert lines(job.directory / "App.stdout") == ["done"]


@KINDS
def test_all_nodes_of_a_job_are_in_the_image(site: ContainerSite, queue: str) -> None:
    rank = f"srun bash -c 'echo $SLURM_PROCID $SLURM_NODEID $(cat /{MARK})' | sort >ranks"
    job = site.job(queue, rank, "-N 2", "-n 2")
    site.finished(job, "COMPLETE")
    assert lines(job.directory / "ranks") == [f"{number} {number} {WORDS.strip()}" for number in (0, 1)]


@KINDS
def test_a_job_in_an_image_ends_at_its_wall_time(site: ContainerSite, queue: str) -> None:
    job = site.job(queue, "echo begun; : > up; sleep 600", wall_time="00:1:00")
    document = site.finished(job, "FAILED")
    assert document["reason"] == "wall time limit of 60 s reached"
    assert site.airavata.letters(job.job_id) == "TO"
    assert lines(job.directory / "App.stdout") == ["begun"]


def test_what_docker_is_told(site: ContainerSite) -> None:
    secret = "a word that is in files only"  # noqa: S105 - of this test
    job = site.job("docker", f"echo '{secret}'; exit 0", "-c 2", "--mem=300")
    site.finished(job, "COMPLETE")
    task = site.show(job)["task_id"]
    calls = [
        call for call in site.host.docker_calls() if call[0] == "run" and f"MESOS_TASK_ID={task}" in call
    ]
    ((*options, image, _, command),) = calls
    assert image == IMAGE
    assert command.startswith("exec /bin/bash -c ")
    assert options[options.index("--cpu-shares") + 1] == "2048"
    assert options[options.index("--memory") + 1] == str(300 * 2**20)
    assert options[options.index("--net") + 1] == "host"
    assert options[options.index("--entrypoint") + 1] == "/bin/sh"
    assert "--user=0:4321" in options
    software, sandbox = [options[at + 1] for at, option in enumerate(options) if option == "-v"]
    assert software == f"{site.software}:/software:ro"
    assert sandbox.endswith(":/mnt/mesos/sandbox")
    assert secret not in str(calls)
    assert secret in lines(job.directory / "App.stdout")


def test_a_queue_with_a_wrong_image_harms_no_other(site: ContainerSite) -> None:
    for queue, image in [("absent_docker", "nowhere"), *[("absent", "nothing")] * 3]:
        job = site.job(queue, "true")
        document = site.finished(job, "FAILED")
        assert "container launch failed" in document["reason"]
        assert image in document["reason"]
        told = site.airavata.execute(f"squeue -h -t all -o %r -j {job.job_id}").stdout
        assert told.count("\n") == 1
    after = site.job("image", "echo fine")
    site.finished(after, "COMPLETE")
    assert lines(after.directory / "App.stdout") == ["fine"]
    fourth = site.job("absent", "true")
    site.waits(fourth, "jobs failed on the nodes that could run it, which are left alone for a while")
    site.airavata.cancel(fourth.job_id)
    site.finished(fourth, "CANCELED")
