"""The batch script: how it is found, and the checks of its bytes."""

from __future__ import annotations

import errno
from pathlib import PurePosixPath

from airavata_mesos_plugin.slurm.session import CommandFailed, Invocation

WRAPPED = "#!/bin/sh\n# This script was created by sbatch --wrap.\n\n{}\n"
"""SLURM 22.05's own frame for ``--wrap``."""


def fetch(invocation: Invocation, name: str | None) -> tuple[bytes, str]:
    """The bytes of the script ``name`` (None: standard input) and the path that it was found under.

    As in SLURM, a bare name that is not in the current directory is looked for in PATH.
    Raises CommandFailed.
    """
    if name is None:
        try:
            return invocation.read_file(None), ""
        except OSError as error:
            raise CommandFailed(
                f"sbatch: error: Unable to read the script from standard input: {error.strerror}"
            ) from error
    candidates = [name]
    if name and "/" not in name:
        places = invocation.environ.get("PATH", "").split(":")
        candidates += [f"{place}/{name}" for place in places if place.startswith("/")]
    for candidate in candidates:
        try:
            return invocation.read_file(candidate), candidate
        except IsADirectoryError as error:
            raise CommandFailed("sbatch: error: Batch script is empty!") from error
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EINVAL):
                continue
            path = PurePosixPath(invocation.cwd, candidate)
            raise CommandFailed(f"sbatch: error: Unable to open file {path}") from error
    raise CommandFailed(f"sbatch: error: Unable to open file {name}")


def check(content: bytes, limit: int) -> str:
    """The script as text. Raises CommandFailed for what is no batch script or above ``limit`` bytes."""
    if not content:
        raise CommandFailed("sbatch: error: Batch script is empty!")
    if len(content) > limit:
        raise CommandFailed(
            f"sbatch: error: Batch script is larger than the {limit} bytes allowed here;"
            " put data into files of the working directory"
        )
    if not content.startswith(b"#!"):
        raise CommandFailed(
            "sbatch: error: This does not look like a batch script.  The first",
            "sbatch: error: line must start with #! followed by the path to an interpreter.",
            "sbatch: error: For instance: #!/bin/sh",
        )
    if b"\0" in content:
        raise CommandFailed(
            "sbatch: error: The Slurm controller does not allow scripts that",
            "sbatch: error: contain a NULL character '\\0'.",
        )
    if b"\r\n" in content:
        raise CommandFailed(
            "sbatch: error: Batch script contains DOS line breaks (\\r\\n)",
            "sbatch: error: instead of expected UNIX line breaks (\\n).",
        )
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise CommandFailed(
            f"sbatch: error: Batch script is not UTF-8 text (line {line}, byte 0x{content[error.start]:02x});"
            " save it as UTF-8"
        ) from error
