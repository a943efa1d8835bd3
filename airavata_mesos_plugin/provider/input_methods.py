"""The ways for the inputs of a job into its sandbox; each queue has one.

What a way needs in the sandbox stands in the template ``aurora/stage_in_<method>.sh.j2``. The control files
always come with the archive that the holder of the job's ticket gets, whatever becomes of the inputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from airavata_mesos_plugin.config import QueueSettings
from airavata_mesos_plugin.sandbox.inputs.snapshot import Snapshot
from airavata_mesos_plugin.templating import InputUri, StageIn

FETCHED_NAME = "inputs.tar"
"""Last part of the address from which Mesos' fetcher gets the archive; it goes by how a name ends."""


class InputMethod(Protocol):
    """One way. It keeps nothing, so it may be used from several threads."""

    def stage_in(self, queue: QueueSettings, url: str) -> StageIn:
        """What the job configuration says about it; ``url`` is the signed address of the job's archive."""

    def sent(self, snapshot_text: str) -> str:
        """The part of the job's snapshot that goes into that archive. Texts as of `Snapshot.to_json`."""


class HttpInputs:
    """The agent downloads everything from the daemon."""

    def stage_in(self, queue: QueueSettings, url: str) -> StageIn:
        return StageIn(queue.inputs.method, url)

    def sent(self, snapshot_text: str) -> str:
        return snapshot_text


class FetcherInputs:
    """Mesos downloads the archive before the task starts; it is checked and unpacked there.

    Mesos does not unpack it: where Thermos runs, that would be in its own directory, above the sandbox.
    Nor does an agent keep it, since the address and the content are those of one attempt.
    """

    def stage_in(self, queue: QueueSettings, url: str) -> StageIn:
        archive = InputUri(f"{url}/{FETCHED_NAME}", f"airavata-mesos-{FETCHED_NAME}")
        return StageIn(queue.inputs.method, url, (archive,))

    def sent(self, snapshot_text: str) -> str:
        return snapshot_text


class SftpInputs:
    """The daemon writes everything into the sandbox, once the stage-in waits for it (`deliveries`)."""

    def stage_in(self, queue: QueueSettings, url: str) -> StageIn:
        return StageIn(queue.inputs.method, url)

    def sent(self, snapshot_text: str) -> str:
        return snapshot_text


class SharedInputs:
    """The job runs in the working directory itself; only the control files are downloaded."""

    def stage_in(self, queue: QueueSettings, url: str) -> StageIn:  # noqa: ARG002 - the same for all
        return StageIn("http", url)

    def sent(self, snapshot_text: str) -> str:
        return Snapshot(Snapshot.from_json(snapshot_text).taken_at).to_json()


METHODS: Mapping[str, InputMethod] = {
    "http": HttpInputs(),
    "mesos_fetcher": FetcherInputs(),
    "sftp": SftpInputs(),
    "shared": SharedInputs(),
}


def input_method(queue: QueueSettings) -> InputMethod:
    """The way that the queue's settings name."""
    return METHODS[queue.inputs.method]


def plan_inputs(queue: QueueSettings, url: str) -> StageIn:
    """What a job configuration says about the inputs; ``url`` is the signed address of the job's archive."""
    plan = input_method(queue).stage_in(queue, url)
    more = (InputUri(uri.value, uri.output_file, uri.extract, uri.cache) for uri in queue.inputs.uris)
    return replace(plan, uris=(*plan.uris, *more))
