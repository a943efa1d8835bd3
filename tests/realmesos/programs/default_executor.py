"""Stands in for mesos-default-executor: runs task groups in nested containers."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import threading
import uuid
from pathlib import Path
from typing import Any

from .agent_link import FINAL_STATES, AgentLink, Json, from_nanoseconds, log
from .checks import Check

KILL_GRACE_SECONDS = 3.0
LINGER_SECONDS = 5.0
"""How long the executor waits for the acknowledgement of the last status."""


class _Child:
    def __init__(self, task: Json, group: Json, parent: Json | None) -> None:
        self.task = task
        self.group = group
        self.container = {"value": str(uuid.uuid4()), "parent": parent}
        self.killed = self.too_long = self.sick = self.launched = False
        self.checks: list[Check] = []
        self.found: Json = {}  # what the checks reported last

    def grace(self, policy: Json | None = None) -> float:
        policy = policy or self.task.get("kill_policy") or {}
        return from_nanoseconds(policy.get("grace_period"), KILL_GRACE_SECONDS)


class DefaultExecutor:
    def __init__(self) -> None:
        self._link = AgentLink()
        self._children: dict[str, _Child] = {}
        self._container: Json | None = None
        self._framework: Json = {}
        self._closing = False
        self._epoch = 0  # counts subscriptions; waits of an older one are asked again
        self._final: set[str] = set()

    def run(self) -> None:
        """Follow the agent's events until all tasks are over and that is acknowledged."""
        self._link.start()
        while self._take(self._link.inbox.get()):
            pass

    def _take(self, event: Json) -> bool:
        """One event; False when there is nothing more to do."""
        kind = event["type"]
        child = self._children.get(event.get("task", ""))
        if kind == "SUBSCRIBED":
            self._subscribed(event["subscribed"])
        elif kind == "LAUNCH_GROUP":
            self._launch(event["launch_group"]["task_group"])
        elif kind == "KILL":
            task = event["kill"]["task_id"]["value"]
            if task in self._children:
                self._kill(task, self._children[task].grace(event["kill"].get("kill_policy")))
        elif kind == "ACKNOWLEDGED":
            status = self._link.acknowledged(event["acknowledged"])
            if status:
                self._final.discard(status["uuid"])
            return not (self._closing and not self._children and not self._final)
        elif kind in ("SHUTDOWN", "LOST"):
            self._closing = True
            for task, one in list(self._children.items()):
                self._kill(task, one.grace())
            return kind == "SHUTDOWN" and bool(self._children)
        elif kind == "ENDED":
            self._ended(event["task"], event["status"], event["text"])
        elif kind == "CHECKED":
            if child is not None and not child.killed:
                self._checked(child, event)
        elif kind == "TOO_LONG":
            if child is not None and not child.killed:
                child.too_long = True
                self._kill(event["task"], 0)
        elif kind == "ESCALATE" and child is not None:
            self._signal(child, signal.SIGKILL)
        return bool(kind != "GIVE_UP")

    def _post(self, kind: str, **fields: Any) -> None:
        self._link.inbox.put({"type": kind, **fields})

    def _later(self, delay: float, kind: str, **fields: Any) -> None:
        timer = threading.Timer(delay, lambda: self._post(kind, **fields))
        timer.daemon = True
        timer.start()

    def _api(self, kind: str, timeout: float | None = None, **fields: Any) -> tuple[int, bytes]:
        connection, response = self._link.post("/api/v1", {"type": kind, **fields}, timeout)
        text = response.read()
        connection.close()
        return response.status, text

    def _update(self, child: _Child, state: str, **fields: Any) -> None:
        check = child.task.get("check")
        if check and "check_status" not in fields:
            kind = check.get("type", "COMMAND")
            fields["check_status"] = {"type": kind, kind.lower(): {}}
        fields["container_status"] = {"container_id": child.container}
        status = self._link.update(child.task["task_id"], state, **fields)
        if state in FINAL_STATES:
            self._final.add(status["uuid"])

    def _subscribed(self, event: Json) -> None:
        self._framework = event["framework_info"]
        self._container = event.get("container_id") or self._container
        self._epoch += 1
        for task, child in self._children.items():
            if child.launched:
                self._wait(task)

    def _launch(self, group: Json) -> None:
        for task in group["tasks"]:
            child = _Child(task, group, self._container)
            name = task["task_id"]["value"]
            self._children[name] = child
            self._link.tasks[name] = task
            self._update(child, "TASK_STARTING")
            command = self._command(task)
            status, text = self._launch_container(child, command)
            if status != 200:
                log("launch of", name, "answered", status, text.decode())
                self._ended(name, None, text.decode())
                continue
            child.launched = True
            tasks = Path("tasks")
            tasks.mkdir(exist_ok=True)
            (tasks / name).symlink_to(Path.cwd() / "containers" / str(child.container["value"]))
            self._update(child, "TASK_RUNNING")
            limit = from_nanoseconds(task.get("max_completion_time"), 0)
            if limit:
                self._later(limit, "TOO_LONG", task=name)
            environment = dict(os.environ)
            for variable in command["environment"]["variables"]:
                environment[variable["name"]] = variable.get("value", "")
            for key in ("check", "health_check"):
                if key in task:
                    child.checks.append(self._check(name, key, task[key], environment))
            self._wait(name)

    def _command(self, task: Json) -> Json:
        command: Json = json.loads(json.dumps(task.get("command", {})))
        variables = command.setdefault("environment", {}).setdefault("variables", [])
        host = self._link.address.rsplit(":", 1)[0]
        variables.append({"name": "MESOS_CONTAINER_IP", "value": host})
        resources = task.get("resources", [])
        roles = [item["allocation_info"]["role"] for item in resources if "allocation_info" in item]
        if roles:
            variables.append({"name": "MESOS_ALLOCATION_ROLE", "value": roles[0]})
        return command

    def _launch_container(self, child: _Child, command: Json) -> tuple[int, bytes]:
        body = {
            "container_id": child.container,
            "command": command,
            "resources": child.task.get("resources", []),
        }
        body |= {key: child.task[key] for key in ("container", "limits") if child.task.get(key)}
        status, text = self._api("LAUNCH_CONTAINER", launch_container=body)
        if status == 400 and b"Resources may not" in text:
            del body["resources"]  # Mesos before 1.10 gives nested containers none of their own
            body.pop("limits", None)
            status, text = self._api("LAUNCH_CONTAINER", launch_container=body)
        return status, text

    def _check(self, task: str, key: str, info: Json, environment: dict[str, str]) -> Check:
        def report(fields: Json, fatal: bool) -> None:
            self._post("CHECKED", task=task, what=key, fields=fields, fatal=fatal)

        return Check(info, report, environment, health=key == "health_check")

    def _wait(self, task: str) -> None:
        child, epoch = self._children[task], self._epoch

        def ask() -> None:
            try:
                body = {"container_id": child.container}
                status, text = self._api("WAIT_CONTAINER", wait_container=body)
            except (OSError, http.client.HTTPException) as error:
                log("wait:", repr(error))  # asked again after the next subscription
                return
            if epoch == self._epoch or status == 200:
                self._post("ENDED", task=task, status=status, text=text.decode())

        threading.Thread(target=ask, daemon=True).start()

    def _ended(self, task: str, status: int | None, text: str) -> None:
        child = self._children.pop(task, None)
        if child is None:
            return
        for check in child.checks:
            check.stop()
        state, fields = _verdict(child, status, text)
        self._update(child, state, **fields)
        if state != "TASK_FINISHED" and not self._closing:
            for other in [name for name, one in self._children.items() if one.group is child.group]:
                self._kill(other, KILL_GRACE_SECONDS)
        if not self._children:
            self._closing = True
            self._later(LINGER_SECONDS, "GIVE_UP")

    def _kill(self, task: str, grace: float) -> None:
        child = self._children.get(task)
        if child is None or child.killed:
            return
        child.killed = True
        capabilities = {item.get("type") for item in self._framework.get("capabilities", [])}
        if "TASK_KILLING_STATE" in capabilities and not child.too_long:
            self._update(child, "TASK_KILLING")
        self._signal(child, signal.SIGTERM)
        self._later(max(0.0, grace), "ESCALATE", task=task)

    def _signal(self, child: _Child, number: signal.Signals) -> None:
        body = {"container_id": child.container, "signal": int(number)}
        with contextlib.suppress(OSError):  # the agent is away; what it cannot end, it ends when it recovers
            self._api("KILL_CONTAINER", 10, kill_container=body)

    def _checked(self, child: _Child, event: Json) -> None:
        child.found.update(event["fields"])
        word = "CHECK" if event["what"] == "check" else "HEALTH_CHECK"
        self._update(child, "TASK_RUNNING", reason=f"REASON_TASK_{word}_STATUS_UPDATED", **child.found)
        if event["fatal"]:
            child.sick = True
            self._kill(event["task"], child.grace())


def _verdict(child: _Child, status: int | None, text: str) -> tuple[str, Json]:
    """State and fields of the last status, from the answer to WAIT_CONTAINER."""
    fields: Json = {}
    code: int | None = None
    if status == 200:
        waited = json.loads(text).get("wait_container", {})
        code = waited.get("exit_status")
        fields = {key: waited[key] for key in ("reason", "limitation") if waited.get(key)}
    if code is None:
        state, message = "TASK_FAILED", text if status is None else "no exit status"
    elif os.WIFSIGNALED(code):
        name = signal.strsignal(os.WTERMSIG(code))
        state, message = "TASK_FAILED", f"Command terminated with signal {name}"
    else:
        message = f"Command exited with status {os.WEXITSTATUS(code)}"
        state = "TASK_FAILED" if code else "TASK_FINISHED"
    if child.too_long:
        state = "TASK_FAILED"
        fields["reason"] = "REASON_MAX_COMPLETION_TIME_REACHED"
    elif child.killed:
        state = "TASK_KILLED"
        if child.sick:
            fields["healthy"] = False
    return state, {**fields, "message": message}


def main() -> None:
    DefaultExecutor().run()
