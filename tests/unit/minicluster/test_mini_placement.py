"""Vetoes, constraints and the order in which they are found."""

from __future__ import annotations

from typing import Any

import pytest

from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.minicluster.scheduler.hosts import Host
from airavata_mesos_plugin.minicluster.scheduler.placement import Limits, first_fit, vetoes
from airavata_mesos_plugin.minicluster.scheduler.resources import Amount

NEEDS = Amount(cpu=1000, ram=100, disk=100)


def host(name: str = "a", cpu: int = 4000, **attributes: tuple[str, ...]) -> Host:
    total = Amount(cpu, 1000, 1000, 2, 0)
    return Host(name, name, {"host": (name,), **attributes}, total, (31000, 31001))


def value(name: str, *values: str, negated: bool = False) -> Any:
    kind = api.TaskConstraint(value=api.ValueConstraint(negated=negated, values=frozenset(values)))
    return api.Constraint(name=name, constraint=kind)


def limit(name: str, number: int) -> Any:
    return api.Constraint(name=name, constraint=api.TaskConstraint(limit=api.LimitConstraint(limit=number)))


def texts(needs: Amount, constraints: list[Any], on: Host, limits: Limits | None = None) -> list[str]:
    return [veto.text for veto in vetoes(needs, constraints, on, limits or Limits())]


def test_everything_that_is_short_is_named_in_order() -> None:
    needs = Amount(cpu=9000, ram=9000, disk=9000, ports=3, gpus=1)
    assert texts(needs, [], host()) == [
        f"Insufficient: {name}" for name in ("CPU", "RAM", "disk", "ports", "GPU")
    ]


@pytest.mark.parametrize(
    ("constraint", "fits"),
    [
        (value("rack", "r1"), True),
        (value("rack", "r2", "r1"), True),
        (value("rack", "r2"), False),
        (value("zone", "z"), False),
        (value("rack", "r1", negated=True), False),
        (value("rack", "r2", negated=True), True),
        (value("zone", "z", negated=True), True),
        (limit("rack", 1), True),
    ],
)
def test_value_constraints(constraint: Any, fits: bool) -> None:
    found = texts(NEEDS, [constraint], host(rack=("r1",)))
    assert found == ([] if fits else [f"Constraint not satisfied: {constraint.name}"])


def test_limits_count_tasks_that_share_the_attribute() -> None:
    first, second, far = host("a", rack=("r1",)), host("b", rack=("r1",)), host("c", rack=("r2",))
    limits = Limits([first, second])
    assert texts(NEEDS, [limit("rack", 2)], first, limits) == ["Limit not satisfied: rack"]
    assert texts(NEEDS, [limit("rack", 3)], first, limits) == []
    assert texts(NEEDS, [limit("host", 1)], far, limits) == []
    assert texts(NEEDS, [limit("zone", 5)], far, limits) == ["Constraint not satisfied: zone"]


def test_value_constraints_come_before_limits_and_hide_resources() -> None:
    constraints = [limit("host", 0), value("rack", "r9")]
    assert texts(Amount(cpu=9000), constraints, host(rack=("r1",))) == ["Constraint not satisfied: rack"]


def test_dedicated_hosts_take_only_their_own() -> None:
    dedicated = host(dedicated=("www/db",))
    assert texts(NEEDS, [], dedicated) == ["Host is dedicated"]
    assert texts(NEEDS, [value("dedicated", "www/db")], dedicated) == []
    assert texts(NEEDS, [value("dedicated", "www/db")], host()) == ["Constraint not satisfied: dedicated"]


def test_first_fit_and_the_nearest_miss() -> None:
    small, wrong, good = host("s", cpu=500), host("w", rack=("r1",)), host("g", rack=("r2",))
    attempt = first_fit(NEEDS, [value("rack", "r2")], [small, wrong, good], Limits())
    assert attempt.host is good
    attempt = first_fit(NEEDS, [], [host("d", dedicated=("x/y",)), small], Limits())
    assert (attempt.host, attempt.nearest) == (None, ("Insufficient: CPU",))
    nearer = host("n", cpu=900)
    assert first_fit(Amount(cpu=1000), [], [small, nearer], Limits()).nearest == ("Insufficient: CPU",)
    assert first_fit(NEEDS, [], [], Limits()).nearest == ()


def test_what_is_taken_is_missing_until_given_back() -> None:
    one = host()
    one.take(Amount(cpu=3500))
    assert texts(NEEDS, [], one) == ["Insufficient: CPU"]
    one.give_back(Amount(cpu=3500), {})
    assert texts(NEEDS, [], one) == []
