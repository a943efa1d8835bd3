"""The side of a node that waits: starts commands for the other nodes of the job, and no one else."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
from typing import IO, Any, Dict, List, Mapping, Optional

from . import processes, wire
from .gang import Gang
from .surroundings import session_directory

PIECE = 65536
"""Bytes that are read from a command at once."""

GRACE_SECONDS = 5.0
"""Between TERM and KILL when whoever asked for a command went away."""

OWN_VARIABLES = frozenset(
    {
        "HOSTNAME",
        "OLDPWD",
        "PWD",
        "SHLVL",
        "SLURMD_NODENAME",
        "SLURM_LAUNCH_NODE_IPADDR",
        "SLURM_TOPOLOGY_ADDR",
        "_",
        "AIRAVATA_MESOS_RUN",
    }
)
"""What a command does not take from the node that asks for it."""


class WaitingSide:
    """Listens from the start; `close` ends the commands too."""

    def __init__(self, gang: Gang, index: int, address: str, place: str, name: str = "") -> None:
        """``place`` is the directory where a command runs whose own one is not on this node.

        Raises OSError when ``address`` cannot be listened on.
        """
        self.ended = threading.Event()
        self.joined = False  # the job has begun with this node
        self.name = name
        self.sessions = ""  # directory for launchers' daemons; empty when /tmp is theirs alone
        self._gang = gang
        self._index = index
        self._place = place
        self._heard = time.monotonic()
        self._lock = threading.Lock()
        self._closed = False
        self._ends: List[wire.Channel] = []
        self._listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        self._listener.bind((address, 0))
        self._listener.listen(128)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def heard(self) -> None:
        """The first node has given a sign of life."""
        with self._lock:
            self._heard = time.monotonic()

    def silent_seconds(self) -> float:
        """How long the first node has given none."""
        with self._lock:
            return time.monotonic() - self._heard

    def close(self, grace_seconds: float) -> None:
        """End every command, then tell those who asked for it that nothing is left. Repeatable.

        A node that has not joined the job ends nothing: it has no commands, but on its host there may be
        another node of the job that has.
        """
        with self._lock:
            self._closed = True
            waiting, self._ends = self._ends, []
        self._listener.close()
        if self.joined:
            processes.end_marked(self._gang.marker, grace_seconds)
        for channel in waiting:
            try:
                channel.send(wire.ENDED)
            except wire.Lost:
                pass  # it does not want to know any more
            channel.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            channel = wire.welcome(connection, self._gang.secret, self._index)
        except (wire.Lost, wire.Forged):
            connection.close()
            return
        try:
            kind, payload = channel.receive(wire.HANDSHAKE_SECONDS)
            if kind == wire.RUN:
                self._run(channel, json.loads(payload.decode("utf-8")))
            elif kind == wire.WATCH:
                self._be_watched(channel)
        except (wire.Lost, wire.Forged, ValueError):
            pass  # whoever asked is gone, or no node of ours
        finally:
            with self._lock:
                kept = channel in self._ends
            if not kept:
                channel.close()

    def _be_watched(self, channel: wire.Channel) -> None:
        self.heard()
        while True:
            kind, _ = channel.receive(self._gang.silence_seconds)
            self.heard()
            if kind == wire.PING:
                channel.send(wire.PONG)
            elif kind == wire.END:
                with self._lock:
                    self._ends.append(channel)
                self.ended.set()
                return

    def _run(self, channel: wire.Channel, request: Dict[str, Any]) -> None:
        argv = [str(word) for word in request["argv"]]
        directory = str(request["directory"])
        if not os.path.isdir(directory):
            directory = self._place
        # A directory has other names on other nodes but for this one, so programs should tell it by this one.
        environment = dict(self.environment(request["environment"]), PWD=directory)
        try:
            with self._lock:
                # Otherwise it could be started after all others were ended.
                if self._closed:
                    raise OSError("the job is over on this node")
                command = processes.start(argv, directory, environment)
        except (OSError, ValueError) as error:
            text = getattr(error, "strerror", None) or str(error)
            channel.send(wire.FAILED, text.encode("utf-8", "replace"))
            return
        _Relay(channel, command).go_on()

    def environment(self, given: Mapping[str, str]) -> Dict[str, str]:
        """The variables of a command: those of whoever asks, and what is this node's own."""
        made = {name: value for name, value in given.items() if name not in OWN_VARIABLES}
        for name, value in os.environ.items():
            if name in OWN_VARIABLES or name.startswith(("MESOS_", "LIBPROCESS_")):
                made[name] = value
        if self.sessions:
            made.update(session_directory(self.sessions))
        made[processes.MARKER] = self._gang.marker
        made["SLURM_NODEID"] = str(self._index)
        if self.name:
            made["SLURMD_NODENAME"] = made["HOSTNAME"] = made["SLURM_TOPOLOGY_ADDR"] = self.name
        return made


class _Relay:
    """Between one command and whoever asked for it."""

    def __init__(self, channel: wire.Channel, command: "subprocess.Popen[bytes]") -> None:
        self._channel = channel
        self._command = command

    def go_on(self) -> None:
        """Until the command is over and all that it said has been sent, or whoever asked is gone."""
        assert self._command.stdout is not None
        assert self._command.stderr is not None
        pumps = [
            threading.Thread(target=self._pump, args=pair, daemon=True)
            for pair in ((wire.STDOUT, self._command.stdout), (wire.STDERR, self._command.stderr))
        ]
        threading.Thread(target=self._listen, daemon=True).start()
        for pump in pumps:
            pump.start()
        for pump in pumps:
            pump.join()
        code = self._command.wait()
        try:
            self._channel.send(wire.EXIT, str(code).encode("ascii"))
        except wire.Lost:
            pass  # nobody wants to know
        self._channel.close()

    def _pump(self, kind: bytes, stream: IO[bytes]) -> None:
        try:
            while True:
                piece = os.read(stream.fileno(), PIECE)
                if not piece:
                    return
                self._channel.send(kind, piece)
        except wire.Lost:
            self._end()
        finally:
            stream.close()

    def _listen(self) -> None:
        stdin: Optional[IO[bytes]] = self._command.stdin
        try:
            while True:
                kind, payload = self._channel.receive()
                if kind == wire.SIGNAL:
                    self._signal(int(payload))
                elif kind == wire.STDIN and stdin is not None:
                    stdin = _feed(stdin, payload)
        except (wire.Lost, wire.Forged, ValueError):
            self._end()

    def _signal(self, number: int) -> None:
        if self._command.poll() is None:
            try:
                os.killpg(self._command.pid, number)
            except OSError:
                pass  # it ended meanwhile

    def _end(self) -> None:
        """Whoever asked is gone, so nobody will ever hear of the command."""
        self._signal(signal.SIGTERM)
        try:
            self._command.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)


def _feed(stdin: IO[bytes], piece: bytes) -> Optional[IO[bytes]]:
    """Give the command a piece of its input; None when it takes no more."""
    try:
        if piece:
            view = memoryview(piece)
            while view:
                view = view[os.write(stdin.fileno(), view) :]
            return stdin
    except OSError:
        pass  # it has closed its input
    stdin.close()
    return None
