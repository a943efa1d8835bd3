"""Crashes: whatever ends, and whenever, each accepted job runs once and ends once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.contract.airavata_caller import Submission
from tests.support.site import Site, SiteFactory, lines, running_site
from tests.support.waiting import wait_for


@pytest.fixture(scope="module")
def common(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("crashing")) as site:
        yield site


@pytest.fixture
def crashing(common: Site) -> Iterator[Site]:
    """A daemon that a test may end in any way; the cluster behind it stays."""
    for name in ("runs", "go", "over"):
        (common.directory / name).unlink(missing_ok=True)
    yield common
    if not common.daemon.running():
        common.start()
    for job in common.client.ask("jobs"):
        common.airavata.cancel(str(job["id"]))
    wait_for(lambda: common.client.ask("jobs"), [].__eq__, "all jobs over")


def body(site: Site, name: str, more: str = "true") -> str:
    """A job that tells, outside of its sandbox, that it ran."""
    return f"echo {name} >> {site.directory}/runs; {more}; echo {name} > result"


def ran(site: Site) -> list[str]:
    return sorted(lines(site.directory / "runs"))


def ended_once(site: Site, job: Submission) -> None:
    final = [event for event in site.show(job)["events"] if event["source"] == "fetch"]
    assert [event["phase"] for event in final] == ["completed"]
    assert site.show(job)["run"] == 0


def test_killed_right_after_the_answer(crashing: Site) -> None:
    job = crashing.accepted(body(crashing, "one"))
    crashing.kill()
    crashing.start()
    crashing.finished(job, "COMPLETE")
    assert lines(job.directory / "result") == ["one"]
    assert ran(crashing) == ["one"]
    ended_once(crashing, job)


def test_killed_while_many_submit(crashing: Site) -> None:
    """Every id that was printed is kept, no job runs twice, and no id is given twice."""
    jobs: dict[str, Submission] = {}
    enough = threading.Event()

    def submit(name: str) -> None:
        work = crashing.work()
        job = crashing.submit(body(crashing, name), work)
        if job.job_id:
            jobs[name] = job
        if len(jobs) >= 8:
            enough.set()

    with ThreadPoolExecutor(4) as pool:
        tasks = [pool.submit(submit, f"job{number}") for number in range(24)]
        assert enough.wait(60)
        crashing.kill()
        for task in tasks:
            task.result()
    assert len({job.job_id for job in jobs.values()}) == len(jobs)
    crashing.start()
    for name, job in jobs.items():
        crashing.finished(job, "COMPLETE")
        assert lines(job.directory / "result") == [name]
    later = crashing.accepted(body(crashing, "later"))
    assert int(later.job_id) > max(int(job.job_id) for job in jobs.values())
    crashing.finished(later, "COMPLETE")
    runs = ran(crashing)
    assert len(runs) == len(set(runs))
    assert set(jobs) | {"later"} <= set(runs)


def test_killed_while_a_job_runs_and_started_when_it_is_over(crashing: Site) -> None:
    go, over = crashing.directory / "go", crashing.directory / "over"
    job = crashing.accepted(body(crashing, "long", f"while [ ! -e {go} ]; do sleep 0.05; done; touch {over}"))
    wait_for(lambda: ran(crashing), ["long"].__eq__, "begun")  # its inputs have come from the daemon
    crashing.in_phase(job, "running")
    crashing.kill()
    go.touch()
    wait_for(over.exists, bool, "over")
    assert not (job.directory / "result").exists()
    crashing.start()
    crashing.finished(job, "COMPLETE")
    assert lines(job.directory / "result") == ["long"]
    assert ran(crashing) == ["long"]
    ended_once(crashing, job)


def test_killed_and_started_while_a_job_runs(crashing: Site) -> None:
    go = crashing.directory / "go"
    job = crashing.accepted(body(crashing, "long", f"while [ ! -e {go} ]; do sleep 0.05; done"))
    wait_for(lambda: ran(crashing), ["long"].__eq__, "begun")
    crashing.in_phase(job, "running")
    crashing.kill()
    crashing.start()
    assert crashing.airavata.letters(job.job_id) == "R"
    go.touch()
    crashing.finished(job, "COMPLETE")
    assert ran(crashing) == ["long"]
    ended_once(crashing, job)


def caught(site: Site, end: Callable[[], None], name: str, more: str) -> Submission:
    """A job during whose fetch the daemon was ended: its file `large` was on its way then."""
    for _ in range(8):
        (site.directory / "runs").unlink(missing_ok=True)
        job = site.accepted(body(site, name, more))
        large = job.directory / "large"
        wait_for(lambda: [*large.parent.glob("*large*")], bool, "a part file", pause=0.001)  # noqa: B023
        end()
        if not large.exists():
            return job
        site.start()  # we were too late
        site.finished(job, "COMPLETE")
        large.unlink()
    raise AssertionError("the fetch was over each time")


def test_killed_while_outputs_come(crashing: Site) -> None:
    size = 512 * 1024 * 1024
    more = f"mkdir d; for i in $(seq 300); do echo $i > d/$i; done; head -c {size} /dev/zero > large"
    job = caught(crashing, crashing.kill, "outputs", more)
    crashing.start()
    letters = crashing.airavata.letters(job.job_id)
    assert letters == "R" or (job.directory / "large").stat().st_size == size
    crashing.finished(job, "COMPLETE")
    assert (job.directory / "large").stat().st_size == size
    assert len(list((job.directory / "d").iterdir())) == 300
    assert list(job.directory.glob(".*")) == []
    assert ran(crashing).count("outputs") == 1
    (job.directory / "large").unlink()


def test_stopped_in_order_while_outputs_come(crashing: Site) -> None:
    size = 512 * 1024 * 1024
    job = caught(crashing, crashing.stop, "outputs", f"head -c {size} /dev/zero > large")
    crashing.start()
    crashing.finished(job, "COMPLETE")
    assert (job.directory / "large").stat().st_size == size
    (job.directory / "large").unlink()


def test_a_cancel_that_was_answered_survives(crashing: Site) -> None:
    job = crashing.accepted("sleep 600")
    crashing.in_phase(job, "running")
    assert crashing.airavata.cancel(job.job_id).exit_code == 0
    crashing.kill()
    crashing.start()
    crashing.finished(job, "CANCELED")


def test_terminal_letters_survive(crashing: Site) -> None:
    good = crashing.accepted("true")
    bad = crashing.accepted("exit 3")
    crashing.finished(good, "COMPLETE")
    crashing.finished(bad, "FAILED")
    crashing.kill()
    crashing.start()
    assert crashing.airavata.letters(good.job_id) == "CD"
    assert crashing.airavata.letters(bad.job_id) == "F"
    assert crashing.airavata.accounted_state(bad.job_id) == "FAILED"
    assert crashing.show(bad)["exit_code"] == 3


def test_a_job_submitted_while_the_scheduler_is_away_waits_for_it(own_site: SiteFactory) -> None:
    site = own_site()
    assert site.minicluster is not None
    site.minicluster.stop()
    job = site.accepted(body(site, "patient"))
    wait_for(lambda: site.show(job)["reason"], bool, "a reason for the wait")
    assert site.airavata.letters(job.job_id) == "PD"
    assert ran(site) == []
    site.minicluster.start()
    site.finished(job, "COMPLETE")
    assert ran(site) == ["patient"]
    assert lines(job.directory / "result") == ["patient"]


def test_a_job_cancelled_while_the_scheduler_is_away_never_runs(own_site: SiteFactory) -> None:
    site = own_site()
    assert site.minicluster is not None
    site.minicluster.stop()
    job = site.accepted(body(site, "never"))
    assert site.airavata.cancel(job.job_id).exit_code == 0
    site.minicluster.start()
    site.finished(job, "CANCELED")
    site.run("true")
    assert ran(site) == []


def test_a_scheduler_that_hangs_changes_no_state(own_site: SiteFactory) -> None:
    site = own_site(clusters={"call_timeout_seconds": 1, "absence_seconds": 1})
    assert site.minicluster is not None
    go = site.directory / "go"
    job = site.accepted(body(site, "steady", f"while [ ! -e {go} ]; do sleep 0.05; done"))
    site.in_phase(job, "running")
    site.minicluster.program.signal(signal.SIGSTOP)
    try:
        wait_for(
            lambda: site.client.ask("status")["clusters"][0]["trouble"], bool, "known that nobody answers"
        )
        go.touch()
        wait_for(lambda: ran(site), ["steady"].__eq__, "run")
        assert site.airavata.letters(job.job_id) == "R"
        assert site.airavata.accounted_state(job.job_id) == "ACTIVE"
        assert site.show(job)["phase"] == "running"
    finally:
        site.minicluster.program.signal(signal.SIGCONT)
    site.finished(job, "COMPLETE")
    assert ran(site) == ["steady"]


def test_a_job_that_a_scheduler_forgot_ends_as_lost_and_never_as_completed(own_site: SiteFactory) -> None:
    site = own_site(clusters={"absence_seconds": 2})
    assert site.minicluster is not None
    job = site.accepted("sleep 600")
    site.in_phase(job, "running")
    site.minicluster.program.kill()
    wait_for(lambda: site.client.ask("status")["clusters"][0]["trouble"], bool, "known that nobody answers")
    assert site.airavata.letters(job.job_id) == "R"
    site.minicluster.start()
    document = site.finished(job, "FAILED")
    assert site.airavata.letters(job.job_id) == "NF"
    assert site.airavata.accounted_state(job.job_id) == "FAILED"
    assert "no longer knows" in document["reason"]


def test_only_one_daemon_at_a_time_has_a_home(crashing: Site) -> None:
    done = crashing.cli("serve", code=1)
    assert "another daemon uses" in done.stderr
    assert done.stdout == ""
    crashing.run("true")  # the first one is not disturbed
