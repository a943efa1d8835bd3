"""How develop and 0.17 hear of a job: the realtime monitor behind Kafka's REST proxy, and the mail monitor.

Sources: Airavata develop: ``RealtimeMonitor``; 0.17 and develop: ``EmailBasedMonitor``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.contract.airavata_process import Process
from tests.contract.airavata_script import TASK_ID
from tests.support import airavata_mail
from tests.support.status_servers import MailServer, RestProxy

WORDS = {"RUNNING": "ACTIVE", "COMPLETED": "COMPLETE"}
"""Of the realtime monitor; the other words are the names of states."""

INBOX = "monitor@airavata.example"
SENDER = "slurm@mesos.example"


class Monitors:
    """Both, with what they were told so far."""

    def __init__(self, proxy: RestProxy, mails: MailServer) -> None:
        self._proxy = proxy
        self._mails = mails

    def settings(self) -> dict[str, object]:
        """The provider's settings for them, without the pauses that a real Airavata needs."""
        return {
            "kafka_rest": {"endpoint": self._proxy.endpoint},
            "mail": {"host": "127.0.0.1", "port": self._mails.port, "sender": SENDER},
            "pause_seconds": 0,
            "settle_seconds": 0,
            "retry_seconds": 0.2,
        }

    def realtime(self, process: Process) -> list[str]:
        """States in the order in which they came; a job is known by its task and its name."""
        wanted = (TASK_ID, process.script.job_name)
        records = [r for r in list(self._proxy.records) if (r["task"], r["jobName"]) == wanted]
        return [WORDS.get(record["status"], record["status"]) for record in records]

    def mailed(self, process: Process) -> list[str]:
        """States in the order of their mails; a job is known by its id and its name."""
        states = []
        for mail, recipients in zip(list(self._mails.mails), list(self._mails.recipients), strict=False):
            told = airavata_mail.read(str(mail["Subject"]))
            if recipients != [INBOX] or SENDER not in str(mail["From"]) or told is None:
                continue
            if (told.job_id, told.job_name) == (process.job_id, process.script.job_name):
                states.append(told.state)
        return states


@contextmanager
def monitors() -> Iterator[Monitors]:
    """Both, listening until the end of the block."""
    proxy = RestProxy()
    try:
        mails = MailServer()
        try:
            yield Monitors(proxy, mails)
        finally:
            mails.close()
    finally:
        proxy.close()
