"""The master's v1 scheduler API: the same calls get the same answers from Mesos and from the minicluster."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airavata_mesos_plugin.minicluster.settings import AgentSettings
from airavata_mesos_plugin.minicluster.settings import ClusterSettings as MiniSettings
from airavata_mesos_plugin.minicluster.threaded import ThreadedCluster
from tests.realmesos.scheduler import Masters, Refused, Scheduler, task
from tests.support.mini_masters import MiniMasters
from tests.support.waiting import wait_for

Json = dict[str, Any]
CAPABILITIES = [{"type": name} for name in ("MULTI_ROLE", "PARTITION_AWARE", "TASK_KILLING_STATE")]
JSON = {"Content-Type": "application/json", "Accept": "application/json"}
INFO = {"user": "root", "name": "contract"}


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Masters]:
    agent = AgentSettings(host="127.0.0.1", cpus=4, memory_mb=4096, disk_mb=8192)
    with ThreadedCluster(MiniSettings(tmp_path_factory.mktemp("mini"), agents=(agent, agent))) as cluster:
        yield MiniMasters(cluster)


@pytest.fixture(params=["mesos", "minicluster"])
def masters(request: pytest.FixtureRequest) -> Masters:
    found: Masters = request.getfixturevalue("real_mesos" if request.param == "mesos" else "mini")
    return found


@pytest.fixture
def subscribed(masters: Masters) -> Iterator[Callable[..., Scheduler]]:
    """Subscribes; the frameworks end with the test."""
    made: list[Scheduler] = []

    def subscribe(**info: Any) -> Scheduler:
        options = {"capabilities": CAPABILITIES, "failover_timeout": 600.0, "checkpoint": True, **info}
        made.append(Scheduler(masters, **options))
        return made[-1]

    yield subscribe
    for scheduler in made:
        scheduler.teardown()
        scheduler.close()


def post(
    masters: Masters, body: bytes | None, headers: dict[str, str], method: str = "POST"
) -> tuple[int, str]:
    """Status and text of an answer that is no stream."""
    host, _, port = masters.leader().address.partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    try:
        connection.request(method, "/api/v1/scheduler", body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def subscribe(**members: Any) -> bytes:
    return json.dumps({"type": "SUBSCRIBE", **members}).encode()


UNREADABLE = "Failed to convert JSON into Call protobuf: "
INVALID = "Failed to validate scheduler::Call: "
DIFFERS = f"{INVALID}'framework_id' differs from 'subscribe.framework_info.id'"


@pytest.mark.parametrize(
    ("body", "headers", "status", "text"),
    [
        (b"{", {}, 400, "Failed to parse body into JSON: "),
        (b"[]", {}, 400, f"{UNREADABLE}Expecting a JSON object"),
        (b"{}", {}, 400, f"{INVALID}Expecting 'type' to be present"),
        (b'{"type": "NONSENSE"}', {}, 400, f"{INVALID}Expecting 'type' to be present"),
        (b"{}", {"Content-Type": "application/json; charset=utf-8"}, 415, "Expecting 'Content-Type' of "),
        (subscribe(), {}, 400, f"{INVALID}Expecting 'subscribe' to be present"),
        (
            subscribe(subscribe={"framework_info": INFO}),
            {"Accept": "text/html"},
            406,
            "Expecting 'Accept' to",
        ),
        (
            subscribe(subscribe={"framework_info": INFO}),
            {"Mesos-Stream-Id": "x"},
            400,
            "Subscribe calls should not include the 'Mesos-Stream-Id' header",
        ),
        (subscribe(framework_id={"value": "f"}, subscribe={"framework_info": INFO}), {}, 400, DIFFERS),
        (subscribe(subscribe={"framework_info": {**INFO, "id": {"value": "f"}}}), {}, 400, DIFFERS),
        (
            subscribe(subscribe={"framework_info": {"name": "n"}}),
            {},
            400,
            f"{UNREADABLE}Missing required field",
        ),
        (b'{"type": "REVIVE"}', {}, 400, f"{INVALID}Expecting 'framework_id' to be present"),
        (
            b'{"type": "REVIVE", "framework_id": {"value": "nobody"}}',
            {"Mesos-Stream-Id": "x"},
            400,
            "Framework cannot be found",
        ),
    ],
)
def test_refused_calls(
    masters: Masters, body: bytes, headers: dict[str, str], status: int, text: str
) -> None:
    found = post(masters, body, {**JSON, **headers})
    assert found[0] == status
    assert found[1].startswith(text)


def test_only_posts_are_calls(masters: Masters) -> None:
    assert post(masters, None, {}, "GET")[0] == 405
    assert post(masters, b"{}", {})[0] == 400


@pytest.mark.parametrize(
    ("info", "text"),
    [
        ({"roles": ["a"], "capabilities": []}, "'FrameworkInfo.roles' must not be set when the framework"),
        ({"role": "x"}, "'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable"),
        ({"roles": ["a b"]}, "'FrameworkInfo.roles' contains invalid role: "),
        ({"roles": ["a", "a"]}, "'FrameworkInfo.roles' contains duplicate items"),
        ({"failover_timeout": 1e30}, "The framework failover_timeout (1e+30) is invalid"),
    ],
)
def test_refused_frameworks_are_told_in_the_stream(masters: Masters, info: Json, text: str) -> None:
    with pytest.raises(Refused) as refused:
        Scheduler(masters, **info)
    assert refused.value.args[0] == 200
    assert text in refused.value.args[1]


def test_a_stream_begins_with_a_heartbeat_and_offers(subscribed: Callable[..., Scheduler]) -> None:
    scheduler = subscribed()
    scheduler.wait(lambda event: event["type"] == "HEARTBEAT")
    offer = scheduler.offer()
    assert set(offer) - {"attributes"} == {
        *("id", "framework_id", "agent_id", "hostname", "url", "resources", "allocation_info"),
    }
    amounts = {one["name"]: one for one in offer["resources"]}
    assert set(amounts) == {"cpus", "mem", "disk", "ports"}
    assert {name: sorted(one) for name, one in amounts.items()} == {
        "cpus": ["allocation_info", "name", "role", "scalar", "type"],
        "mem": ["allocation_info", "name", "role", "scalar", "type"],
        "disk": ["allocation_info", "name", "role", "scalar", "type"],
        "ports": ["allocation_info", "name", "ranges", "role", "type"],
    }
    assert amounts["cpus"]["scalar"] == {"value": 4.0}


def kill_policy(seconds: float) -> Json:
    return {"grace_period": {"nanoseconds": int(seconds * 1e9)}}


def told(scheduler: Scheduler, name: str, last: str) -> list[tuple[str, str, str, bool, str]]:
    """State, source, reason, whether to acknowledge, and message of each status of a task up to a state."""
    found: list[tuple[str, str, str, bool, str]] = []
    while not found or found[-1][0] != last:
        update = scheduler.wait(lambda e: e["type"] == "UPDATE" and named(e) == name)["update"]["status"]
        message = re.sub(r"'[0-9a-f-]{36}'", "<container>", update.get("message", ""))
        found.append((update["state"], update["source"], update.get("reason", ""), "uuid" in update, message))
    return found


def named(event: Json) -> str:
    return str(event["update"]["status"]["task_id"]["value"])


BEGIN = [
    ("TASK_STARTING", "SOURCE_EXECUTOR", "", True, ""),
    ("TASK_RUNNING", "SOURCE_EXECUTOR", "", True, ""),
]


def test_the_ends_of_tasks(subscribed: Callable[..., Scheduler]) -> None:
    scheduler = subscribed()
    offer = scheduler.offer()
    second = 10**9
    scheduler.launch(
        offer,
        task(offer, "good", "true"),
        task(offer, "bad", "exit 3"),
        task(offer, "shot", "kill -9 $$"),
        task(offer, "good", "true"),
        task(offer, "large", "true", cpus=1000),
        task(offer, "a/b", "true"),
        task(offer, "nothing-to-fetch", "true", command={"uris": [{"value": "/nowhere/file"}]}),
        task(offer, "long", "sleep 600", max_completion_time={"nanoseconds": second // 10}),
        task(offer, "elsewhere", "true", agent_id={"value": "nobody"}),
    )

    def by_executor(state: str, message: str, reason: str = "") -> tuple[str, str, str, bool, str]:
        return state, "SOURCE_EXECUTOR", reason, True, message

    # The second one of a name is refused at once, the first one goes on.
    assert told(scheduler, "good", "TASK_ERROR")[-1][2:] == (
        *("REASON_TASK_INVALID", False),
        "Task has duplicate ID: good",
    )
    assert told(scheduler, "good", "TASK_FINISHED") == [
        *BEGIN,
        by_executor("TASK_FINISHED", "Command exited with status 0"),
    ]
    assert told(scheduler, "bad", "TASK_FAILED") == [
        *BEGIN,
        by_executor("TASK_FAILED", "Command exited with status 3"),
    ]
    assert told(scheduler, "shot", "TASK_FAILED") == [
        *BEGIN,
        by_executor("TASK_FAILED", "Command terminated with signal Killed"),
    ]
    assert told(scheduler, "long", "TASK_FAILED") == [
        *BEGIN,
        by_executor(
            "TASK_FAILED", "Command terminated with signal Terminated", "REASON_MAX_COMPLETION_TIME_REACHED"
        ),
    ]
    fetched = "Failed to launch container: Failed to fetch all URIs for container <container>: "
    assert told(scheduler, "nothing-to-fetch", "TASK_FAILED") == [
        (
            *("TASK_FAILED", "SOURCE_AGENT", "REASON_CONTAINER_LAUNCH_FAILED", True),
            f"{fetched}exited with status 1",
        )
    ]
    for name in ("large", "a/b", "elsewhere"):
        (refused,) = told(scheduler, name, "TASK_ERROR")
        assert refused[:4] == ("TASK_ERROR", "SOURCE_MASTER", "REASON_TASK_INVALID", False)


def test_kills(subscribed: Callable[..., Scheduler], tmp_path: Path) -> None:
    scheduler = subscribed()
    offer = scheduler.offer()
    ready = tmp_path / "ready"
    deaf = f"trap '' TERM; touch {ready}; while :; do sleep 0.1; done"
    scheduler.launch(
        offer,
        task(offer, "hears", "sleep 600"),
        task(offer, "deaf", deaf, kill_policy=kill_policy(600)),
        task(offer, "kept", "sleep 600"),
    )
    for name in ("hears", "deaf", "kept"):
        assert told(scheduler, name, "TASK_RUNNING") == BEGIN
    wait_for(ready.exists, bool, "deaf to TERM")
    wrong = {"task_id": {"value": "kept"}, "agent_id": {"value": "another"}}
    assert scheduler.call("KILL", kill=wrong) == (202, b"")
    scheduler.call("KILL", kill={"task_id": {"value": "hears"}, "agent_id": offer["agent_id"]})
    scheduler.call("KILL", kill={"task_id": {"value": "deaf"}, "kill_policy": kill_policy(0.5)})
    killing = ("TASK_KILLING", "SOURCE_EXECUTOR", "", True, "")
    for name, signal in (("hears", "Terminated"), ("deaf", "Killed")):
        said = f"Command terminated with signal {signal}"
        assert told(scheduler, name, "TASK_KILLED") == [
            killing,
            ("TASK_KILLED", "SOURCE_EXECUTOR", "", True, said),
        ]
    scheduler.call("RECONCILE", reconcile={"tasks": [{"task_id": {"value": "kept"}}]})
    assert told(scheduler, "kept", "TASK_RUNNING")[0][2] == "REASON_RECONCILIATION"


def test_what_reconciliation_says(subscribed: Callable[..., Scheduler]) -> None:
    scheduler = subscribed()
    offer = scheduler.offer()
    scheduler.launch(offer, task(offer, "runs", "sleep 600"))
    told(scheduler, "runs", "TASK_RUNNING")
    here = {"agent_id": offer["agent_id"]}

    def answer(name: str, **agent: Any) -> tuple[str, str, str, bool, str]:
        call = {"reconcile": {"tasks": [{"task_id": {"value": name}, **agent}]}}
        assert scheduler.call("RECONCILE", **call) == (202, b"")
        update = scheduler.wait(lambda e: e["type"] == "UPDATE" and named(e) == name)["update"]["status"]
        return (
            *(update["state"], update["source"], update["reason"], "uuid" in update),
            update["message"],
        )

    def said(state: str, words: str) -> tuple[str, str, str, bool, str]:
        return state, "SOURCE_MASTER", "REASON_RECONCILIATION", False, f"Reconciliation: {words}"

    assert answer("runs", **here) == said("TASK_RUNNING", "Latest task state")
    assert answer("runs") == said("TASK_RUNNING", "Latest task state")
    assert answer("never", **here) == said("TASK_GONE", "Task is unknown to the agent")
    assert answer("never") == said("TASK_UNKNOWN", "Task is unknown")
    assert answer("never", agent_id={"value": "nobody"}) == said("TASK_UNKNOWN", "Task is unknown")
    scheduler.call("KILL", kill={"task_id": {"value": "never"}, **here})
    assert told(scheduler, "never", "TASK_GONE")[0] == said("TASK_GONE", "Task is unknown to the agent")
    scheduler.call("RECONCILE", reconcile={})
    assert told(scheduler, "runs", "TASK_RUNNING")[0] == said("TASK_RUNNING", "Latest task state")


def of_two_agents(scheduler: Scheduler) -> tuple[Json, Json]:
    """An offer of each of two agents."""
    offers: dict[str, Json] = {}
    while len(offers) < 2:
        event = scheduler.wait(lambda event: event["type"] == "OFFERS")
        offers.update({one["agent_id"]["value"]: one for one in event["offers"]["offers"]})
    one, other = offers.values()
    return one, other


def shown(address: str, path: str) -> Any:
    """The JSON that a master or an agent shows."""
    host, _, port = address.partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    try:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def test_what_masters_and_agents_show_of_a_framework(
    masters: Masters, subscribed: Callable[..., Scheduler]
) -> None:
    scheduler = subscribed(name="shown")
    offer = scheduler.offer()
    labels = {"labels": [{"key": "a", "value": "b"}]}
    scheduler.launch(offer, task(offer, "runs", "sleep 600", labels=labels), task(offer, "ends", "true"))
    told(scheduler, "runs", "TASK_RUNNING")
    told(scheduler, "ends", "TASK_FINISHED")
    master = masters.leader().address

    def mine(found: Any) -> Json:
        (framework,) = [one for one in found["frameworks"] if one["id"] == scheduler.id]
        return dict(framework)

    # An end counts once the master has heard that it was acknowledged.
    framework = wait_for(
        lambda: mine(shown(master, "/frameworks")), lambda now: len(now["tasks"]) == 1, "one task"
    )
    expected = {
        "name": "shown",
        "roles": ["*"],
        "active": True,
        "connected": True,
        "recovered": False,
        "checkpoint": True,
        "failover_timeout": 600.0,
        "capabilities": [one["type"] for one in CAPABILITIES],
        "unreachable_tasks": [],
        "executors": [],
    }
    assert {name: framework[name] for name in expected} == expected
    assert [one["state"] for one in framework["completed_tasks"]] == ["TASK_FINISHED"]
    (runs,) = framework["tasks"]
    expected = {
        "id": "runs",
        "name": "runs",
        "executor_id": "",
        "slave_id": offer["agent_id"]["value"],
        "state": "TASK_RUNNING",
        "role": "*",
        "labels": labels["labels"],
        "resources": {"cpus": 0.1, "mem": 32.0, "disk": 0.0, "gpus": 0.0},
    }
    assert {name: runs[name] for name in expected} == expected
    assert [one["state"] for one in runs["statuses"]] == ["TASK_STARTING", "TASK_RUNNING"]
    address = offer["url"]["address"]
    here = mine(shown(f"{address['ip']}:{address['port']}", "/state"))
    # That of the other task leaves a moment after its end.
    executor = {one["id"]: one for one in here["executors"]}["runs"]
    assert (executor["source"], "type" in executor) == ("runs", False)
    assert executor["name"].startswith("Command Executor (Task: runs)")


def test_offers_are_used_once_and_for_one_agent(subscribed: Callable[..., Scheduler]) -> None:
    scheduler = subscribed()
    one, other = of_two_agents(scheduler)
    invalid = ("TASK_DROPPED", "SOURCE_MASTER", "REASON_INVALID_OFFERS", False)

    def accept(*used: Json, name: str) -> None:
        operation = {"type": "LAUNCH", "launch": {"task_infos": [task(used[0], name, "true")]}}
        ids = [offer["id"] for offer in used]
        assert scheduler.call("ACCEPT", accept={"offer_ids": ids, "operations": [operation]}) == (202, b"")

    accept(one, other, name="both")
    assert told(scheduler, "both", "TASK_DROPPED")[0][:4] == invalid
    accept(one, name="stale")
    assert told(scheduler, "stale", "TASK_DROPPED")[0][:4] == invalid


def test_refused_offers_come_back_when_they_are_wanted_again(subscribed: Callable[..., Scheduler]) -> None:
    scheduler = subscribed()
    unwanted, other = of_two_agents(scheduler)
    refuse(scheduler, unwanted, 3600)
    for _ in range(3):  # rounds of offers in which the other one could come back as well
        refuse(scheduler, other, 0)
        other = scheduler.offer()
        assert other["agent_id"] != unwanted["agent_id"]
    assert scheduler.call("SUPPRESS") == (202, b"")
    assert scheduler.call("REVIVE") == (202, b"")
    again = scheduler.offer()
    assert again["agent_id"] == unwanted["agent_id"]
    assert again["id"] != unwanted["id"]


def refuse(scheduler: Scheduler, offer: Json, seconds: float) -> None:
    decline = {"offer_ids": [offer["id"]], "filters": {"refuse_seconds": seconds}}
    assert scheduler.call("DECLINE", decline=decline) == (202, b"")


@pytest.mark.parametrize(
    ("kind", "members", "text"),
    [
        ("KILL", {}, f"{INVALID}Expecting 'kill' to be present"),
        ("DECLINE", {}, f"{INVALID}Expecting 'decline' to be present"),
        ("RECONCILE", {}, f"{INVALID}Expecting 'reconcile' to be present"),
        ("DECLINE", {"decline": {"offer_ids": 5}}, UNREADABLE),
        ("KILL", {"kill": {}}, UNREADABLE),
        (
            "ACKNOWLEDGE",
            {"acknowledge": {"agent_id": {"value": "a"}, "task_id": {"value": "t"}, "uuid": "xx"}},
            f"{INVALID}Not a valid UUID",
        ),
    ],
)
def test_calls_that_say_too_little(
    subscribed: Callable[..., Scheduler], kind: str, members: Json, text: str
) -> None:
    status, answer = subscribed().call(kind, **members)
    assert (status, answer.decode()[: len(text)]) == (400, text)


def test_the_newest_subscription_counts(masters: Masters, subscribed: Callable[..., Scheduler]) -> None:
    old = subscribed()
    offer = old.offer()
    old.launch(offer, task(offer, "stays", "sleep 600"))
    told(old, "stays", "TASK_RUNNING")
    new = subscribed(framework_id=old.id)
    assert old.wait(lambda event: event["type"] == "ERROR")["error"] == {"message": "Framework failed over"}
    old.wait(lambda event: event["type"] == "CLOSED")
    status, text = old.call("REVIVE")
    assert (status, text.startswith(b"The stream ID '")) == (400, True)
    new.call("RECONCILE", reconcile={})
    assert told(new, "stays", "TASK_RUNNING")
    new.close()
    # Its connection is noticed to be gone a moment later.
    answer = wait_for(lambda: new.call("REVIVE"), lambda now: now[0] != 202, "the connection is gone")
    assert answer == (403, b"Framework is not subscribed")
    last = subscribed(framework_id=old.id)
    assert last.call("TEARDOWN") == (202, b"")
    last.wait(lambda event: event["type"] == "CLOSED")
    assert last.call("REVIVE") == (400, b"Framework cannot be found")
    with pytest.raises(Refused) as refused:
        Scheduler(masters, framework_id=old.id)
    assert "Framework has been removed" in refused.value.args[1]


def test_updates_wait_for_their_acknowledgement(
    masters: Masters, subscribed: Callable[..., Scheduler]
) -> None:
    class Silent(Scheduler):
        """Acknowledges nothing."""

        def _handle(self, event: Json) -> None:
            if event["type"] == "SUBSCRIBED":
                self.id = event["subscribed"]["framework_id"]["value"]
            self._note(event)

    first = Silent(masters, capabilities=CAPABILITIES, failover_timeout=600.0)
    try:
        offer = first.offer()
        first.launch(offer, task(offer, "quick", "true"))
        begun = first.wait(lambda event: event["type"] == "UPDATE")["update"]["status"]
        assert begun["state"] == "TASK_STARTING"
    finally:
        first.close()
    # Whoever comes after gets the same update again, then those that waited behind it.
    second = subscribed(framework_id=first.id)
    again = second.wait(lambda event: event["type"] == "UPDATE")["update"]["status"]
    assert (again["state"], again["uuid"]) == ("TASK_STARTING", begun["uuid"])
    assert [said[0] for said in told(second, "quick", "TASK_FINISHED")] == ["TASK_RUNNING", "TASK_FINISHED"]
