"""Gangs that stop at a stage of their life, and stay there until the test lets them go on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airavata_mesos_plugin import data_files
from airavata_mesos_plugin.testing.airavata_caller import Submission
from airavata_mesos_plugin.testing.airavata_script import JobScript
from tests.support.mesos_site import MesosSite
from tests.support.site import lines
from tests.support.waiting import wait_for

GATHERING = "gathering"  # waits, and the offers of some of its nodes are held
BARRIER = "barrier"  # launched, and one of its nodes has not registered
SETTLED = "settled"  # all nodes have registered, and the script has not begun
RUNNING = "running"  # ranks run on all nodes
ENDED = "ended"  # the script is over, and no task is

NODES = 3
LAST = NODES - 1
"""The node that does not register at the barrier."""

_HOLD = """\
hold() {
    hold_path=$(sed -n "s/^# hold at $1: //p" "$control/script")
    [ -z "$hold_path" ] || echo at >>"$hold_path.at"
    while [ -n "$hold_path" ] && [ ! -e "$hold_path.go" ]; do sleep 0.1; done
}
"""
_LAST_NODE = f'[ "{{{{ part }}}} $1" != "node {LAST}" ]'
_CHANGES = {
    "parallel.sh.j2": {"exec python3 -I ": f"{_HOLD}{_LAST_NODE} || hold {BARRIER}\n"},
    "run.sh.j2": {
        "# Thermos starts a process again that a signal ended.": f"{_HOLD}hold {SETTLED}\n",
        '    exit "$code"\n': f"    hold {ENDED}\n",
    },
}


def holding_templates(directory: Path) -> str:
    """A directory of templates for jobs whose scripts name a stage to stop at, and a path."""
    for name, changes in _CHANGES.items():
        text = (data_files.directory("templates") / "wrapper" / name).read_text()
        for before, more in changes.items():
            assert text.count(before) == 1, before
            text = text.replace(before, more + before)
        override = directory / "templates" / "wrapper" / name
        override.parent.mkdir(parents=True, exist_ok=True)
        override.write_text(text)
    return str(directory / "templates")


@dataclass(frozen=True)
class HeldGang:
    """One of them: a rank on each of three nodes. ``path`` is where it tells how far it is."""

    site: MesosSite
    stage: str
    path: Path
    job: Submission

    @property
    def runs(self) -> int:
        """How often its script has begun."""
        return len(lines(self.path.with_suffix(".runs")))

    @property
    def arrivals(self) -> int:
        """How often it has come to its stage."""
        return len(lines(self.path.with_suffix(".at"))) // (NODES if self.stage == RUNNING else 1)

    @property
    def hosts(self) -> list[str]:
        """Host names of the agents of its tasks, as the leading master says."""
        leader = self.site.mesos.leader()
        names = {one["id"]: one["hostname"] for one in self.site.mesos.get(leader, "/slaves")["slaves"]}
        tasks = {one["id"]: one for one in self.site.mesos.get(leader, "/tasks?limit=10000")["tasks"]}
        return [names[tasks[self.task(node)]["slave_id"]] for node in range(NODES)]

    def task(self, node: int) -> str:
        """Id of the task of a node."""
        first: str = self.show()["task_id"]
        return f"{first.rpartition('-')[0]}-{node}"

    def show(self) -> dict[str, Any]:
        return self.site.show(self.job)

    def arrived(self, times: int = 1) -> None:
        """Wait until it has come to its stage so often."""

        def context() -> str:
            return f"{self.show()}\n{self.site.daemon.log}"

        if self.stage == GATHERING:
            looks: list[set[str]] = [set()]

            def held() -> set[str]:
                looks.append(self.site.offers())
                return looks[-2] & looks[-1]

            wait_for(held, bool, "offers that are held", pause=0.5, context=context)
            return
        wait_for(lambda: self.arrivals, lambda n: n == times, f"at the stage {self.stage}", context=context)
        if self.stage == BARRIER:
            told = f"{NODES - 1} of {NODES} nodes have started"
            wait_for(lambda: self.show()["reason"], lambda text: told in text, told, context=context)

    def go_on(self) -> None:
        """Nothing holds it any more. Repeatable."""
        self.path.with_suffix(".go").touch()

    def completed(self) -> None:
        """Wait for its end, which must be a good one, with what all ranks left."""
        self.site.finished(self.job, "COMPLETE")
        assert lines(self.job.directory / "ranks") == [str(node) for node in range(NODES)]


def hold_gang(site: MesosSite, stage: str, *, cpus: int = 1, requeue: bool = False) -> HeldGang:
    """Submit one that will stop there."""
    work = site.work()
    path = site.directory / f"{work.name}-{stage}"
    wait = f"while [ ! -e {path}.go ]; do sleep 0.1; done"
    at = f"echo at >>{path}.at; {wait}; " if stage == RUNNING else ""
    script = JobScript(
        work,
        f"# hold at {stage}: {path}\n"
        f"echo run >>{path}.runs\n"
        f"srun bash -c '{at}echo $SLURM_NODEID' | sort >ranks",
        wall_time="10:0:00",
        directives=(
            f"#SBATCH -N {NODES}",
            f"#SBATCH -n {NODES}",
            f"#SBATCH -c {cpus}",
            "#SBATCH --mem-per-cpu=100",
            *(["#SBATCH --requeue"] if requeue else []),
        ),
    )
    return HeldGang(site, stage, path, site.accepted(script))
