"""Reading the JSON of a task: the configuration in `ExecutorConfig.data` (Thermos, Aurora 0.22)."""

from __future__ import annotations

import json
import re

from airavata_mesos_plugin.minicluster.executor.templates import BadAddress, bind_text, bind_tree

FAILED, LOST = "TASK_FAILED", "TASK_LOST"
_PROCESS_NAME = re.compile(r"[^./][^/]*")
_PROCESS_MEMBERS = frozenset(
    ["name", "cmdline", "resources", "max_failures", "daemon", "ephemeral", "min_duration", "final", "logger"]
)
_DESTINATIONS = ("file", "console", "both", "none")
_MODES = ("standard", "rotate")
_LOG_SIZE, _BACKUPS = 104857600, 5


class Refused(Exception):
    """The task cannot be run: `state` and `message` are what the scheduler is told."""

    def __init__(self, state: str, message: str) -> None:
        super().__init__(message)
        self.state = state
        self.message = message


class Process:
    """One process of a task.  `min_duration` in seconds; `max_failures` 0 means retried without limit;
    `rotation` is the size of a log in bytes and the number of older ones that are kept, or None.
    """

    __slots__ = (
        "cmdline",
        "daemon",
        "destination",
        "ephemeral",
        "final",
        "max_failures",
        "min_duration",
        "name",
        "rotation",
    )

    def __init__(
        self,
        name: str,
        cmdline: str,
        max_failures: int = 1,
        daemon: bool = False,
        ephemeral: bool = False,
        min_duration: int = 5,
        final: bool = False,
        destination: str = "file",
        rotation: tuple[int, int] | None = None,
    ) -> None:
        self.name = name
        self.cmdline = cmdline
        self.max_failures = max_failures
        self.daemon = daemon
        self.ephemeral = ephemeral
        self.min_duration = min_duration
        self.final = final
        self.destination = destination
        self.rotation = rotation


class Task:
    """A task ready to run. `finalization_wait` in seconds; `max_failures` 0 means that it never fails for
    failed processes; `max_concurrency` 0 means no limit."""

    __slots__ = (
        "finalization_wait",
        "max_concurrency",
        "max_failures",
        "name",
        "orders",
        "processes",
        "tree",
    )

    def __init__(
        self,
        name: str,
        processes: list[Process],
        orders: list[list[str]],
        max_failures: int,
        max_concurrency: int,
        finalization_wait: int,
        tree: dict[str, object],
    ) -> None:
        self.name = name
        self.processes = processes
        self.orders = orders
        self.max_failures = max_failures
        self.max_concurrency = max_concurrency
        self.finalization_wait = finalization_wait
        self.tree = tree


class Context:
    """What the executor knows about the assignment and binds into the configuration."""

    __slots__ = ("hostname", "instance", "ports", "role", "task_id")

    def __init__(self, task_id: str, role: str, instance: int, hostname: str, ports: dict[str, int]) -> None:
        self.task_id = task_id
        self.role = role
        self.instance = instance
        self.hostname = hostname
        self.ports = ports

    def bindings(self) -> dict[str, object]:
        return {
            "mesos": {"instance": self.instance, "hostname": self.hostname},
            "thermos": {"task_id": self.task_id, "ports": dict(self.ports), "user": self.role},
        }


def _undecodable(why: str) -> Refused:
    return Refused(FAILED, f"Could not deserialize thermos config: {why}")


def _object(value: object, what: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise _undecodable(f"{what} must be an object")
    return value


def _list(value: object, what: str) -> list[object]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise _undecodable(f"{what} must be a list")
    return value


def _integer(value: object, default: int, what: str) -> int:
    """Thermos takes numbers given as texts."""
    if value is None:
        return default
    try:
        return int(value)  # type: ignore[call-overload, no-any-return]
    except (TypeError, ValueError):
        raise _undecodable(f"{what} must be an integer, not {value!r}") from None


def _boolean(value: object, what: str) -> bool:
    if value is None:
        return False
    if isinstance(value, (bool, int)):
        return bool(value)
    if isinstance(value, str) and value.lower() in ("true", "1", "false", "0"):
        return value.lower() in ("true", "1")
    raise _undecodable(f"{what} must be a boolean, not {value!r}")


def _text(value: object, what: str) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise _undecodable(f"{what} must be a text" if value is not None else f"{what} is required")
    return str(value)


def _process(value: object, position: int) -> Process:
    where = f"process {position}"
    members = _object(value, where)
    unknown = sorted(set(members) - _PROCESS_MEMBERS)
    if unknown:
        raise _undecodable(f"{where} has unknown members: {', '.join(unknown)}")
    name = _text(members.get("name"), f"name of {where}")
    where = f"process {name}"
    destination, rotation = _logger(members.get("logger"), where)
    return Process(
        name=name,
        cmdline=_text(members.get("cmdline"), f"cmdline of {where}"),
        max_failures=_integer(members.get("max_failures"), 1, f"max_failures of {where}"),
        daemon=_boolean(members.get("daemon"), f"daemon of {where}"),
        ephemeral=_boolean(members.get("ephemeral"), f"ephemeral of {where}"),
        min_duration=_integer(members.get("min_duration"), 5, f"min_duration of {where}"),
        final=_boolean(members.get("final"), f"final of {where}"),
        destination=destination,
        rotation=rotation,
    )


def _logger(value: object, where: str) -> tuple[str, tuple[int, int] | None]:
    """Where logs go, and how they are rotated."""
    members = {} if value is None else _object(value, f"logger of {where}")
    destination = _text(members.get("destination", "file"), "logger destination")
    if destination not in _DESTINATIONS:
        raise _undecodable(f"logger destination of {where} must be one of {', '.join(_DESTINATIONS)}")
    mode = _text(members.get("mode", "standard"), "logger mode")
    if mode not in _MODES:
        raise _undecodable(f"logger mode of {where} must be one of {', '.join(_MODES)}")
    if mode == "standard":
        return destination, None
    policy = members.get("rotate")
    policy = {} if policy is None else _object(policy, f"rotation of {where}")
    size = _integer(policy.get("log_size"), _LOG_SIZE, "log_size")
    return destination, (size, _integer(policy.get("backups"), _BACKUPS, "backups"))


def _order(value: object) -> list[str]:
    members = _object(value, "a constraint")
    unknown = sorted(set(members) - {"order"})
    if unknown:
        raise _undecodable(f"a constraint has unknown members: {', '.join(unknown)}")
    return [_text(name, "a name in an order") for name in _list(members.get("order"), "order")]


def _bound(task: dict[str, object], job: dict[str, object], context: Context) -> dict[str, object]:
    unbound: set[str] = set()
    outer = {key: value for key, value in job.items() if key != "task"}
    outer["task"] = task
    try:
        bound = bind_tree(task, [context.bindings(), outer], unbound)
    except BadAddress as error:
        raise Refused(FAILED, f"Task initialization failed: {error}") from None
    if unbound and all(reference.startswith("{{thermos.ports[") for reference in unbound):
        # The runner of Thermos leaves with an internal error (101) for a port that was never assigned.
        raise Refused(LOST, "Thermos failed with internal error.")
    if unbound:
        raise Refused(FAILED, "Got invalid task: Unexpected unbound refs: " + " ".join(sorted(unbound)))
    return _object(bound, "task")


def _check_second_pass(processes: list[Process], bindings: dict[str, object]) -> None:
    """The runner of Thermos binds once more, so braces that an escape left behind are looked at again."""
    left: set[str] = set()
    try:
        for process in processes:
            process.cmdline = bind_text(process.cmdline, [bindings], left)
    except BadAddress:
        raise Refused(FAILED, "Thermos received an invalid task.") from None
    if left:
        raise Refused(FAILED, "Thermos received an invalid task.")


def load(data: str | None, context: Context) -> Task:
    """The task in `data`, templates bound.

    Both wire forms are taken: the whole job object of today's clients and the older task instance (an
    object with a member `instance`); the parts read here are the same in both. Raises Refused.
    """
    if not data:
        raise Refused(FAILED, "Task did not have a thermos config!")
    try:
        job = json.loads(data)
    except ValueError as error:
        raise _undecodable(str(error)) from None
    job = _object(job, "the configuration")
    for member in ("role", "environment"):
        _text(job.get(member), member)
    tree = _object(job.get("task"), "task")
    tree.setdefault("user", context.role)
    processes = _list(tree.get("processes"), "processes")
    if processes and "name" not in tree and isinstance(processes[0], dict):
        tree["name"] = processes[0].get("name", "")
    job.setdefault("name", tree.get("name", ""))
    tree = _bound(tree, job, context)
    found = [_process(value, index) for index, value in enumerate(_list(tree.get("processes"), "processes"))]
    names = [process.name for process in found]
    if not found or len(set(names)) != len(names) or not all(map(_PROCESS_NAME.fullmatch, names)):
        raise Refused(FAILED, "Thermos received an invalid task.")
    _check_second_pass(found, context.bindings())
    return Task(
        name=_text(tree.get("name"), "name of the task"),
        processes=found,
        orders=[_order(value) for value in _list(tree.get("constraints"), "constraints")],
        max_failures=_integer(tree.get("max_failures"), 1, "max_failures of the task"),
        max_concurrency=_integer(tree.get("max_concurrency"), 0, "max_concurrency"),
        finalization_wait=_integer(tree.get("finalization_wait"), 30, "finalization_wait"),
        tree=tree,
    )
