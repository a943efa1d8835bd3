"""Debian's ZooKeeper on loopback, each server a Java process of its own."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.waiting import wait_for

JAR = "/usr/share/java/zookeeper.jar"
TICK_MS = 200
LONGEST_SESSION_MS = 60_000
"""Sessions last long, so that a machine that stands still ends none. Tests end them by closing them."""


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports


class ZooKeeperServer:
    """One server, which can go away and come back with its data."""

    def __init__(
        self, directory: Path, port: int, lines: Mapping[str, object], options: tuple[str, ...]
    ) -> None:
        self.address = f"127.0.0.1:{port}"
        self._port = port
        self._directory = directory
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True, exist_ok=True)
        settings = {
            "tickTime": TICK_MS,
            "minSessionTimeout": 2 * TICK_MS,
            "maxSessionTimeout": LONGEST_SESSION_MS,
            "dataDir": directory,
            "clientPort": port,
            "clientPortAddress": "127.0.0.1",
            "admin.enableServer": "false",
            "4lw.commands.whitelist": "srvr",
            **lines,
        }
        text = "".join(f"{name}={value}\n" for name, value in settings.items())
        (directory / "zoo.cfg").write_text(text)

    def start(self) -> None:
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *("java", "-Xmx128m", *self._options, "-cp", JAR),
                    *("org.apache.zookeeper.server.quorum.QuorumPeerMain", str(self._directory / "zoo.cfg")),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def wait(self) -> None:
        """Until it serves clients."""
        log = self._directory / "log"
        wait_for(self._mode, lambda mode: "Mode:" in mode, "serving", context=log.read_text)

    def stop(self) -> None:
        """End it at once, as a crash would. Repeatable."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _mode(self) -> str:
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=10) as connection:
                connection.sendall(b"srvr")
                return b"".join(iter(lambda: connection.recv(4096), b"")).decode()
        except OSError as error:
            return str(error)


@contextmanager
def ensemble(
    directory: Path, count: int = 1, options: tuple[str, ...] = ()
) -> Iterator[list[ZooKeeperServer]]:
    """Running servers; stopped when left."""
    ports = free_ports(3 * count)
    servers = []
    for index in range(count):
        lines: dict[str, object] = {}
        if count > 1:
            lines = {"initLimit": 300, "syncLimit": 150}
            lines |= {
                f"server.{n + 1}": f"127.0.0.1:{ports[count + n]}:{ports[2 * count + n]}"
                for n in range(count)
            }
        server = ZooKeeperServer(directory / f"zk{index}", ports[index], lines, options)
        (directory / f"zk{index}" / "myid").write_text(f"{index + 1}\n")
        servers.append(server)
    try:
        for server in servers:
            server.start()
        for server in servers:
            server.wait()
        yield servers
    finally:
        for server in servers:
            server.stop()
