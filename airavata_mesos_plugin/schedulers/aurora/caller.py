"""Makes one call of the API: retries, the answer's meaning, and what old releases need besides."""

from __future__ import annotations

from collections import Counter
from typing import Any

from airavata_mesos_plugin.errors import AiravataMesosError, InvalidRequest, NotReady
from airavata_mesos_plugin.schedulers.aurora import legacy
from airavata_mesos_plugin.schedulers.aurora.codec import METHODS, Method
from airavata_mesos_plugin.schedulers.aurora.responses import JobUpdating, unwrap
from airavata_mesos_plugin.schedulers.aurora.transport import ThriftTransport
from airavata_mesos_plugin.schedulers.protection import Breaker
from airavata_mesos_plugin.schedulers.retry import Deadline, Retrier


class Caller:
    """Calls by name. Safe to use from several threads.

    Every call may raise Unreachable (NotLeader among them), OutcomeUnknown, NotReady, Refused,
    InvalidRequest, ServerFault and ProtocolError. Calls that may be repeated are, under the retrier's
    policy and within ``call_seconds`` in all.
    """

    def __init__(
        self,
        transport: ThriftTransport,
        retrier: Retrier,
        call_seconds: float,
        breaker: Breaker | None = None,
    ) -> None:
        self._breaker = breaker
        self._transport = transport
        self._retrier = retrier
        self._call_seconds = call_seconds

    @property
    def calls(self) -> Counter[str]:
        """Requests sent so far, by the name of the call; repeats count."""
        return self._transport.calls

    def call(self, name: str, subject: str, **arguments: object) -> Any:
        """The result member of the call's answer; ``subject`` names what it is about, for messages."""
        method = METHODS[name]

        def once(deadline: Deadline) -> Any:
            try:
                return self._once(method, subject, arguments, deadline)
            except InvalidRequest as error:
                if self._transport.legacy or not legacy.DEMAND.search(error.message):
                    raise
                # It did nothing, and says what it misses: a release before 0.18.
                self._transport.legacy = True
                return self._once(method, subject, arguments, deadline)

        if self._breaker is None:
            return self._retrier.run(once, repeatable=method.repeatable, seconds=self._call_seconds)
        self._breaker.check()
        try:
            result = self._retrier.run(once, repeatable=method.repeatable, seconds=self._call_seconds)
        except AiravataMesosError as error:
            self._breaker.note(error)
            raise
        self._breaker.note(None)
        return result

    def _once(self, method: Method, subject: str, arguments: dict[str, object], deadline: Deadline) -> Any:
        try:
            return unwrap(self._transport.call(method, arguments, deadline), method, subject)
        except NotReady as error:
            if not isinstance(error, JobUpdating):
                self._transport.look_again()  # it may be handing over
            raise
