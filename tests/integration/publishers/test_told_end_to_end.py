"""A job on a cluster: Airavata is told exactly what happened, after the files are there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.contract.airavata_script import JobScript
from tests.support.airavata_mail import read
from tests.support.site import Site, SiteFactory, running_site
from tests.support.status_servers import MailServer, RestProxy
from tests.support.waiting import wait_for

Proxies = Callable[..., RestProxy]
Servers = Callable[..., MailServer]
QUICK = {"pause_seconds": 0.3, "settle_seconds": 0, "retry_seconds": 0.2, "longest_retry_seconds": 0.5}


class Seen:
    """What lay in a working directory when the end of its job was told."""

    def __init__(self, proxy: RestProxy, directory: Path) -> None:
        self.files: dict[str, str] = {}
        self._directory = directory
        proxy.on_record = self.look

    def look(self, record: dict[str, str]) -> None:
        if record["status"] in ("COMPLETED", "FAILED", "CANCELED"):
            names = ("App.stdout", "result.txt")
            found = [path for path in (self._directory / name for name in names) if path.exists()]
            self.files = {path.name: path.read_text() for path in found}


@pytest.fixture(scope="module")
def common(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, RestProxy]]:
    proxy = RestProxy()
    try:
        settings = {"airavata": {**QUICK, "kafka_rest": {"endpoint": proxy.endpoint}}}
        with running_site(tmp_path_factory.mktemp("told"), settings=settings) as site:
            yield site, proxy
    finally:
        proxy.close()


@pytest.fixture
def told_site(common: tuple[Site, RestProxy]) -> tuple[Site, RestProxy]:
    """A site, and its proxy that has heard of nothing; a test leaves no job that runs."""
    _, proxy = common
    proxy.calls.clear()
    proxy.records.clear()
    return common


@pytest.mark.parametrize(
    ("command", "state", "words"),
    [
        ("echo one; echo two > result.txt", "COMPLETE", ["RUNNING", "COMPLETED"]),
        ("echo one; echo two > result.txt; exit 3", "FAILED", ["RUNNING", "FAILED"]),
    ],
)
def test_a_job_that_ends(
    told_site: tuple[Site, RestProxy], command: str, state: str, words: list[str]
) -> None:
    site, proxy = told_site
    work = site.work()
    seen = Seen(proxy, work)
    job = site.accepted(JobScript(work, command))
    site.finished(job, state)
    wait_for(lambda: proxy.statuses, words.__eq__, "told")
    assert seen.files == {"App.stdout": "one\n", "result.txt": "two\n"}
    assert {record["jobName"] for record in proxy.records} == {job.job_name}
    wait_for(lambda: site.show(job)["announced"][0]["waiting"], [].__eq__, "known to be told")
    shown = site.cli("show", job.job_id).stdout
    last = shown.strip().splitlines()[-1].split("\t")
    assert last[:2] == ["kafka_rest", f"ACTIVE, {state}"]
    assert last[3:] == ["-", "-", "-"]


def test_a_job_that_is_cancelled_while_it_runs(told_site: tuple[Site, RestProxy]) -> None:
    site, proxy = told_site
    work = site.work()
    seen = Seen(proxy, work)
    job = site.accepted(JobScript(work, "echo one; sleep 600"))
    wait_for(lambda: proxy.statuses, ["RUNNING"].__eq__, "told of the start")
    site.wrote(job.job_id, "one\n")
    wait_for(lambda: site.airavata.letters(job.job_id), "R".__eq__, "running")
    site.airavata.cancel(job.job_id)
    site.finished(job, "CANCELED")
    wait_for(lambda: proxy.statuses, ["RUNNING", "CANCELED"].__eq__, "told of the end")
    wait_for(lambda: site.show(job)["announced"][0]["waiting"], [].__eq__, "known to be told")
    assert "App.stdout" in seen.files


def test_a_daemon_that_is_killed_in_the_middle(own_site: SiteFactory, proxies: Proxies) -> None:
    """Nobody listens until after the daemon was killed and started again."""
    proxy = proxies(lambda _number: 503)
    site = own_site(airavata={**QUICK, "kafka_rest": {"endpoint": proxy.endpoint}})
    job = site.accepted("sleep 1; echo done")
    wait_for(lambda: proxy.calls, bool, "a first try")
    site.kill()
    site.start()
    site.finished(job, "COMPLETE")
    waiting = site.show(job)["announced"][0]
    assert (waiting["told"], waiting["waiting"]) == ([], ["ACTIVE", "COMPLETE"])
    proxy.answer = lambda _number: 200
    wait_for(lambda: proxy.statuses, ["RUNNING", "COMPLETED"].__eq__, "told")


def test_mail_to_airavata_0_17(own_site: SiteFactory, mail_servers: Servers) -> None:
    server = mail_servers()
    mail = {"host": "127.0.0.1", "port": server.port, "sender": "slurm@mesos.example.org"}
    site = own_site(airavata={**QUICK, "version": "0.17", "mail": mail})
    work = site.work()
    inbox = ("#SBATCH --mail-user=airavata@example.org",)
    job = site.accepted(JobScript(work, "exit 2", realtime=False, directives=inbox))
    site.finished(job, "FAILED")
    wait_for(lambda: len(server.mails), (2).__eq__, "mails")
    assert [read(subject) for subject in server.subjects] == [
        (job.job_id, job.job_name, "ACTIVE"),
        (job.job_id, job.job_name, "FAILED"),
    ]
    assert server.subjects[1].endswith("FAILED, ExitCode 2")
