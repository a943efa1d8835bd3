"""sinfo: partitions and nodes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from airavata_mesos_plugin.slurm.session import Result

Call = Callable[..., Result]
AddNode = Callable[..., None]

HEADER = "PARTITION AVAIL  TIMELIMIT  NODES  STATE NODELIST\n"


@pytest.fixture
def nodes(add_node: AddNode) -> None:
    """One node of each state."""
    add_node("node1", 2, 4000, used=1)
    add_node("node2", 2, 4000, used=2)
    add_node("node3", 4, 8000)
    add_node("node4", 2, 4000, active=False)
    add_node("node5", 4, 8000)


@pytest.mark.usefixtures("nodes")
def test_the_default_table(call: Call) -> None:
    assert call("sinfo").stdout == HEADER + (
        "batch*       up 1-00:00:00      2   idle node[3,5]\n"
        "batch*       up 1-00:00:00      1    mix node1\n"
        "batch*       up 1-00:00:00      1  alloc node2\n"
        "batch*       up 1-00:00:00      1  down* node4\n"
        "short        up       5:00      2   idle node[3,5]\n"
        "short        up       5:00      1    mix node1\n"
        "short        up       5:00      1  alloc node2\n"
        "short        up       5:00      1  down* node4\n"
    )


@pytest.mark.usefixtures("nodes")
def test_the_lines_that_airavata_asks_for(call: Call) -> None:
    assert call('sinfo -s -p batch -o "%a %F"').stdout == "AVAIL NODES(A/I/O/T)\nup 2/2/1/5\n"
    later = call("sinfo -p short").stdout.splitlines()[1:]
    assert all("up" in line.split() for line in later)


@pytest.mark.usefixtures("nodes")
def test_the_summary(call: Call) -> None:
    assert call("sinfo -s -p short").stdout == (
        "PARTITION AVAIL  TIMELIMIT   NODES(A/I/O/T) NODELIST\n"
        "short        up       5:00          2/2/1/5 node[1-5]\n"
    )


@pytest.mark.usefixtures("nodes")
def test_formats(call: Call) -> None:
    assert (
        call('sinfo -h -p batch -o "%P|%R|%D|%C|%m|%c|%N"').stdout
        == "batch*|batch|5|3/9/2/14|4000+|2+|node[1-5]\n"
    )
    assert call("sinfo -h -p batch -o '%T %D'").stdout == "idle 2\nmixed 1\nallocated 1\ndown* 1\n"


def test_no_node_known(call: Call) -> None:
    assert call("sinfo -p batch").stdout == HEADER + "batch*       up 1-00:00:00      0    n/a \n"
    assert call('sinfo -s -p batch -o "%a %F"').stdout.endswith("up 0/0/0/0\n")


def test_an_unknown_partition(call: Call) -> None:
    assert call("sinfo -p nosuch") == Result(HEADER)


@pytest.mark.parametrize(
    ("line", "stderr"),
    [
        (
            "sinfo --nosuch",
            "sinfo: unrecognized option '--nosuch'\nTry \"sinfo --help\" for more information\n",
        ),
        ("sinfo -S P", "sinfo: error: --sort is not supported here; sort the output\n"),
        ("sinfo 5", "sinfo: error: Unrecognized option: 5\n"),
    ],
)
def test_faults(call: Call, line: str, stderr: str) -> None:
    result = call(line)
    assert (result.exit_code, result.stderr) == (1, stderr)


@pytest.mark.parametrize("name", ["squeue", "scancel", "sacct", "sinfo", "scontrol", "srun"])
def test_versions_and_help(call: Call, name: str) -> None:
    assert call(f"{name} -V") == Result("slurm-wlm 22.05.8\n")
    assert call(f"{name} --help").stdout.startswith(f"Usage: {name}")
    assert name == "scontrol" or call(f"{name} --usage").exit_code == 0


def test_a_command_that_is_none(call: Call) -> None:
    assert call("strigger") == Result("", "strigger: error: there is no such command here\n", 1)
