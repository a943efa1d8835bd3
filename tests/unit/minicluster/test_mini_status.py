"""The state tables against Aurora's documented state machine."""

from __future__ import annotations

import pytest

from airavata_mesos_plugin.gen.aurora import constants
from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.minicluster.scheduler.status import (
    ACTIVE_STATES,
    EFFECTS,
    FROM_MESOS,
    STRAY_KILL_TO,
    TERMINAL_STATES,
    TRANSITIONS,
    Effect,
    Status,
    should_retry,
)

S = Status


def test_every_status_of_the_api_is_known_by_name_and_number() -> None:
    ours = {status.name: int(status) for status in Status if status is not S.DELETED}
    assert ours == dict(api.ScheduleStatus._NAMES_TO_VALUES)


def test_groups_equal_the_constants_of_the_api() -> None:
    assert {int(status) for status in ACTIVE_STATES} == set(constants.ACTIVE_STATES)
    assert {int(status) for status in TERMINAL_STATES} == set(constants.TERMINAL_STATES)


def test_every_status_has_a_row_and_every_effect_belongs_to_an_allowed_transition() -> None:
    assert set(TRANSITIONS) == set(Status)
    for before, after in EFFECTS:
        assert after in TRANSITIONS[before], (before, after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (S.RUNNING, S.STARTING),
        (S.ASSIGNED, S.PARTITIONED),
        (S.PARTITIONED, S.KILLED),
        (S.RESTARTING, S.DRAINING),
        (S.DRAINING, S.PREEMPTING),
        (S.PENDING, S.RUNNING),
        (S.PENDING, S.KILLED),
        (S.KILLING, S.RUNNING),
        (S.FINISHED, S.FAILED),
        (S.THROTTLED, S.ASSIGNED),
    ],
)
def test_forbidden_transitions(before: Status, after: Status) -> None:
    assert after not in TRANSITIONS[before]


def test_terminal_states_only_lead_to_removal() -> None:
    for status in TERMINAL_STATES:
        assert TRANSITIONS[status] == {S.DELETED}
    assert not TRANSITIONS[S.DELETED]


@pytest.mark.parametrize(
    ("before", "after", "effects"),
    [
        (S.PENDING, S.KILLING, (Effect.DELETE,)),
        (S.RUNNING, S.FINISHED, (Effect.REPLACE_SERVICE,)),
        (S.RUNNING, S.FAILED, (Effect.COUNT_FAILURE, Effect.REPLACE_RETRY)),
        (S.STARTING, S.LOST, (Effect.REPLACE,)),
        (S.ASSIGNED, S.LOST, (Effect.REPLACE, Effect.KILL)),
        (S.RUNNING, S.KILLED, (Effect.REPLACE,)),
        (S.RUNNING, S.KILLING, (Effect.KILL,)),
        (S.KILLING, S.PARTITIONED, (Effect.LOSE,)),
        (S.PARTITIONED, S.LOST, (Effect.REPLACE_UNLESS_KILLED, Effect.KILL)),
    ],
)
def test_side_effects(before: Status, after: Status, effects: tuple[Effect, ...]) -> None:
    assert EFFECTS[before, after] == effects


@pytest.mark.parametrize("after", sorted(TERMINAL_STATES))
def test_the_end_of_a_kill_is_only_saved(after: Status) -> None:
    assert (S.KILLING, after) not in EFFECTS


def test_reports_of_life_that_a_dead_task_gets_killed_for() -> None:
    assert {S.ASSIGNED, S.STARTING, S.RUNNING} == STRAY_KILL_TO


@pytest.mark.parametrize(
    ("limit", "tries"),
    [(0, 1), (1, 1), (2, 2), (5, 5)],
)
def test_an_instance_is_tried_until_it_failed_often_enough(limit: int, tries: int) -> None:
    failures = 0
    while should_retry(limit, failures):
        failures += 1
    assert failures + 1 == tries


def test_minus_one_is_retried_for_ever() -> None:
    assert should_retry(-1, 10_000)


def test_mesos_killing_counts_as_killed() -> None:
    assert FROM_MESOS["TASK_KILLING"] is S.KILLED
    assert FROM_MESOS["TASK_STAGING"] is S.STARTING
    assert FROM_MESOS["TASK_UNREACHABLE"] is S.PARTITIONED
