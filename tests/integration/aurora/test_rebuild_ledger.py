"""A ledger that was lost is made again from what the scheduler knows."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from unittest import mock

import pytest
from pytest_mock import MockerFixture

from airavata_mesos_plugin.clock import ManualClock
from airavata_mesos_plugin.config import ProviderSettings
from airavata_mesos_plugin.errors import InvalidRequest
from airavata_mesos_plugin.job_metadata import metadata_of
from airavata_mesos_plugin.jobs import JobKey, JobPhase, JobRecord, JobRequest, Resources
from airavata_mesos_plugin.provider.rebuilding import SCRIPT_LOST, Restored, rebuild
from airavata_mesos_plugin.sandbox.agent.files_api import FilesClient
from airavata_mesos_plugin.schedulers.aurora.scheduler import AuroraScheduler
from airavata_mesos_plugin.schedulers.base import KnownJob, SandboxAddress, TaskObservation
from airavata_mesos_plugin.store import JobSelection, Ledger, LedgerReader
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


def test_tasks_of_an_array_and_arguments_come_back(tmp_path: Path) -> None:
    with running_site(tmp_path, cpus=1) as site:
        work, gate = site.work(), tmp_path / "gate"
        script = work / "array.sh"
        script.write_text(
            f"#!/bin/sh\n#SBATCH -a 3-5 -o out.%a\nwhile [ ! -e {gate} ]; do sleep 0.1; done\n"
            'echo "$SLURM_ARRAY_TASK_ID of $SLURM_ARRAY_TASK_COUNT: $1, $2"\n'
        )
        answer = site.airavata.execute(f"{site.commands}/sbatch array.sh 'a b' '$c'", work)
        array = answer.stdout.split()[-1]

        def records() -> list[JobRecord]:
            with closing(LedgerReader(site.home / "ledger.db")) as ledger:
                return ledger.jobs(JobSelection())

        with_scheduler = {JobPhase.QUEUED, JobPhase.RUNNING}
        before = wait_for(
            records, lambda jobs: {j.phase for j in jobs} <= with_scheduler, "with the scheduler"
        )
        site.kill()
        for path in site.home.glob("ledger.db*"):
            path.unlink()
        done = site.cli("rebuild-ledger")
        assert done.stdout.count("restored") == 3
        assert "held" in done.stderr
        after = {job.id: job for job in records()}
        for job in before:
            found = after[job.id]
            assert (
                (found.array_id, found.array_index)
                == (job.array_id, job.array_index)
                == (int(array), mock.ANY)
            )
            left_out = {"submit_line", "submit_host", "gid"}
            assert found.request.model_dump(exclude=left_out) == job.request.model_dump(exclude=left_out)
        site.start()
        gate.touch()
        wait_for(records, lambda jobs: all(job.phase.final for job in jobs), "the end")
        for index in (3, 4, 5):
            assert (work / f"out.{index}").read_text() == f"{index} of 3: a b, $c\n"
        assert site.airavata.letters(f"{array}_4") == "CD"


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
        scheduler.poll = lambda keys: {}  # type: ignore[method-assign]  # noqa: ARG005
        client = FilesClient(settings.fetch)
        self.scheduler = scheduler
        self.parts = parts_of(
            settings, Ledger(tmp_path / "ledger.db", clock), {"c": scheduler}, clock, files=client
        )

    def add(
        self,
        *,
        active: bool = True,
        key: JobKey | None = None,
        task: TaskObservation | None = None,
        **said: str,
    ) -> None:
        from urllib.parse import quote

        metadata = {**METADATA, "directory": quote(str(self.work)), **said}
        name = f"mesos-{metadata['ledger']}-{metadata['id']}-{metadata['attempt']}"
        pairs = tuple((f"airavata-mesos.{name}", value) for name, value in metadata.items() if value)
        resources = Resources(cpus=2, memory_mb=64, disk_mb=128)
        self.jobs.append(KnownJob(key or JobKey("www", "prod", name), active, pairs, resources, task))

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


def request(**members: object) -> JobRequest:
    usual = {"name": "job", "user": "root", "uid": 0, "queue": "q", "working_directory": "/w"}
    resources = Resources(cpus=1, memory_mb=1, disk_mb=1)
    return JobRequest.model_validate({**usual, "resources": resources, "wall_time_seconds": 60, **members})


def record_of(request: JobRequest, array: tuple[int, int] | None = None) -> JobRecord:
    array_id, index = array or (None, None)
    return JobRecord(
        *(7, request, JobPhase.QUEUED, "c", JobKey("www", "prod", "mesos-abcd-7-1")),
        *(1, 0, 0.0, 0.0),
        array_id=array_id,
        array_index=index,
    )


@pytest.mark.parametrize(
    ("members", "array"),
    [
        ({}, None),
        ({"nodes": 2, "tasks": 4, "tasks_given": True, "tasks_per_node": 2, "cpus_per_task": 3}, None),
        ({"array": "0-9:3", "array_limit": 2}, (5, 0)),
        ({"script_arguments": ("a b", "", "\u00e9{{x}}"), "stdin": "in put"}, None),
        ({"submission_key": "TASK_1", "mail_user": "a@b.org", "mail_types": ("END",), "requeue": True}, None),
    ],
)
def test_a_request_survives_in_the_metadata(
    known: Known, members: dict[str, object], array: tuple[int, int] | None
) -> None:
    wanted = request(**members, working_directory=str(known.work), stderr="e\u00e9", labels=(("a", "b"),))
    said = metadata_of(record_of(wanted, array), "mesos", "abcd")
    known.jobs.append(
        KnownJob(JobKey("www", "prod", "mesos-abcd-7-1"), True, tuple(said.items()), wanted.resources)
    )
    assert known.problem() == ""
    found = known.parts.ledger.job(7)
    assert found.request == wanted
    assert (found.array_id, found.array_index) == (array or (None, None))
    key = wanted.submission_key
    assert (known.parts.ledger.with_submission_key(0, key) == found) is bool(key)


def test_what_is_too_long_for_metadata_is_left_out() -> None:
    said = metadata_of(record_of(request(script_arguments=("x" * 2000,))), "mesos", "abcd")
    assert "airavata-mesos.rest" not in said
    assert said["airavata-mesos.directory"] == "/w"


def test_airavata_hears_of_restored_jobs(known: Known) -> None:
    known.add()
    asked: list[str] = []

    def channels(_: JobRequest, script: str) -> list[str]:
        asked.append(script)
        return ["kafka", "mail"]

    (one,) = rebuild(known.parts, channels=channels)
    assert one.lost == "its script"
    assert asked == [SCRIPT_LOST]
    assert [delivery.channel for delivery in known.parts.ledger.outbox.of(7)] == ["kafka", "mail"]
    assert [due.job_id for due in known.parts.ledger.outbox.due("mail", known.parts.clock.now(), 9)] == [7]


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
        ({"stdout": "%FF"}, "makes no sense"),
        ({"rest": "%7B"}, "rest makes no sense"),
        ({"rest": "%5B%5D"}, "never written there"),
        ({"rest": "%7B%22uid%22%3A0%7D"}, "never written there"),
        ({"rest": "%7B%22tasks%22%3A%22many%22%7D"}, "makes no sense"),
        ({"rest": "%7B%22array%22%3A%220-999999999%22%7D"}, "makes no sense"),
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


def test_jobs_that_are_over_come_back_with_their_outputs(known: Known, mocker: MockerFixture) -> None:
    key = JobKey("www", "prod", "mesos-abcd-7-1")
    task = TaskObservation(key, "T", "TASK_FINISHED", JobPhase.COMPLETED, 2, 9.0, queued_at=5.0, agent_id="A")
    known.add(active=False, task=task)
    # Nobody answers there now, so the fetch has to find out.
    address = {key: SandboxAddress("http://127.0.0.1:1", "/sandbox")}
    mocker.patch.object(known.scheduler, "sandboxes", autospec=True, return_value=address)
    assert known.problem() == ""
    assert known.parts.ledger.job(7).run == 2
    assert rebuild(known.parts, merge=True) == []  # nothing is left to be done


def test_of_jobs_that_are_over_nobody_hears_what_is_wrong_with_them(known: Known) -> None:
    key = JobKey("www", "prod", "mesos-abcd-7-1")
    task = TaskObservation(key, "T", "TASK_FINISHED", JobPhase.COMPLETED, 0, 9.0)
    known.add(active=False, task=task, directory="/no/such/directory")
    known.add(active=False, task=task, id="8", queue="removed", key=key)
    assert rebuild(known.parts) == []
