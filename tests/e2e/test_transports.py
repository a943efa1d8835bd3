"""The same stories for every way of files to and from the agents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.contract.airavata_script import JobScript
from tests.support.hasty_wrapper import hasty_templates
from tests.support.site import Site, lines, running_site
from tests.support.ssh_agents import agents_sshd
from tests.support.waiting import wait_for

Settings = Mapping[str, object]


def shared(_directory: Path) -> Iterator[Settings]:
    yield {"queues": {"inputs": {"method": "shared"}, "outputs": {"method": "shared"}}}


def sftp_outputs(directory: Path) -> Iterator[Settings]:
    with agents_sshd(directory / "ssh") as sftp:
        yield {"clusters": {"sftp": sftp}, "queues": {"outputs": {"method": "sftp"}}}


def sftp_both_ways(directory: Path) -> Iterator[Settings]:
    with agents_sshd(directory / "ssh") as sftp:
        yield {
            "clusters": {"sftp": sftp},
            "queues": {"inputs": {"method": "sftp"}, "outputs": {"method": "sftp"}},
            "staging": {"advertise": "http://agents.cannot.reach.us.invalid"},
        }


def push(_directory: Path) -> Iterator[Settings]:
    yield {"queues": {"outputs": {"method": "push"}}}


WAYS: Mapping[str, Callable[[Path], Iterator[Settings]]] = {
    "shared": shared,
    "sftp-outputs": sftp_outputs,
    "sftp": sftp_both_ways,
    "push": push,
}


@pytest.fixture(scope="module", params=WAYS)
def travelling(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site of that way, on which a minute of wall time is over soon: -t knows nothing shorter."""
    directory = tmp_path_factory.mktemp(request.param)
    templates = hasty_templates(directory)
    for settings in WAYS[request.param](directory):
        settings = {**settings, "template_directories": [templates]}
        with running_site(directory, settings=settings) as site:
            yield site


def test_inputs_go_and_outputs_come(travelling: Site) -> None:
    work = travelling.work()
    (work / "input").write_text("3 4\n")
    (work / "deep" / "er").mkdir(parents=True)
    (work / "deep" / "er" / "odd name").write_text("odd\n")
    (work / "tool").write_text("#!/bin/sh\necho tool\n")
    (work / "tool").chmod(0o755)
    job = travelling.accepted(
        f"read a b < {work}/input; echo $((a + b)) > {work}/sum; ./tool > new/er/tool 2>&1;"
        " mkdir -p new/er; ./tool > new/er/tool; cat deep/er/odd* > copied; : > empty; mkdir hollow",
        work,
    )
    document = travelling.finished(job, "COMPLETE")
    assert lines(work / "sum") == ["7"]
    assert lines(work / "new/er/tool") == ["tool"]
    assert lines(work / "copied") == ["odd"]
    assert (work / "empty").stat().st_size == 0
    assert (work / "hollow").is_dir()
    assert document["exit_code"] == 0
    listed = {file["name"] for file in travelling.client.ask("outputs", job.job_id)}
    assert {"sum", "new/er/tool", "copied", "empty"} <= listed
    assert "input" not in listed
    wait_for((work / ".airavata-mesos").exists, lambda there: not there, "nothing of ours left")


def test_a_failure_has_its_exit_code(travelling: Site) -> None:
    job = travelling.accepted("echo some > partial; exit 3")
    document = travelling.finished(job, "FAILED")
    assert document["exit_code"] == 3
    assert lines(job.directory / "partial") == ["some"]


def test_a_cancelled_job_leaves_what_it_wrote(travelling: Site) -> None:
    begun = travelling.directory / "begun"
    job = travelling.accepted(f"echo some > partial; touch {begun}; sleep 600")
    wait_for(begun.exists, bool, "the script")
    travelling.airavata.cancel(job.job_id)
    travelling.finished(job, "CANCELED")
    assert lines(job.directory / "partial") == ["some"]


def test_a_job_at_its_wall_time_leaves_what_it_wrote(travelling: Site) -> None:
    script = JobScript(travelling.work(), "echo some > partial; : > up; sleep 600", wall_time="00:1:00")
    job = travelling.accepted(script)
    document = travelling.finished(job, "FAILED")
    assert document["reason"] == "wall time limit of 60 s reached"
    assert lines(job.directory / "partial") == ["some"]


def test_a_crash_of_the_daemon_while_the_job_runs(travelling: Site) -> None:
    began, go, over = (travelling.directory / name for name in ("began", "go", "over"))
    job = travelling.accepted(
        f"touch {began}; while [ ! -e {go} ]; do sleep 0.05; done; echo done > result; touch {over}",
        travelling.work(),
    )
    wait_for(began.exists, bool, "the script")  # whatever it needs from the daemon has come
    travelling.in_phase(job, "running")
    travelling.kill()
    go.touch()
    wait_for(over.exists, bool, "the end of the script")
    travelling.start()
    travelling.finished(job, "COMPLETE")
    assert lines(job.directory / "result") == ["done"]
