"""Stands in for mesos-executor: runs the command of one task."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

from .agent_link import FINAL_STATES, AgentLink, Json, from_nanoseconds, log, seconds
from .checks import Check, command_line
from .image import Image

KILL_GRACE_SECONDS = 3.0
GIVE_UP_SECONDS = 60.0
"""How long the executor waits for the acknowledgement of the last status."""


class CommandExecutor:
    what = "Command"
    """What the last status says has ended."""

    def __init__(self, image: Image | None) -> None:
        self._image = image
        self._link = AgentLink()
        self._task: Json = {}
        self._child: subprocess.Popen[bytes] | None = None
        self._framework: Json = {}
        self._checks: list[Check] = []
        self._found: Json = {}  # what the checks reported last
        self._deadline: float | None = None
        self._killed = self._too_long = self._sick = self._ended = False

    def run(self) -> None:
        """Follow the agent's events until the last status is acknowledged."""
        self._link.start()
        while self._take(self._link.inbox.get()):
            pass

    def _take(self, event: Json) -> bool:
        """One event; False when there is nothing more to do."""
        kind = event["type"]
        if kind == "SUBSCRIBED":
            self._framework = event["subscribed"]["framework_info"]
            log("Subscribed on", event["subscribed"]["agent_info"]["hostname"])
        elif kind == "LAUNCH":
            self._launch(event["launch"]["task"])
        elif kind == "KILL":
            policy = event["kill"].get("kill_policy") or self._task.get("kill_policy") or {}
            self._kill(from_nanoseconds(policy.get("grace_period"), KILL_GRACE_SECONDS))
        elif kind == "ACKNOWLEDGED":
            status = self._link.acknowledged(event["acknowledged"])
            return not (status and self._ended and status["state"] in FINAL_STATES)
        elif kind in ("SHUTDOWN", "LOST"):
            if self._child is None or self._ended:
                return False
            grace = seconds(os.environ.get("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD"), 5.0)
            self._kill(grace - 2)
            if kind == "LOST":
                self._later(3, "GIVE_UP")
        elif kind == "EXITED":
            self._exited(event["code"])
        elif kind == "CHECKED":
            self._checked(event)
        elif kind == "TOO_LONG":
            if not self._ended and not self._killed:
                self._too_long = True
                self._kill(0)
        elif kind == "ESCALATE":
            if not self._ended and self._deadline is not None and time.monotonic() >= self._deadline:
                self._signal(signal.SIGKILL)
        elif kind == "GIVE_UP":
            self._signal(signal.SIGKILL)
            sys.exit(1)
        return True

    def _post(self, kind: str, **fields: Any) -> None:
        self._link.inbox.put({"type": kind, **fields})

    def _later(self, delay: float, kind: str) -> None:
        timer = threading.Timer(delay, self._post, [kind])
        timer.daemon = True
        timer.start()

    def _update(self, state: str, **fields: Any) -> None:
        check = self._task.get("check")
        if check and "check_status" not in fields:
            kind = check.get("type", "COMMAND")
            fields["check_status"] = {"type": kind, kind.lower(): {}}
        self._link.update(self._task["task_id"], state, **fields)

    def _launch(self, task: Json) -> None:
        if self._task:
            message = "a command executor runs one task"
            self._link.update(task["task_id"], "TASK_FAILED", message=message)
            return
        self._task = task
        self._link.tasks[task["task_id"]["value"]] = task
        self._update("TASK_STARTING")
        environment = self._environment(task)
        log("Starting task", task["task_id"]["value"])
        try:
            child = self._start(task)
        except OSError as error:
            log("cannot start:", error)
            self._ended = True
            self._update("TASK_FAILED", message=f"Command failed: {error}")
            return
        self._child = child
        threading.Thread(target=lambda: self._post("EXITED", code=child.wait()), daemon=True).start()
        self._update("TASK_RUNNING")
        limit = from_nanoseconds(task.get("max_completion_time"), 0)
        if limit:
            self._later(limit, "TOO_LONG")
        for key in ("check", "health_check"):
            if key in task:
                self._checks.append(self._check(key, task[key], environment))

    def _start(self, task: Json) -> subprocess.Popen[bytes]:
        """The command, running, in a process group of its own. Raises OSError."""
        environment = self._environment(task)
        executable, arguments = command_line(task["command"])
        if self._image is not None:
            executable, arguments, environment = self._image.enter(task["command"], environment)
        return subprocess.Popen(arguments, executable=executable, env=environment, start_new_session=True)

    def _check(self, key: str, info: Json, environment: dict[str, str]) -> Check:
        def report(fields: Json, fatal: bool) -> None:
            self._post("CHECKED", what=key, fields=fields, fatal=fatal)

        return Check(info, report, environment, health=key == "health_check")

    def _environment(self, task: Json) -> dict[str, str]:
        environment = dict(os.environ)
        if self._image is not None:
            environment |= self._image.environment
        for variable in task["command"].get("environment", {}).get("variables", []):
            if variable.get("type", "VALUE") != "SECRET":
                environment[variable["name"]] = variable.get("value", "")
        resources = task.get("resources", [])
        roles = [item["allocation_info"]["role"] for item in resources if "allocation_info" in item]
        if roles:
            environment["MESOS_ALLOCATION_ROLE"] = roles[0]
        return environment

    def _signal(self, number: signal.Signals) -> None:
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, number)

    def _terminate(self, grace: float) -> None:
        """Ask the child to end; after ``grace`` seconds it is killed."""
        log("Sending SIGTERM; SIGKILL follows in", grace, "s")
        self._signal(signal.SIGTERM)

    def _kill(self, grace: float) -> None:
        if self._ended or self._child is None:
            return
        end = time.monotonic() + grace
        if not self._killed:
            capabilities = {item.get("type") for item in self._framework.get("capabilities", [])}
            if "TASK_KILLING_STATE" in capabilities and not self._too_long:
                self._update("TASK_KILLING")
            for check in self._checks:
                check.stop()
            self._killed = True
            self._terminate(grace)
        if self._deadline is None or end < self._deadline:
            self._deadline = end
            self._later(max(0.0, grace), "ESCALATE")

    def _exited(self, code: int) -> None:
        self._ended = True
        for check in self._checks:
            check.stop()
        if code < 0:
            message = f"{self.what} terminated with signal {signal.strsignal(-code)}"
        else:
            message = f"{self.what} exited with status {code}"
        fields: Json = {"message": message}
        if self._too_long:
            state = "TASK_FAILED"
            fields["reason"] = "REASON_MAX_COMPLETION_TIME_REACHED"
        elif self._killed:
            state = "TASK_KILLED"
            if self._sick:
                fields["healthy"] = False
        else:
            state = "TASK_FINISHED" if code == 0 else "TASK_FAILED"
        log(message)
        self._update(state, **fields)
        self._later(GIVE_UP_SECONDS, "GIVE_UP")

    def _checked(self, event: Json) -> None:
        if self._killed or self._ended:
            return
        self._found.update(event["fields"])
        word = "CHECK" if event["what"] == "check" else "HEALTH_CHECK"
        self._update("TASK_RUNNING", reason=f"REASON_TASK_{word}_STATUS_UPDATED", **self._found)
        if event["fatal"]:
            self._sick = True
            policy = self._task.get("kill_policy", {})
            self._kill(from_nanoseconds(policy.get("grace_period"), KILL_GRACE_SECONDS))


def main() -> None:
    CommandExecutor(Image.of(sys.argv[1:])).run()
