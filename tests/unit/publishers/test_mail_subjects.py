"""Mails have the words of SLURM, and Airavata reads each as what it means."""

from __future__ import annotations

from email.message import EmailMessage
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_mock import MockerFixture

from airavata_mesos_plugin.airavata.publishers import announcements
from airavata_mesos_plugin.airavata.publishers.mail import MailChannel
from airavata_mesos_plugin.airavata.publishers.subjects import subject
from airavata_mesos_plugin.clock import ManualClock
from airavata_mesos_plugin.config.airavata import MailSettings
from airavata_mesos_plugin.errors import ConfigurationError
from airavata_mesos_plugin.jobs import JobPhase, JobRecord
from airavata_mesos_plugin.store import Ledger
from tests.support.airavata_mail import read
from tests.support.publishing import JOB_NAME, accept, request

ALL = ("INVALID_DEPEND", "BEGIN", "END", "FAIL", "REQUEUE", "STAGE_OUT")
SETTINGS = MailSettings(host="127.0.0.1", sender="slurm@mesos.example.org")


def channel(version: str = "develop", **more: object) -> MailChannel:
    return MailChannel(SETTINGS.model_copy(update=more), version=version, instance="0badcafe")


def lived(ledger: Ledger, clock: ManualClock, end: JobPhase, **fields: object) -> JobRecord:
    """A job that waited 3 s, ran for 7 s and ended; the fetch took another 2 s."""
    job = accept(ledger, request(mail_user="a@b.org", mail_types=ALL)).id
    clock.advance(3)
    ledger.advance(job, JobPhase.RUNNING, source="aurora", fields={"started_at": clock.now()})
    clock.advance(7)
    ledger.advance(job, JobPhase.FETCHING, source="aurora", fields={"ended_at": clock.now()})
    clock.advance(2)
    record = ledger.advance(job, end, source="fetch", fields=fields)
    assert record is not None
    return record


BEGAN = f"SLURM Job_id=1 Name={JOB_NAME} Began, Queued time 00:00:03"


@pytest.mark.parametrize(
    ("end", "fields", "last", "state"),
    [
        (JobPhase.COMPLETED, {"exit_code": 0}, "Ended, Run time 00:00:07, COMPLETED, ExitCode 0", "COMPLETE"),
        (JobPhase.FAILED, {"exit_code": 3}, "Failed, Run time 00:00:07, FAILED, ExitCode 3", "FAILED"),
        (JobPhase.FAILED, {"exit_code": 200}, "Failed, Run time 00:00:07, FAILED, ExitCode 200", "FAILED"),
        (JobPhase.FAILED, {"exit_code": 137, "signal": 9}, "Failed, Run time 00:00:07, FAILED", "FAILED"),
        (JobPhase.FAILED, {}, "Failed, Run time 00:00:07, FAILED", "FAILED"),
        (JobPhase.TIMEOUT, {}, "Failed, Run time 00:00:07, TIMEOUT, ExitCode 0", "FAILED"),
        (JobPhase.CANCELLED, {}, "Ended, Run time 00:00:07, CANCELLED, ExitCode 0", "CANCELED"),
        (JobPhase.LOST, {}, "Failed, Run time 00:00:07, FAILED", "FAILED"),
    ],
)
def test_the_mails_of_a_job(
    ledger: Ledger, clock: ManualClock, end: JobPhase, fields: dict[str, object], last: str, state: str
) -> None:
    record = lived(ledger, clock, end, **fields)
    told = [subject(record, step) for step in announcements(ledger.events(1))]
    assert told == [BEGAN, f"SLURM Job_id=1 Name={JOB_NAME} {last}"]
    assert [read(str(text)) for text in told] == [("1", JOB_NAME, "ACTIVE"), ("1", JOB_NAME, state)]


def test_a_job_that_never_ran(ledger: Ledger, clock: ManualClock) -> None:
    accept(ledger)
    clock.advance(90)
    record = ledger.advance(1, JobPhase.CANCELLED, source="test", fields={"ended_at": clock.now()})
    assert record is not None
    (step,) = announcements(ledger.events(1))
    text = subject(record, step)
    assert text == f"SLURM Job_id=1 Name={JOB_NAME} Ended, Run time 00:00:00, CANCELLED, ExitCode 0"
    assert read(text) == ("1", JOB_NAME, "CANCELED")


def test_a_job_that_begins_again(ledger: Ledger, clock: ManualClock) -> None:
    accept(ledger)
    ledger.advance(1, JobPhase.RUNNING, source="aurora")
    clock.advance(2 * 86400 + 61)
    ledger.advance(1, JobPhase.QUEUED, run=1, source="aurora")
    clock.advance(5)
    record = ledger.advance(1, JobPhase.RUNNING, source="aurora")
    assert record is not None
    told = [subject(record, step) for step in announcements(ledger.events(1))]
    assert told == [
        f"SLURM Job_id=1 Name={JOB_NAME} Began, Queued time 00:00:00",
        f"SLURM Job_id=1 Name={JOB_NAME} Failed, Run time 2-00:01:01, NODE_FAIL, ExitCode 0",
        None,
        f"SLURM Job_id=1 Name={JOB_NAME} Began, Queued time 00:00:05",
    ]
    states = [read(text).state for text in told if text]  # type: ignore[union-attr]
    assert states == ["ACTIVE", "NON_CRITICAL_FAIL", "ACTIVE"]


@given(st.from_regex(r"[a-zA-Z0-9-]{1,40}", fullmatch=True), st.integers(1, 10**9))
def test_any_name_that_airavata_may_give_is_read_back(name: str, number: int) -> None:
    text = f"SLURM Job_id={number} Name={name} Ended, Run time 00:00:07, COMPLETED, ExitCode 0"
    if "CANCELLED" not in name:
        assert read(text) == (str(number), name, "COMPLETE")


class TestChannel:
    """Who gets which mail."""

    KINDS: ClassVar = {
        "ALL": (ALL, ["Began", "Failed"]),
        "BEGIN": (("BEGIN",), ["Began"]),
        "END": (("END",), []),  # as in SLURM, END does not ask for failures
        "FAIL": (("FAIL",), ["Failed"]),
        "REQUEUE": (("REQUEUE",), []),
        "TIME_LIMIT": (("TIME_LIMIT", "TIME_LIMIT_80"), []),
    }

    @pytest.mark.parametrize("kind", KINDS)
    def test_mail_types(self, ledger: Ledger, kind: str) -> None:
        types, words = self.KINDS[kind]
        asked = request(mail_user="a@b.org", mail_types=types)
        accept(ledger, asked)
        ledger.advance(1, JobPhase.RUNNING, source="aurora")
        record = ledger.advance(1, JobPhase.FAILED, source="aurora", fields={"exit_code": 1})
        assert record is not None
        mail = channel()
        steps = [step for step in announcements(ledger.events(1)) if mail.compose(record, str, step)]
        assert [str(subject(record, step)).split(",")[0].rpartition(" ")[2] for step in steps] == words
        assert mail.wants(asked, "") == bool(set(types) & {"BEGIN", "END", "FAIL"})

    @pytest.mark.parametrize(
        ("user", "domain", "recipients"),
        [
            ("a@b.org", None, ["a@b.org"]),
            ("a@b.org, c@d.org,a@b.org", None, ["a@b.org", "c@d.org"]),
            ("airavata", None, []),
            ("airavata", "host.example.org", ["airavata@host.example.org"]),
            ("", "host.example.org", []),
            ("a@b.org\nBcc: x@y.org", None, []),
            ("<a@b.org>", None, []),
            ("ä@b.org", None, []),
            ("@b.org,a@,x@y@z", None, []),
        ],
    )
    def test_recipients(
        self, ledger: Ledger, mocker: MockerFixture, user: str, domain: str | None, recipients: list[str]
    ) -> None:
        asked = request(mail_user=user, mail_types=ALL)
        record = accept(ledger, asked)
        ledger.advance(1, JobPhase.RUNNING, source="aurora")
        mail = channel(domain=domain)
        assert mail.wants(asked, "") == bool(recipients)
        parcel = mail.compose(record, str, announcements(ledger.events(1))[0])
        assert (parcel is not None) == bool(recipients)
        if parcel is not None:
            smtp = mocker.patch("smtplib.SMTP", autospec=True).return_value
            smtp.send_message.return_value = {}
            parcel.send()
            assert smtp.send_message.call_args.kwargs["to_addrs"] == recipients
            smtp.quit.assert_called_once_with()

    def test_a_name_with_a_line_end_makes_no_header(self, ledger: Ledger, mocker: MockerFixture) -> None:
        record = accept(ledger, request(name="x\nBcc: y@z.org", mail_user="a@b.org", mail_types=ALL))
        message = self.message(ledger, record, mocker, channel())
        assert message["Subject"] == "SLURM Job_id=1 Name=x?Bcc: y@z.org Began, Queued time 00:00:00"
        assert message["Bcc"] is None

    def test_the_same_mail_has_the_same_id(self, ledger: Ledger, mocker: MockerFixture) -> None:
        record = accept(ledger, request(mail_user="a@b.org", mail_types=ALL))
        first, again = (self.message(ledger, record, mocker, channel()) for _ in range(2))
        assert first["Message-ID"] == again["Message-ID"] == "<1.2.active.0badcafe@mesos.example.org>"
        assert first["From"] == "slurm@mesos.example.org"

    def message(
        self, ledger: Ledger, record: JobRecord, mocker: MockerFixture, mail: MailChannel
    ) -> EmailMessage:
        ledger.advance(record.id, JobPhase.RUNNING, source="aurora")
        parcel = mail.compose(record, str, announcements(ledger.events(record.id))[0])
        assert parcel is not None
        smtp = mocker.patch("smtplib.SMTP", autospec=True).return_value
        smtp.send_message.return_value = {}
        parcel.send()
        mocker.stopall()
        message = smtp.send_message.call_args.args[0]
        assert isinstance(message, EmailMessage)
        return message

    def test_arrays_have_to_ask_for_their_tasks(self, ledger: Ledger) -> None:
        mail = channel()
        assert not mail.wants(request(array="1-2", mail_user="a@b.org", mail_types=ALL), "")
        asked = request(array="1-2", mail_user="a@b.org", mail_types=(*ALL, "ARRAY_TASKS"))
        assert mail.wants(asked, "")
        record = accept(ledger, asked)
        ledger.advance(record.id, JobPhase.RUNNING, source="aurora")
        (step,) = announcements(ledger.events(record.id))
        assert subject(record, step) == (
            f"SLURM Array Task Job_id=1_2 (1) Name={JOB_NAME} Began, Queued time 00:00:00"
        )

    def test_0_17_has_no_word_for_a_job_that_begins_again(self, ledger: Ledger) -> None:
        accept(ledger, request(mail_user="a@b.org", mail_types=ALL))
        ledger.advance(1, JobPhase.RUNNING, source="aurora")
        record = ledger.advance(1, JobPhase.QUEUED, run=1, source="aurora")
        assert record is not None
        fail = announcements(ledger.events(1))[1]
        assert fail.state == "NON_CRITICAL_FAIL"
        assert channel("develop").compose(record, str, fail) is not None
        assert channel("0.17").compose(record, str, fail) is None


@pytest.mark.parametrize(
    ("more", "environ", "message"),
    [
        ({"password_file": "missing"}, {}, "missing cannot be read"),
        ({"password_file": "empty"}, {}, "empty holds no secret"),
        ({"password_environment": "MAIL_PASSWORD"}, {}, "MAIL_PASSWORD holds no secret"),
        ({"ca_file": "missing", "password_file": "good"}, {}, "cannot use"),
    ],
)
def test_settings_that_cannot_work_are_refused_at_the_start(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    more: dict[str, Any],
    environ: dict[str, str],
    message: str,
) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "good").write_text("secret\n")
    monkeypatch.delenv("MAIL_PASSWORD", raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    for name in ("password_file", "ca_file"):
        if name in more:
            more[name] = tmp_path / more[name]
    settings = MailSettings(host="h", sender="a@b.org", security="tls", username="u", **more)
    with pytest.raises(ConfigurationError, match=message):
        MailChannel(settings, version="develop", instance="x")
