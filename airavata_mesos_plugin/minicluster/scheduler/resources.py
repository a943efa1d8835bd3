"""Amounts of resources, in whole units so that sums stay exact."""

from __future__ import annotations

from typing import Any, NamedTuple


class Amount(NamedTuple):
    """`cpu` in thousandths of a core (the precision of Mesos), `ram` and `disk` in MiB, `ports` and `gpus`
    counted."""

    cpu: int = 0
    ram: int = 0
    disk: int = 0
    ports: int = 0
    gpus: int = 0

    def plus(self, other: Amount) -> Amount:
        return Amount(*(a + b for a, b in zip(self, other, strict=True)))

    def minus(self, other: Amount) -> Amount:
        return Amount(*(a - b for a, b in zip(self, other, strict=True)))

    def times(self, count: int) -> Amount:
        return Amount(*(a * count for a in self))

    @property
    def cores(self) -> float:
        return self.cpu / 1000


def milli(cores: float) -> int:
    return round(cores * 1000)


def amount_of(config: Any) -> Amount:
    """What a task of this configuration asks for, without the executor's overhead."""
    cpu = ram = disk = ports = gpus = 0
    for resource in config.resources:
        if resource.numCpus is not None:
            cpu += milli(resource.numCpus)
        elif resource.ramMb is not None:
            ram += resource.ramMb
        elif resource.diskMb is not None:
            disk += resource.diskMb
        elif resource.namedPort is not None:
            ports += 1
        elif resource.numGpus is not None:
            gpus += resource.numGpus
    return Amount(cpu, ram, disk, ports, gpus)


def port_names(config: Any) -> list[str]:
    return sorted(r.namedPort for r in config.resources if r.namedPort is not None)
