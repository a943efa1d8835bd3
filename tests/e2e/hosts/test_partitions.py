"""Hosts that are cut off, and come back."""

from __future__ import annotations

import pytest

from airavata_mesos_plugin.testing.airavata_caller import Submission
from airavata_mesos_plugin.testing.airavata_script import JobScript
from tests.e2e.hosts.conftest import Hosts, HostsFactory, another_site
from tests.support.site import lines
from tests.support.waiting import wait_for


def accepted(hosts: Hosts, name: str, *directives: str) -> Submission:
    """A job that notes each of its runs, and goes on until the file of that name is there."""
    runs = hosts.file(f"{name}-runs")
    command = f"hostname >>{runs}; {hosts.until(name)}; echo told"
    script = JobScript(hosts.site.work(), command, directives=directives, realtime=False)
    return hosts.site.accepted(script)


def runs(hosts: Hosts, name: str, count: int = 1) -> list[str]:
    """Where the job of that name ran, so often."""
    noted = hosts.file(f"{name}-runs")
    return wait_for(lambda: list(lines(noted)), lambda found: len(found) == count, f"{count} runs of {name}")


def runs_on(hosts: Hosts, name: str, job: Submission) -> str:
    """The node where the job runs, once everybody knows that."""
    wait_for(lambda: hosts.site.show(job)["native_state"], "TASK_RUNNING".__eq__, "running")
    (node,) = runs(hosts, name)
    return node


def output(job: Submission) -> list[str]:
    return list(lines(job.directory / "App.stdout"))


def test_an_agent_that_is_cut_off_for_a_moment(make_hosts: HostsFactory) -> None:
    """Nobody takes note, and what ended meanwhile is told when it is back."""
    hosts = make_hosts(agents=1, master_flags=())
    job = accepted(hosts, "go")
    runs_on(hosts, "go", job)
    (host,) = hosts.cluster.hosts
    host.cut()
    hosts.file("go").touch()
    wait_for(hosts.at_work, [].__eq__, "over")
    assert hosts.states() == {"TASK_RUNNING"}
    assert hosts.site.airavata.letters(job.job_id) == "R"
    host.mend()
    hosts.site.finished(job, "COMPLETE")
    assert output(job) == ["told"]
    runs(hosts, "go")
    hosts.nothing_left()


def test_an_agent_that_is_cut_off_until_the_master_gives_it_up(
    make_hosts: HostsFactory, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """For a daemon that waits jobs are not lost. For one that does not wait they are, and do not go on."""
    patient = make_hosts(agents=2)
    at_once = {"clusters": {"mesos": {"unreachable_seconds": 0}}}
    with another_site(tmp_path_factory, patient.cluster, at_once, 3) as hasty:
        again = accepted(hasty, "again", "#SBATCH --requeue")
        where = runs_on(hasty, "again", again)
        host, _ = patient.node(where)
        there = f"#SBATCH -w {host.name}"
        gone = accepted(hasty, "gone", there)
        ends = accepted(patient, "ends", there, "#SBATCH --requeue")
        goes_on = accepted(patient, "goes-on", there)
        for site, name, job in (
            (hasty, "gone", gone),
            (patient, "ends", ends),
            (patient, "goes-on", goes_on),
        ):
            assert runs_on(site, name, job) == where

        host.cut()
        patient.file("ends").touch()
        document = hasty.site.finished(gone, "FAILED")
        assert hasty.site.airavata.letters(gone.job_id) == "NF"
        assert "its agent cannot be reached" in document["reason"]
        assert set(runs(hasty, "again", 2)) == {one.name for one in patient.cluster.hosts}
        wait_for(patient.executors, (4).__eq__, "all but one on, and one again")
        assert patient.states() == {"TASK_UNREACHABLE"}
        for job in (ends, goes_on):
            assert patient.site.airavata.letters(job.job_id) == "R"

        host.mend()
        patient.site.finished(ends, "COMPLETE")
        wait_for(patient.executors, (2).__eq__, "one that was never lost, and one again")
        hasty.file("again").touch()
        patient.file("goes-on").touch()
        hasty.site.finished(again, "COMPLETE")
        patient.site.finished(goes_on, "COMPLETE")
        assert [output(job) for job in (ends, goes_on, again, gone)] == [["told"], ["told"], ["told"], []]
        assert len(runs(hasty, "again", 2)) == 2
        for site, name in ((hasty, "gone"), (patient, "ends"), (patient, "goes-on")):
            runs(site, name)
        hasty.nothing_left()
        patient.nothing_left()


def test_a_daemon_that_is_cut_off(make_hosts: HostsFactory) -> None:
    """What ended meanwhile is told when it is back, and what was submitted runs, once."""
    hosts = make_hosts(agents=1, master_flags=(), clusters={"call_timeout_seconds": 10})
    ends, goes_on = accepted(hosts, "ends"), accepted(hosts, "goes-on")
    runs_on(hosts, "ends", ends)
    runs_on(hosts, "goes-on", goes_on)
    hosts.submission.cut()
    later = accepted(hosts, "later")
    for name in ("ends", "later"):
        hosts.file(name).touch()
    wait_for(hosts.executors, (1).__eq__, "one over")
    told = wait_for(lambda: hosts.site.show(later)["cluster_trouble"], bool, "trouble")
    assert "198.18.0.1" in told
    assert [hosts.site.airavata.letters(job.job_id) for job in (ends, goes_on)] == ["R", "R"]
    assert hosts.site.airavata.letters(later.job_id) == "PD"
    hosts.submission.mend()
    hosts.site.finished(ends, "COMPLETE")
    hosts.site.finished(later, "COMPLETE")
    hosts.file("goes-on").touch()
    hosts.site.finished(goes_on, "COMPLETE")
    assert [output(job) for job in (ends, later, goes_on)] == [["told"]] * 3
    for name in ("ends", "later", "goes-on"):
        runs(hosts, name)
    hosts.nothing_left()
