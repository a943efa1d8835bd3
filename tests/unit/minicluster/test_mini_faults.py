"""Which calls meet which faults, and what a control call may say."""

from __future__ import annotations

import pytest

from airavata_mesos_plugin.minicluster.faults import Fault, Faults, Kind, parsed


def struck(faults: Faults, method: str, calls: int) -> list[str | None]:
    met = (faults.meet(method) for _ in range(calls))
    return [None if one.fault is None else one.fault.kind.value for one in met]


def test_without_faults_nothing_is_met() -> None:
    assert struck(Faults(), "createJob", 2) == [None, None]


def test_a_fault_meets_its_method_as_often_as_asked() -> None:
    faults = Faults()
    faults.add(Fault(Kind.DROP_AFTER, "createJob", count=2, skip=1))
    assert struck(faults, "killTasks", 3) == [None] * 3
    assert struck(faults, "createJob", 5) == [None, "drop-after", "drop-after", None, None]
    assert faults.met == 2
    assert faults.listed() == []


def test_a_fault_without_count_stays_until_cleared() -> None:
    faults = Faults()
    faults.add(Fault(Kind.STATUS, count=None, status=500))
    assert struck(faults, "getJobs", 3) == ["status"] * 3
    faults.clear()
    assert struck(faults, "getJobs", 1) == [None]


def test_delays_add_up_and_of_others_the_first_strikes() -> None:
    faults = Faults()
    for delay in (1.0, 2.5):
        faults.add(Fault(Kind.DELAY, delay=delay))
    faults.add(Fault(Kind.TORN))
    faults.add(Fault(Kind.DROP_BEFORE))
    first, second = faults.meet("getJobs"), faults.meet("getJobs")
    assert first.delay == 3.5
    assert [first.fault and first.fault.kind, second.fault and second.fault.kind] == [
        Kind.TORN,
        Kind.DROP_BEFORE,
    ]
    assert second.delay == 0


def test_orders_are_read() -> None:
    assert parsed({"kind": "torn"}) == Fault(Kind.TORN)
    assert parsed({"kind": "status", "status": 401, "method": "getJobs", "count": None, "skip": 3}) == Fault(
        Kind.STATUS, "getJobs", None, 3, status=401
    )


@pytest.mark.parametrize(
    ("order", "text"),
    [
        ([], "JSON object"),
        ({}, "kind must be one of"),
        ({"kind": "explode"}, "not 'explode'"),
        ({"kind": "torn", "colour": 1}, "no member colour"),
        ({"kind": "torn", "count": 0}, "count must be"),
        ({"kind": "torn", "count": True}, "count must be"),
        ({"kind": "torn", "skip": -1}, "skip must be"),
        ({"kind": "delay", "delay": "1"}, "delay must be"),
        ({"kind": "delay", "delay": float("nan")}, "delay must be"),
        ({"kind": "status", "status": 200}, "status must be"),
        ({"kind": "status", "status": 777}, "status must be"),
        ({"kind": "torn", "method": 3}, "method must be"),
        ({"kind": "wrong-leader"}, "needs a location"),
    ],
)
def test_bad_orders_are_refused_with_a_reason(order: object, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        parsed(order)
