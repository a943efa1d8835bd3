"""Mails arrive, in order, and Airavata's parser reads them."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from airavata_mesos_plugin.airavata.publishers import announcements
from airavata_mesos_plugin.airavata.publishers.mail import MailChannel
from airavata_mesos_plugin.config.airavata import MailSettings
from airavata_mesos_plugin.errors import (
    AiravataMesosError,
    AuthenticationFailed,
    NotReady,
    OutcomeUnknown,
    Refused,
    Unreachable,
)
from airavata_mesos_plugin.jobs import JobPhase
from tests.integration.publishers.conftest import Life
from tests.support.airavata_mail import read
from tests.support.publishing import JOB_NAME, accept, request
from tests.support.status_servers import MailServer
from tests.support.waiting import wait_for

Lives = Callable[..., Life]
Servers = Callable[..., MailServer]
INBOX = "airavata-monitor@example.org"
ASKED = request(mail_user=f"{INBOX},user@example.org", mail_types=("BEGIN", "END", "FAIL", "REQUEUE"))


def to(server: MailServer, **more: object) -> dict[str, object]:
    return {"host": "127.0.0.1", "port": server.port, "sender": "slurm@mesos.example.org", **more}


@pytest.mark.parametrize(
    ("end", "exit_code", "state"),
    [
        (JobPhase.COMPLETED, 0, "COMPLETE"),
        (JobPhase.FAILED, 3, "FAILED"),
        (JobPhase.CANCELLED, None, "CANCELED"),
        (JobPhase.TIMEOUT, None, "FAILED"),
        (JobPhase.LOST, None, "FAILED"),
    ],
)
def test_what_airavata_reads(
    lives: Lives, mail_servers: Servers, end: JobPhase, exit_code: int | None, state: str
) -> None:
    server = mail_servers()
    life = lives(version="0.17", mail=to(server))
    job = accept(life.ledger, ASKED).id
    life.ledger.advance(job, JobPhase.RUNNING, source="test")
    life.ledger.advance(job, end, source="test", fields={"exit_code": exit_code})
    wait_for(lambda: len(server.mails), (2).__eq__, "mails")
    assert [read(text) for text in server.subjects] == [
        (str(job), JOB_NAME, "ACTIVE"),
        (str(job), JOB_NAME, state),
    ]
    assert server.recipients == [[INBOX, "user@example.org"]] * 2
    assert {str(mail["From"]) for mail in server.mails} == {"slurm@mesos.example.org"}


def test_it_is_sent_until_it_is_taken(lives: Lives, mail_servers: Servers) -> None:
    server = mail_servers()
    server.answers = ["451 try again", "554 no", "421 closing"]
    life = lives(mail=to(server), kafka_rest={"enabled": False})
    job = accept(life.ledger, ASKED).id
    life.ledger.advance(job, JobPhase.RUNNING, source="test")
    life.ledger.advance(job, JobPhase.COMPLETED, source="test")
    wait_for(lambda: len(server.mails), (2).__eq__, "mails")
    assert [subject.split(",")[0].rpartition(" ")[2] for subject in server.subjects] == ["Began", "Ended"]
    assert len({str(mail["Message-ID"]) for mail in server.mails}) == 2


def test_one_bad_recipient_does_not_stop_the_others(
    lives: Lives, mail_servers: Servers, caplog: pytest.LogCaptureFixture
) -> None:
    server = mail_servers()
    server.refused = {"user@example.org"}
    life = lives(mail=to(server), kafka_rest={"enabled": False})
    job = accept(life.ledger, ASKED).id
    life.ledger.advance(job, JobPhase.RUNNING, source="test")
    wait_for(lambda: server.recipients, [[INBOX]].__eq__, "a mail")
    wait_for(lambda: life.publishing.describe(job)[0]["told"], ["ACTIVE"].__eq__, "told")
    assert "mail to user@example.org was refused: 550 5.1.1 no such user" in caplog.text


def deliver(life: Life, settings: MailSettings) -> None:
    """One mail, straight through the channel."""
    record = accept(life.ledger, ASKED)
    life.ledger.advance(record.id, JobPhase.RUNNING, source="test")
    channel = MailChannel(settings, version="develop", instance="x")
    parcel = channel.compose(record, str, announcements(life.ledger.events(record.id))[0])
    assert parcel is not None
    parcel.send()


@pytest.mark.parametrize("good", [True, False], ids=["right", "wrong"])
def test_password_over_starttls(
    lives: Lives, mail_servers: Servers, tmp_path: Path, good: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = mail_servers(context, password="right")  # noqa: S106
    monkeypatch.setenv("MAIL_PASSWORD", "right" if good else "wrong")
    secure = {
        "security": "starttls",
        "ca_file": tmp_path / "ca.pem",
        "username": "airavata",
        "password_environment": "MAIL_PASSWORD",
    }
    settings = MailSettings.model_validate(to(server, **secure))
    life = lives(kafka_rest={"enabled": False})
    if good:
        deliver(life, settings)
        assert len(server.mails) == 1
    else:
        with pytest.raises(AuthenticationFailed, match="did not accept the password"):
            deliver(life, settings)
        assert server.mails == []


def test_a_server_that_nobody_vouches_for_gets_no_password(
    lives: Lives, mail_servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    server = mail_servers(context, password="right")  # noqa: S106
    monkeypatch.setenv("MAIL_PASSWORD", "right")
    secure = {"security": "starttls", "username": "u", "password_environment": "MAIL_PASSWORD"}
    with pytest.raises(AiravataMesosError, match="certificate verify failed"):
        deliver(lives(kafka_rest={"enabled": False}), MailSettings.model_validate(to(server, **secure)))


@pytest.mark.parametrize(
    ("answer", "kind"), [("451 later", NotReady), ("554 never", Refused), ("421 bye", NotReady)]
)
def test_how_a_refusal_is_understood(
    lives: Lives, mail_servers: Servers, answer: str, kind: type[AiravataMesosError]
) -> None:
    server = mail_servers()
    server.answers = [answer]
    with pytest.raises(kind, match=answer):
        deliver(lives(kafka_rest={"enabled": False}), MailSettings.model_validate(to(server)))


def test_all_recipients_refused(lives: Lives, mail_servers: Servers) -> None:
    server = mail_servers()
    server.refused = {INBOX, "user@example.org"}
    with pytest.raises(Refused, match=r"refused all recipients: .*550 5\.1\.1 no such user"):
        deliver(lives(kafka_rest={"enabled": False}), MailSettings.model_validate(to(server)))


def test_nobody_there_and_nobody_who_speaks(lives: Lives) -> None:
    life = lives(kafka_rest={"enabled": False})
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        silent = MailSettings(host="127.0.0.1", port=port, sender="a@b.org", timeout_seconds=0.2)
        with pytest.raises(OutcomeUnknown, match="timed out"):
            deliver(life, silent)
    with pytest.raises(Unreachable):
        deliver(life, silent)
