"""What comes into a sandbox beside the inputs: the wrapper, the script and the environment of the job."""

from __future__ import annotations

from collections.abc import Sequence

from airavata_mesos_plugin import parallel
from airavata_mesos_plugin.jobs import JobRecord
from airavata_mesos_plugin.provider.gang_nodes import gang_description
from airavata_mesos_plugin.provider.parts import Parts
from airavata_mesos_plugin.sandbox import layout
from airavata_mesos_plugin.sandbox.inputs.archive import Member
from airavata_mesos_plugin.sandbox.inputs.relocation import relocate
from airavata_mesos_plugin.templating import wrapper_context


def control_files(parts: Parts, record: JobRecord) -> list[Member]:
    """The files of an attempt, always the same, so that a download which broke off can go on."""
    script = parts.ledger.script(record.id)
    for change in parts.script_filters:
        script = change(script)
    token = f"@SANDBOX-{parts.tickets.marker(record.id, record.attempt)}@"
    request = record.request
    spellings = [request.working_directory, *request.working_directory_aliases]
    script = relocate(script, spellings, token)
    queue = parts.settings.queue(request.queue)
    wrapper = parts.templates.render_wrapper(wrapper_context(record, queue, parts.settings, token))
    environment = _relocated(parts.ledger.environment(record.id), spellings, token)
    files = [
        ("run.sh", wrapper.encode(), 0o700),
        ("script", script.encode(), 0o700),
        ("environment", environment.encode("utf-8", "surrogateescape"), 0o600),
        ("bin/srun", parts.templates.render_srun().encode(), 0o700),
    ]
    if request.nodes > 1:
        files += [(name, text.encode(), 0o700) for name, text in parts.templates.render_parallel().items()]
        files += [(f"parallel/{name}", text, 0o600) for name, text in sorted(parallel.sources().items())]
        files.append(("gang", gang_description(parts, record).encode(), 0o600))
    return [Member(f"{layout.CONTROL_DIRECTORY}/{name}", data, mode) for name, data, mode in files]


def _relocated(environment: str, directories: Sequence[str], token: str) -> str:
    """The variables with ``token`` where a value names the working directory."""
    if not environment or token in environment:
        return environment
    pairs = (variable.partition("=") for variable in environment.split("\0"))
    return (
        "\0".join(f"{name}={relocate(value, directories, token)}" for name, equals, value in pairs if equals)
        + "\0"
    )
