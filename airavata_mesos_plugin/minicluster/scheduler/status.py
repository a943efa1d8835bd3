"""The task state machine of Aurora 0.22 as tables."""

from __future__ import annotations

from enum import Enum, IntEnum, auto


class Status(IntEnum):
    INIT = 11
    THROTTLED = 16
    PENDING = 0
    ASSIGNED = 9
    STARTING = 1
    RUNNING = 2
    PREEMPTING = 13
    RESTARTING = 12
    DRAINING = 17
    KILLING = 6
    PARTITIONED = 18
    FINISHED = 3
    FAILED = 4
    KILLED = 5
    LOST = 7
    DELETED = -1
    """Not part of the API: removal from the store."""


S = Status
WAITING_STATES = frozenset({S.PENDING, S.THROTTLED})
TERMINAL_STATES = frozenset({S.FINISHED, S.FAILED, S.KILLED, S.LOST})
ACTIVE_STATES = frozenset(Status) - TERMINAL_STATES - {S.INIT, S.DELETED}
TRANSIENT_STATES = frozenset({S.ASSIGNED, S.PREEMPTING, S.RESTARTING, S.KILLING, S.DRAINING})
"""States that a task may hold for a limited time only."""

_LEAVING = frozenset({S.PREEMPTING, S.RESTARTING, S.DRAINING})
LEAVING_STATES = _LEAVING | {S.KILLING}
"""A kill was sent and its effect is awaited."""
_BEGUN = frozenset({S.ASSIGNED, S.STARTING, S.RUNNING})

TRANSITIONS: dict[Status, frozenset[Status]] = {
    S.INIT: frozenset({S.PENDING, S.THROTTLED}),
    S.THROTTLED: frozenset({S.PENDING, S.KILLING}),
    S.PENDING: frozenset({S.ASSIGNED, S.KILLING}),
    S.ASSIGNED: frozenset({S.STARTING, S.RUNNING, S.KILLING}) | _LEAVING | TERMINAL_STATES,
    S.STARTING: frozenset({S.RUNNING, S.KILLING, S.PARTITIONED}) | _LEAVING | TERMINAL_STATES,
    S.RUNNING: frozenset({S.KILLING, S.PARTITIONED}) | _LEAVING | TERMINAL_STATES,
    **{state: frozenset({S.KILLING, S.PARTITIONED}) | TERMINAL_STATES for state in _LEAVING},
    S.KILLING: frozenset({S.DELETED, S.PARTITIONED}) | TERMINAL_STATES,
    S.PARTITIONED: frozenset({S.LOST, S.FAILED, S.FINISHED, S.KILLING}) | _BEGUN | _LEAVING,
    **{state: frozenset({S.DELETED}) for state in TERMINAL_STATES},
    S.DELETED: frozenset(),
}


class Effect(Enum):
    """What a transition brings with it besides being saved, in the order in which the effects are applied."""

    COUNT_FAILURE = auto()
    REPLACE = auto()
    REPLACE_SERVICE = auto()
    REPLACE_RETRY = auto()
    REPLACE_UNLESS_KILLED = auto()
    LOSE = auto()
    LOSE_ACTED_ON = auto()
    KILL = auto()
    DELETE = auto()


def _effects() -> dict[tuple[Status, Status], tuple[Effect, ...]]:
    table: dict[tuple[Status, Status], tuple[Effect, ...]] = {}
    for waiting in WAITING_STATES:
        table[waiting, S.KILLING] = (Effect.DELETE,)
    for begun in _BEGUN:
        table[begun, S.FINISHED] = (Effect.REPLACE_SERVICE,)
        table[begun, S.FAILED] = (Effect.COUNT_FAILURE, Effect.REPLACE_RETRY)
        table[begun, S.KILLED] = (Effect.REPLACE,)
        table[begun, S.LOST] = (Effect.REPLACE,)
        for leaving in (*_LEAVING, S.KILLING):
            table[begun, leaving] = (Effect.KILL,)
    table[S.ASSIGNED, S.LOST] = (Effect.REPLACE, Effect.KILL)
    for leaving in _LEAVING:
        for ended in (S.FINISHED, S.FAILED, S.KILLED):
            table[leaving, ended] = (Effect.REPLACE,)
        table[leaving, S.LOST] = (Effect.REPLACE, Effect.KILL)
        table[leaving, S.PARTITIONED] = (Effect.LOSE,)
        table[S.PARTITIONED, leaving] = (Effect.LOSE_ACTED_ON,)
    table[S.KILLING, S.PARTITIONED] = (Effect.LOSE,)
    table[S.PARTITIONED, S.KILLING] = (Effect.LOSE_ACTED_ON,)
    table[S.PARTITIONED, S.LOST] = (Effect.REPLACE_UNLESS_KILLED, Effect.KILL)
    table[S.PARTITIONED, S.FAILED] = table[S.RUNNING, S.FAILED]
    for state in (S.KILLING, *TERMINAL_STATES):
        table[state, S.DELETED] = (Effect.DELETE,)
    return table


EFFECTS = _effects()
"""Pairs that are missing here are only saved."""

STRAY_KILL_FROM = TERMINAL_STATES | {S.KILLING}
STRAY_KILL_TO = _BEGUN
"""A report of life from a task that should be dead is refused and answered with a kill."""

FROM_MESOS = {
    "TASK_STAGING": S.STARTING,
    "TASK_STARTING": S.STARTING,
    "TASK_RUNNING": S.RUNNING,
    "TASK_FINISHED": S.FINISHED,
    "TASK_FAILED": S.FAILED,
    "TASK_KILLING": S.KILLED,
    "TASK_KILLED": S.KILLED,
    "TASK_LOST": S.LOST,
    "TASK_ERROR": S.LOST,
    "TASK_DROPPED": S.LOST,
    "TASK_GONE": S.LOST,
    "TASK_GONE_BY_OPERATOR": S.LOST,
    "TASK_UNREACHABLE": S.PARTITIONED,
    "TASK_UNKNOWN": S.PARTITIONED,
}


def should_retry(max_task_failures: int, failures_before: int) -> bool:
    """Whether a failed task that is no service is replaced; `failures_before` does not count the failure at
    hand."""
    return max_task_failures == -1 or failures_before < max_task_failures - 1
