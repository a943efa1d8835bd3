"""Outputs of all nodes of a job: real agents that fail, a scheduler that says what it is told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from airavata_mesos_plugin.clock import ManualClock
from airavata_mesos_plugin.errors import SandboxGone, TransferError
from airavata_mesos_plugin.jobs import JobKey, JobPhase
from airavata_mesos_plugin.provider.gang_nodes import gang_description
from airavata_mesos_plugin.provider.node_outputs import Gathered, NodeOutputs
from airavata_mesos_plugin.sandbox.layout import RESULT_FILE, shared_result
from airavata_mesos_plugin.sandbox.outputs.fetch import FetchReport, Progress
from airavata_mesos_plugin.schedulers.base import NodeTask, SandboxAddress, TaskObservation
from airavata_mesos_plugin.testing.sandbox_agent import SandboxAgent
from airavata_mesos_plugin.testing.scripted import Look, ScriptedScheduler
from airavata_mesos_plugin.testing.stage import ProviderStage

MakeProvider = Callable[..., ProviderStage]
QUEUE = {"max_nodes": 8}
FETCH = {"attempts": 2, "retry_seconds": 5}


class Site:
    """A provider and three nodes: the first one on an agent of its own, the others on another one."""

    def __init__(
        self, make: MakeProvider, scheduler: ScriptedScheduler, other: SandboxAgent, clock: ManualClock
    ) -> None:
        self._make = make
        self.clock = clock
        self.scheduler = scheduler
        self.other = other
        self.first = scheduler.agent
        self.sandboxes: dict[str, tuple[Path, SandboxAddress]] = {}
        self.unknown: set[str] = set()
        """Tasks on agents that the master does not know."""
        poll, sandboxes = scheduler.mock.poll.side_effect, scheduler.mock.sandboxes.side_effect

        def poll_nodes(keys: Sequence[JobKey]) -> dict[JobKey, TaskObservation]:
            return {key: self._with_nodes(task) for key, task in poll(keys).items()}

        def find(tasks: Sequence[TaskObservation]) -> dict[JobKey, SandboxAddress]:
            found: dict[JobKey, SandboxAddress] = sandboxes(tasks)
            for task in tasks:
                if task.task_id in self.sandboxes:
                    found[task.key] = self.sandboxes[task.task_id][1]
                if task.task_id in self.unknown:
                    del found[task.key]
            return found

        scheduler.mock.poll.side_effect = poll_nodes
        scheduler.mock.sandboxes.side_effect = find
        self.configure()

    def configure(self, *, inputs: object = None, **outputs: object) -> None:
        """Begin with these settings for inputs and outputs of the queue."""
        queue = {**QUEUE, "inputs": inputs or {}, "outputs": {"nodes": "all", **outputs}}
        self.stage = self._make(self.scheduler, queues=queue, fetch=FETCH)

    def _with_nodes(self, task: TaskObservation) -> TaskObservation:
        others = [NodeTask(f"{task.task_id}-{number}", "agent-2") for number in (1, 2)]
        return replace(task, nodes=(NodeTask(task.task_id, task.agent_id), *others))

    def running(self, script: str = "#!/bin/sh\n", **members: object) -> int:
        """A job on three nodes."""
        self.scheduler.jobs_go("RUNNING")
        job_id = self.stage.submit(script=script, nodes=3, tasks=3, **members)
        self.stage.turn()
        meeting = json.loads(gang_description(self.stage.parts, self.stage.job(job_id)))["meeting"]
        for number in range(3):
            said = {"name": f"agent-{number + 1}", "address": "10.0.0.1", "port": 4000, "run": "a"}
            self.stage.provider.gangs.register(str(meeting).rpartition("/")[2], number, said)
        self.stage.turn()
        record = self.stage.job(job_id)
        assert record.phase is JobPhase.RUNNING
        for number in (1, 2):
            self.sandboxes[f"{record.task_id}-{number}"] = self.other.sandbox()
        return job_id

    def sandbox(self, job_id: int, number: int) -> Path:
        record = self.stage.job(job_id)
        if number == 0:
            return self.scheduler.sandbox(record.key)
        return self.sandboxes[f"{record.task_id}-{number}"][0]

    def fill(self, job_id: int, name: str = "out", size: int = 4) -> None:
        """A file on each node, which is larger on later nodes."""
        for number in range(3):
            path = self.sandbox(job_id, number) / name
            path.parent.mkdir(exist_ok=True)
            path.write_text("x" * (size + number))

    def end(self, job_id: int, state: str = "FINISHED") -> None:
        self.scheduler.job_goes(self.stage.job(job_id).key, state)
        self.stage.turn()

    def try_again(self) -> None:
        self.clock.advance(60)
        self.stage.turn()

    def came(self, job_id: int) -> dict[str, int]:
        work = self.stage.work(job_id)
        return {
            str(path.relative_to(work)): path.stat().st_size for path in work.rglob("*") if path.is_file()
        }


@pytest.fixture
def site(
    make_provider: MakeProvider,
    scripted_scheduler: ScriptedScheduler,
    manual_clock: ManualClock,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    other = SandboxAgent(tmp_path_factory.mktemp("other"))
    other.start()
    yield Site(make_provider, scripted_scheduler, other, manual_clock)
    other.stop()


ALL = {"out": 4, "nodes/agent-2/out": 5, "nodes/agent-3/out": 6}


def test_all_of_them_come(site: Site) -> None:
    job_id = site.running()
    site.fill(job_id)
    site.end(job_id)
    assert site.stage.phase(job_id) is JobPhase.COMPLETED
    assert site.came(job_id) == ALL
    fetched = site.stage.provider.fetched(job_id)
    assert fetched is not None
    assert (fetched["files"], fetched["bytes"], fetched["trouble"]) == (3, 15, "")


@pytest.mark.parametrize(
    ("line", "queue", "wanted"),
    [
        ("", "first", ["out"]),
        ("#AIRAVATA-MESOS outputs.nodes=first\n", "all", ["out"]),
        ("#AIRAVATA-MESOS outputs.nodes=all\n", "first", list(ALL)),
        ("#AIRAVATA-MESOS outputs.nodes=all\n#AIRAVATA-MESOS outputs.nodes=first\n", "all", ["out"]),
    ],
)
def test_the_script_has_the_last_word(site: Site, line: str, queue: str, wanted: list[str]) -> None:
    site.configure(nodes=queue)
    job_id = site.running("#!/bin/sh\n" + line)
    site.fill(job_id)
    site.end(job_id)
    assert sorted(site.came(job_id)) == sorted(wanted)


@pytest.mark.parametrize("name", ["nodes", "nodes/agent-2"])
def test_a_job_that_has_something_called_so_itself(site: Site, name: str) -> None:
    job_id = site.running()
    path = site.sandbox(job_id, 0) / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("own")
    site.fill(job_id)
    site.end(job_id)
    directory = f"nodes-{job_id}"
    assert site.came(job_id) == {
        "out": 4,
        name: 3,
        f"{directory}/agent-2/out": 5,
        f"{directory}/agent-3/out": 6,
    }


def test_a_node_that_fails_keeps_no_other_away_and_is_tried_again(site: Site) -> None:
    job_id = site.running()
    site.fill(job_id)
    site.other.faults.answer_status(503, "browse")
    site.end(job_id)
    assert site.stage.phase(job_id) is JobPhase.FETCHING
    came = site.came(job_id)
    assert {name for name in came if "airavata" not in name} == set(ALL) - {"nodes/agent-2/out"}
    (told,) = [one.reason for one in site.stage.provider.events(job_id) if one.reason.startswith("trying")]
    assert "outputs are missing of node agent-2 (" in told
    site.stage.restart()
    site.first.calls.clear()
    site.other.calls.clear()
    site.try_again()
    assert site.stage.phase(job_id) is JobPhase.COMPLETED
    assert site.came(job_id) == ALL
    assert (site.first.calls["download"], site.other.calls["download"]) == (0, 1), "what had come stayed"


def test_nodes_whose_outputs_are_gone_are_told(site: Site) -> None:
    job_id = site.running()
    site.fill(job_id)
    task = site.stage.job(job_id).task_id
    site.unknown.add(f"{task}-1")
    site.other.remove(site.sandboxes[f"{task}-2"][1])
    site.end(job_id)
    assert site.stage.phase(job_id) is JobPhase.FETCHING
    site.try_again()
    record = site.stage.job(job_id)
    assert (record.phase, record.exit_code) == (JobPhase.FAILED, 0)
    assert record.reason.startswith("outputs are missing of node agent-2 (")
    assert "), node agent-3 (" in record.reason
    assert site.came(job_id) == {"out": 4}, "and nothing of ours"
    fetched = site.stage.provider.fetched(job_id)
    assert fetched is not None
    assert (fetched["files"], fetched["trouble"]) == (1, record.reason)


def test_a_failure_of_the_script_is_told_first(site: Site) -> None:
    job_id = site.running()
    site.unknown.add(f"{site.stage.job(job_id).task_id}-1")
    site.end(job_id, "FAILED")
    site.try_again()
    assert site.stage.job(job_id).reason.startswith("exit code 1; outputs are missing of node agent-2")


def test_a_node_that_was_lost_is_not_waited_for(site: Site) -> None:
    job_id = site.running(requeue=True)
    site.fill(job_id)
    site.unknown.add(f"{site.stage.job(job_id).task_id}-2")
    result = site.sandbox(job_id, 0) / RESULT_FILE
    lost = "exit_code=143\nstarted_at=1\nended_at=2\nnode_lost=1\nreason=lost node agent-3 (silent)\n"
    result.parent.mkdir(exist_ok=True)
    result.write_text(lost)
    key = site.stage.job(job_id).key
    site.scheduler.job_goes(key, Look("KILLED"))
    site.stage.turn()
    record = site.stage.job(job_id)
    assert record.attempt == 2, "it begins again"
    assert any("lost" in event.reason for event in site.stage.provider.events(job_id))
    assert {name: size for name, size in site.came(job_id).items() if "out" in name} == {
        "out": 4,
        "nodes/agent-2/out": 5,
    }


def test_limits_hold_for_the_job(site: Site) -> None:
    site.configure(max_files=4)
    job_id = site.running()
    site.fill(job_id, "a")
    site.fill(job_id, "b", 100)
    site.end(job_id)
    assert sorted(site.came(job_id)) == ["a", "b", "nodes/agent-2/a", "nodes/agent-2/b"]
    record = site.stage.job(job_id)
    assert (record.phase, record.reason) == (JobPhase.COMPLETED, "2 files left out")
    fetched = site.stage.provider.fetched(job_id)
    assert fetched is not None
    left_out = fetched["left_out"]
    assert isinstance(left_out, list)
    assert [name for name, _ in left_out] == ["nodes/agent-3/a", "nodes/agent-3/b"]


def test_patterns_are_for_names_as_they_are_on_the_node(site: Site) -> None:
    site.configure(include=["/results/*"])
    job_id = site.running()
    site.fill(job_id)
    site.fill(job_id, "results/out")
    site.end(job_id)
    assert sorted(site.came(job_id)) == sorted(
        ["results/out", "nodes/agent-2/results/out", "nodes/agent-3/results/out"]
    )


def ended(site: Site) -> int:
    """A job whose outputs nobody has fetched yet."""
    job_id = site.running()
    site.fill(job_id)
    site.scheduler.job_goes(site.stage.job(job_id).key, "FINISHED")
    site.stage.provider.monitor.round(site.stage.job(job_id).cluster)
    assert site.stage.phase(job_id) is JobPhase.FETCHING
    return job_id


def fetch_of(site: Site) -> NodeOutputs:
    return NodeOutputs(site.stage.parts, site.stage.provider.collector._origin)


def test_progress_goes_over_all_nodes(site: Site) -> None:
    record = site.stage.job(ended(site))
    told: list[Progress] = []
    fetch_of(site).fetch(record, told.append, threading.Event())
    assert told[-1] == Progress(3, 3, 15, 15)
    assert [one.files for one in told] == sorted(one.files for one in told)


def test_a_fetch_that_makes_way_goes_on_where_it_was(site: Site) -> None:
    record = site.stage.job(ended(site))
    enough = threading.Event()

    def tell(progress: Progress) -> None:
        if progress.files == 2:
            enough.set()

    with pytest.raises(TransferError, match="stopped"):
        fetch_of(site).fetch(record, tell, enough)
    site.first.calls.clear()
    site.other.calls.clear()
    gathered = fetch_of(site).fetch(record, tell, threading.Event())
    assert (gathered.report.files, gathered.report.present, gathered.trouble) == (1, 2, "")
    assert (site.first.calls["download"], site.other.calls["download"]) == (0, 1)


def test_nodes_that_nobody_knows_any_more(site: Site) -> None:
    job_id = ended(site)
    record = site.stage.job(job_id)
    another = fetch_of(site).fetch(replace(record, attempt=9), lambda _: None, threading.Event())
    assert another.trouble == (
        "outputs are missing of the other nodes (which these were is not known any more)"
    )


def test_many_missing_nodes_are_counted() -> None:
    gone = SandboxGone("gone")
    report = FetchReport(0, 0, (), None, 0.0)
    missing = tuple((f"node n{number}", gone) for number in range(7))
    assert Gathered(report, missing).trouble.endswith("node n4 (gone), 2 more nodes")


def test_nodes_that_share_the_directory_have_nothing_apart(site: Site) -> None:
    site.configure(inputs={"method": "shared"}, method="shared")
    job_id = site.running()
    site.unknown.update(f"{site.stage.job(job_id).task_id}-{number}" for number in (1, 2))
    (site.stage.work(job_id) / "out").write_text("from any node")
    result = site.stage.work(job_id) / shared_result(job_id, 1)
    result.parent.mkdir()
    result.write_text("exit_code=0\nstarted_at=1\nended_at=2\n")
    site.end(job_id)
    record = site.stage.job(job_id)
    assert (record.phase, record.reason) == (JobPhase.COMPLETED, "")
    assert site.came(job_id) == {"out": 13}
