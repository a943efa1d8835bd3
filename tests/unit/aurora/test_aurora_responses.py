from __future__ import annotations

from typing import Any

import pytest

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
from airavata_mesos_plugin.gen.aurora import AuroraAdmin, AuroraSchedulerManager, ReadOnlyScheduler
from airavata_mesos_plugin.gen.aurora import ttypes as t
from airavata_mesos_plugin.schedulers.aurora.codec import METHODS
from airavata_mesos_plugin.schedulers.aurora.responses import (
    CallFailed,
    JobUpdating,
    error_for_status,
    unwrap,
)
from airavata_mesos_plugin.schedulers.http import Answer, redirect_target

CODE = t.ResponseCode


def response(code: int | None, *words: str, result: Any = None) -> Any:
    details = [t.ResponseDetail(message=word) for word in words]
    return t.Response(responseCode=code, details=details, result=result)


CODES = [
    (CODE.INVALID_REQUEST, "num_cpus must be greater than 0.0", InvalidRequest, False, False),
    (CODE.INVALID_REQUEST, "Job www/prod/a already exists", AlreadyExists, False, False),
    (CODE.INVALID_REQUEST, "Insufficient resource quota: CPU by 1.0", QuotaExceeded, False, False),
    (CODE.INVALID_REQUEST, "Tier 'Insufficient resource quota: ' is bad", InvalidRequest, False, False),
    (CODE.ERROR, "boom", CallFailed, False, True),
    (CODE.WARNING, "hm", ProtocolError, False, True),
    (CODE.AUTH_FAILED, "Subject x is not permitted", Refused, False, False),
    (CODE.JOB_UPDATING_ERROR, "Job is currently updating", JobUpdating, True, False),
    (CODE.ERROR_TRANSIENT, "Storage is not READY", NotReady, True, False),
    (42, "new", ProtocolError, False, True),
    (None, "", ProtocolError, False, True),
]


@pytest.mark.parametrize(("code", "words", "family", "transient", "unknown"), CODES)
def test_each_code_has_its_error(
    code: int | None, words: str, family: type[AiravataMesosError], transient: bool, unknown: bool
) -> None:
    with pytest.raises(family) as caught:
        unwrap(response(code, words), METHODS["createJob"], "www/prod/a")
    assert type(caught.value) is family
    assert (caught.value.transient, caught.value.outcome_unknown) == (transient, unknown)
    assert words in str(caught.value)
    assert "createJob of www/prod/a" in str(caught.value)


def test_the_table_of_codes_is_complete() -> None:
    assert set(CODE._VALUES_TO_NAMES) - {case[0] for case in CODES} == {CODE.OK}


def test_all_details_are_told_and_none_is_no_trouble() -> None:
    with pytest.raises(InvalidRequest, match="one two"):
        unwrap(response(CODE.INVALID_REQUEST, "one", "two"), METHODS["createJob"], "x")
    silent = t.Response(responseCode=CODE.ERROR, details=[t.ResponseDetail()])
    with pytest.raises(CallFailed, match=r"no reason given \[ERROR\]"):
        unwrap(silent, METHODS["createJob"], "x")
    with pytest.raises(CallFailed, match="no reason given"):
        unwrap(t.Response(responseCode=CODE.ERROR), METHODS["createJob"], "x")


def test_ok_with_a_message_is_ok() -> None:
    assert unwrap(response(CODE.OK, "No tasks to kill."), METHODS["killTasks"], "x") is None


def test_result_member_is_taken_and_must_be_there() -> None:
    result = t.ScheduleStatusResult(tasks=[])
    whole = response(CODE.OK, result=t.Result(scheduleStatusResult=result))
    assert unwrap(whole, METHODS["getTasksStatus"], "x") is result
    for missing in (None, t.Result()):
        with pytest.raises(ProtocolError, match="scheduleStatusResult is missing"):
            unwrap(response(CODE.OK, result=missing), METHODS["getTasksStatus"], "x")


def test_every_method_exists_in_its_service() -> None:
    assert {name for name, method in METHODS.items() if not method.repeatable} == {
        *("createJob", "restartShards", "addInstances", "startCronJob", "startJobUpdate"),
        *("resumeJobUpdate", "performBackup", "snapshot"),
    }
    for name, method in METHODS.items():
        assert method.service in (AuroraAdmin, AuroraSchedulerManager, ReadOnlyScheduler)
        assert hasattr(method.service, f"{name}_args")
        assert hasattr(method.service, f"{name}_result")
        if method.member is not None:
            assert hasattr(t.Result(), method.member)


def answer(
    status: int, url: str = "http://a:8081/api", location: str = "", body: bytes = b"why\nmore"
) -> Answer:
    return Answer(url=url, status=status, content_type="", location=location, body=body)


@pytest.mark.parametrize(
    ("statuses", "family"),
    [
        ((400, 406, 418), ProtocolError),
        ((301, 302, 303, 307, 308, 503), NotLeader),
        ((401, 407), AuthenticationFailed),
        ((403,), Refused),
        ((404, 405, 410), Unreachable),
        ((408, 425, 429), NotReady),
        ((413,), InvalidRequest),
        ((415,), ConfigurationError),
        ((500, 501, 599), ServerFault),
        ((502, 504), OutcomeUnknown),
        ((100, 204, 206, 304), ProtocolError),
    ],
)
def test_each_status_has_its_error(statuses: tuple[int, ...], family: type[AiravataMesosError]) -> None:
    for status in statuses:
        error = error_for_status(answer(status))
        assert type(error) is family
        assert f"http://a:8081/api answered HTTP {status}" in str(error)


def test_only_the_first_line_of_a_page_is_told() -> None:
    assert str(error_for_status(answer(500))).endswith("HTTP 500: why")
    assert str(error_for_status(answer(500, body=b""))).endswith("no explanation")
    assert len(str(error_for_status(answer(500, body=b"\xff" * 9999)))) < 300


@pytest.mark.parametrize(
    ("status", "url", "location", "target"),
    [
        (307, "http://a/api", "http://b:1/api", "http://b:1/api"),
        (308, "http://a/api", "//b:1/api", "http://b:1/api"),
        (307, "https://a/api", "//b:1/api", "https://b:1/api"),
        (307, "http://a/api", "/other", "http://a/other"),
        (307, "https://a/api", "http://b/api", None),  # credentials would travel in clear
        (307, "http://a/api", "file:///etc/passwd", None),
        (307, "http://a/api", "", None),
        (302, "http://a/api", "http://b/api", None),  # would turn the POST into a GET
        (200, "http://a/api", "http://b/api", None),
    ],
)
def test_redirect_targets(status: int, url: str, location: str, target: str | None) -> None:
    assert redirect_target(answer(status, url, location)) == target
