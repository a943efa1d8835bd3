"""Which ports a job has to ask for (Aurora 0.22)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from airavata_mesos_plugin.errors import InvalidRequest
from airavata_mesos_plugin.schedulers.aurora.jobform import Announcer, AuroraJob
from airavata_mesos_plugin.schedulers.aurora.references import port_names


def requested_ports(job: AuroraJob) -> list[str]:
    """Names of the ports to reserve, sorted: those mentioned, behind the aliases of the announcer.

    A port that is mentioned and not reserved makes Thermos end the task with an internal error.
    Raises InvalidRequest when the port map goes round in a circle.
    """
    texts = list(_strings(job.task.model_dump()))
    if job.health_check_config.health_checker.shell is not None:
        texts.append(job.health_check_config.health_checker.shell.shell_command)
    mentioned = set(port_names(texts))
    if job.announce is None:
        return sorted(mentioned)
    aliases = _aliases(job.announce)
    mentioned |= {job.announce.primary_port, *aliases}
    resolved = {_resolve(name, aliases) for name in mentioned}
    return sorted(name for name in resolved if not name.isdigit())


def _aliases(announce: Announcer) -> dict[str, str]:
    return {
        name: announce.primary_port if target == "{{primary_port}}" else str(target)
        for name, target in announce.portmap.items()
    }


def _resolve(name: str, aliases: Mapping[str, str]) -> str:
    seen = [name]
    while name in aliases and aliases[name] != name:
        name = aliases[name]
        if name in seen:
            raise InvalidRequest(f"announce.portmap goes round in a circle: {' -> '.join([*seen, name])}")
        seen.append(name)
    return name


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _strings(inner)
