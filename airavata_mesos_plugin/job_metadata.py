"""What a job's configuration at the scheduler says of the job, so that it can be known again by that alone.

Everything stands in metadata under `PREFIX`. Whoever reads metadata may put it anywhere, so what is not plain
text stays out: paths and what users wrote are escaped as in URLs, and what is too long is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, unquote

from airavata_mesos_plugin.errors import InvalidRequest
from airavata_mesos_plugin.jobs import JobRecord, JobRequest

PREFIX = "airavata-mesos."

NODES = f"{PREFIX}nodes"
"""Says how many nodes a job has that runs on several; its first task runs the script."""

_PLAIN_TEXT = re.compile(r"[A-Za-z0-9_.@+:/%\-]([A-Za-z0-9_.@+:/%\- ]{0,1022})")
_LABEL = "label."
_REST = frozenset({
    "constraints",
    "array", "array_limit", "script_arguments", "working_directory_aliases", "submission_key", "requeue",
    "nodes", "tasks", "tasks_given", "cpus_per_task", "tasks_per_node", "memory_given", "gpus_given", "stdin",
    "append_output", "umask", "export", "account", "qos", "reservation", "mail_user", "mail_types",
})  # fmt: skip
"""Members of a request that go together, as JSON, those that are as usual left out.

Not among them: what has an entry of its own, what only counts before a job is sent to a scheduler (hold,
begin, dependency), and what is only shown.
"""


def metadata_of(record: JobRecord, provider: str, ledger: str) -> dict[str, str]:
    """The metadata of a job; ``provider`` is the name of this resource, ``ledger`` the word of the ledger."""
    request = record.request
    said = {
        "id": str(record.id),
        "provider": provider,
        "ledger": ledger,
        "attempt": str(record.attempt),
        "user": request.user,
        "name": request.name,
        "queue": request.queue,
        "uid": str(request.uid),
        "accepted": str(int(record.accepted_at)),
        "wall-time": str(request.wall_time_seconds),
        "directory": _escaped(request.working_directory),
        "command": _escaped(request.command),
        "stdout": _escaped(request.stdout),
        "stderr": _escaped(request.stderr or ""),
        "rest": _rest(request),
        **{f"{_LABEL}{_escaped(name)}": _escaped(value) for name, value in request.labels},
    }
    if request.nodes > 1:
        said["nodes"] = str(request.nodes)
    if record.array_id is not None:
        said.update({"array-id": str(record.array_id), "array-index": str(record.array_index)})
    return {PREFIX + name: text for name, text in said.items() if _plain(PREFIX + name) and _plain(text)}


def said_in(metadata: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The entries that are ours, without the prefix, and still escaped."""
    return {name.removeprefix(PREFIX): text for name, text in metadata if name.startswith(PREFIX)}


def labels_in(said: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The submitter's labels."""
    return tuple(
        (unescaped(name.removeprefix(_LABEL)), unescaped(text))
        for name, text in said.items()
        if name.startswith(_LABEL)
    )


def rest_in(said: Mapping[str, str]) -> dict[str, object]:
    """Members of the request that have no entry of their own; their values are not checked here.

    Raises InvalidRequest for what nobody here wrote.
    """
    text = said.get("rest", "")
    if not text:
        return {}
    try:
        document = json.loads(unescaped(text))
    except ValueError as error:
        raise InvalidRequest(f"its metadata {PREFIX}rest makes no sense: {error}") from None
    if not isinstance(document, dict) or not set(document) <= _REST:
        raise InvalidRequest(f"its metadata {PREFIX}rest has members that are never written there")
    return document


def unescaped(text: str) -> str:
    """Text as it was; bytes that are no UTF-8 come back as surrogates."""
    return unquote(text, errors="surrogateescape")


def _rest(request: JobRequest) -> str:
    members = request.model_dump(include=set(_REST), exclude_defaults=True)
    return _escaped(json.dumps(members, separators=(",", ":"))) if members else ""


def _escaped(text: str) -> str:
    """Text with everything but letters, digits and a few signs as ``%XX``, as in URLs."""
    return quote(text.encode("utf-8", "surrogateescape"), safe="/@+:-_.")


def _plain(text: str) -> bool:
    return _PLAIN_TEXT.fullmatch(text) is not None
