"""When the master is asked again, and how long bad agents are left alone."""

from __future__ import annotations

from airavata_mesos_plugin.schedulers.mesos.reconciling import Reconciliation
from airavata_mesos_plugin.schedulers.mesos.shunning import Shunned


def asked(reconciliation: Reconciliation, alive: list[str], until: int) -> list[tuple[int, list[str]]]:
    found = [(now, reconciliation.due(alive, now)) for now in range(until)]
    return [(now, tasks) for now, tasks in found if tasks]


def test_a_question_is_repeated_with_growing_pauses_until_all_have_answered() -> None:
    one = Reconciliation(900)
    one.begin(["a", "b"], 0)
    assert [now for now, _ in asked(one, ["a", "b"], 10)] == [0, 1, 3, 6]
    one.heard("a")
    assert one.due(["a", "b"], 20) == ["b"]
    one.heard("b")
    assert one.due(["a", "b"], 1000) == []


def test_nobody_is_asked_about_what_is_over() -> None:
    one = Reconciliation(900)
    one.begin(["a", "b"], 0)
    assert one.due(["b"], 0) == ["b"]
    assert one.due([], 100) == []


def test_all_are_asked_for_after_a_subscription_and_at_an_interval() -> None:
    one = Reconciliation(900)
    one.begin([], 5)
    assert [now for now in range(5, 2000) if one.all_due(["a"], now)] == [5, 905, 1805]
    assert one.due(["a"], 2000) == ["a"]


def test_a_doubt_is_no_reason_to_ask_at_once() -> None:
    one = Reconciliation(900)
    one.begin([], 0)
    one.doubt(["a"], 10)
    assert (one.due(["a"], 10), one.due(["a"], 11)) == ([], ["a"])
    one.doubt(["a"], 11.5)
    assert one.due(["a"], 11.5) == []


def test_an_agent_on_which_jobs_fail_is_left_alone_for_longer_and_longer() -> None:
    shunned = Shunned()
    for now in (0, 1):
        shunned.failed("A", "", now)
    assert shunned.now(1) == {}
    shunned.failed("A", "", 2)
    assert (shunned.now(61), shunned.now(62)) == ({"": frozenset("A")}, {})
    assert shunned.next_end(3) == 62
    shunned.failed("A", "", 70)
    assert (shunned.now(189), shunned.now(190)) == ({"": frozenset("A")}, {})
    shunned.worked("A", "")
    shunned.failed("A", "", 200)
    assert shunned.now(200) == {}
    assert shunned.next_end(200) is None


def test_failures_that_are_far_apart_do_not_count() -> None:
    shunned = Shunned()
    for now in range(0, 6000, 400):
        shunned.failed("A", "", now)
        assert shunned.now(now) == {}


def test_what_fails_with_an_image_counts_for_jobs_with_that_image() -> None:
    shunned = Shunned()
    for image in ("", "one", "two", "one", "", "one"):
        shunned.failed("A", image, 0)
    assert shunned.now(1) == {"one": frozenset("A")}
    shunned.worked("A", "two")
    assert shunned.now(1) == {"one": frozenset("A")}
    shunned.failed("A", "", 2)
    for _ in range(3):
        shunned.failed("B", "one", 2)
    assert shunned.now(3) == {"": frozenset("A"), "one": frozenset("AB")}
    assert shunned.next_end(3) == 60
    shunned.worked("A", "one")
    assert shunned.now(3) == {"": frozenset("A"), "one": frozenset("B")}
