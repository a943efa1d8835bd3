"""What an answer of Aurora means: the envelope, and HTTP statuses without one (Aurora 0.22)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airavata_mesos_plugin.errors import (
    AiravataMesosError,
    AlreadyExists,
    AuthenticationFailed,
    ConfigurationError,
    InvalidRequest,
    NotLeader,
    NotReady,
    OutcomeUnknown,
    ProtocolError,
    QuotaExceeded,
    Refused,
    ServerFault,
    Unreachable,
)
from airavata_mesos_plugin.gen.aurora.ttypes import ResponseCode
from airavata_mesos_plugin.schedulers.aurora.codec import Method
from airavata_mesos_plugin.schedulers.http import Answer


class CallFailed(ServerFault):
    """The scheduler answered ERROR: it refused the arguments, or broke while it worked."""


class JobUpdating(NotReady):
    """An update of the job is under way; calls that change the job are refused until it is over."""


QUOTA_PREFIX = "Insufficient resource quota: "
EXISTS_SUFFIX = " already exists"

_CODES: dict[int, Callable[[str], AiravataMesosError] | None] = {
    ResponseCode.OK: None,
    ResponseCode.INVALID_REQUEST: lambda text: _invalid(text),
    ResponseCode.ERROR: CallFailed,
    # No release is known to send it, so nobody can say whether the call was carried out.
    ResponseCode.WARNING: ProtocolError,
    ResponseCode.AUTH_FAILED: Refused,
    ResponseCode.JOB_UPDATING_ERROR: JobUpdating,
    ResponseCode.ERROR_TRANSIENT: NotReady,
}

_ADVICE: dict[type[AiravataMesosError], str] = {
    Refused: "ask the cluster's administrator for the permission",
    NotReady: "the scheduler is starting or handing over; try again",
    QuotaExceeded: "wait until other jobs of the role have ended, use another tier, or ask for more quota",
}


def messages(response: Any) -> str:
    """The scheduler's own words in a ``Response``, joined by blanks; empty when there are none."""
    return " ".join(detail.message for detail in response.details or () if detail.message)


def unwrap(response: Any, method: Method, subject: str) -> Any:
    """The result member of a ``Response``; None for calls that answer with none.

    Raises the error that the response code stands for. ``subject`` names the job or role for messages.
    """
    code = response.responseCode
    if code not in _CODES:
        raise ProtocolError(f"{method.name} of {subject}: unknown response code {code}: {messages(response)}")
    make = _CODES[code]
    if make is not None:
        name = ResponseCode._VALUES_TO_NAMES[code]
        raise _complete(make(messages(response)), name, method, subject)
    if method.member is None:
        return None
    result = None if response.result is None else getattr(response.result, method.member)
    if result is None and not method.optional:
        raise ProtocolError(f"{method.name} of {subject}: OK, but {method.member} is missing in the answer")
    return result


def _complete(error: AiravataMesosError, code: str, method: Method, subject: str) -> AiravataMesosError:
    text = error.message or "no reason given"
    advice = _ADVICE.get(type(error), "")
    return type(error)(f"{method.name} of {subject}: {text} [{code}]", advice=advice)


def _invalid(text: str) -> AiravataMesosError:
    # Texts of createJob; a message that only contains such words elsewhere is not meant.
    if text.startswith(QUOTA_PREFIX):
        return QuotaExceeded(text)
    if text.startswith("Job ") and text.endswith(EXISTS_SUFFIX):
        return AlreadyExists(text)
    return InvalidRequest(text)


def error_for_status(answer: Answer) -> AiravataMesosError:
    """The error that an HTTP status other than 200 stands for.

    307 and 415 come here only when the transport could not follow or change the protocol.
    """
    status, where = answer.status, f"{answer.url} answered HTTP {answer.status}"
    if status in (301, 302, 303, 307, 308):
        return NotLeader(
            f"{where} to {answer.location!r}, which leads nowhere",
            advice="list all schedulers of the cluster in the configuration",
        )
    if status in (401, 407):
        return AuthenticationFailed(f"{where}: credentials are missing or wrong")
    if status == 403:
        return Refused(f"{where}: the account may not use the API", advice=_ADVICE[Refused])
    if status in (404, 405, 410):
        return Unreachable(f"{where}: there is no Aurora API", advice="check the scheduler's address")
    if status == 413:
        return InvalidRequest(f"{where}: the job configuration is too large")
    if status == 415:
        return ConfigurationError(
            f"{where}: the scheduler does not take this Thrift protocol",
            advice="set the cluster's protocol to auto or json",
        )
    if status in (408, 425, 429):
        return NotReady(f"{where}: the server asks for a pause")
    if status == 503:
        return NotLeader(f"{where}: it does not know a leading scheduler")
    if status in (502, 504):
        return OutcomeUnknown(f"{where}: a proxy got no answer from the scheduler")
    if status >= 500:
        return ServerFault(f"{where}: {_first_line(answer.body)}")
    return ProtocolError(f"{where}: {_first_line(answer.body)}")


def _first_line(body: bytes) -> str:
    text = body[:2000].decode("utf-8", "replace").strip()
    return text.splitlines()[0][:200] if text else "no explanation"
