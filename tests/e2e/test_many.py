"""Many at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.contract.airavata_script import JobScript
from tests.support.site import Site, lines
from tests.support.waiting import wait_for


def test_fifty_submissions_at_once_give_fifty_jobs(site: Site) -> None:
    def submit(number: int) -> tuple[int, str]:
        work = site.work()
        (work / "number").write_text(f"{number}\n")
        script = JobScript(work, "cat number; cp number copy; echo run >> runs", realtime=False)
        return number, site.accepted(script).job_id

    with ThreadPoolExecutor(8) as pool:
        submitted = list(pool.map(submit, range(50)))
    ids = {job_id: number for number, job_id in submitted}
    assert len(ids) == 50

    wait_for(
        lambda: site.airavata.count("running") + site.airavata.count("pending"),
        (0).__eq__,
        "all over",
        seconds=100,
    )
    for document in site.client.ask("jobs", "--all"):
        assert document["state"] == "COMPLETED", document
    for job_id, number in ids.items():
        assert site.airavata.letters(job_id) == "CD"
        document = site.client.ask("show", job_id)
        work = site.directory / "scratch" / document["working_directory"].rsplit("/", 1)[1]
        assert lines(work / "App.stdout") == [str(number)]
        assert lines(work / "copy") == [str(number)]
        assert lines(work / "runs") == ["run"]


def test_jobs_may_share_a_working_directory(site: Site) -> None:
    work = site.work()
    jobs = [
        site.accepted(JobScript(work, f"echo {number} > out.{number}", application=f"App{number}"))
        for number in range(4)
    ]
    for number, job in enumerate(jobs):
        site.finished(job, "COMPLETE")
        assert lines(work / f"out.{number}") == [str(number)]
