"""The first node: watches the others while the wrapper runs the script, and ends them after it."""

import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Dict, List, Optional

from . import wire
from .gang import Gang, Node, replace

REASON = "reason"
"""Control file: why the job was ended before its script was over. The wrapper puts it into the result."""

RESULT = "result"
"""Control file: how the script ended, as the wrapper tells."""

SHARED_RESULT = "shared_result"
"""Control file: the path of a copy of the result, where there is one."""

END_SECONDS = 60.0
"""How long the other nodes have to end what they run."""

PING_SECONDS = 5.0
_REFUSALS = 5
"""A node whose host refuses connections so often is gone; nobody else can take its port meanwhile."""

_RETRY_SECONDS = 0.5
_LOOK_AT_LINE_SECONDS = 0.5  # a program that is gone is noticed that soon
_LOOK_SECONDS = 0.05


class Watch:
    """One other node. It is lost when nothing was heard of it for too long, or its program is gone."""

    def __init__(self, gang: Gang, node: Node, lost: "threading.Event") -> None:
        """``lost`` is set when the node is."""
        self.node = node
        self.trouble = ""
        self._gang = gang
        self._lost = lost
        self._end = threading.Event()
        self._heard = time.monotonic()
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Tell the node that all is over. Comes back at once."""
        self._end.set()

    def wait(self, seconds: float) -> None:
        """Until the node has ended everything, or is gone."""
        self._thread.join(seconds)

    def _go_on(self) -> None:
        refusals = 0
        while not self.trouble:
            try:
                self._talk()
                return
            except ConnectionRefusedError:
                refusals += 1
                error = "its program is gone"
            except (OSError, wire.Lost, wire.Forged) as failure:
                refusals, error = 0, str(failure)
            silent = time.monotonic() - self._heard
            if refusals >= _REFUSALS or silent > self._gang.silence_seconds:
                self.trouble = error
                self._lost.set()
                return
            if self._end.wait(_RETRY_SECONDS):
                time.sleep(_LOOK_SECONDS)  # soon: all wait for this

    def _talk(self) -> None:
        connection = socket.create_connection((self.node.address, self.node.port), wire.HANDSHAKE_SECONDS)
        channel = wire.greet(connection, self._gang.secret, self.node.number)
        try:
            channel.send(wire.WATCH)
            while not self._end.is_set():
                channel.send(wire.PING)
                channel.receive(self._gang.silence_seconds)
                self._heard = time.monotonic()
                while channel.quiet() and time.monotonic() - self._heard < PING_SECONDS:
                    if self._end.wait(_LOOK_AT_LINE_SECONDS):
                        break
            channel.send(wire.END)
            channel.receive(END_SECONDS)
        finally:
            channel.close()


class FirstNode:
    """Runs the wrapper. Signals that end the job go to the wrapper, which knows what to do."""

    def __init__(self, gang: Gang, control: Path, others: List[Node]) -> None:
        self._gang = gang
        self._control = control
        self._lost = threading.Event()
        self._watches = [Watch(gang, node, self._lost) for node in others]
        self._wrapper: Optional["subprocess.Popen[bytes]"] = None
        self._ended_by_us = False

    def run(self, command: List[str], environment: Dict[str, str]) -> int:
        """The exit code of the wrapper, 128 + n if a signal ended it; by then the other nodes have ended."""
        self._wrapper = subprocess.Popen(command, env=environment)
        told = False
        while self._wrapper.poll() is None:
            if not told and self._lost.wait(_LOOK_SECONDS):
                told = True
                replace(self._control / REASON, self._what_was_lost() + "\n")
                self.forward(signal.SIGTERM)
            elif told:
                time.sleep(_LOOK_SECONDS)
        for watch in self._watches:
            watch.end()
        deadline = time.monotonic() + END_SECONDS
        for watch in self._watches:
            watch.wait(max(0.0, deadline - time.monotonic()))
        if not self._ended_by_us and self._lost.is_set():
            # The script may have ended because of that, and have made nothing of it.
            self._amend("node_lost=1\nreason={}\n".format(self._what_was_lost()))
        code = self._wrapper.returncode
        return 128 - code if code < 0 else code

    def forward(self, number: int, _frame: Optional[FrameType] = None) -> None:
        """Give a signal to the wrapper."""
        self._ended_by_us = True
        if self._wrapper is not None and self._wrapper.poll() is None:
            os.kill(self._wrapper.pid, number)

    def _amend(self, lines: str) -> None:
        """Add to the result of the wrapper, if there is one."""
        paths = [self._control / RESULT]
        try:
            copy = (self._control / SHARED_RESULT).read_text(encoding="utf-8", errors="surrogateescape")
            paths.append(Path(copy.rstrip("\n")))
        except OSError:
            pass  # there is no copy
        for path in paths:
            try:
                text, mode = path.read_text(encoding="utf-8", errors="surrogateescape"), path.stat().st_mode
                replace(path, text + lines)
                path.chmod(mode)
            except OSError:
                pass  # without a result the job does not count as completed

    def _what_was_lost(self) -> str:
        lost = ["{} ({})".format(watch.node.name, watch.trouble) for watch in self._watches if watch.trouble]
        return "lost " + ("node " if len(lost) == 1 else "nodes ") + ", ".join(lost)
