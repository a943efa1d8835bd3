"""What an agent downloads before a job starts: the working directory, the script and the wrapper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from airavata_mesos_plugin.errors import NotFound, StagingError
from airavata_mesos_plugin.jobs import JobPhase, JobRecord
from airavata_mesos_plugin.provider.input_methods import input_method
from airavata_mesos_plugin.provider.parts import Parts
from airavata_mesos_plugin.sandbox import archive, layout
from airavata_mesos_plugin.sandbox.relocation import relocate
from airavata_mesos_plugin.templating import wrapper_context


class InputSource:
    """Gives the holder of a ticket the inputs of its job."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def open(self, ticket: str) -> Iterator[bytes]:
        """The archive of the job that ``ticket`` was issued for, made while it is read. Repeatable.

        Raises NotFound for a ticket that is not ours, has expired, is of an earlier attempt, or whose job
        is over: whoever asks learns nothing else.
        """
        holder = self._parts.tickets.check(ticket, self._parts.clock.now())
        if holder is None:
            raise NotFound("no such address")
        record = self._parts.ledger.job(holder.job_id)
        if record.attempt != holder.attempt or record.phase.rank >= JobPhase.FETCHING.rank:
            raise NotFound("no such address")
        return self._stream(record)

    def _stream(self, record: JobRecord) -> Iterator[bytes]:
        ledger = self._parts.ledger
        method = input_method(self._parts.settings.queue(record.request.queue))
        try:
            yield from self._parts.files_of(record.request.uid).open_archive(
                record.request.working_directory,
                method.sent(ledger.snapshot(record.id)),
                self._control_files(record),
            )
        except StagingError as error:
            ledger.note(record.id, source="staging", reason=str(error))
            raise

    def _control_files(self, record: JobRecord) -> list[archive.Member]:
        script = self._parts.ledger.script(record.id)
        for change in self._parts.script_filters:
            script = change(script)
        # The same at every call, so that a download which broke off can go on.
        token = f"@SANDBOX-{self._parts.tickets.marker(record.id, record.attempt)}@"
        request = record.request
        script = relocate(script, [request.working_directory, *request.working_directory_aliases], token)
        queue = self._parts.settings.queue(request.queue)
        wrapper = self._parts.templates.render_wrapper(
            wrapper_context(record, queue, self._parts.settings, token)
        )
        spellings = [request.working_directory, *request.working_directory_aliases]
        environment = _relocated(self._parts.ledger.environment(record.id), spellings, token)
        files = [
            ("run.sh", wrapper.encode(), 0o700),
            ("script", script.encode(), 0o700),
            ("environment", environment.encode("utf-8", "surrogateescape"), 0o600),
            ("bin/srun", self._parts.templates.render_srun().encode(), 0o700),
        ]
        return [
            archive.Member(f"{layout.CONTROL_DIRECTORY}/{name}", data, mode) for name, data, mode in files
        ]


def _relocated(environment: str, directories: Sequence[str], token: str) -> str:
    """The variables with ``token`` where a value names the working directory."""
    if not environment or token in environment:
        return environment
    pairs = (variable.partition("=") for variable in environment.split("\0"))
    return (
        "\0".join(f"{name}={relocate(value, directories, token)}" for name, equals, value in pairs if equals)
        + "\0"
    )
