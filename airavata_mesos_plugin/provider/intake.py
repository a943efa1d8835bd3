"""From a wish that did not come as a batch script's directives to a complete, checked `JobRequest`.

Task adapters and peers ask like this; the command line has its own way, with SLURM's words.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from airavata_mesos_plugin.config import ProviderSettings
from airavata_mesos_plugin.errors import InvalidRequest
from airavata_mesos_plugin.filenames import NULL_DEVICE
from airavata_mesos_plugin.jobs import JobRequest
from airavata_mesos_plugin.provider.shaping import LARGEST, Shape, Wishes, fit, shape
from airavata_mesos_plugin.sandbox.user_files import PathRights
from airavata_mesos_plugin.sandbox_names import RESERVED
from airavata_mesos_plugin.schedulers.base import Node

LONGEST_TEXT = 255
"""Bytes of a name, a label or a submission key: Linux' limit of one file name, and Airavata's columns."""

MOST_LABELS = 32


@dataclass(frozen=True)
class Wish:
    """What somebody asks for, counted as by sbatch; None where the queue decides. Memory and GPUs are those
    of each node.
    """

    name: str
    user: str
    uid: int
    working_directory: str
    queue: str | None = None
    nodes: int | None = None
    tasks: int | None = None
    cpus_per_task: int | None = None
    tasks_per_node: int | None = None
    memory_mb: int | None = None
    gpus: int = 0
    wall_time_seconds: int | None = None
    stdout: str = "slurm-%j.out"
    stderr: str | None = None
    arguments: tuple[str, ...] = ()
    account: str = ""
    comment: str = ""
    submission_key: str = ""
    labels: tuple[tuple[str, str], ...] = ()

    def shape(self) -> Shape:
        """Its nodes and tasks. Raises InvalidRequest for numbers that are none."""
        return shape(_wishes(self))


def complete(
    wish: Wish, settings: ProviderSettings, nodes_of: Callable[[str], Sequence[Node]], rights: PathRights
) -> JobRequest:
    """The request with the queue's defaults filled in and every limit checked. Repeatable.

    ``rights`` are those of the account that asks.
    ``nodes_of`` gives the nodes of a cluster as last seen; with none known only the queue's limits count.
    Raises InvalidRequest for what is malformed, DoesNotFit for what no node or queue allows, and NotFound for
    an unknown queue.
    """
    _text("the name of the job", wish.name)
    if wish.submission_key:
        _text("the submission key", wish.submission_key)
    if len(wish.labels) > MOST_LABELS:
        raise InvalidRequest(f"{len(wish.labels)} labels are more than the {MOST_LABELS} of one job")
    for name, value in wish.labels:
        _text("the name of a label", name)
        _text(f"the value of the label {name!r}", value, may_be_empty=True)
    for text in (*wish.arguments, wish.account, wish.comment):
        if "\0" in text:
            raise InvalidRequest("arguments, account and comment must not hold NUL characters")
    queue = settings.queue(wish.queue)
    directory = _working_directory(wish.working_directory, rights)
    aliases = () if wish.working_directory == directory else (os.path.normpath(wish.working_directory),)
    wanted = wish.shape()
    resources, seconds = fit(_wishes(wish), wanted, queue, nodes_of(queue.cluster))
    stdout = _output("standard output", wish.stdout, directory)
    stderr = None if wish.stderr is None else _output("standard error", wish.stderr, directory)
    return JobRequest(
        name=wish.name,
        user=wish.user,
        uid=wish.uid,
        queue=queue.name,
        working_directory=directory,
        working_directory_aliases=aliases,
        script_arguments=wish.arguments,
        nodes=wanted.nodes,
        tasks=wanted.tasks,
        tasks_given=wanted.tasks_given,
        cpus_per_task=wanted.cpus_per_task,
        tasks_per_node=wanted.tasks_per_node,
        resources=resources,
        memory_given=wish.memory_mb is not None,
        wall_time_seconds=seconds,
        stdout=stdout,
        stderr=None if stderr == stdout else stderr,
        account=wish.account,
        comment=wish.comment,
        submission_key=wish.submission_key,
        labels=tuple(sorted(wish.labels)),
    )


def check_script(script: str, limit: int) -> None:
    """Refuse what no host could run, or what is above ``limit`` bytes. Raises InvalidRequest."""
    if not script.startswith("#!"):
        raise InvalidRequest(
            "the job script does not begin with #! and an interpreter", advice="begin it with: #!/bin/bash"
        )
    if "\0" in script:
        raise InvalidRequest("the job script holds a NUL character", advice="send a text")
    if "\r\n" in script:
        raise InvalidRequest(
            "the job script has DOS line breaks (\\r\\n)", advice="send it with UNIX line breaks (\\n)"
        )
    try:
        size = len(script.encode())
    except UnicodeEncodeError:
        raise InvalidRequest("the job script is not UTF-8 text", advice="save it as UTF-8") from None
    if size > limit:
        raise InvalidRequest(
            f"the job script has {size} bytes, more than the {limit} allowed here",
            advice="put data into files of the working directory",
        )


def _text(what: str, text: str, *, may_be_empty: bool = False) -> None:
    if not text and not may_be_empty:
        raise InvalidRequest(f"{what} is empty")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise InvalidRequest(f"{what} is not UTF-8 text: {text!r}") from None
    if size > LONGEST_TEXT:
        raise InvalidRequest(f"{what} is longer than {LONGEST_TEXT} bytes")
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        raise InvalidRequest(f"{what} holds a control character: {text!r}")


def _working_directory(path: str, rights: PathRights) -> str:
    """The directory by its physical name."""
    if "\0" in path or not path.startswith("/"):
        raise InvalidRequest(f"the working directory {path!r} is not an absolute path")
    try:
        facts = rights.examine(path)
    except OSError as error:
        raise InvalidRequest(
            f"working directory {path}: {error.strerror}", advice="make it first, or name another one"
        ) from error
    if not facts.is_directory:
        raise InvalidRequest(f"working directory {path}: not a directory")
    if not facts.writable:
        raise InvalidRequest(
            f"working directory {path}: not writable, so outputs could not be brought back",
            advice="change its permissions, or name another one",
        )
    return facts.physical


def _wishes(wish: Wish) -> Wishes:
    counts = (
        ("nodes", wish.nodes),
        ("tasks", wish.tasks),
        ("cpus per task", wish.cpus_per_task),
        ("tasks per node", wish.tasks_per_node),
    )
    for what, number in counts:
        if number is not None and not 1 <= number <= LARGEST:
            raise InvalidRequest(f"{number} {what}: it must be 1 or more")
    if not 0 <= wish.gpus <= LARGEST:
        raise InvalidRequest(f"{wish.gpus} GPUs: it must be 0 or more")
    if wish.memory_mb is not None and wish.memory_mb < 1:
        raise InvalidRequest(f"{wish.memory_mb} MB of memory: it must be 1 or more")
    if wish.wall_time_seconds is not None and wish.wall_time_seconds < 1:
        raise InvalidRequest(f"a wall time of {wish.wall_time_seconds} s: it must be 1 or more")
    return Wishes(
        fewest_nodes=wish.nodes,
        tasks=wish.tasks,
        cpus_per_task=wish.cpus_per_task,
        tasks_per_node=wish.tasks_per_node,
        memory_mb=wish.memory_mb,
        seconds=wish.wall_time_seconds,
        gpus={"gpus-per-node": wish.gpus},
    )


def _output(what: str, text: str, directory: str) -> str:
    """The name relative to the working directory; an absolute one inside of it is cut."""
    if text == NULL_DEVICE:
        return text
    name = text.removeprefix(directory.rstrip("/") + "/")
    steps = [step for step in name.split("/") if step not in ("", ".")]
    trouble = ""
    if "\0" in name:
        trouble = "holds a NUL character"
    elif name.startswith("/") or ".." in steps:
        trouble = f"leads out of the working directory {directory}"
    elif not steps or name.endswith("/"):
        trouble = "is not the name of a file"
    elif steps[0] in RESERVED:
        trouble = f"lies in {steps[0]}, which is reserved"
    elif any(len(os.fsencode(step)) > LONGEST_TEXT for step in steps):
        trouble = f"has a part longer than {LONGEST_TEXT} bytes"
    if trouble:
        raise InvalidRequest(f"{what} {text!r} {trouble}", advice="name a file inside the working directory")
    return "/".join(steps)
