"""Dependencies between jobs, in SLURM 22.05's form: ``afterok:12:13_2,after:14+5`` or ``a?b``.

Parts that a comma joins must all be fulfilled, of parts that a question mark joins one is enough.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

SINGLETON = "singleton"
_KINDS = ("after", "afterany", "afterok", "afternotok", "aftercorr", "afterburstbuffer")
_TARGET = re.compile(r"([0-9]{1,10})(?:_([0-9]{1,9}|\*))?(?:\+([0-9]{1,9}))?", re.ASCII)
_LARGEST_ID = 2**31 - 1


class State(Enum):
    """Whether a condition is, may become, or can never be fulfilled."""

    FULFILLED = "fulfilled"
    OPEN = "open"
    NEVER = "never"


@dataclass(frozen=True)
class Condition:
    """One job, or one task of an array, that has to come to some point; or ``singleton``."""

    kind: str
    job_id: int = 0
    index: int | None = None
    minutes: int = 0  # after the start, with ``after``

    def __str__(self) -> str:
        if self.kind == SINGLETON:
            return self.kind
        index = "" if self.index is None else f"_{self.index}"
        minutes = f"+{self.minutes}" if self.minutes else ""
        return f"{self.kind}:{self.job_id}{index}{minutes}"


@dataclass(frozen=True)
class Dependency:
    """Conditions, of which all or any must be fulfilled."""

    conditions: tuple[Condition, ...] = ()
    any_of: bool = False

    def __str__(self) -> str:
        return ("?" if self.any_of else ",").join(str(condition) for condition in self.conditions)

    def shown(self) -> str:
        """As squeue and scontrol show what is still open."""
        return ("?" if self.any_of else ",").join(f"{c}(unfulfilled)" for c in self.conditions)

    def reduce(self, judge: Callable[[Condition], State]) -> tuple[State, Dependency]:
        """The state of the whole, and what of it is still open."""
        states = [(condition, judge(condition)) for condition in self.conditions]
        open_ones = Dependency(tuple(c for c, state in states if state is State.OPEN), self.any_of)
        found = [state for _, state in states]
        if not found:
            return State.FULFILLED, open_ones
        if self.any_of:
            if State.FULFILLED in found:
                return State.FULFILLED, Dependency()
            return (State.OPEN if State.OPEN in found else State.NEVER), open_ones
        if State.NEVER in found:
            return State.NEVER, open_ones
        return (State.OPEN if State.OPEN in found else State.FULFILLED), open_ones


@lru_cache(maxsize=20_000)
def parse(text: str) -> Dependency:
    """The dependency of a text; none for an empty one. Raises ValueError."""
    if not text:
        return Dependency()
    any_of = "?" in text
    if any_of and "," in text:
        raise ValueError("a comma and a question mark cannot be mixed")
    conditions: list[Condition] = []
    for part in text.split("?" if any_of else ","):
        kind, colon, rest = part.partition(":")
        if part == SINGLETON:
            conditions.append(Condition(SINGLETON))
        elif colon and kind in _KINDS:
            conditions += [_condition(kind, target) for target in rest.split(":")]
        elif not colon:
            conditions.append(_condition("afterany", part))
        else:
            raise ValueError(f"not a dependency: {part!r}")
    return Dependency(tuple(dict.fromkeys(conditions)), any_of)


def _condition(kind: str, text: str) -> Condition:
    match = _TARGET.fullmatch(text)
    if match is None or not 0 < int(match[1]) <= _LARGEST_ID or (match[3] and kind != "after"):
        raise ValueError(f"not a job: {text!r}")
    index = None if match[2] in (None, "*") else int(match[2])
    return Condition(kind, int(match[1]), index, int(match[3] or 0))
