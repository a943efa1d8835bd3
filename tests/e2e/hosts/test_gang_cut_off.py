"""One of the hosts of a job over several nodes is cut off from all others."""

from __future__ import annotations

from airavata_mesos_plugin.testing.airavata_caller import Submission
from airavata_mesos_plugin.testing.airavata_script import JobScript
from tests.e2e.hosts.conftest import Hosts, HostsFactory
from tests.realmesos.hosts import Host
from tests.support.site import lines
from tests.support.waiting import wait_for

QUEUE = {"max_nodes": 3, "silence_seconds": 10, "mesos": {"task": {"kill_grace_seconds": 1}}}
RANKS = "srun bash -c 'hostname >>{0}; setsid sleep 1005 & sleep 1006'"


def test_a_node_that_is_cut_off_ends_the_job(make_hosts: HostsFactory) -> None:
    """By its name, while it is away; nothing goes on, there and elsewhere, nor when it is back.

    The first node of one job, and another one of another job on another cluster.
    """
    one, other = make_hosts(queues=QUEUE), make_hosts(queues=QUEUE)
    first_job, first, _ = begun(one)
    other_job, _, last = begun(other)
    first.cut()
    last.cut()
    for hosts in (one, other):
        wait_for(hosts.at_work, [].__eq__, "no process left on any node")
    assert f"lost node {last.name.partition('.')[0]} (" in lost(other, other_job)
    assert f"node {first.name}: TASK_UNREACHABLE: its agent cannot be reached" in lost(one, first_job)
    wait_for(lambda: states(other), {"idle", "down*"}.__eq__, "known to be down")
    waiting = submitted(other, "true")
    assert other.site.airavata.letters(waiting.job_id) == "PD", "for the node that is down"
    first.mend()
    last.mend()
    other.site.finished(waiting, "COMPLETE")
    for hosts in (one, other):
        hosts.cluster.registered(3)
        hosts.nothing_left()


def states(hosts: Hosts) -> set[str]:
    """How `sinfo` says that the nodes are."""
    return set(hosts.site.airavata.execute(f"{hosts.site.commands}/sinfo -h -N -o %t").stdout.split())


def submitted(hosts: Hosts, command: str) -> Submission:
    """Six ranks on three nodes."""
    three = ("#SBATCH -N 3", "#SBATCH -n 6")
    return hosts.site.accepted(JobScript(hosts.site.work(), command, directives=three, realtime=False))


def begun(hosts: Hosts) -> tuple[Submission, Host, Host]:
    """A job whose ranks all run, its first node and another one."""
    names = hosts.file("names")
    job = submitted(hosts, f"hostname >{names}; {RANKS.format(names)}")
    first, *others = wait_for(lambda: lines(names), lambda found: len(found) == 7, "all ranks")
    last = next(name for name in others if name != first)
    return job, hosts.node(first)[0], hosts.node(last)[0]


def lost(hosts: Hosts, job: Submission) -> str:
    """The reason of a job, once it has ended since a node failed."""
    document = hosts.site.finished(job, "FAILED")
    assert hosts.site.airavata.letters(job.job_id) == "NF", document
    return str(document["reason"])
