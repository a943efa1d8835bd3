"""The four fields that schedulers before 0.18 demand beside ``TaskConfig.resources``.

The IDL of 0.22 has them no more. They are written only for a scheduler that has refused a configuration
because one of them was missing; every later release skips them.
"""

from __future__ import annotations

import re
from typing import Any

from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TJSONProtocol import TJSONProtocol
from thrift.Thrift import TType

from airavata_mesos_plugin.schedulers.aurora.views import amounts

DEMAND = re.compile(r"\bField (numCpus|ramMb|diskMb|requestedPorts) is required\.")
"""How Aurora 0.12 to 0.17 refuse a configuration without them; nothing has been done then."""


def task_config_of(arguments: Any) -> Any:
    """The one ``TaskConfig`` among the arguments of a call; None for calls without."""
    for value in arguments.values():
        found = getattr(value, "taskConfig", None)
        if found is not None:
            return found
    return None


class _Writer:
    """Writes the four fields at the start of each TaskConfig, of which a message has one at most."""

    task: Any

    def writeStructBegin(self: Any, name: str) -> None:  # noqa: N802 - Thrift's name
        super().writeStructBegin(name)  # type: ignore[misc]
        if name != "TaskConfig":
            return
        found = amounts(self.task.resources or ())
        numbers = ((8, "numCpus", TType.DOUBLE, float(found.cpus)), (9, "ramMb", TType.I64, found.ram_mb))
        for number, field, kind, value in (*numbers, (10, "diskMb", TType.I64, found.disk_mb)):
            self.writeFieldBegin(field, kind, number)
            (self.writeDouble if kind == TType.DOUBLE else self.writeI64)(value)
            self.writeFieldEnd()
        self.writeFieldBegin("requestedPorts", TType.SET, 21)
        self.writeSetBegin(TType.STRING, len(found.ports))
        for port in found.ports:
            self.writeString(port)
        self.writeSetEnd()
        self.writeFieldEnd()


class _Binary(_Writer, TBinaryProtocol):  # type: ignore[misc]  # the library has no types
    pass


class _Json(_Writer, TJSONProtocol):  # type: ignore[misc]
    pass


def writer(name: str, buffer: Any, task: Any) -> Any:
    """A protocol that adds the fields of ``task``; ``name`` is that of the wire protocol."""
    made = (_Json if name == "json" else _Binary)(buffer)
    made.task = task
    return made
