"""pymesos' scheduler driver with everything contained that would endanger a framework.

We use its calls (``acceptOffers``, ``declineOffer``, ``reviveOffers``, ``suppressOffers``,
``acknowledgeStatusUpdate``) and its way from an event to a callback. What pymesos 0.3.15 does besides, and
what stands in its place here:

==============================================  =========================================================
pymesos 0.3.15                                  here
==============================================  =========================================================
http-parser is not to be had on Python 3.11+    `pymesos_loader` runs it without
takes SIGINT at import; fails in threads        `pymesos_loader` keeps both from happening
an exception in a callback tears the framework  no thread of pymesos runs; an exception in one event is
down, and interrupts the main thread            logged, and the next event is handled
``stop()`` tears the framework down             `close` never does; only `teardown` sends TEARDOWN
no pause after 503, and after ERROR             a growing pause with jitter, forgotten after SUBSCRIBED
a silent connection is never noticed            `link.EventStream.silence_seconds`, five heartbeats
plain HTTP to one IPv4 address, Basic only      `link.MasterLink`: TLS, all kinds of credentials, several
                                                masters, ZooKeeper with credentials, redirects
headers shared by all drivers of a process      each call has its own
needs /version and its numbers                  not asked
``killTask`` has no agent and no kill policy    replaced
``reconcileTasks`` drops the agent              replaced
FAILURE without a status raises KeyError        replaced
operation statuses cannot be acknowledged       no operation of ours has an id, so none comes
GPU_RESOURCES is added by guess                 the framework is sent as it was given
==============================================  =========================================================
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from airavata_mesos_plugin.errors import NotReady
from airavata_mesos_plugin.schedulers.mesos.link import EventStream, MasterLink
from airavata_mesos_plugin.schedulers.mesos.pymesos_loader import load_driver

log = logging.getLogger(__name__)

Json = Mapping[str, Any]


class Callbacks(Protocol):
    """What the driver calls, by pymesos' names and with v1 JSON as plain dicts."""

    def registered(self, driver: Driver, framework_id: Json, master_info: Json) -> None: ...

    def reregistered(self, driver: Driver, master_info: Json) -> None: ...

    def resourceOffers(self, driver: Driver, offers: Sequence[Json]) -> None: ...  # noqa: N802

    def offerRescinded(self, driver: Driver, offer_id: Json) -> None: ...  # noqa: N802

    def inverseOffers(self, driver: Driver, offers: Sequence[Json]) -> None: ...  # noqa: N802

    def statusUpdate(self, driver: Driver, status: Json) -> None: ...  # noqa: N802

    def slaveLost(self, driver: Driver, agent_id: Json) -> None: ...  # noqa: N802

    def error(self, driver: Driver, message: str) -> None: ...


class Driver(Protocol):
    """What a framework may ask of its driver. Every call raises NotReady without a subscription, and else
    what `link.MasterLink.call` raises.
    """

    def acceptOffers(  # noqa: N802
        self, offer_ids: Sequence[Json], operations: Sequence[Json], filters: Json | None = None
    ) -> None: ...

    def declineOffer(self, offer_ids: Sequence[Json], filters: Json | None = None) -> None: ...  # noqa: N802

    def reviveOffers(self, roles: Sequence[str] = ()) -> None: ...  # noqa: N802

    def suppressOffers(self, roles: Sequence[str] = ()) -> None: ...  # noqa: N802

    def acknowledgeStatusUpdate(self, status: Json) -> None: ...  # noqa: N802

    def kill(self, task_id: str, agent_id: str, grace_seconds: float | None) -> None: ...

    def reconcile(self, tasks: Sequence[tuple[str, str]]) -> None: ...

    def forget(self) -> None: ...

    def teardown(self) -> None: ...


class Subscribed(Driver, Protocol):
    """A driver as its owner sees it."""

    def subscription(self) -> Json: ...

    def attach(self, stream: EventStream | None) -> None: ...

    def handle(self, event: Json) -> None: ...


def make_driver(callbacks: Callbacks, framework: dict[str, Any], link: MasterLink) -> Subscribed:
    """A driver for a framework; ``framework`` is its FrameworkInfo, with ``id`` if it has one.

    Raises ConfigurationError when pymesos is not installed.
    """
    base = load_driver()

    class ContainedDriver(base):  # type: ignore[misc, valid-type]  # pymesos has no types
        """See the module."""

        def __init__(self) -> None:
            super().__init__(callbacks, framework, "", implicit_acknowledgements=False, failover=True)
            self._stream: EventStream | None = None

        # In place of pymesos' connection

        @property
        def framework(self) -> dict[str, Any]:
            return dict(self._framework)

        @property
        def connected(self) -> bool:
            return self._stream is not None

        def start(self) -> None:
            raise RuntimeError("the owner of the driver reads the events")

        def subscription(self) -> Json:
            """The body of the call SUBSCRIBE."""
            body: dict[str, Any] = {"type": "SUBSCRIBE", "subscribe": {"framework_info": self.framework}}
            if "id" in self._framework:
                body["framework_id"] = self._framework["id"]
            return body

        def attach(self, stream: EventStream | None) -> None:
            """Calls go beside this stream from now on; None: nowhere."""
            self._stream = stream

        def handle(self, event: Json) -> None:
            """One event, to its callback; whatever is wrong with it ends here."""
            try:
                self.on_event(event)
            except Exception:
                log.exception("an event of the Mesos master could not be handled: %s", event.get("type"))

        def _send(self, body: Json, *_more: object, **_options: object) -> Json:
            stream = self._stream
            if stream is None:
                raise NotReady(f"{body.get('type')} was not sent: there is no subscription at a Mesos master")
            link.call(stream, body)
            return {}

        def _call(self, kind: str, **members: object) -> None:
            self._send({"type": kind, "framework_id": self._framework.get("id"), **members})

        # In place of what pymesos does wrong, or not at all

        def on_subscribed(self, info: Json) -> None:
            known = "id" in self._framework
            self._framework["id"] = dict(info["framework_id"])
            master = info.get("master_info", {})
            if known:
                self.sched.reregistered(self, master)
            else:
                self.sched.registered(self, info["framework_id"], master)

        def on_offers(self, event: Json) -> None:
            self.sched.resourceOffers(self, event.get("offers", []))

        def on_failure(self, failure: Json) -> None:
            # With an executor's id it is about an executor; its tasks' statuses tell the same, reliably.
            if "executor_id" not in failure:
                self.sched.slaveLost(self, failure["agent_id"])

        def on_heartbeat(self) -> None:
            """The stream itself counts them."""

        def kill(self, task_id: str, agent_id: str, grace_seconds: float | None) -> None:
            members: dict[str, Any] = {"task_id": {"value": task_id}}
            if agent_id:
                members["agent_id"] = {"value": agent_id}
            if grace_seconds is not None:
                members["kill_policy"] = {"grace_period": {"nanoseconds": int(grace_seconds * 1e9)}}
            self._call("KILL", kill=members)

        def reconcile(self, tasks: Sequence[tuple[str, str]]) -> None:
            """Task ids with their agents' ids; none at all asks for every task of the framework."""
            asked = [
                {"task_id": {"value": task}, **({"agent_id": {"value": agent}} if agent else {})}
                for task, agent in tasks
            ]
            self._call("RECONCILE", reconcile={"tasks": asked})

        def forget(self) -> None:
            """The next subscription is that of a new framework."""
            self._framework.pop("id", None)

        def teardown(self) -> None:
            """End the framework and all its tasks. Not to be undone: its id is spent."""
            self._call("TEARDOWN")

    made: Subscribed = ContainedDriver()
    return made
