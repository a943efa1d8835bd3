"""Thrift calls over HTTP to whichever scheduler leads.

Aurora 0.22 redirects calls from schedulers that do not lead (307), or answers 503 when it knows no leader.
Releases before 0.16.0 read JSON only.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any

import requests

from airavata_mesos_plugin.errors import AiravataMesosError, NotLeader, Unreachable
from airavata_mesos_plugin.schedulers.aurora import codec
from airavata_mesos_plugin.schedulers.aurora.codec import BINARY, JSON, METHODS, Method, WireProtocol
from airavata_mesos_plugin.schedulers.aurora.responses import error_for_status
from airavata_mesos_plugin.schedulers.base import Leader
from airavata_mesos_plugin.schedulers.http import Answer, exchange, redirect_target
from airavata_mesos_plugin.schedulers.retry import Deadline

MAX_REDIRECTS = 3
"""More than one means that leadership moves while we ask."""

_PROBE = METHODS["getTierConfigs"]


class ThriftTransport:
    """Sends one message and gives back its ``Response``. Safe to use from several threads."""

    def __init__(
        self,
        leader: Leader,
        session: requests.Session,
        *,
        protocol: str = "auto",
        connect_seconds: float = 5.0,
    ) -> None:
        self._source = leader
        self._session = session
        self._fixed = {"auto": None, "binary": BINARY, "json": JSON}[protocol]
        self._connect_seconds = connect_seconds
        self._lock = threading.Lock()
        self._urls: tuple[str, ...] = ()
        self._leader: str | None = None
        self._protocols: dict[str, WireProtocol] = {}
        self.legacy = False
        """Whether configurations carry the fields of releases before 0.18; others skip them."""
        self.calls: Counter[str] = Counter()
        """Requests sent, by the name of the call."""

    def call(self, method: Method, arguments: Mapping[str, object], deadline: Deadline) -> Any:
        """The ``Response`` of the leading scheduler; each address is tried until one was reached.

        Raises Unreachable or NotLeader when none could take the call, which then was not carried out;
        other errors come from the one that took it.
        """
        failures: list[AiravataMesosError] = []
        for url in self._in_order(deadline):
            try:
                return self._call_at(url, method, arguments, deadline)
            except Unreachable as error:  # nothing was done there: another may lead
                failures.append(error)
                with self._lock:
                    if self._leader == url:
                        self._leader = None
                if deadline.remaining() <= 0:
                    break
        self._source.note_failure()
        if not failures:
            raise NotLeader(
                "no scheduler leads at present", advice="check that one runs and reaches ZooKeeper"
            )
        if len(failures) == 1:
            raise failures[0]
        family = NotLeader if any(isinstance(error, NotLeader) for error in failures) else Unreachable
        raise family(
            "no scheduler took the call: " + "; ".join(error.message for error in failures),
            advice="check the schedulers' addresses and that one of them leads",
        )

    def look_again(self) -> None:
        """The leader is perhaps about to hand over: find out anew before the next call."""
        self._source.note_failure()

    def call_one(self, address: str, method: Method, deadline: Deadline) -> tuple[Answer, Any]:
        """What the one scheduler at ``address`` answers, redirects not followed; for a diagnosis.

        The second value is the ``Response``, or None unless the status is 200.
        """
        answer = self._post(f"{address}/api", method, {}, deadline)
        return answer, codec.decode(answer.body, method) if answer.status == 200 else None

    def _in_order(self, deadline: Deadline) -> list[str]:
        urls = tuple(f"{address}/api" for address in self._source.addresses(deadline.remaining()))
        with self._lock:
            if urls != self._urls:
                # Somebody else was announced: a redirect that was followed before means nothing now.
                self._urls, self._leader = urls, None
            leader = self._leader
        first = [leader] if leader else []
        return first + [url for url in urls if url != leader]

    def _call_at(self, url: str, method: Method, arguments: Mapping[str, object], deadline: Deadline) -> Any:
        for _ in range(MAX_REDIRECTS + 1):
            answer = self._post(url, method, arguments, deadline)
            target = redirect_target(answer)
            if target is None:
                break
            url = target
        if answer.status != 200:
            raise error_for_status(answer)
        response = codec.decode(answer.body, method)
        with self._lock:
            self._leader = url
        return response

    def _post(self, url: str, method: Method, arguments: Mapping[str, object], deadline: Deadline) -> Answer:
        """Post in the protocol of that address, which is found out where it is not known."""
        if self._fixed is not None:
            return self._send(url, self._fixed, method, arguments, deadline)
        with self._lock:
            known = self._protocols.get(url)
        answer = self._send(url, known or BINARY, method, arguments, deadline)
        if answer.status == 200:
            self._remember(url, codec.spoken(answer.body))
        elif answer.status in (415, 500):
            if known is None and (answer.status == 415 or self._reads_json_only(url, deadline)):
                # Neither case has carried anything out, so even a create may be sent again.
                self._remember(url, JSON)
                return self._send(url, JSON, method, arguments, deadline)
            # A scheduler that was replaced by another release is looked at afresh.
            self._remember(url, None)
        return answer

    def _reads_json_only(self, url: str, deadline: Deadline) -> bool:
        """Whether the 500 to a binary message came from a scheduler that cannot read such messages.

        A scheduler that reads JSON only answers 500 to every binary message, also to one that asks for
        nothing. Any other 500 must not lead to a second try of the call.
        """
        binary = self._send(url, BINARY, _PROBE, {}, deadline)
        return binary.status == 500 and self._send(url, JSON, _PROBE, {}, deadline).status == 200

    def _remember(self, url: str, protocol: WireProtocol | None) -> None:
        with self._lock:
            if protocol is None:
                self._protocols.pop(url, None)
            else:
                self._protocols[url] = protocol

    def _send(
        self,
        url: str,
        protocol: WireProtocol,
        method: Method,
        arguments: Mapping[str, object],
        deadline: Deadline,
    ) -> Answer:
        body = codec.encode(protocol, method, arguments, old=self.legacy)
        with self._lock:
            self.calls[method.name] += 1
        return exchange(
            self._session,
            "POST",
            url,
            headers={"Content-Type": protocol.content_type, "Accept": protocol.accept},
            body=body,
            connect_seconds=self._connect_seconds,
            total_seconds=deadline.remaining(),
        )
