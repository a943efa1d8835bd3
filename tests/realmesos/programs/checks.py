"""Checks and health checks of a task, run on the host."""

from __future__ import annotations

import http.client
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]
Report = Callable[[Json, bool], None]
"""Takes the fields of a status that changed, and whether the task is to be killed."""


class Check:
    """One check, in a thread of its own until `stop`."""

    def __init__(self, info: Json, report: Report, environment: dict[str, str], *, health: bool) -> None:
        self._info = info
        self._report = report
        self._environment = environment
        self._health = health
        self._stopped = threading.Event()
        threading.Thread(target=self._loop, daemon=True).start()

    def stop(self) -> None:
        """Report nothing any more. Repeatable."""
        self._stopped.set()

    def _loop(self) -> None:
        began, last, failures, ever = time.monotonic(), None, 0, False
        result: Any = None
        self._stopped.wait(self._info.get("delay_seconds", 15.0))
        while not self._stopped.is_set():
            kind, found = self._once()
            if self._stopped.is_set():
                return
            if not self._health:
                if found != result:
                    self._report({"check_status": {"type": kind.upper(), kind: found}}, False)
                result = found
            elif _good(kind, found):
                failures, ever = 0, True
                if last is not True:
                    self._report({"healthy": True}, False)
                last = True
            elif ever or time.monotonic() - began >= self._info.get("grace_period_seconds", 10.0):
                failures += 1
                fatal = failures >= self._info.get("consecutive_failures", 3)
                if last is not False or fatal:
                    self._report({"healthy": False}, fatal)
                last = False
            self._stopped.wait(self._info.get("interval_seconds", 10.0))

    def _once(self) -> tuple[str, Json]:
        info, timeout = self._info, self._info.get("timeout_seconds", 20.0)
        kind = info.get("type") or ("HTTP" if "http" in info else "TCP" if "tcp" in info else "COMMAND")
        if kind == "COMMAND":
            return "command", self._command(timeout)
        if kind == "HTTP":
            try:
                connection = http.client.HTTPConnection("127.0.0.1", info["http"]["port"], timeout=timeout)
                connection.request("GET", info["http"].get("path") or "/")
                return "http", {"status_code": connection.getresponse().status}
            except (OSError, http.client.HTTPException):
                return "http", {}
        try:
            socket.create_connection(("127.0.0.1", info["tcp"]["port"]), timeout=timeout).close()
        except OSError:
            return "tcp", {"succeeded": False}
        return "tcp", {"succeeded": True}

    def _command(self, timeout: float) -> Json:
        command = self._info["command"] if self._health else self._info["command"]["command"]
        environment = dict(self._environment)
        for variable in command.get("environment", {}).get("variables", []):
            environment[variable["name"]] = variable.get("value", "")
        executable, arguments = command_line(command)
        try:
            done = subprocess.run(
                arguments, executable=executable, env=environment, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired:
            return {}
        return {"exit_code": done.returncode}


def command_line(command: Json) -> tuple[str, list[str]]:
    """What a CommandInfo runs: the program, and its arguments from argument 0 on."""
    if command.get("shell", True):
        return "/bin/sh", ["/bin/sh", "-c", command["value"]]
    return command["value"], command.get("arguments") or [command["value"]]


def _good(kind: str, found: Json) -> bool:
    if kind == "command":
        return bool(found.get("exit_code") == 0)
    if kind == "http":
        return bool(200 <= found.get("status_code", 0) < 400)
    return bool(found["succeeded"])
