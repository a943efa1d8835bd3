"""Offers: who is offered what, and what becomes of it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from airavata_mesos_plugin.minicluster.clock import Clock, Timer
from airavata_mesos_plugin.minicluster.frameworks import amounts
from airavata_mesos_plugin.minicluster.frameworks.framework import Framework
from airavata_mesos_plugin.minicluster.mesos.agent import Agent
from airavata_mesos_plugin.minicluster.mesos.master import Master
from airavata_mesos_plugin.minicluster.room import OFFERED, PortRanges
from airavata_mesos_plugin.minicluster.scheduler.resources import Amount
from airavata_mesos_plugin.minicluster.settings import LISTEN_HOST

_LEAST_CPU, _LEAST_RAM = 10, 32
"""Less than both of these is not offered (Mesos 1.11)."""
_LONGEST_REFUSAL = 365 * 86400.0
DEFAULT_REFUSAL = 5.0


@dataclass(frozen=True)
class Offer:
    offer_id: str
    framework: Framework
    agent: Agent
    role: str
    amount: Amount
    ports: PortRanges

    def listed_ports(self) -> list[int]:
        return [port for first, last in self.ports for port in range(first, last + 1)]


class OfferBook:
    """All offers that are out. What lies in one is held in the agent's room."""

    def __init__(
        self,
        master: Master,
        clock: Clock,
        interval: float,
        frameworks: Callable[[], Iterable[Framework]],
    ) -> None:
        """``interval``: seconds between two rounds of offers."""
        self._master = master
        self._clock = clock
        self._interval = interval
        self._frameworks = frameworks
        self._offers: dict[str, Offer] = {}
        self._numbers = itertools.count()
        self._timer: Timer | None = None
        self._soon: Timer | None = None

    def start(self) -> None:
        """Offer from now on.  Harmless when repeated."""
        if self._timer is None:
            self._timer = self._clock.call_later(self._interval, self._again)

    def stop(self) -> None:
        """May be repeated."""
        for timer in (self._timer, self._soon):
            if timer is not None:
                timer.cancel()
        self._timer = self._soon = None

    def _again(self) -> None:
        self._timer = None
        # Nobody to offer anything to: the next subscription starts it again.
        if any(framework.stream is not None for framework in self._frameworks()):
            self.start()
            self.allocate()

    def hurry(self) -> None:
        """There is something new to be offered, or somebody new to offer it to."""
        if self._soon is None and self._timer is not None:
            self._soon = self._clock.call_later(0, self._now)

    def _now(self) -> None:
        self._soon = None
        self.allocate()

    def allocate(self) -> None:
        """One round: all that is free on each agent, to the framework that has least."""
        made: dict[str, list[Offer]] = {}
        for agent in self._master.agents.values():
            room = agent.room
            if room.free.cpu < _LEAST_CPU and room.free.ram < _LEAST_RAM:
                continue
            chosen = min(self._takers(agent), key=lambda taker: self._share(*taker), default=None)
            if chosen is not None:
                made.setdefault(chosen[0].id, []).append(self._make(*chosen, agent))
        for offers in made.values():
            framework = offers[0].framework
            framework.send("OFFERS", offers={"offers": [self._described(offer) for offer in offers]})

    def _takers(self, agent: Agent) -> list[tuple[Framework, str]]:
        free, now = agent.room.free, self._clock.now_ms()
        found = []
        for framework in self._frameworks():
            if framework.stream is None or (agent.info.gpus and not framework.can("GPU_RESOURCES")):
                continue
            for role in framework.record.roles:
                key = (agent.info.agent_id, role)
                refused = [one for one in framework.filters.get(key, ()) if one[1] > now]
                framework.filters[key] = refused
                if role not in framework.suppressed and not any(
                    amounts.fits(free, amount) for amount, _ in refused
                ):
                    found.append((framework, role))
        return found

    def _share(self, framework: Framework, role: str) -> tuple[float, int]:
        """The larger of the framework's shares of all processors and of all memory, with its offers."""
        rooms = [agent.room for agent in self._master.agents.values()]
        mine = [room.held(framework.id) for room in rooms]
        mine += [offer.amount for offer in self._offers.values() if offer.framework is framework]
        cpu = sum(amount.cpu for amount in mine) / max(1, sum(room.total.cpu for room in rooms))
        ram = sum(amount.ram for amount in mine) / max(1, sum(room.total.ram for room in rooms))
        return max(cpu, ram), framework.record.roles.index(role)

    def _make(self, framework: Framework, role: str, agent: Agent) -> Offer:
        room = agent.room
        ports = room.free_ports()
        offer_id = f"{self._master.master_id}-O{next(self._numbers)}"
        offer = Offer(offer_id, framework, agent, role, room.free, ports)
        self._offers[offer_id] = offer
        room.hold(OFFERED, offer.amount, offer.listed_ports())
        return offer

    def _described(self, offer: Offer) -> dict[str, Any]:
        info, several = offer.agent.info, offer.framework.record.multi_role
        more: dict[str, Any] = {"allocation_info": {"role": offer.role}} if several else {}
        if not offer.framework.can("RESERVATION_REFINEMENT"):
            more["role"] = "*"
        described: dict[str, Any] = {
            "id": {"value": offer.offer_id},
            "framework_id": {"value": offer.framework.id},
            "agent_id": {"value": info.agent_id},
            "hostname": info.host,
            "url": {
                "scheme": "http",
                "path": "/slave(1)",
                "address": {"hostname": info.host, "ip": LISTEN_HOST, "port": info.port},
            },
            "resources": amounts.described(offer.amount, offer.ports, more),
            "attributes": [
                {"name": name, "type": "TEXT", "text": {"value": value}}
                for name, values in info.attributes.items()
                for value in values
            ],
        }
        if several:
            described["allocation_info"] = {"role": offer.role}
        return {name: value for name, value in described.items() if value != []}

    # What frameworks do with them

    def taken(self, framework: Framework, offer_ids: Iterable[str]) -> tuple[list[Offer], bool]:
        """Those of these offers that there are, and whether all were; they are void from now on, what lies
        in them is held until `returned`."""
        wanted = list(dict.fromkeys(offer_ids))
        found = [
            self._offers[one]
            for one in wanted
            if one in self._offers and self._offers[one].framework is framework
        ]
        for offer in found:
            del self._offers[offer.offer_id]
        return found, len(found) == len(wanted)

    def returned(self, offer: Offer, unused: Amount, refusal: float) -> None:
        """What lay in an offer is free again; of it `unused` is not to be offered to the framework for
        `refusal` seconds."""
        if refusal < 0:
            refusal = DEFAULT_REFUSAL
        if refusal > 0:
            until = self._clock.now_ms() + round(min(refusal, _LONGEST_REFUSAL) * 1000)
            key = (offer.agent.info.agent_id, offer.role)
            offer.framework.filters.setdefault(key, []).append((unused, until))
        offer.agent.room.give_back(OFFERED, offer.amount, offer.listed_ports())

    def withdraw(self, *, framework: Framework | None = None, agent_id: str | None = None) -> None:
        """Take back all offers of a framework, or of an agent, which the frameworks are told."""
        for offer in list(self._offers.values()):
            if framework is offer.framework or offer.agent.info.agent_id == agent_id:
                del self._offers[offer.offer_id]
                offer.agent.room.give_back(OFFERED, offer.amount, offer.listed_ports())
                if framework is None:
                    offer.framework.send("RESCIND", rescind={"offer_id": {"value": offer.offer_id}})
