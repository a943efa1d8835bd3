"""A ledger that was lost is made again from what the scheduler knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from airavata_mesos_plugin.clock import ManualClock
from airavata_mesos_plugin.config import ProviderSettings
from airavata_mesos_plugin.errors import InvalidRequest
from airavata_mesos_plugin.jobs import JobKey, Resources
from airavata_mesos_plugin.provider.rebuilding import SCRIPT_LOST, Restored, rebuild
from airavata_mesos_plugin.sandbox.files_api import FilesClient
from airavata_mesos_plugin.schedulers.aurora.scheduler import AuroraScheduler
from airavata_mesos_plugin.schedulers.base import KnownJob
from airavata_mesos_plugin.store import Ledger
from airavata_mesos_plugin.testing.parts import parts_of
from tests.support.site import running_site
from tests.support.waiting import wait_for


def test_running_and_waiting_jobs_come_back(tmp_path: Path) -> None:
    with running_site(tmp_path, cpus=1) as site:
        gate, began = tmp_path / "gate", tmp_path / "began"
        first = site.accepted(f"touch {began}; while [ ! -e {gate} ]; do sleep 0.1; done; echo one > one.txt")
        wait_for(began.exists, bool, "the script")
        site.in_phase(first, "running")
        second = site.accepted("echo two > two.txt")
        before = site.in_phase(second, "queued")
        assert 0 <= before["cluster_age_seconds"] < 1000
        assert "heard" in site.cli("show", second.job_id).stdout
        site.kill()
        site.cli("rebuild-ledger", code=1)  # nothing is lost yet
        for path in site.home.glob("ledger.db*"):
            path.unlink()
        for option, word in (("--dry-run", "would be restored"), ("--merge", "\trestored")):
            shown = site.cli("rebuild-ledger", option).stdout
            assert shown.count(word) == 2, shown
            assert str(first.directory) in shown
        assert "the ledger has a job with this id" in site.cli("rebuild-ledger", "--merge", code=1).stdout
        site.start()
        after = site.show(second)
        for name in ("name", "user", "queue", "cluster", "job_key", "working_directory", "stdout_file"):
            assert after[name] == before[name]
        gate.touch()
        for job, name in ((first, "one"), (second, "two")):
            assert "cluster_age_seconds" not in site.finished(job, "COMPLETE")
            assert (job.directory / f"{name}.txt").read_text() == f"{name}\n"
        third = site.accepted("true")
        assert int(third.job_id) > int(second.job_id)
        site.finished(third, "COMPLETE")


METADATA = {
    "id": "7",
    "attempt": "1",
    "provider": "mesos",
    "ledger": "abcd",
    "user": "root",
    "uid": "0",
    "queue": "q",
    "name": "job",
    "stdout": "out%25j",
    "wall-time": "120",
    "label.process": "P%201",
}


class Known:
    """A provider whose scheduler knows what a test says."""

    def __init__(self, tmp_path: Path) -> None:
        self.work = tmp_path / "work of\u00e9"
        self.work.mkdir()
        self.jobs: list[KnownJob] = []
        settings = ProviderSettings.model_validate(
            {
                "clusters": [{"name": "c", "schedulers": ["http://a"], "mesos_masters": ["http://m"]}],
                "queues": [{"name": "q", "cluster": "c", "role": "www"}],
            }
        )
        clock = ManualClock()
        scheduler = AuroraScheduler(settings.clusters[0], clock)
        scheduler.known_jobs = lambda role: self.jobs if role == "www" else []  # type: ignore[method-assign]
        client = FilesClient(settings.fetch)
        self.parts = parts_of(
            settings, Ledger(tmp_path / "ledger.db", clock), {"c": scheduler}, clock, files=client
        )

    def add(self, *, active: bool = True, key: JobKey | None = None, **said: str) -> None:
        from urllib.parse import quote

        metadata = {**METADATA, "directory": quote(str(self.work)), **said}
        name = f"mesos-{metadata['ledger']}-{metadata['id']}-{metadata['attempt']}"
        pairs = tuple((f"airavata-mesos.{name}", value) for name, value in metadata.items() if value)
        resources = Resources(cpus=2, memory_mb=64, disk_mb=128)
        self.jobs.append(KnownJob(key or JobKey("www", "prod", name), active, pairs, resources))

    def problem(self, **options: bool | str) -> str:
        (one,) = rebuild(self.parts, **options)  # type: ignore[arg-type]
        return one.problem


@pytest.fixture
def known(tmp_path: Path) -> Known:
    return Known(tmp_path)


def test_what_metadata_carries(known: Known) -> None:
    known.add(command="job.sh")
    (known.work / "job.sh").write_text("#!/bin/sh\necho hello\n")
    known.add(active=False, id="41")
    assert rebuild(known.parts) == [
        Restored(7, JobKey("www", "prod", "mesos-abcd-7-1"), "c", "root", str(known.work))
    ]
    record = known.parts.ledger.job(7)
    request = record.request
    assert (request.name, request.user, request.uid, request.queue) == ("job", "root", 0, "q")
    assert (request.stdout, request.stderr, request.wall_time_seconds) == ("out%j", None, 120)
    assert request.working_directory == str(known.work)
    assert request.labels == (("process", "P 1"),)
    assert request.resources.cpus == 2
    assert known.parts.ledger.script(7) == "#!/bin/sh\necho hello\n"
    # The next id is above those of jobs that are over, too.
    later = known.parts.ledger.accept(
        request, "", snapshot="", cluster="c", key=lambda i, a: JobKey("www", "prod", f"{i}-{a}"), source="x"
    )
    assert later.id == 42


@pytest.mark.parametrize("command", ["", "gone.sh", "../outside.sh", "/etc/passwd"])
def test_script_that_cannot_be_found(known: Known, command: str) -> None:
    known.add(command=command)
    (known.work.parent / "outside.sh").write_text("#!/bin/sh\n")
    assert known.problem() == ""
    assert known.parts.ledger.script(7) == SCRIPT_LOST


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"uid": ""}, "lacks airavata-mesos.uid"),
        ({"uid": "1"}, "no account root with the number 1"),
        ({"user": "nobody-here"}, "no account nobody-here"),
        ({"queue": "other"}, "invalid partition"),
        ({"directory": "relative"}, "not absolute"),
        ({"directory": "/no/such/directory"}, "/no/such/directory"),
    ],
)
def test_jobs_that_cannot_be_restored_are_told(known: Known, said: dict[str, str], problem: str) -> None:
    known.add(**said)  # type: ignore[arg-type]
    assert problem in known.problem()
    assert known.problem(merge=True) != ""


def test_name_and_metadata_must_agree(known: Known) -> None:
    known.add(key=JobKey("www", "prod", "mesos-abcd-8-1"))
    assert "does not agree" in known.problem()


def test_others_are_left_alone(known: Known) -> None:
    known.add(provider="other")
    known.add(id="x")
    known.add(active=False)
    assert rebuild(known.parts) == []


def test_newest_attempt_counts(known: Known) -> None:
    known.add(attempt="2")
    known.add(attempt="1")
    assert known.problem() == ""
    assert known.parts.ledger.job(7).attempt == 2


def test_jobs_of_two_ledgers_need_a_choice(known: Known) -> None:
    known.add()
    known.add(ledger="dcba", id="8")
    with pytest.raises(InvalidRequest, match="abcd, dcba"):
        rebuild(known.parts)
    assert [one.job_id for one in rebuild(known.parts, only_ledger="dcba")] == [8]


def test_ledger_with_jobs_is_not_touched(known: Known) -> None:
    known.add()
    assert known.problem() == ""
    known.add(id="8")
    with pytest.raises(InvalidRequest, match="--merge"):
        rebuild(known.parts)
    assert [one.problem for one in rebuild(known.parts, merge=True)] == [
        "the ledger has a job with this id",
        "",
    ]
