"""What goes back over the command socket to `airavata-mesos`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from airavata_mesos_plugin.errors import AiravataMesosError, NotFound

COMMAND = "airavata-mesos"
"""Name under which its calls arrive on the command socket."""

NOT_FOUND = 4
"""Exit code of a call that asked for something that is not there. Other errors have 1."""


@dataclass(frozen=True)
class Answer:
    """``more`` is standard output that comes after ``stdout``, in pieces as they are there.

    An AiravataMesosError that its iterator raises ends the answer with that text and exit code 1.
    """

    stdout: bytes = b""
    stderr: bytes = b""
    exit_code: int = 0
    more: Iterator[bytes] | None = None


def failed(error: AiravataMesosError) -> Answer:
    """The words of an error, and its exit code."""
    code = NOT_FOUND if isinstance(error, NotFound) else 1
    return Answer(stderr=f"{error}\n".encode(errors="surrogateescape"), exit_code=code)


def json_answer(document: object) -> Answer:
    """A document."""
    return Answer(stdout=json.dumps(document).encode())
