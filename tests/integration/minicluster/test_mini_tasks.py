"""Real processes: what runs, in which order, under which messages, and what is left in the sandbox."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.minicluster.probe import (
    JSON,
    Probe,
    events,
    get,
    job,
    job_key,
    process,
    run_dir,
    thermos,
    until,
)
from airavata_mesos_plugin.minicluster.settings import AgentSettings, ClusterSettings
from airavata_mesos_plugin.minicluster.threaded import ThreadedCluster
from tests.support.waiting import wait_for

S = api.ScheduleStatus
HEALTHY = "No health-check defined, task is assumed healthy."


@pytest.fixture(scope="module")
def work_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mini")


@pytest.fixture(scope="module")
def cluster(work_dir: Path) -> Iterator[ThreadedCluster]:
    settings = ClusterSettings(work_dir=work_dir, agents=(AgentSettings(cpus=4, memory_mb=4096),))
    with ThreadedCluster(settings) as running:
        yield running


@pytest.fixture
def probe(cluster: ThreadedCluster) -> Probe:
    return Probe(cluster.scheduler_url)


def finished(probe: Probe, work_dir: Path, name: str, data: str, **members: Any) -> tuple[Any, Path]:
    """Run a job to its end; the last task and its run directory."""
    probe.create(job(name, data, **members))
    task = probe.wait(name)[-1]
    return task, run_dir(work_dir, task)


def log(run: Path, name: str, number: int = 0, stream: str = "stdout") -> str:
    return (run / "sandbox" / ".logs" / name / str(number) / stream).read_text()


def test_from_create_to_finish(probe: Probe, work_dir: Path) -> None:
    data = thermos(process("main", "echo out; echo err >&2; pwd; env | sort; ls -A > listing"))
    task, run = finished(probe, work_dir, "hello", data)
    assert events(task) == [
        ("PENDING", None),
        ("ASSIGNED", None),
        ("STARTING", None),
        ("RUNNING", HEALTHY),
        ("FINISHED", "Task finished."),
    ]
    sandbox = run.resolve() / "sandbox"
    lines = log(run, "main").splitlines()
    assert lines[:2] == ["out", str(sandbox)]
    assert {line.split("=")[0] for line in lines[2:]} == {
        "HOME",
        "USER",
        "LOGNAME",
        "PATH",
        "PWD",
        "SHLVL",
        "_",
    }
    assert {f"HOME={sandbox}", "USER=www", "LOGNAME=www"} <= set(lines)
    assert log(run, "main", stream="stderr") == "err\n"
    assert (sandbox / "listing").read_text().split() == [".logs", "listing"]


def test_a_process_inherits_no_open_files(probe: Probe, work_dir: Path) -> None:
    cmdline = "for number in {3..60}; do test -e /proc/$$/fd/$number && echo $number; done; echo end"
    _, run = finished(probe, work_dir, "inherited", thermos(process("main", cmdline)))
    assert log(run, "main") == "end\n"


def test_the_layout_is_that_of_mesos(probe: Probe, work_dir: Path) -> None:
    task, run = finished(probe, work_dir, "layout", thermos(process("main", "true")))
    real = run.resolve()
    assigned = task.assignedTask
    framework_id = real.parents[3].name
    assert real.parents[1] == (
        work_dir
        / "slaves"
        / assigned.slaveId
        / "frameworks"
        / framework_id
        / "executors"
        / f"thermos-{assigned.taskId}"
    )
    assert run.is_symlink()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (real, real / "sandbox")] == [0o700, 0o700]
    assert {path.name for path in real.iterdir()} == {"sandbox", "stdout", "stderr", "task.json"}
    assert json.loads((real / "task.json").read_text())["processes"][0]["name"] == "main"


def test_template_variables_and_ports(probe: Probe, work_dir: Path) -> None:
    text = (
        "{{mesos.instance}} {{mesos.hostname}} {{thermos.task_id}} {{thermos.user}} {{thermos.ports[http]}}"
    )
    data = thermos(process("main", f"echo {text}"))
    task, run = finished(probe, work_dir, "templates", data, ports=["http"])
    assigned = task.assignedTask
    expected = f"0 localhost {assigned.taskId} www {assigned.assignedPorts['http']}\n"
    assert log(run, "main") == expected


def test_a_profile_is_sourced(probe: Probe, work_dir: Path) -> None:
    data = thermos(
        process("setup", "echo 'export GREETING=hi' > .thermos_profile"),
        process("main", "echo $GREETING"),
        constraints=[{"order": ["setup", "main"]}],
    )
    _, run = finished(probe, work_dir, "profile", data)
    assert log(run, "main") == "hi\n"


def test_order_and_finalizers_after_failure(probe: Probe, work_dir: Path) -> None:
    data = thermos(
        process("last", "echo last >> trace", final=True),
        process("two", "echo two >> trace; exit 3"),
        process("one", "echo one >> trace"),
        process("never", "echo never >> trace"),
        constraints=[{"order": ["one", "two", "never"]}],
    )
    task, run = finished(probe, work_dir, "order", data)
    assert events(task)[-1] == ("FAILED", "Task failed.")
    assert (run / "sandbox" / "trace").read_text().split() == ["one", "two", "last"]


def test_retries_have_their_own_logs(probe: Probe, work_dir: Path) -> None:
    cmdline = "echo try; test -e again || { touch again; exit 1; }"
    data = thermos(process("main", cmdline, max_failures=2, min_duration=0))
    task, run = finished(probe, work_dir, "retry", data)
    assert task.status == S.FINISHED
    assert (log(run, "main", 0), log(run, "main", 1)) == ("try\n", "try\n")


def test_death_by_signal_is_run_again(probe: Probe, work_dir: Path) -> None:
    cmdline = "test -e again || { touch again; kill -9 $$; }; echo done"
    task, run = finished(probe, work_dir, "signal", thermos(process("main", cmdline, min_duration=0)))
    assert task.status == S.FINISHED
    assert log(run, "main", 1) == "done\n"


def rotated(size: int, backups: int) -> dict[str, object]:
    return {"mode": "rotate", "rotate": {"log_size": size, "backups": backups}}


def test_logs_rotate_by_size(probe: Probe, work_dir: Path) -> None:
    # So much that three older logs come about however much is read at once.
    cmdline = "for i in $(seq 1000 5999); do echo line $i; done; echo last words >&2"
    data = thermos(process("main", cmdline, logger=rotated(2000, 3)))
    _, run = finished(probe, work_dir, "rotated", data)
    logs = run / "sandbox" / ".logs" / "main" / "0"
    assert sorted(path.name for path in logs.iterdir()) == [
        *("stderr", "stdout", "stdout.1", "stdout.2", "stdout.3")
    ]
    parts = [(logs / f"stdout.{number}").read_text() for number in (3, 2, 1)]
    assert all(2000 <= len(part) <= 2000 + 4096 for part in parts)
    everything = "".join([*parts, (logs / "stdout").read_text()])
    written = "".join(f"line {number}\n" for number in range(1000, 6000))
    assert written.endswith(everything)
    assert (logs / "stderr").read_text() == "last words\n"


@pytest.mark.parametrize(
    ("cmdline", "state", "said"),
    [
        ("echo before; exit 3", "FAILED", "before\n"),
        ("trap 'echo on TERM; exit 0' TERM; kill -TERM $$; sleep 60", "FINISHED", "on TERM\n"),
        ("yes left behind >&1 & echo main; exit 0", "FINISHED", "main\n"),
    ],
)
def test_processes_with_rotated_logs_end_as_others_do(
    probe: Probe, work_dir: Path, cmdline: str, state: str, said: str
) -> None:
    data = thermos(process("main", cmdline, logger=rotated(100_000_000, 1)))
    name = f"rotated-{state.lower()}-{len(cmdline)}"
    task, run = finished(probe, work_dir, name, data)
    assert events(task)[-1][0] == state
    assert said in log(run, "main")


def test_the_last_words_of_a_killed_process_are_in_its_rotated_log(probe: Probe, work_dir: Path) -> None:
    cmdline = "trap 'echo $(seq 2000); exit 1' TERM; touch ready; while :; do sleep 0.1; done"
    probe.create(job("rotated-kill", thermos(process("main", cmdline, logger=rotated(10_000_000, 1)))))
    (task,) = probe.wait("rotated-kill", S.RUNNING)
    run = run_dir(work_dir, task)
    until((run / "sandbox" / "ready").exists)
    probe.kill("rotated-kill")
    probe.wait("rotated-kill", S.KILLED)
    assert log(run, "main").split() == [str(number) for number in range(1, 2001)]


def test_logs_can_be_dropped_or_sent_to_the_executor(probe: Probe, work_dir: Path) -> None:
    data = thermos(
        process("quiet", "echo lost", logger={"destination": "none"}),
        process("loud", "echo heard", logger={"destination": "console"}),
    )
    _, run = finished(probe, work_dir, "loggers", data)
    assert not (run / "sandbox" / ".logs").exists()
    assert (run / "stdout").read_text() == "heard\n"


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("no-json", "{oops", "Could not deserialize thermos config: "),
        ("no-data", None, "Task did not have a thermos config!"),
        ("unbound", thermos(process("a", "echo {{x}}")), "Got invalid task: Unexpected unbound refs: {{x}}"),
        (
            "cycle",
            thermos(
                process("a", "x"),
                process("b", "x"),
                constraints=[{"order": ["a", "b"]}, {"order": ["b", "a"]}],
            ),
            "Thermos received an invalid task.",
        ),
    ],
)
def test_tasks_that_the_executor_refuses(
    probe: Probe, work_dir: Path, name: str, data: Any, message: str
) -> None:
    task, _ = finished(probe, work_dir, name, data)
    status, told = events(task)[-1]
    assert status == "FAILED"
    assert told is not None
    assert told.startswith(message)


def test_a_failed_instance_is_tried_again(probe: Probe) -> None:
    probe.create(job("again", thermos(process("main", "exit 1")), maxTaskFailures=2))
    until(lambda: len(probe.tasks("again")) == 2)
    first, second = probe.wait("again")
    assert (first.failureCount, second.failureCount) == (1, 2)
    assert second.ancestorId == first.assignedTask.taskId
    assert events(second)[0] == ("PENDING", "Rescheduled")


def test_all_instances_run_with_their_number(probe: Probe, work_dir: Path) -> None:
    probe.create(job("many", thermos(process("main", "echo {{mesos.instance}}")), instances=5))
    tasks = probe.wait("many")
    said = {task.assignedTask.instanceId: log(run_dir(work_dir, task), "main") for task in tasks}
    assert said == {number: f"{number}\n" for number in range(5)}


def test_a_kill_reaches_every_process_and_finalizers_run(probe: Probe, work_dir: Path) -> None:
    cmdline = (
        "trap 'echo term >> trace; exit 0' TERM; setsid sleep 600 & echo $! > pid; echo up > ready; wait"
    )
    data = thermos(process("main", cmdline), process("last", "echo last >> trace", final=True))
    probe.create(job("kill", data))
    (task,) = probe.wait("kill", S.RUNNING)
    sandbox = run_dir(work_dir, task) / "sandbox"
    until((sandbox / "ready").exists)
    answer = probe.kill("kill", "enough")
    assert (answer.responseCode, list(answer.details)) == (api.ResponseCode.OK, [])
    (task,) = probe.wait("kill")
    assert events(task)[-2:] == [
        ("KILLING", "Killed by UNSECURE.\nenough"),
        ("KILLED", "Instructed to kill task."),
    ]
    assert (sandbox / "trace").read_text().split() == ["term", "last"]
    until(lambda: not Path(f"/proc/{(sandbox / 'pid').read_text().strip()}").exists())


def test_a_kill_at_any_moment_of_the_start_is_obeyed(probe: Probe, work_dir: Path) -> None:
    # A signal between fork and exec must not be swallowed: the wait for finalizers would have to pass.
    for number in range(12):
        name = f"early-{number}"
        probe.create(job(name, thermos(process("main", "sleep 600"), finalization_wait=600)))
        probe.wait(name, S.ASSIGNED, S.STARTING, S.RUNNING)
        pause_until(work_dir, probe.tasks(name)[0], number)
        probe.kill(name)
        (task,) = probe.wait(name)
        assert task.status == S.KILLED


def pause_until(work_dir: Path, task: Any, step: int) -> None:
    """Wait for one of the steps of a start, so that each kill comes at another one."""
    run = run_dir(work_dir, task)
    steps = (
        lambda: True,
        (run / "sandbox").exists,
        (run / "task.json").exists,
        (run / "sandbox" / ".logs").exists,
    )
    until(steps[step % len(steps)])


def test_what_ignores_the_signal_is_killed_after_the_wait(probe: Probe, work_dir: Path) -> None:
    data = thermos(
        process("main", "trap '' TERM; touch ready; while :; do sleep 600; done"), finalization_wait=1
    )
    probe.create(job("stubborn", data))
    (task,) = probe.wait("stubborn", S.RUNNING)
    until((run_dir(work_dir, task) / "sandbox" / "ready").exists)
    probe.kill("stubborn")
    (task,) = probe.wait("stubborn")
    assert task.status == S.KILLED


def test_background_processes_do_not_outlive_a_finished_task(probe: Probe, work_dir: Path) -> None:
    cmdline = (
        "(trap '' TERM; exec setsid sleep 600) & echo $! > pid; nohup sleep 601 > /dev/null & echo $! >> pid"
    )
    task, run = finished(probe, work_dir, "background", thermos(process("main", cmdline)))
    assert task.status == S.FINISHED
    pids = (run / "sandbox" / "pid").read_text().split()
    assert len(pids) == 2
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


def test_a_pending_task_tells_why_and_vanishes_when_killed(probe: Probe) -> None:
    probe.create(job("huge", thermos(process("main", "true")), cpus=500))
    query = api.TaskQuery(jobKeys={job_key("huge")})

    def reason() -> str:
        (found,) = probe.call("getPendingReason", query).result.getPendingReasonResult.reasons
        return str(found.reason)

    assert until(reason) == "Insufficient: CPU"
    page = get(probe.url, "/pendingtasks").json()
    (entry,) = [item for item in page if item["name"] == "www/devel/huge"]
    assert (entry["reason"], len(entry["taskIds"])) == ("[Insufficient: CPU]", 1)
    probe.kill("huge")
    assert probe.tasks("huge") == []
    assert [detail.message for detail in probe.kill("huge").details] == ["No tasks to kill."]


def test_jobs_queue_for_cores(probe: Probe, work_dir: Path) -> None:
    for name in ("wide-1", "wide-2"):
        probe.create(job(name, thermos(process("main", "until test -e go; do sleep 0.02; done")), cpus=3.5))
    (first,) = probe.wait("wide-1", S.RUNNING)
    assert probe.tasks("wide-2")[0].status == S.PENDING
    (run_dir(work_dir, first) / "sandbox" / "go").touch()
    (second,) = probe.wait("wide-2", S.RUNNING)
    (run_dir(work_dir, second) / "sandbox" / "go").touch()
    assert [task.status for task in probe.wait("wide-2")] == [S.FINISHED]


def test_the_first_line_comes_soon(probe: Probe, work_dir: Path) -> None:
    numbers = iter(range(1000))

    def delay() -> float:
        began = time.time()
        _, run = finished(probe, work_dir, f"soon-{next(numbers)}", thermos(process("main", "date +%s.%N")))
        return float(log(run, "main")) - began

    # About 0.03 s where nothing else runs; on a busy machine at least now and then.
    wait_for(delay, lambda seconds: seconds < 0.25, "a line that comes soon")


def test_a_client_that_speaks_json_sees_the_same(probe: Probe) -> None:
    probe.call("createJob", job("in-json", thermos(process("main", "true"))), protocol=JSON)
    (task,) = probe.wait("in-json")
    query = api.TaskQuery(taskIds={task.assignedTask.taskId})
    (seen,) = probe.call("getTasksStatus", query, protocol=JSON).result.scheduleStatusResult.tasks
    assert events(seen) == events(task)
    assert json.loads(seen.assignedTask.task.executorConfig.data)["role"] == "www"
    assert task.assignedTask.task.executorConfig.data is None
