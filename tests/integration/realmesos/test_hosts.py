"""Hosts of their own: what they share with others, and what is left of them."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from airavata_mesos_plugin.testing.programs import own_environment, read_line
from tests.realmesos.hosts import Host, Network, Unavailable
from tests.support.processes import marked
from tests.support.waiting import wait_for

ROOT = Path(__file__).parents[3]


@pytest.fixture
def network(own_hosts: bool, tmp_path: Path) -> Iterator[Network]:
    assert own_hosts
    with Network(tmp_path / "network") as made:
        yield made


def test_nodes_have_nothing_in_common_but_what_is_kept(network: Network, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    first, second = network.node(1, [kept]), network.node(2, [kept])
    first.run("touch", f"{kept}/seen", "/tmp/unseen", "/dev/shm/unseen")
    assert second.run("ls", str(kept)) == "seen\n"
    assert second.run("find", "/tmp", "/dev/shm", "-name", "unseen") == ""
    assert not Path("/tmp/unseen").exists()
    assert [host.run("hostname") for host in (first, second)] == [f"{one.name}\n" for one in (first, second)]
    assert second.run("sh", "-c", "echo $$").strip().isdecimal()
    assert int(second.run("sh", "-c", "ls -d /proc/[0-9]* | wc -l")) < 10


def test_a_cable_that_is_pulled_out(network: Network) -> None:
    node, daemon = network.node(1, ()), network.submission_host()
    wait_for(lambda: reached(node, daemon.address), bool, "connected")
    wait_for(lambda: reached(daemon, network.address), bool, "connected")
    daemon.cut()
    assert not reached(node, daemon.address)
    assert not reached(daemon, network.address)
    wait_for(lambda: reached(node, network.address), bool, "others connected")
    daemon.mend()
    wait_for(lambda: reached(node, daemon.address), bool, "mended")
    wait_for(lambda: reached(daemon, network.address), bool, "mended")


def reached(host: Host, address: str) -> bool:
    """Whether that address answers, if only that nobody listens there."""
    ask = f"import socket; s = socket.socket(); s.settimeout(2); print(s.connect_ex(('{address}', 9)))"
    # A virtual environment may lie in /tmp, of which the host has its own.
    python = str(Path(sys.executable).resolve())
    return host.run(python, "-I", "-c", ask) == f"{errno.ECONNREFUSED}\n"


def test_a_test_run_that_is_killed_leaves_nothing(own_hosts: bool, tmp_path: Path) -> None:
    assert own_hosts
    mark = f"MARK_OF_TEST={tmp_path}"
    program = (
        "import pathlib, subprocess, sys\n"
        "from tests.realmesos.hosts import Network\n"
        "with Network(pathlib.Path(sys.argv[1])) as network:\n"
        "    node = network.node(1, ())\n"
        "    node.run('sh', '-c', 'setsid sleep 1000 >/dev/null 2>&1 &')\n"
        "    network.submission_host()\n"
        "    print('up', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "network")],
        cwd=ROOT,
        env=own_environment(MARK_OF_TEST=str(tmp_path)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as run:
        assert read_line(run, 60) == "up\n"
        # The test run, and what holds the switch, the node, its first two, the runaway, the daemon's host.
        assert len(marked(mark)) >= 6
        os.kill(run.pid, signal.SIGKILL)
    wait_for(lambda: marked(mark), [].__eq__, "nothing left")


def test_what_the_kernel_refuses_is_told(network: Network) -> None:
    with pytest.raises(Unavailable, match="ip link add switch"):
        network.run("ip", "link", "add", "switch", "type", "bridge")
