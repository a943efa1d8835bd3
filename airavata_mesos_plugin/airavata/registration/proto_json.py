"""Between `documents` (names of Airavata 0.21) and the proto3 JSON of Airavata master (June 2026)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_RENAMED = {"overridebyAiravata": "overrideByAiravata", "defaultCPUCount": "defaultCpuCount"}
_NUMBERED: dict[str, dict[str, str]] = {
    # The numbers of master: those of 0.21 and one more, since zero means unknown there.
    "jobManagerCommands": {
        "SUBMISSION": "1",
        "JOB_MONITORING": "2",
        "DELETION": "3",
        "CHECK_JOB": "4",
        "SHOW_QUEUE": "5",
        "SHOW_RESERVATION": "6",
        "SHOW_START": "7",
        "SHOW_CLUSTER_INFO": "8",
        "SHOW_NO_OF_RUNNING_JOBS": "9",
        "SHOW_NO_OF_PENDING_JOBS": "10",
    },
}


def to_proto(value: Any, name: str = "") -> Any:
    """A document, or a part of one in the field ``name``, as master reads it."""
    if isinstance(value, Mapping):
        numbers = _NUMBERED.get(name)
        if numbers is not None:
            return {numbers.get(key, key): entry for key, entry in value.items()}
        return {_RENAMED.get(key, key): to_proto(entry, key) for key, entry in value.items()}
    return [to_proto(entry, name) for entry in value] if isinstance(value, list) else value


def from_proto(value: Any, name: str = "") -> Any:
    """What master answers, as a document. Numbers of commands that are not known stay as they are."""
    if isinstance(value, Mapping):
        numbers = _NUMBERED.get(name)
        if numbers is not None:
            names = {number: command for command, number in numbers.items()}
            return {names.get(str(key), str(key)): entry for key, entry in value.items()}
        old = {new: before for before, new in _RENAMED.items()}
        fields = {old.get(str(key), str(key)): entry for key, entry in value.items()}
        return {key: from_proto(entry, key) for key, entry in fields.items()}
    return [from_proto(entry, name) for entry in value] if isinstance(value, list) else value
