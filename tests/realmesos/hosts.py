"""Hosts of their own for agents and daemons: namespaces of Linux, behind a switch that leads nowhere else.

Each host has a network card, and as a node also processes, a name, ``/tmp`` and shared memory of its own.
They end with the process that holds them, and this one with the test run, also when that is killed: nothing
has a name outside, so nothing is left to be cleaned up.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from airavata_mesos_plugin.testing.programs import read_line
from tests.realmesos.server import Server
from tests.support.waiting import wait_for

T = TypeVar("T")

NETWORK = "198.18.0"
"""Addresses for tests of networks (RFC 2544). Each switch has all of them for itself."""

DOMAIN = "cluster.example"

_HELD = ("setpriv", "--pdeathsig", "KILL")
_READY_SECONDS = 60.0
_CLONE_NEWNET = 0x40000000

# What is to be sent again comes a second after a cable is in again, not a minute; and nobody gives up before.
# Kernels before 6.15 cannot do that, and tests take longer.
_HURRY = """
if [ -e /proc/sys/net/ipv4/tcp_rto_max_ms ]; then
  echo 1000 >/proc/sys/net/ipv4/tcp_rto_max_ms
  echo 255 >/proc/sys/net/ipv4/tcp_retries2
fi
"""
_SWITCH = f"""
{_HURRY}
echo ready
exec sleep infinity
"""
_ARRANGE = rf"""
set -e
{_HURRY}
names=$1 name=$2; shift 2
mount --bind "$names" /etc/hosts
if [ -n "$name" ]; then
  hostname "$name"
  mount -t sysfs own-sys /sys  # it lists the network cards
  mount -t tmpfs -o mode=1777 own-memory /dev/shm
  mount -t tmpfs -o mode=1777 own-tmp /mnt
  for kept; do
    case $kept in
      /tmp/*) mkdir -p "/mnt/${{kept#/tmp/}}"; mount --bind "$kept" "/mnt/${{kept#/tmp/}}";;
    esac
  done
  mount --move /mnt /tmp
fi
ip link set lo up
echo ready
[ -n "$name" ] || exec sleep infinity
# As process 1 of a node the shell takes care of processes that lost their parent.
sleep infinity & wait
"""


class Unavailable(Exception):
    """The kernel does not let us make namespaces or network cards; says what it refused."""


class _Holder:
    """A process that keeps namespaces alive."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                [*_HELD, *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        if read_line(self.process, _READY_SECONDS) != "ready\n":
            self.stop()
            raise Unavailable(log.read_text(errors="replace").strip() or f"{command[0]} does not answer")

    @property
    def pid(self) -> int:
        return self.process.pid

    def namespace(self, kind: str) -> str:
        return f"/proc/{self.pid}/ns/{kind}"

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


class Host:
    """One host on the switch. What runs there begins with `prefix`."""

    def __init__(self, network: Network, number: int, name: str, *, node: bool, kept: Sequence[Path]) -> None:
        self.address = f"{NETWORK}.{number}"
        self.name = f"{name}.{DOMAIN}" if node else ""
        self._network = network
        self._card = f"to-{name}"
        log = network.directory / f"{name}.log"
        names = network.names
        separate = ["--net", "--mount"]
        if node:
            separate += ["--pid", "--uts", "--ipc", "--fork", "--kill-child", "--mount-proc"]
            names = network.directory / f"{name}.names"
            names.write_text(f"127.0.0.1 localhost\n{self.address} {self.name} {name}\n")
            network.announce(self.address, self.name)
        arrange = ["bash", "-c", _ARRANGE, "arrange", str(names), self.name, *map(str, kept)]
        self._holder = _Holder(["unshare", *separate, *arrange], log)
        self._node = node
        try:
            network.run(
                *("ip", "link", "add", self._card, "type", "veth"),
                *("peer", "name", "card", "netns", str(self._holder.pid)),
            )
            network.run("ip", "link", "set", self._card, "master", "switch", "up")
            self.run("ip", "address", "add", f"{self.address}/24", "dev", "card")
            self.run("ip", "link", "set", "card", "up")
        except BaseException:
            self.stop()
            raise

    @property
    def prefix(self) -> list[str]:
        """What a command line begins with that is to run here. On a node, the process becomes a child."""
        kinds = {"net": "net", "mount": "mnt"}
        if self._node:
            kinds |= {"uts": "uts", "ipc": "ipc", "pid": "pid_for_children"}
        return [
            "nsenter",
            *(f"--{kind}={self._holder.namespace(file)}" for kind, file in kinds.items()),
            "--",
        ]

    def run(self, *command: str) -> str:
        """Run a command here; its stdout. Raises Unavailable with what it said when it fails."""
        return _run([*self.prefix, *command])

    def cut(self) -> None:
        """Pull the cable out: nothing comes or goes. Repeatable."""
        self._network.run("ip", "link", "set", self._card, "down")

    def mend(self) -> None:
        """Put it in again. Repeatable."""
        self._network.run("ip", "link", "set", self._card, "up")

    def processes(self) -> dict[int, str]:
        """The command lines of all that runs on this node, by process id of this side, but for what holds it.

        An agent and its children are among them.
        """
        assert self._node
        own = Path(self._holder.namespace("pid_for_children")).readlink()
        first = set(_children(self._holder.pid))
        held = {*first, *(child for one in first for child in _children(one)[:1])}
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdecimal() or int(entry.name) in held:
                continue
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if line and (entry / "ns/pid").readlink() == own:
                    found[int(entry.name)] = line
            except OSError:
                continue  # it has ended meanwhile
        return found

    def stop(self) -> None:
        """End all that runs here. Repeatable."""
        self._holder.stop()


class Network:
    """A switch and its hosts. The master of a cluster runs at the switch, where nothing can be cut."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.names = directory / "names"
        self.address = f"{NETWORK}.1"
        self._stack = ExitStack()

    def __enter__(self) -> Network:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.names.write_text("127.0.0.1 localhost\n")
        if os.geteuid() != 0:
            raise Unavailable("only root can make hosts of their own")
        command = ["unshare", "--net", "--", "sh", "-c", _SWITCH]
        with ExitStack() as stack:
            self._holder = _Holder(command, self.directory / "switch.log")
            stack.callback(self._holder.stop)
            self.run("ip", "link", "set", "lo", "up")
            self.run("ip", "link", "add", "switch", "type", "bridge")
            self.run("ip", "address", "add", f"{self.address}/24", "dev", "switch")
            self.run("ip", "link", "set", "switch", "up")
            self._inside = stack.enter_context(
                ThreadPoolExecutor(1, initializer=_enter, initargs=(self._holder.namespace("net"),))
            )
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def prefix(self) -> list[str]:
        """What a command line begins with that is to run at the switch; the process itself goes there."""
        return ["nsenter", f"--net={self._holder.namespace('net')}", "--"]

    def node(self, number: int, kept: Sequence[Path]) -> Host:
        """A new host, ``node1.cluster.example`` for instance. It sees of ``/tmp`` here what is ``kept``."""
        return self._add(Host(self, 10 + number, f"node{number}", node=True, kept=kept))

    def submission_host(self, number: int = 2) -> Host:
        """A new host on the same disks as here, which knows the names of the nodes. Numbers are below 10."""
        return self._add(Host(self, number, f"daemon{number}", node=False, kept=()))

    def _add(self, host: Host) -> Host:
        self._stack.callback(host.stop)
        return host

    def announce(self, address: str, name: str) -> None:
        """Give a host a name that submission hosts know."""
        with self.names.open("a") as names:  # in place: it is mounted
            names.write(f"{address} {name}\n")

    def run(self, *command: str) -> str:
        """Run a command at the switch; its stdout. Raises Unavailable with what it said when it fails."""
        return _run([*self.prefix, *command])

    def ask(self, function: Callable[[], T]) -> T:
        """Call ``function`` in a thread that has its connections at the switch."""
        return self._inside.submit(function).result()


class NodeServer(Server):
    """An agent on a node. It is the child of a process on this side."""

    def __init__(
        self, name: str, directory: Path, command: Sequence[str], host: Host, environment: Mapping[str, str]
    ) -> None:
        # The directory must be taken up inside, where other things are mounted.
        inside = [*host.prefix, "env", f"--chdir={directory}", *_HELD]
        super().__init__(name, directory, command, host.address, environment, prefix=inside)

    @property
    def pid(self) -> int:
        outside = super().pid

        def look() -> list[int]:
            return _children(outside) if self.running() else [outside]

        return wait_for(look, bool, f"{self.name} started", context=self.log)[0]


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        raise Unavailable(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _enter(namespace: str) -> None:
    """Move the calling thread, and no other, into a network namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(namespace, os.O_RDONLY)
    try:
        if libc.setns(descriptor, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(descriptor)
