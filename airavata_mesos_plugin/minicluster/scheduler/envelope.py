"""The response envelope of every call."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from airavata_mesos_plugin.gen.aurora import ttypes as api


class Code(IntEnum):
    INVALID_REQUEST = 0
    OK = 1
    ERROR = 2
    WARNING = 3
    AUTH_FAILED = 4
    JOB_UPDATING_ERROR = 5
    ERROR_TRANSIENT = 6


class Refusal(Exception):
    """A call ends with this code and message.  A message of None is a detail without text."""

    def __init__(self, code: Code, message: str | None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def invalid(message: str) -> Refusal:
    return Refusal(Code.INVALID_REQUEST, message)


def failed_precondition(message: str | None = None) -> Refusal:
    """An argument, as opposed to a configuration, is not what the call needs."""
    return Refusal(Code.ERROR, message)


def response(cluster: str, code: Code, result: Any, details: tuple[str | None, ...]) -> Any:
    return api.Response(
        responseCode=int(code),
        serverInfo=api.ServerInfo(clusterName=cluster, statsUrlPrefix=""),
        result=result,
        details=tuple(api.ResponseDetail(message=message) for message in details),
    )


def storage_not_ready(cluster: str) -> Any:
    """What a scheduler answers that has no storage: one that does not lead, or begins to."""
    return response(cluster, Code.ERROR_TRANSIENT, None, ("Storage is not READY",))
