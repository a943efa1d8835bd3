"""The calls of a subscribed framework (Mesos 1.11)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any

from airavata_mesos_plugin.minicluster.agents import Agents
from airavata_mesos_plugin.minicluster.clock import Clock
from airavata_mesos_plugin.minicluster.frameworks.amounts import BadResources, Basket
from airavata_mesos_plugin.minicluster.frameworks.framework import Framework
from airavata_mesos_plugin.minicluster.frameworks.offers import DEFAULT_REFUSAL, Offer
from airavata_mesos_plugin.minicluster.frameworks.registry import Registry
from airavata_mesos_plugin.minicluster.frameworks.taskinfo import (
    Asked,
    BadTask,
    NoContainer,
    check_container,
    checked,
    launch_of,
    read,
)
from airavata_mesos_plugin.minicluster.frameworks.values import (
    UNREADABLE,
    Refused,
    identities,
    identity,
    invalid,
    member,
    number,
    objects,
    optional_identity,
    part,
    seconds,
    texts,
)
from airavata_mesos_plugin.minicluster.mesos.agent import NoExecutor
from airavata_mesos_plugin.minicluster.mesos.master import Master
from airavata_mesos_plugin.minicluster.mesos.task import AGENT, MesosTask, Status

Json = Mapping[str, Any]
_UUID_BYTES = 16


class Calls:
    """Carries out one call after the other."""

    def __init__(
        self, clock: Clock, registry: Registry, master: Master, agents: Agents, *, switch_user: bool
    ) -> None:
        self._registry = registry
        self._statuses = registry.statuses
        self._offers = registry.offers
        self._clock = clock
        self._master = master
        self._agents = agents
        self._switch_user = switch_user
        self._handlers: dict[str, Callable[[Framework, Json], None]] = {
            "TEARDOWN": lambda framework, _: registry.remove(framework),
            "ACCEPT": self._accept,
            "DECLINE": self._decline,
            "REVIVE": self._revive,
            "SUPPRESS": self._suppress,
            "KILL": self._kill,
            "ACKNOWLEDGE": self._acknowledge,
            "RECONCILE": self._reconcile,
        }

    def kind_of(self, call: Json) -> str:
        """The type of a call.  Raises Refused for one that is not known here."""
        kind = call.get("type")
        if not isinstance(kind, str) or (kind != "SUBSCRIBE" and kind not in self._handlers):
            raise invalid("Expecting 'type' to be present")
        return kind

    def carry_out(self, call: Json, stream_id: str | None) -> None:
        """Any call but SUBSCRIBE.  Raises Refused."""
        framework_id = optional_identity(call, "framework_id")
        if framework_id is None:
            raise invalid("Expecting 'framework_id' to be present")
        kind = self.kind_of(call)
        if kind in ("ACCEPT", "DECLINE", "KILL", "ACKNOWLEDGE", "RECONCILE"):
            member(call, kind.lower())
        framework = self._registry.frameworks.get(framework_id)
        if framework is None:
            raise Refused(400, "Framework cannot be found")
        if framework.stream is None:
            raise Refused(403, "Framework is not subscribed")
        if stream_id is None:
            raise Refused(400, "All non-subscribe calls should include the 'Mesos-Stream-Id' header")
        if stream_id != framework.stream.id:
            raise Refused(
                400,
                f"The stream ID '{stream_id}' included in this request didn't match the stream ID currently"
                f" associated with framework ID '{framework_id}'",
            )
        self._handlers[kind](framework, call)

    # Offers

    def _decline(self, framework: Framework, call: Json) -> None:
        decline = member(call, "decline")
        refusal = _refusal(decline)
        for offer in self._offers.taken(framework, identities(decline, "offer_ids"))[0]:
            self._offers.returned(offer, offer.amount, refusal)

    def _revive(self, framework: Framework, call: Json) -> None:
        roles = self._roles(framework, call, "revive")
        framework.suppressed -= roles
        for key in [key for key in framework.filters if key[1] in roles]:
            del framework.filters[key]
        self._offers.hurry()

    def _suppress(self, framework: Framework, call: Json) -> None:
        framework.suppressed |= self._roles(framework, call, "suppress")

    @staticmethod
    def _roles(framework: Framework, call: Json, name: str) -> set[str]:
        return set(texts(part(call, name), "roles") or framework.record.roles)

    def _accept(self, framework: Framework, call: Json) -> None:
        accept = member(call, "accept")
        refusal = _refusal(accept)
        tasks: list[Asked] = []
        for operation in objects(accept, "operations"):
            kind = operation.get("type")
            if kind != "LAUNCH":
                raise Refused(400, f"this minicluster does not know the operation {kind}")
            tasks += map(read, objects(member(operation, "launch"), "task_infos"))
        offers, valid = self._offers.taken(framework, identities(accept, "offer_ids"))
        agents = {offer.agent.info.agent_id for offer in offers}
        roles = {offer.role for offer in offers}
        if not valid or len(agents) != 1 or len(roles) != 1:
            why = "Offers must belong to one single agent"
            if not valid:
                why = "Offer is no longer valid"
            for offer in offers:
                self._offers.returned(offer, offer.amount, 0)
            for asked in tasks:
                text = f"Task launched with invalid offers: {why}"
                self._tell(framework, asked, "TASK_DROPPED", text, "REASON_INVALID_OFFERS")
            return
        basket = Basket.of((offer.amount, offer.ports) for offer in offers)
        for asked in tasks:
            self._launch(framework, asked, offers[0], basket)
        for offer in offers:
            self._offers.returned(offer, basket.amount, refusal)

    def _launch(self, framework: Framework, asked: Asked, offer: Offer, basket: Basket) -> None:
        """Start one task with what it takes out of the basket."""
        try:
            wanted = checked(asked, framework, offer)
            launch = launch_of(asked, framework, offer, wanted, switch_user=self._switch_user)
            basket.take(wanted)
        except (BadTask, BadResources) as error:
            self._tell(framework, asked, "TASK_ERROR", str(error), "REASON_TASK_INVALID")
            return
        task = MesosTask(launch, framework.id, offer.agent.info.agent_id)
        self._statuses.launched(framework, task, wanted.amount)
        try:
            check_container(asked, launch)
            self._agents.send(task)
        except NoContainer as error:
            self._failed(framework, task, "TASK_FAILED", str(error), "REASON_EXECUTOR_TERMINATED")
        except NoExecutor as error:
            self._failed(framework, task, "TASK_DROPPED", str(error), "REASON_EXECUTOR_TERMINATED")
        except OSError as error:
            why = f"Failed to launch container: {error}"
            self._failed(framework, task, "TASK_FAILED", why, "REASON_CONTAINER_LAUNCH_FAILED")

    def _failed(self, framework: Framework, task: MesosTask, state: str, why: str, reason: str) -> None:
        status = Status(state, self._clock.now_ms() / 1000, why, reason, AGENT)
        self._master.add(task.mark(status))
        self._statuses.reported(framework, task, status)

    def _tell(self, framework: Framework, asked: Asked, state: str, message: str, reason: str) -> None:
        self._statuses.tell(framework, asked.task_id, asked.agent_id, state, message, reason)

    # Tasks

    def _kill(self, framework: Framework, call: Json) -> None:
        kill = member(call, "kill")
        task_id, agent_id = identity(kill, "task_id"), optional_identity(kill, "agent_id")
        task = framework.tasks.get(task_id)
        if task is None or task.agent_id not in self._master.agents:
            self._answer(framework, task_id, agent_id)
        elif agent_id in (None, task.agent_id):
            grace = seconds(kill, "kill_policy", "grace_period")
            self._agents.kill(task.agent_id, task_id, framework.id, grace)

    def _acknowledge(self, framework: Framework, call: Json) -> None:
        acknowledge = member(call, "acknowledge")
        token = acknowledge.get("uuid")
        if not isinstance(token, str):
            raise Refused(400, f"{UNREADABLE}: Missing required fields: acknowledge.uuid")
        try:
            whole = len(base64.b64decode(token, validate=True)) == _UUID_BYTES
        except (binascii.Error, ValueError):
            whole = False
        if not whole:
            raise invalid("Not a valid UUID")
        task_id, agent_id = identity(acknowledge, "task_id"), identity(acknowledge, "agent_id")
        self._statuses.acknowledged(framework, task_id, agent_id, token)

    def _reconcile(self, framework: Framework, call: Json) -> None:
        asked = objects(member(call, "reconcile"), "tasks")
        for one in asked:
            self._answer(framework, identity(one, "task_id"), optional_identity(one, "agent_id"))
        if not asked:
            for task in list(framework.tasks.values()):
                self._answer(framework, task.launch.task_id, task.agent_id)

    def _answer(self, framework: Framework, task_id: str, agent_id: str | None) -> None:
        """Tell the present state of a task, as the answer to a question; nothing while it is not known."""
        task, master = framework.tasks.get(task_id), self._master
        if task is not None:
            agent_id = task.agent_id
        recovering = master.recovered_agents
        if (agent_id in recovering) if agent_id else (task is None and recovering):
            return
        if agent_id and agent_id in master.out_of_reach:
            state, why = "TASK_UNREACHABLE", "Task is unreachable"
        elif agent_id and agent_id in master.gone_agents:
            state, why = "TASK_GONE_BY_OPERATOR", "Task's agent has been marked gone"
        elif task is not None:
            state, why = task.state, "Latest task state"
        elif agent_id and agent_id in master.agents:
            state, why = "TASK_GONE", "Task is unknown to the agent"
        else:
            state, why = "TASK_UNKNOWN", "Task is unknown"
        message = f"Reconciliation: {why}"
        self._statuses.tell(framework, task_id, agent_id or "", state, message, "REASON_RECONCILIATION")


def _refusal(call: Json) -> float:
    """Seconds for which the offers of a call are not wanted."""
    return number(part(call, "filters"), "refuse_seconds", DEFAULT_REFUSAL)
