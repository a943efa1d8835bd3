"""What the recorded cluster held when a case was recorded, as far as it can be so here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from airavata_mesos_plugin.jobs import JobPhase, Resources
from tests.contract.slurm.playground import NOW, Playground, node

World = Callable[[Playground, int], None]

JOB = "#!/bin/bash\necho hello\necho oops >&2\n"
OK = "#!/bin/bash\necho hello\n"


def nothing(play: Playground, number: int) -> None:
    """No jobs; the next one has the id of the case."""
    if number:
        play.next_id(number)


def one_running(play: Playground, _number: int) -> None:
    play.add(467, "one")
    play.start(467, seconds=13)


def many(play: Playground, _number: int) -> None:
    """Those of the fourteen recorded jobs that can be like that here."""
    play.add(467, "one")
    play.start(467, seconds=13)
    play.add(468, "a_name_that_is_quite_long")
    play.start(468, seconds=10)
    play.add(
        469,
        "third",
        queue="infin",
        nodes=2,
        tasks=4,
        resources=Resources(cpus=2, memory_mb=1000, disk_mb=1000),
        hold=True,
    )
    play.add(470, "held", hold=True)
    play.add(471, "later", begin_at=NOW + 3600)
    play.add(472, "dep", dependency="afterok:467")
    play.add(473, "arr", array="1-3")
    play.add(476, "bobs", "bob", account="chem")
    play.add(477, "throttled", array="0-9", array_limit=2, hold=True)
    play.tick()


def held(name: str = "pend", user: str = "alice", **more: Any) -> World:
    """The job of the case waits."""

    def world(play: Playground, number: int) -> None:
        play.add(number, name, user, hold=True, **more)

    return world


def held_and_cancelled(play: Playground, number: int) -> None:
    play.add(number, "pend", hold=True)
    play.provider.request_cancel(number, "alice", 5001)
    play.tick()


def running(name: str, **more: Any) -> World:
    def world(play: Playground, number: int) -> None:
        play.add(number, name, **more)
        play.start(number, seconds=2)

    return world


def array_partly_running(play: Playground, _number: int) -> None:
    play.add(550, "arr", array="0-5", array_limit=3)
    play.tick()
    for number in (551, 552):
        play.start(number, seconds=5, host="node2")
    # The third is over by now, so that only two are under way.
    play.cluster.nodes = [node("node1"), node("node2", 2)]


def array_finished(play: Playground, _number: int) -> None:
    play.add(550, "arr", array="0-5")
    play.tick()
    for number in (550, 551, 552, 553, 554, 555):
        play.start(number, seconds=8, host="node2")
    for index, number in enumerate((551, 552, 553, 554, 555, 550)):
        play.end(number, JobPhase.FAILED if index else JobPhase.COMPLETED, code=index)


def accounting(play: Playground, _number: int) -> None:
    """The jobs of the records of sacct."""
    play.add(515, "okjob", submit_line="sbatch -J okjob ok.sh", command=play.here("/home/alice/run/ok.sh"))
    play.start(515, seconds=0)
    play.end(515, JobPhase.COMPLETED, code=0)
    play.add(516, "failjob", command=play.here("/home/alice/run/fail3.sh"))
    play.start(516, seconds=0)
    play.end(516, JobPhase.FAILED, code=3)
    play.add(518, "running")
    play.start(518, seconds=15)
    play.add(519, "cancelled", hold=True)
    play.provider.request_cancel(519, "alice", 5001)
    play.tick()
    play.add(520, "cancelledrun")
    play.start(520, seconds=0)
    play.provider._parts.ledger.request_cancel(520, "alice", 5001)
    play.end(520, JobPhase.CANCELLED, signal=15)
    play.add(521, "pending", hold=True)
    play.add(522, "array", array="1-3")
    for number in (522, 523, 524):
        play.start(number, seconds=0)
        play.end(number, JobPhase.COMPLETED, code=0)
    play.add(525, "bobs", "bob")
    play.start(525, seconds=0)
    play.end(525, JobPhase.COMPLETED, code=0)


def requeued(play: Playground, _number: int) -> None:
    play.add(526, "requeued")
    play.start(526)
    play.provider.control.requeue(526, "alice", 5001)
    play.tick()
    play.tick()


def requeued_and_cancelled(play: Playground, number: int) -> None:
    requeued(play, number)
    play.provider.request_cancel(526, "alice", 5001)
    play.tick()
    play.tick()


def control(play: Playground, number: int) -> None:
    """The jobs of the records of scontrol."""
    accounting(play, number)
    play.add(527, "held", hold=True)
    play.add(528, "holdme")
    play.add(530, "fixed", requeue=False)
    play.start(530)
    play.add(531, "upd", hold=True)
    play.add(532, "susp")
    play.start(532, seconds=2)


def held_by_root(play: Playground, number: int) -> None:
    control(play, number)
    play.provider.control.hold(528, 0, as_admin=True)


def requeue_running(play: Playground, number: int) -> None:
    accounting(play, number)
    play.add(526, "requeued")
    play.start(526)


def long_names(play: Playground, _number: int) -> None:
    play.add(622, "A1234567890_simulation", "gatewayaccount")
    play.start(622, seconds=1)


def mixed(play: Playground, _number: int) -> None:
    play.cluster.nodes = [node("node1", 1), node("node2", 2, gpus=2)]
    play.provider.monitor.refresh_nodes("main")


def allocated(play: Playground, _number: int) -> None:
    play.cluster.nodes = [node("node1", 2), node("node2", 2, gpus=2)]
    play.provider.monitor.refresh_nodes("main")


def cancelled(play: Playground, _number: int) -> None:
    """The jobs of `many`, cancelled."""
    for number, name in ((467, "one"), (468, "a_name_that_is_quite_long")):
        play.add(number, name)
        play.start(number, seconds=9)
        play.end(number, JobPhase.CANCELLED, signal=15)
    play.add(470, "held", hold=True)
    play.provider.request_cancel(470, "alice", 5001)
    play.tick()


def failed(play: Playground, number: int) -> None:
    play.add(number, "code5")
    play.start(number)
    play.end(number, JobPhase.FAILED, code=5)


def finished(play: Playground, number: int) -> None:
    play.add(number, "done")
    play.start(number)
    play.end(number, JobPhase.COMPLETED, code=0)


def cancel_filters(play: Playground, _number: int) -> None:
    for number, name, more in (
        (485, "pend", {}),
        (487, "other", {}),
        (488, "byname", {}),
        (489, "byname2", {}),
        (490, "byname", {}),
        (491, "bystate", {}),
        (493, "a", {}),
        (494, "a", {}),
        (495, "a", {}),
        (496, "a", {}),
        (497, "a", {}),
        (499, "a", {}),
        (500, "a", {}),
        (501, "a", {"account": "chem"}),
        (502, "a", {"queue": "infin"}),
        (503, "a", {}),
    ):
        play.add(number, name, hold=True, **more)


def gateway_script(play: Playground, number: int) -> None:
    directory = Path(play.here("/home/alice/run/gw"))
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "job_12.slurm").write_text(JOB)
    nothing(play, number)


def gateway_waiting(play: Playground, _number: int) -> None:
    play.add(6328, "A1620574137")
    play.tick()


def gateway_running(play: Playground, number: int) -> None:
    gateway_waiting(play, number)
    play.start(6328, seconds=1)


def gateway_finished(play: Playground, number: int) -> None:
    gateway_running(play, number)
    play.end(6328, JobPhase.COMPLETED, code=0)


def six_on_four(play: Playground, _number: int) -> None:
    """An array of six tasks, of which four have a CPU."""
    play.add(6329, "arr", array="0-5")
    play.tick()
    for number in (6330, 6331, 6332, 6333):
        play.start(number)
