"""The Kafka REST proxy of Airavata develop, as its own job scripts call it when its realtime monitor is on.

Sources: Airavata develop, module ``restproxy`` and ``RealtimeMonitor``: JSON records with the keys jobName,
status and task, where task is the id of the job submission task. The proxy answers 200 when Kafka has the
record.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import partial

import aiohttp

from airavata_mesos_plugin.airavata.publishers.announcements import Announcement
from airavata_mesos_plugin.airavata.publishers.base import Parcel
from airavata_mesos_plugin.airavata.status_lines import StatusPosting, silence
from airavata_mesos_plugin.config.airavata import KafkaRestSettings
from airavata_mesos_plugin.config.types import base_url
from airavata_mesos_plugin.errors import (
    AiravataMesosError,
    NotFound,
    OutcomeUnknown,
    Refused,
    ServerFault,
    Unreachable,
)
from airavata_mesos_plugin.jobs import JobRecord, JobRequest

_WORDS = {"ACTIVE": "RUNNING", "COMPLETE": "COMPLETED"}
"""Where the realtime monitor's word is not the name of the state."""

_HEADERS = {
    "Content-Type": "application/vnd.kafka.json.v2+json",
    "Accept": "application/vnd.kafka.v2+json",
}


class KafkaRestChannel:
    """One POST for each state, to the address in the job's script or to a configured one."""

    name = "kafka_rest"
    settles = True

    def __init__(self, settings: KafkaRestSettings) -> None:
        self._settings = settings
        self._loop: asyncio.AbstractEventLoop | None = None

    def wants(self, _request: JobRequest, script: str) -> bool:
        """Whether the script has Airavata's status lines: they tell the task id."""
        return self._target(script) is not None

    def compose(
        self, _record: JobRecord, script: Callable[[], str], announcement: Announcement
    ) -> Parcel | None:
        target = self._target(script())
        if target is None:
            return None
        endpoint, posting = target
        value = {
            "jobName": posting.job_name,
            "status": _WORDS.get(announcement.state, announcement.state),
            "task": posting.task_id,
        }
        body = json.dumps({"records": [{"value": value}]}).encode()
        return Parcel(endpoint, partial(self._send, endpoint, body))

    def close(self) -> None:
        if self._loop is not None:
            self._loop.close()
            self._loop = None

    def _target(self, script: str) -> tuple[str, StatusPosting] | None:
        posting = _posting(script)
        if posting is None:
            return None
        if self._settings.endpoint is not None:
            return self._settings.endpoint, posting
        try:
            return base_url(posting.endpoint), posting
        except ValueError:
            return None

    def _send(self, endpoint: str, body: bytes) -> None:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        try:
            status = self._loop.run_until_complete(self._post(endpoint, body))
        except (aiohttp.ClientConnectorError, aiohttp.InvalidURL) as error:
            raise Unreachable(f"{endpoint}: {error}") from error
        except (asyncio.TimeoutError, aiohttp.ClientError) as error:
            raise OutcomeUnknown(f"{endpoint}: {str(error) or 'no answer in time'}") from error
        if not 200 <= status < 300:
            raise _fault(status)(f"{endpoint} answered with HTTP status {status}")

    async def _post(self, endpoint: str, body: bytes) -> int:
        # The address may come from a script, so a server that answers byte by byte must not hold us, and
        # nobody is sent on to another address.
        timeout = aiohttp.ClientTimeout(total=self._settings.timeout_seconds)
        connector = aiohttp.TCPConnector(force_close=True)
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
            session.post(endpoint, data=body, headers=_HEADERS, allow_redirects=False) as response,
        ):
            return response.status


def _posting(script: str) -> StatusPosting | None:
    """The first status line of a script."""
    postings = silence(script).postings
    return postings[0] if postings else None


def _fault(status: int) -> type[AiravataMesosError]:
    if status == 404:
        return NotFound
    return ServerFault if status >= 500 else Refused
