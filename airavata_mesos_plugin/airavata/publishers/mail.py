"""Mail as SLURM sends it, over SMTP, to the addresses and for the events that the job asked for."""

from __future__ import annotations

import logging
import smtplib
import ssl
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime
from functools import partial

from airavata_mesos_plugin.airavata.publishers import subjects
from airavata_mesos_plugin.airavata.publishers.announcements import NON_CRITICAL_FAIL, Announcement
from airavata_mesos_plugin.airavata.publishers.base import Parcel
from airavata_mesos_plugin.config.airavata import MailSettings
from airavata_mesos_plugin.errors import (
    AiravataMesosError,
    AuthenticationFailed,
    ConfigurationError,
    NotReady,
    OutcomeUnknown,
    Refused,
    Unreachable,
)
from airavata_mesos_plugin.jobs import JobRecord, JobRequest
from airavata_mesos_plugin.secret import Secret

log = logging.getLogger(__name__)

ARRAY_TASKS = "ARRAY_TASKS"

_POLICY = policy.SMTP.clone(max_line_length=900)  # a subject in one line cannot be read wrong


class MailChannel:
    """One mail for each state that the job's ``--mail-type`` asks for."""

    name = "mail"
    settles = False  # Airavata leaves a mail unread until it finds the job

    def __init__(self, settings: MailSettings, *, version: str, instance: str) -> None:
        """``instance`` makes message ids unique. Raises ConfigurationError."""
        self._settings = settings
        self._instance = instance
        # Airavata 0.17 has no state for a failure after which the job goes on.
        self._states = subjects.KINDS.keys() - ({NON_CRITICAL_FAIL} if version == "0.17" else set())
        place = settings.password
        self._password = None if place is None else Secret(place, keep_blanks=True).read()
        try:
            self._tls = None if settings.security == "none" else _tls(settings)
        except OSError as error:
            raise ConfigurationError(f"airavata.mail: cannot use {settings.ca_file}: {error}") from error

    def wants(self, request: JobRequest, _script: str) -> bool:
        """Whether the job asked for mail to somebody. A job array has to ask for its tasks, too."""
        if request.array and ARRAY_TASKS not in request.mail_types:
            return False
        return bool(set(request.mail_types) & set(subjects.KINDS.values()) and self._recipients(request))

    def compose(
        self, record: JobRecord, _script: Callable[[], str], announcement: Announcement
    ) -> Parcel | None:
        state = announcement.state
        if state not in self._states or subjects.KINDS[state] not in record.request.mail_types:
            return None
        subject = subjects.subject(record, announcement)
        recipients = self._recipients(record.request)
        if subject is None or not recipients:
            return None
        message = EmailMessage(policy=_POLICY)
        message["Subject"] = subject
        message["From"] = self._settings.sender
        message["To"] = ", ".join(recipients)
        message["Date"] = format_datetime(datetime.fromtimestamp(announcement.event.time, timezone.utc))
        # The same for a mail that is sent again, so that mail programs show it once.
        identity = f"{record.id}.{announcement.event.sequence}.{state.lower()}.{self._instance}"
        message["Message-ID"] = f"<{identity}@{self._settings.sender.rpartition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content("")
        server = f"{self._settings.host}:{self._settings.port}"
        return Parcel(server, partial(self._send, server, message, recipients))

    def close(self) -> None:
        """Nothing is kept open."""

    def _recipients(self, request: JobRequest) -> list[str]:
        found = []
        for text in request.mail_user.split(","):
            address = text.strip()
            if address and "@" not in address and self._settings.domain:
                address = f"{address}@{self._settings.domain}"
            if _is_address(address) and address not in found:
                found.append(address)
        return found

    def _send(self, server: str, message: EmailMessage, recipients: list[str]) -> None:
        try:
            self._deliver(message, recipients)
        except smtplib.SMTPAuthenticationError as error:
            raise AuthenticationFailed(f"{server} did not accept the password: {_said(error)}") from error
        except smtplib.SMTPRecipientsRefused as error:
            told = "; ".join(f"{who}: {code} {_text(said)}" for who, (code, said) in error.recipients.items())
            raise Refused(f"{server} refused all recipients: {told}") from error
        except smtplib.SMTPResponseException as error:
            kind: type[AiravataMesosError] = NotReady if error.smtp_code < 500 else Refused
            raise kind(f"{server}: {_said(error)}") from error
        except smtplib.SMTPServerDisconnected as error:
            raise OutcomeUnknown(f"{server}: {error}") from error
        except smtplib.SMTPException as error:
            raise Refused(f"{server}: {error}") from error
        except TimeoutError as error:
            raise OutcomeUnknown(f"{server}: no answer in time") from error
        except OSError as error:
            raise Unreachable(f"{server}: {error}") from error

    def _deliver(self, message: EmailMessage, recipients: list[str]) -> None:
        client = self._connect()
        try:
            if self._settings.security == "starttls":
                client.starttls(context=self._tls)
            if self._settings.username is not None and self._password is not None:
                client.login(self._settings.username, self._password)
            refused = client.send_message(message, to_addrs=recipients)
            with suppress(smtplib.SMTPException, OSError):  # the mail is on its way
                client.quit()
        finally:
            client.close()
        for who, (code, said) in refused.items():
            log.warning("mail to %s was refused: %d %s", who, code, _text(said))

    def _connect(self) -> smtplib.SMTP:
        settings = self._settings
        if settings.security == "tls":
            return smtplib.SMTP_SSL(
                settings.host, settings.port, timeout=settings.timeout_seconds, context=self._tls
            )
        return smtplib.SMTP(settings.host, settings.port, timeout=settings.timeout_seconds)


def _tls(settings: MailSettings) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=None if settings.ca_file is None else str(settings.ca_file))


def _is_address(text: str) -> bool:
    """Whether a header and an SMTP command can hold it; the server decides about the rest."""
    local, _, domain = text.partition("@")
    plain = text.isascii() and text.isprintable() and not set(text) & set(' <>()[]:;\\",')
    return bool(local and domain and "@" not in domain and plain)


def _said(error: smtplib.SMTPResponseException) -> str:
    return f"{error.smtp_code} {_text(error.smtp_error)}"


def _text(said: bytes | str) -> str:
    return said.decode(errors="replace") if isinstance(said, bytes) else said
