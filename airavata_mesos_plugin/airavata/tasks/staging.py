"""Making the working directory, and moving files between it and the gateway's storage.

They touch files with the rights of this process, so they serve its own account only: a daemon that serves
many accounts leaves the staging to Airavata, which comes over SSH as the right one.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import BinaryIO, ClassVar

from airavata_mesos_plugin.airavata.tasks.context import ProcessContext, TaskContext
from airavata_mesos_plugin.airavata.tasks.files import put
from airavata_mesos_plugin.airavata.tasks.jobs import jobs_of
from airavata_mesos_plugin.airavata.tasks.model import (
    DataStageType,
    DataStaging,
    DataType,
    EnvironmentSetup,
    OutputDataObject,
    TaskTypes,
)
from airavata_mesos_plugin.airavata.tasks.monitoring import over
from airavata_mesos_plugin.airavata.tasks.spi import Task, TaskException, check_not_cancelled
from airavata_mesos_plugin.errors import InvalidRequest, NotFound, Refused
from airavata_mesos_plugin.sandbox.inputs import snapshot
from airavata_mesos_plugin.sandbox.paths import Root, escape

ARCHIVE = "ARCHIVE"
"""Directory of the archived files, as in Airavata develop."""


class EnvSetupTask(Task):
    """Makes the working directory, with those above it. One that is there is left as it is."""

    task_type = TaskTypes.ENV_SETUP

    def _run(self, context: TaskContext) -> str:
        process = context.process
        _own_account(process)
        model = context.sub_task_model
        if not isinstance(model, EnvironmentSetup | None):
            raise InvalidRequest(f"task {context.task_id} has the model of another kind of task")
        location = model.location if model is not None and model.location else process.working_directory
        if not location.startswith("/"):
            raise InvalidRequest(f"the working directory {escape(location)} is not an absolute path")
        path = Path(location)
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            raise Refused(f"the working directory {escape(location)} is not writable")
        return f"working directory {location}"


class InputDataStagingTask(Task):
    """Copies one input, or a collection of them, from storage into the working directory."""

    task_type = TaskTypes.DATA_STAGING

    def _run(self, context: TaskContext) -> str:
        process = context.process
        _own_account(process)
        staging = _staging(context, DataStageType.INPUT)
        given = staging.process_input
        value = staging.source or (given.value if given else "")
        if not value:
            if given is not None and not given.is_required:
                return f"the optional input {given.name} was not given"
            raise InvalidRequest(f"task {context.task_id} names no source for its input")
        collection = given is not None and given.type is DataType.URI_COLLECTION
        sources = [part.strip() for part in value.split(",") if part.strip()] if collection else [value]
        total = 0
        with Root(process.working_directory) as root:
            for source in sources:
                check_not_cancelled(process)
                override = given.override_filename if given is not None and not collection else ""
                name = override or PurePosixPath(source).name
                if "/" in name:
                    raise InvalidRequest(f"the file name {escape(name)} holds a slash")
                with closing(process.storage.open(source)) as stream:
                    total += put(root, name, stream, process.cancelled, may_be_empty=False)
        return f"{len(sources)} files, {total} bytes"


class OutputDataStagingTask(Task):
    """Copies one output, or all that a pattern names, from the working directory into storage.

    A file that is not there fails the task when the output is required, as in Airavata master, and is
    only mentioned otherwise. Before the job is over nothing is copied: files might still grow.
    """

    task_type = TaskTypes.DATA_STAGING

    def _run(self, context: TaskContext) -> str:
        process = context.process
        _own_account(process)
        staging = _staging(context, DataStageType.OUPUT)
        wanted = staging.process_output
        if wanted is None:
            raise InvalidRequest(f"task {context.task_id} names no output")
        over(jobs_of(process))
        stored = []
        missing = []
        with Root(process.working_directory) as root:
            for name in _names(root, process, wanted):
                check_not_cancelled(process)
                try:
                    stream = _open(root, name)
                except NotFound:
                    missing.append(name)
                    continue
                with closing(stream):
                    target = f"{_data_directory(process)}/{PurePosixPath(name).name}"
                    stored.append(process.storage.store(stream, target, process.cancelled))
        if stored:
            found = OutputDataObject(wanted.name, ",".join(stored), wanted.type, wanted.is_required)
            process.registry.add_process_outputs([found], process.process_id)
        if missing or not stored:
            text = f"output {wanted.name}: there is no file {', '.join(map(escape, missing)) or 'like that'}"
            if wanted.is_required:
                raise TaskException(text)
            return f"{text}; it was not required"
        return f"{len(stored)} files"


class ArchiveTask(Task):
    """Copies all regular files of the working directory into storage, below ``ARCHIVE``."""

    task_type = TaskTypes.DATA_STAGING
    defaults: ClassVar[Mapping[str, float]] = {"max_bytes": 20 * 1024.0**3}

    def _run(self, context: TaskContext) -> str:
        process = context.process
        _own_account(process)
        _staging(context, DataStageType.ARCHIVE_OUTPUT)
        over(jobs_of(process))
        found = snapshot.take(process.working_directory, process.clock.now())
        files = [file for file in found.files if file.outside is None]
        total = sum(file.size for file in files)
        if total > self._properties["max_bytes"]:
            raise TaskException(
                f"{process.working_directory} holds {total} bytes, more than an archive may have",
                advice="raise the property max_bytes of the archive task",
            )
        with Root(process.working_directory) as root:
            for file in files:
                check_not_cancelled(process)
                with closing(_open(root, file.name)) as stream:
                    target = f"{_data_directory(process)}/{ARCHIVE}/{file.name}"
                    process.storage.store(stream, target, process.cancelled)
        return f"{len(files)} files, {total} bytes"


def _own_account(process: ProcessContext) -> None:
    if process.uid != os.geteuid():
        raise Refused(
            f"files of {process.user} cannot be staged by a process of another account",
            advice=f"run the staging tasks as {process.user}",
        )


def _staging(context: TaskContext, kind: DataStageType) -> DataStaging:
    model = context.sub_task_model
    if not isinstance(model, DataStaging) or model.type is not kind:
        raise InvalidRequest(f"task {context.task_id} has no staging model of the kind {kind.name}")
    return model


def _data_directory(process: ProcessContext) -> str:
    return process.data_directory.strip("/") or process.process_id


def _open(root: Root, name: str) -> BinaryIO:
    try:
        return os.fdopen(root.open_file(name), "rb")
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {escape(name)}") from error


def _names(root: Root, process: ProcessContext, wanted: OutputDataObject) -> Iterator[str]:
    """The files that an output's value names, relative to the working directory."""
    value = process.output_path(wanted)
    collection = wanted.type is DataType.URI_COLLECTION
    for part in [text.strip() for text in value.split(",")] if collection else [value]:
        name = part.removeprefix(process.working_directory.rstrip("/") + "/")
        parent, _, last = name.rpartition("/")
        if "*" not in last:
            yield name
            continue
        matches = sorted(_matching(root, parent, last))
        yield from matches if collection else matches[:1]


def _matching(root: Root, parent: str, pattern: str) -> Iterator[str]:
    """Regular files whose name fits, as `ls` with a pattern lists them: without hidden ones."""
    try:
        descriptor = root.open_directory(parent)
    except FileNotFoundError:
        return
    try:
        with os.scandir(descriptor) as entries:
            for entry in entries:
                hidden = entry.name.startswith(".") and not pattern.startswith(".")
                if not hidden and fnmatch.fnmatchcase(entry.name, pattern) and entry.is_file():
                    yield f"{parent}/{entry.name}" if parent else entry.name
    finally:
        os.close(descriptor)
