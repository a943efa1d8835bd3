"""Faults of the schedulers' APIs, switched on for tests.  Without any, nothing here is in the way.

Calls of Aurora go by their names (`createJob`), those of Mesos' scheduler API by their types (`ACCEPT`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import Enum
from typing import Any

EVERY_METHOD = "*"


class Kind(str, Enum):
    DROP_BEFORE = "drop-before"
    """The connection is closed without an answer; the call was not carried out."""
    DROP_AFTER = "drop-after"
    """The call is carried out, its answer is not sent."""
    TORN = "torn"
    """The call is carried out; half of the answer's bytes arrive, then the connection is closed."""
    DELAY = "delay"
    """The call is carried out `delay` seconds late."""
    STATUS = "status"
    """An HTTP error `status` instead of an answer; the call was not carried out."""
    WRONG_LEADER = "wrong-leader"
    """307 to `location`; the call was not carried out."""
    NOT_READY = "not-ready"
    """`ERROR_TRANSIENT`, as while a new leader loads its storage; the call was not carried out. 503 from a
    master."""
    LOSE_EVENT = "lose-event"
    """An event of the scheduler API, of the type `method`, is not sent."""


@dataclass(frozen=True)
class Fault:
    """`skip` calls of `method` pass unharmed, then `count` of them meet the fault (None: all, until
    cleared)."""

    kind: Kind
    method: str = EVERY_METHOD
    count: int | None = 1
    skip: int = 0
    delay: float = 0.0
    status: int = 503
    location: str = ""


@dataclass(frozen=True)
class Meeting:
    """What one call has to suffer: seconds to wait, then a fault of another kind, or none."""

    delay: float = 0.0
    fault: Fault | None = None


def _number(value: object, name: str, least: float, whole: bool) -> Any:
    kinds: tuple[type, ...] = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value < float("inf"):  # type: ignore[operator]
        raise ValueError(
            f"{name} must be a {'whole ' if whole else ''}number from {least:g} up, not {value!r}"
        )
    return value


def parsed(order: object) -> Fault:
    """A fault from its JSON form, the members named as those of `Fault`. Raises ValueError, whose text says
    what is wrong."""
    if not isinstance(order, Mapping):
        raise ValueError('a fault is a JSON object such as {"kind": "drop-after", "method": "createJob"}')
    unknown = sorted(set(order) - set(Fault.__dataclass_fields__))
    if unknown:
        raise ValueError(f"a fault has no member {', '.join(map(str, unknown))}")
    try:
        kind = Kind(order.get("kind"))
    except ValueError:
        known = ", ".join(kind.value for kind in Kind)
        raise ValueError(f"kind must be one of {known}, not {order.get('kind')!r}") from None
    for name in ("method", "location"):
        if not isinstance(order.get(name, ""), str):
            raise ValueError(f"{name} must be a text, not {order[name]!r}")
    if kind is Kind.WRONG_LEADER and not order.get("location"):
        raise ValueError("wrong-leader needs a location, the address to send clients to")
    count = order.get("count", 1)
    fault = Fault(
        kind=kind,
        method=order.get("method") or EVERY_METHOD,
        count=None if count is None else _number(count, "count", 1, whole=True),
        skip=_number(order.get("skip", 0), "skip", 0, whole=True),
        delay=_number(order.get("delay", 0.0), "delay", 0, whole=False),
        status=_number(order.get("status", 503), "status", 400, whole=True),
        location=order.get("location", ""),
    )
    if fault.status > 599:
        raise ValueError(f"status must be an HTTP error from 400 to 599, not {fault.status}")
    return fault


class Faults:
    """The faults that are switched on, in the order in which they were."""

    def __init__(self) -> None:
        self._armed: list[Fault] = []
        self.met = 0
        """Calls that met a fault so far."""

    def add(self, fault: Fault) -> None:
        self._armed.append(fault)

    def clear(self) -> None:
        self._armed.clear()

    def listed(self) -> list[dict[str, Any]]:
        return [{**asdict(fault), "kind": fault.kind.value} for fault in self._armed]

    def loses(self, event: str) -> bool:
        """Whether an event of this type is lost."""
        return self.meet(event, event=True).fault is not None

    def meet(self, method: str, *, event: bool = False) -> Meeting:
        """What a call of `method` meets.  Delays add up; of other faults the first one strikes."""
        if not self._armed:
            return Meeting()
        delay, struck = 0.0, None
        left: list[Fault] = []
        for fault in self._armed:
            taken = fault.method in (EVERY_METHOD, method) and (fault.kind is Kind.DELAY or struck is None)
            taken = taken and (fault.kind is Kind.LOSE_EVENT) is event
            if taken and fault.skip:
                left.append(replace(fault, skip=fault.skip - 1))
                continue
            if taken and fault.kind is Kind.DELAY:
                delay += fault.delay
            elif taken:
                struck = fault
            if not taken or fault.count is None:
                left.append(fault)
            elif fault.count > 1:
                left.append(replace(fault, count=fault.count - 1))
        self._armed = left
        self.met += delay > 0 or struck is not None
        return Meeting(delay, struck)
