"""The master of the minicluster: offers, updates and the life of frameworks, with time moved by hand."""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_mock import MockerFixture

from airavata_mesos_plugin.minicluster.agents import Agents
from airavata_mesos_plugin.minicluster.clock import ManualClock
from airavata_mesos_plugin.minicluster.faults import Faults
from airavata_mesos_plugin.minicluster.frameworks.calls import Calls
from airavata_mesos_plugin.minicluster.frameworks.registry import Registry
from airavata_mesos_plugin.minicluster.frameworks.stream import Stream, Torn
from airavata_mesos_plugin.minicluster.frameworks.updates import Updates
from airavata_mesos_plugin.minicluster.frameworks.values import Refused
from airavata_mesos_plugin.minicluster.launch import Launch
from airavata_mesos_plugin.minicluster.mesos.agent import Agent, AgentInfo
from airavata_mesos_plugin.minicluster.mesos.master import Master
from airavata_mesos_plugin.minicluster.mesos.task import EXECUTOR, MesosTask, Status
from airavata_mesos_plugin.minicluster.room import Room
from airavata_mesos_plugin.minicluster.scheduler.resources import Amount
from airavata_mesos_plugin.minicluster.settings import ClusterSettings

Json = dict[str, Any]
CAPABILITIES = ("MULTI_ROLE", "PARTITION_AWARE", "RESERVATION_REFINEMENT")


class Desk:
    """A master with agents that do nothing."""

    def __init__(self, mocker: MockerFixture) -> None:
        self.clock = ManualClock()
        self.settings = ClusterSettings(Path("unused"), allocation_interval=1.0)
        self.master = Master("mini", 100)
        self.agents = mocker.create_autospec(Agents, instance=True)
        self.registry = Registry(self.settings, self.clock, self.master, self.agents, Faults())
        self.calls = Calls(self.clock, self.registry, self.master, self.agents, switch_user=False)

    def agent(self, name: str, cpus: float = 4, gpus: int = 0, memory_mb: int = 4096) -> Agent:
        info = AgentInfo(name, f"host-{name}", 5051, cpus, memory_mb, 8192, gpus, (31000, 31009), {})
        agent = Agent(info, self.settings, self.clock, lambda _: None)
        self.master.agents[name] = agent
        return agent

    def subscribe(self, *roles: str, more: tuple[str, ...] = (), **info: Any) -> Framework:
        given = {
            "user": "u",
            "name": "n",
            "roles": list(roles or ("*",)),
            "capabilities": [{"type": name} for name in (*CAPABILITIES, *more)],
            "failover_timeout": 60.0,
            **info,
        }
        call: Json = {"type": "SUBSCRIBE", "subscribe": {"framework_info": given}}
        if "id" in given:
            call["framework_id"] = given["id"]
        stream = self.registry.subscribe(call)
        self.clock.advance(0)
        return Framework(self, stream)


class Framework:
    """One that sees its events."""

    def __init__(self, desk: Desk, stream: Stream) -> None:
        self.desk = desk
        self.stream = stream
        self.seen: list[Json] = []
        subscribed = [event for event in self.events() if event["type"] == "SUBSCRIBED"]
        self.id = subscribed[0]["subscribed"]["framework_id"]["value"] if subscribed else ""

    def events(self, *kinds: str) -> list[Json]:
        """All so far, or those of some kinds; the latter are forgotten."""
        self.seen += drained(self.stream)
        found = [event for event in self.seen if not kinds or event["type"] in kinds]
        if kinds:
            self.seen = [event for event in self.seen if event["type"] not in kinds]
        return found

    def offers(self) -> list[Json]:
        return [offer for event in self.events("OFFERS") for offer in event["offers"]["offers"]]

    def updates(self) -> list[Json]:
        return [event["update"]["status"] for event in self.events("UPDATE")]

    def call(self, kind: str, **members: Any) -> None:
        body = {"type": kind, "framework_id": {"value": self.id}, **members}
        self.desk.calls.carry_out(body, self.stream.id)

    def decline(self, *offers: Json, **filters: float) -> None:
        self.call("DECLINE", decline={"offer_ids": [offer["id"] for offer in offers], "filters": filters})

    def launch(self, offer: Json, name: str, cpus: float, refuse: float = 0) -> None:
        task = {
            "name": name,
            "task_id": {"value": name},
            "agent_id": offer["agent_id"],
            "resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": cpus}}],
            "command": {"value": "true"},
        }
        operation = {"type": "LAUNCH", "launch": {"task_infos": [task]}}
        accept = {"offer_ids": [offer["id"]], "operations": [operation]}
        self.call("ACCEPT", accept={**accept, "filters": {"refuse_seconds": refuse}})


def drained(stream: Stream) -> list[Json]:
    found: list[Json] = []
    while not stream._records.empty():
        record = stream._records.get_nowait()
        if isinstance(record, bytes):
            found.append(json.loads(record.partition(b"\n")[2]))
    return found


def cpus(offer: Json) -> float:
    return float(next(one["scalar"]["value"] for one in offer["resources"] if one["name"] == "cpus"))


@pytest.fixture
def desk(mocker: MockerFixture) -> Desk:
    return Desk(mocker)


# Offers


def test_what_was_refused_comes_back_after_that_time_or_when_there_is_more(desk: Desk) -> None:
    agent = desk.agent("S0")
    agent.room.hold("aurora", Amount(cpu=1000, ram=1024))
    framework = desk.subscribe()
    (offer,) = framework.offers()
    assert cpus(offer) == 3
    framework.decline(offer, refuse_seconds=100)
    desk.clock.advance(50)
    assert framework.offers() == []
    agent.room.give_back("aurora", Amount(cpu=1000, ram=1024))
    desk.clock.advance(1)
    (larger,) = framework.offers()
    assert cpus(larger) == 4
    agent.room.hold("aurora", Amount(cpu=1000, ram=1024))
    framework.decline(larger, refuse_seconds=100)
    desk.clock.advance(99)
    assert framework.offers() == []
    desk.clock.advance(2)
    assert len(framework.offers()) == 1


@pytest.mark.parametrize(
    ("filters", "seconds"), [({}, 5), ({"refuse_seconds": -1}, 5), ({"refuse_seconds": 0}, 0)]
)
def test_how_long_a_refusal_lasts(desk: Desk, filters: dict[str, float], seconds: int) -> None:
    desk.agent("S0")
    framework = desk.subscribe()
    framework.decline(*framework.offers(), **filters)
    # The next round of offers comes with the next second.
    desk.clock.advance(max(0.0, seconds - 0.5))
    assert framework.offers() == []
    desk.clock.advance(1)
    assert len(framework.offers()) == 1


def test_revive_forgets_refusals_and_suppress_ends_offers(desk: Desk) -> None:
    desk.agent("S0")
    framework = desk.subscribe("a", "b")
    (offer,) = framework.offers()
    assert offer["allocation_info"] == {"role": "a"}
    framework.decline(offer, refuse_seconds=1000)
    desk.clock.advance(1)
    (offer,) = framework.offers()
    assert offer["allocation_info"] == {"role": "b"}
    framework.call("SUPPRESS")
    framework.decline(offer, refuse_seconds=0)
    desk.clock.advance(10)
    assert framework.offers() == []
    framework.call("REVIVE", revive={"roles": ["b"]})
    desk.clock.advance(0)
    assert [one["allocation_info"]["role"] for one in framework.offers()] == ["b"]


@pytest.mark.parametrize(("taken", "first"), [(1, True), (3, False)])
def test_whoever_has_least_is_offered_first(desk: Desk, taken: float, first: bool) -> None:
    desk.agent("S0")
    one = desk.subscribe()
    one.launch(one.offers()[0], "t", cpus=taken, refuse=1000)
    other = desk.subscribe()
    assert [cpus(offer) for offer in other.offers()] == [4 - taken]
    desk.agent("S1", cpus=1)
    desk.clock.advance(1)
    assert (len(one.offers()), len(other.offers())) == (1, 0) if first else (0, 1)


def test_agents_with_gpus_are_kept_for_those_who_know_them(desk: Desk) -> None:
    desk.agent("S0", gpus=2)
    assert desk.subscribe().offers() == []
    (offer,) = desk.subscribe(more=("GPU_RESOURCES",)).offers()
    assert {"gpus": 2.0}.items() <= {
        one["name"]: one.get("scalar", {}).get("value") for one in offer["resources"]
    }.items()


def test_next_to_nothing_is_not_offered(desk: Desk) -> None:
    agent = desk.agent("S0")
    agent.room.hold("aurora", Amount(cpu=3995, ram=4096 - 31))
    framework = desk.subscribe()
    assert framework.offers() == []
    agent.room.give_back("aurora", Amount(ram=1))
    desk.clock.advance(1)
    assert len(framework.offers()) == 1


def test_an_offer_has_the_ports_that_nobody_holds(desk: Desk) -> None:
    agent = desk.agent("S0")
    agent.room.hold("aurora", Amount(ports=2), (31000, 31004))
    (offer,) = desk.subscribe().offers()
    (ports,) = [one["ranges"]["range"] for one in offer["resources"] if one["name"] == "ports"]
    assert ports == [{"begin": 31001, "end": 31003}, {"begin": 31005, "end": 31009}]


def test_nothing_is_offered_twice_or_lost(desk: Desk) -> None:
    agent = desk.agent("S0")
    framework = desk.subscribe()
    (offer,) = framework.offers()
    framework.launch(offer, "t", cpus=1.5, refuse=0)
    desk.clock.advance(1)
    (rest,) = framework.offers()
    assert cpus(rest) == 2.5
    (sent,) = [call.args[0] for call in desk.agents.send.call_args_list]
    end = Status("TASK_FINISHED", 0.0, source=EXECUTOR)
    desk.registry.status(sent.mark(end), end)
    desk.clock.advance(0)
    assert [cpus(offer) for offer in framework.offers()] == [1.5]
    desk.registry.left(framework.stream)
    assert agent.room.free == agent.room.total


def test_tasks_of_one_call_share_what_was_offered(desk: Desk) -> None:
    desk.agent("S0", cpus=1)
    framework = desk.subscribe()
    (offer,) = framework.offers()
    port = {"name": "ports", "type": "RANGES", "ranges": {"range": [{"begin": 31000, "end": 31000}]}}
    half = {"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.5}}

    def task(name: str, *resources: Json) -> Json:
        ids = {"task_id": {"value": name}, "agent_id": offer["agent_id"]}
        return {"name": name, **ids, "resources": list(resources), "command": {"value": "true"}}

    tasks = [task("a", half, port), task("b", half, port), task("c", half), task("d", half)]
    operation = {"type": "LAUNCH", "launch": {"task_infos": tasks}}
    framework.call("ACCEPT", accept={"offer_ids": [offer["id"]], "operations": [operation]})
    sent = [call.args[0].launch.task_id for call in desk.agents.send.call_args_list]
    assert sent == ["a", "c"]
    refused = {one["task_id"]["value"]: one["reason"] for one in framework.updates()}
    assert refused == dict.fromkeys("bd", "REASON_TASK_INVALID")


# Frameworks


def test_a_framework_that_comes_back_in_time_stays(desk: Desk) -> None:
    desk.agent("S0")
    framework = desk.subscribe(failover_timeout=60.0)
    desk.registry.left(framework.stream)
    desk.clock.advance(59)
    again = desk.subscribe(failover_timeout=60.0, id={"value": framework.id})
    desk.clock.advance(600)
    assert again.id == framework.id
    assert desk.master.frameworks[framework.id].connected
    desk.registry.left(again.stream)
    desk.clock.advance(61)
    assert framework.id not in desk.master.frameworks
    desk.agents.shutdown.assert_called_once_with(framework.id)
    late = desk.registry.subscribe(
        {
            "type": "SUBSCRIBE",
            "framework_id": {"value": framework.id},
            "subscribe": {"framework_info": {"user": "u", "name": "n", "id": {"value": framework.id}}},
        }
    )
    assert [event["error"] for event in drained(late)] == [{"message": "Framework has been removed"}]


def test_heartbeats_come_as_announced(desk: Desk) -> None:
    framework = desk.subscribe()
    framework.events("HEARTBEAT")
    desk.clock.advance(46)
    assert len(framework.events("HEARTBEAT")) == 3
    desk.registry.left(framework.stream)
    again = desk.subscribe(id={"value": framework.id})
    desk.clock.advance(46)
    assert framework.events("HEARTBEAT") == []
    assert len(again.events("HEARTBEAT")) == 1 + 3


def test_a_second_subscription_ends_the_first(desk: Desk) -> None:
    desk.agent("S0")
    first = desk.subscribe()
    (offer,) = first.offers()
    second = desk.subscribe(id={"value": first.id})
    assert [event["error"]["message"] for event in first.events("ERROR")] == ["Framework failed over"]
    with pytest.raises(Refused) as refused:
        first.call("REVIVE")
    assert refused.value.status == 400
    assert offer["id"] != second.offers()[0]["id"]
    desk.registry.left(first.stream)  # its connection is noticed to be gone only now
    second.call("REVIVE")


TASK: Json = {
    "name": "t",
    "task_id": {"value": "t"},
    "agent_id": {"value": "S0"},
    "resources": [
        {"name": "cpus", "type": "SCALAR", "scalar": {"value": 1}},
        {"name": "ports", "type": "RANGES", "ranges": {"range": [{"begin": 31000, "end": 31001}]}},
    ],
    "command": {
        "shell": False,
        "value": "true",
        "arguments": ["true"],
        "user": "nobody",
        "environment": {"variables": [{"name": "A", "value": "b"}]},
        "uris": [{"value": "/x", "output_file": "y", "extract": True, "cache": True, "executable": False}],
    },
    "container": {"type": "MESOS", "mesos": {"image": {"type": "DOCKER"}}},
    "kill_policy": {"grace_period": {"nanoseconds": 5}},
    "max_completion_time": {"nanoseconds": 5},
    "labels": {"labels": [{"key": "k", "value": "v"}]},
}
IDS: Json = {"task_id": {"value": "t"}, "agent_id": {"value": "S0"}}
CALLS: list[Json] = [
    {
        "type": "ACCEPT",
        "accept": {
            "offer_ids": [{"value": "?"}],
            "operations": [{"type": "LAUNCH", "launch": {"task_infos": [TASK]}}],
            "filters": {"refuse_seconds": 5},
        },
    },
    {"type": "DECLINE", "decline": {"offer_ids": [{"value": "?"}], "filters": {"refuse_seconds": 5}}},
    {"type": "KILL", "kill": {**IDS, "kill_policy": {"grace_period": {"nanoseconds": 5}}}},
    {"type": "ACKNOWLEDGE", "acknowledge": {**IDS, "uuid": base64.b64encode(bytes(16)).decode()}},
    {"type": "RECONCILE", "reconcile": {"tasks": [IDS]}},
    {"type": "REVIVE", "revive": {"roles": ["*"]}},
    {"type": "SUPPRESS", "suppress": {"roles": ["*"]}},
    {
        "type": "SUBSCRIBE",
        "subscribe": {
            "framework_info": {
                "user": "u",
                "name": "n",
                "roles": ["*"],
                "principal": "p",
                "capabilities": [{"type": "MULTI_ROLE"}],
                "failover_timeout": 5.0,
                "checkpoint": True,
            },
            "suppressed_roles": ["*"],
        },
    },
]


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(document, dict):
        inner = list(document.items())
    elif isinstance(document, list):
        inner = list(enumerate(document))
    return [path] * bool(path) + [one for name, value in inner for one in places(value, (*path, name))]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: str(call["type"]))
@pytest.mark.parametrize("junk", [None, True, -1, 0.5, "x", [], {}, [5], [[]], {"value": 5}, 1e300])
def test_nonsense_is_refused_or_ignored(desk: Desk, call: Json, junk: object) -> None:
    refused = set()
    for place in places(call):
        desk.agent("S0")
        framework = desk.subscribe()
        spoilt = json.loads(json.dumps(call).replace('"?"', json.dumps(framework.offers()[0]["id"]["value"])))
        inner = spoilt
        for step in place[:-1]:
            inner = inner[step]
        inner[place[-1]] = junk
        try:
            if desk.calls.kind_of(spoilt) == "SUBSCRIBE":
                desk.registry.left(desk.registry.subscribe(spoilt))
            else:
                framework.call(**{"kind": spoilt.pop("type"), **spoilt})
        except Refused as error:
            refused.add(error.status)
        desk.registry.left(framework.stream)
    assert refused <= {400}


# Updates


def launch(name: str) -> Launch:
    return Launch(name, name, name, "", "*", "", 0, "h", {}, None, 1.0, 1, 1, 0, ())


class Lines:
    """Updates of one task of an agent that can be cut off."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.sent: list[Json] = []
        self.reachable = True
        self.updates = Updates(
            self.clock, (10.0, 600.0), lambda _, update: self.sent.append(update), lambda _: self.reachable
        )
        self.task = MesosTask(launch("t"), "F", "S0")

    def add(self, *states: str) -> None:
        for state in states:
            self.updates.add(self.task, {"state": state})

    def acknowledge(self, token: str | None = None) -> str | None:
        return self.updates.acknowledge(("F", "t"), "S0", token or self.sent[-1]["uuid"])


def test_an_update_is_sent_again_ever_later_until_it_is_acknowledged() -> None:
    lines = Lines()
    lines.add("TASK_STARTING", "TASK_RUNNING")
    counts = []
    for seconds in (9, 1, 19, 1, 40, 80, 160, 320, 599, 1, 600):
        lines.clock.advance(seconds)
        counts.append(len(lines.sent))
    assert counts == [1, 2, 2, 3, 4, 5, 6, 7, 7, 8, 9]
    assert {one["state"] for one in lines.sent} == {"TASK_STARTING"}
    wrong = base64.b64encode(uuid.uuid4().bytes).decode()
    assert lines.acknowledge(wrong) is None
    assert lines.acknowledge() == "TASK_STARTING"
    assert lines.sent[-1]["state"] == "TASK_RUNNING"
    assert lines.acknowledge() == "TASK_RUNNING"
    lines.clock.advance(10_000)
    assert len(lines.sent) == 10
    assert len(lines.updates) == 0


def test_what_was_not_acknowledged_comes_again_when_agent_or_framework_is_back(desk: Desk) -> None:
    agent = desk.agent("S0")
    framework = desk.subscribe()
    framework.launch(framework.offers()[0], "t", cpus=1)
    (task,) = [call.args[0] for call in desk.agents.send.call_args_list]
    began = Status("TASK_STARTING", 0.0, source=EXECUTOR)
    desk.registry.status(task.mark(began), began)
    (first,) = framework.updates()
    del desk.master.agents["S0"]
    desk.registry.agent_removed("S0", returns=True)
    acknowledge = {"task_id": {"value": "t"}, "agent_id": {"value": "S0"}, "uuid": first["uuid"]}
    framework.call("ACKNOWLEDGE", acknowledge=acknowledge)
    assert framework.updates() == []
    desk.master.agents["S0"] = agent
    desk.registry.agent_added("S0")
    assert framework.updates() == [first]
    framework = desk.subscribe(id={"value": framework.id})
    assert framework.updates() == [first]
    framework.call("ACKNOWLEDGE", acknowledge=acknowledge)
    assert len(desk.registry.updates) == 0


def test_updates_wait_for_an_agent_that_is_cut_off() -> None:
    lines = Lines()
    lines.reachable = False
    lines.add("TASK_FINISHED")
    lines.clock.advance(100)
    assert lines.sent == []
    lines.reachable = True
    lines.updates.again(agent_id="S0")
    assert len(lines.sent) == 1
    lines.reachable = False
    assert lines.acknowledge() is None
    lines.reachable = True
    assert lines.acknowledge() == "TASK_FINISHED"
    lines.add("TASK_LOST")
    lines.updates.drop(agent_id="S0")
    lines.clock.advance(100)
    assert len(lines.sent) == 2


# Rooms

HOLDINGS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9), st.sets(st.integers(1, 12))))


@given(HOLDINGS)
def test_a_room_is_what_nobody_holds(holdings: list[tuple[str, int, set[int]]]) -> None:
    room = Room(Amount(cpu=100), (1, 12))
    taken: set[int] = set()
    given_back = []
    for owner, amount, wanted in holdings:
        ports = wanted - taken
        taken |= ports
        room.hold(owner, Amount(cpu=amount), ports)
        given_back.append((owner, amount, ports))
    assert room.free.cpu == 100 - sum(amount for _, amount, _ in holdings)
    free = {port for first, last in room.free_ports() for port in range(first, last + 1)}
    assert free == {port for port in range(1, 13) if room.port_is_free(port)} == set(range(1, 13)) - taken
    for owner, amount, ports in given_back:
        if owner == "a":
            room.give_back(owner, Amount(cpu=amount), ports)
    room.forget("b")
    assert (room.free, room.free_ports()) == (room.total, ((1, 12),))


# Streams


def test_a_stream_ends_whole_or_torn() -> None:
    async def read(*, torn: bool) -> tuple[list[bytes], bool]:
        stream, found = Stream(), []
        stream.send("HEARTBEAT")
        stream.end(torn=torn)
        stream.send("HEARTBEAT")
        try:
            async for record in stream.records():
                found.append(record)
        except Torn:
            return found, True
        return found, False

    heartbeat = b'20\n{"type":"HEARTBEAT"}'
    assert asyncio.run(read(torn=False)) == ([heartbeat], False)
    assert asyncio.run(read(torn=True)) == ([heartbeat], True)
