"""pymesos is there, and nothing of it reaches the rest of the process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from pytest_mock import MockerFixture

from airavata_mesos_plugin.errors import ConfigurationError, NotReady
from airavata_mesos_plugin.schedulers.mesos import pymesos_loader
from airavata_mesos_plugin.schedulers.mesos.driver import Callbacks, Subscribed, make_driver
from airavata_mesos_plugin.schedulers.mesos.framework import Framework
from airavata_mesos_plugin.schedulers.mesos.link import EventStream, MasterLink

PROGRAM = """
import logging, signal, sys, threading
from airavata_mesos_plugin.schedulers.mesos.pymesos_loader import load_driver
before = signal.getsignal(signal.SIGINT)
found = []
thread = threading.Thread(target=lambda: found.append(load_driver()))
thread.start()
thread.join()
assert found[0].__name__ == "MesosSchedulerDriver"
assert signal.getsignal(signal.SIGINT) is before
assert not [name for name in sys.modules if name.split(".")[0] in ("pymesos", "http_parser")]
assert not logging.getLogger("pymesos").handlers
assert threading.active_count() == 1
"""


def test_loading_has_no_effects_in_any_thread() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_without_it_the_way_to_install_it_is_told(mocker: MockerFixture) -> None:
    mocker.patch("importlib.util.find_spec", autospec=True, return_value=None)
    pymesos_loader._load.cache_clear()
    try:
        with pytest.raises(ConfigurationError, match=r"pip install --no-deps pymesos==0\.3\.15"):
            pymesos_loader.load_driver()
    finally:
        pymesos_loader._load.cache_clear()


Calls = list[Mapping[str, Any]]


@pytest.fixture
def calls() -> Calls:
    return []


@pytest.fixture
def callbacks(mocker: MockerFixture) -> Any:
    return mocker.create_autospec(Framework, instance=True, spec_set=True)


@pytest.fixture
def driver(mocker: MockerFixture, callbacks: Callbacks, calls: Calls) -> Subscribed:
    link = mocker.create_autospec(MasterLink, instance=True)
    link.call.side_effect = lambda _stream, body: calls.append(body)
    made = make_driver(callbacks, {"user": "u", "name": "n", "id": {"value": "F"}}, link)
    stream = mocker.create_autospec(EventStream, instance=True)
    made.attach(stream)
    return made


def test_calls_are_those_of_the_v1_api(driver: Subscribed, calls: Calls) -> None:
    driver.acceptOffers([{"value": "O"}], [{"type": "LAUNCH"}], filters={"refuse_seconds": 1.0})
    driver.declineOffer([{"value": "P"}], filters={"refuse_seconds": 2.0})
    driver.reviveOffers(["*"])
    driver.suppressOffers(["*"])
    status = {"uuid": "U", "task_id": {"value": "T"}, "agent_id": {"value": "S"}, "state": "TASK_RUNNING"}
    driver.acknowledgeStatusUpdate(status)
    driver.kill("T", "S", 1.5)
    driver.kill("T", "", None)
    driver.reconcile([("T", "S"), ("V", "")])
    driver.reconcile([])
    framework = {"framework_id": {"value": "F"}}
    agent, task = {"agent_id": {"value": "S"}}, {"task_id": {"value": "T"}}
    grace = {"kill_policy": {"grace_period": {"nanoseconds": 1_500_000_000}}}
    assert calls == [
        {
            "type": "ACCEPT",
            **framework,
            "accept": {
                "offer_ids": [{"value": "O"}],
                "operations": [{"type": "LAUNCH"}],
                "filters": {"refuse_seconds": 1.0},
            },
        },
        {
            "type": "DECLINE",
            **framework,
            "decline": {"offer_ids": [{"value": "P"}], "filters": {"refuse_seconds": 2.0}},
        },
        {"type": "REVIVE", **framework, "revive": {"roles": ["*"]}},
        {"type": "SUPPRESS", **framework, "suppress": {"roles": ["*"]}},
        {"type": "ACKNOWLEDGE", **framework, "acknowledge": {**agent, **task, "uuid": "U"}},
        {"type": "KILL", **framework, "kill": {**task, **agent, **grace}},
        {"type": "KILL", **framework, "kill": task},
        {
            "type": "RECONCILE",
            **framework,
            "reconcile": {"tasks": [{**task, **agent}, {"task_id": {"value": "V"}}]},
        },
        {"type": "RECONCILE", **framework, "reconcile": {"tasks": []}},
    ]


def test_without_a_subscription_nothing_is_sent(driver: Subscribed, calls: Calls) -> None:
    driver.attach(None)
    with pytest.raises(NotReady):
        driver.kill("T", "S", None)
    assert calls == []


def test_events_reach_their_callbacks(driver: Subscribed, callbacks: Any) -> None:
    subscribed = {"framework_id": {"value": "F"}, "heartbeat_interval_seconds": 3.0}
    driver.handle({"type": "SUBSCRIBED", "subscribed": subscribed})
    callbacks.reregistered.assert_called_once_with(driver, {})
    driver.handle({"type": "OFFERS", "offers": {"offers": [{"id": {"value": "O"}}]}})
    callbacks.resourceOffers.assert_called_once_with(driver, [{"id": {"value": "O"}}])
    driver.handle({"type": "RESCIND", "rescind": {"offer_id": {"value": "O"}}})
    callbacks.offerRescinded.assert_called_once_with(driver, {"value": "O"})
    driver.handle({"type": "UPDATE", "update": {"status": {"uuid": "U"}}})
    callbacks.statusUpdate.assert_called_once_with(driver, {"uuid": "U"})
    driver.handle({"type": "FAILURE", "failure": {"agent_id": {"value": "S"}}})
    callbacks.slaveLost.assert_called_once_with(driver, {"value": "S"})
    driver.handle({"type": "ERROR", "error": {"message": "no"}})
    callbacks.error.assert_called_once_with(driver, "no")


def test_the_first_subscription_gives_the_id(driver: Subscribed, callbacks: Any) -> None:
    driver.forget()
    assert "framework_id" not in driver.subscription()
    driver.handle({"type": "SUBSCRIBED", "subscribed": {"framework_id": {"value": "G"}}})
    callbacks.registered.assert_called_once_with(driver, {"value": "G"}, {})
    body = driver.subscription()
    assert body["framework_id"] == body["subscribe"]["framework_info"]["id"] == {"value": "G"}


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"type": "HEARTBEAT"},
        {"type": "OFFERS"},
        {"type": "UPDATE", "update": {}},
        {"type": "FAILURE", "failure": {"agent_id": {"value": "S"}, "executor_id": {"value": "E"}}},
        {"type": "OF_LATER_RELEASES", "of_later_releases": {}},
        {"type": 5},
    ],
)
def test_odd_events_end_with_themselves(
    driver: Subscribed, callbacks: Any, calls: Calls, event: dict[str, Any]
) -> None:
    driver.handle(event)
    assert calls == []
    callbacks.slaveLost.assert_not_called()


def test_an_exception_of_ours_tears_nothing_down(driver: Subscribed, callbacks: Any, calls: Calls) -> None:
    callbacks.resourceOffers.side_effect = RuntimeError("a fault")
    driver.handle({"type": "OFFERS", "offers": {"offers": [{}]}})
    driver.handle({"type": "ERROR", "error": {"message": "still here"}})
    callbacks.error.assert_called_once()
    assert calls == []
