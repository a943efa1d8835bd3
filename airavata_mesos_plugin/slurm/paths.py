"""Working directories and output names: what is allowed, and the spellings of a directory."""

from __future__ import annotations

import os
from collections.abc import Iterable

from airavata_mesos_plugin.sandbox.user_files import PathRights

NULL_DEVICE = "/dev/null"


class PathRefused(ValueError):
    """The text says what is wrong with the path and what to change."""


def working_directory(path: str, rights: PathRights) -> str:
    """The directory ``path`` by its physical name. Raises PathRefused that names it.

    It must be there, be a directory and be writable for the account whose rights are given.
    """
    try:
        facts = rights.examine(path)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise PathRefused(
            f"working directory {path}: {why}; make it, or name another one with --chdir"
        ) from error
    if not facts.is_directory:
        raise PathRefused(f"working directory {path}: Not a directory; name another one with --chdir")
    if not facts.writable:
        raise PathRefused(
            f"working directory {path}: not writable, so outputs could not be brought back;"
            " change its permissions, or name another one with --chdir"
        )
    return facts.physical


def spellings(physical: str, candidates: Iterable[str], rights: PathRights) -> tuple[str, ...]:
    """Those of the candidates that are other absolute names of the directory ``physical``, each once."""
    found: list[str] = []
    for candidate in candidates:
        if not candidate.startswith("/"):
            continue
        clean = os.path.normpath(candidate)
        # normpath takes "link/.." away, which can name another directory: both forms must lead there.
        if clean == physical or clean in found:
            continue
        if rights.real_path(candidate) == physical and rights.real_path(clean) == physical:
            found.append(clean)
    return tuple(found)


def output_name(text: str, physical: str, aliases: Iterable[str], rights: PathRights) -> str:
    """The output path ``text`` relative to the working directory, or the null device.

    ``%`` patterns stay as they are. Raises PathRefused for whatever is not inside the directory.
    """
    if text == NULL_DEVICE:
        return text
    if not text or text.endswith("/"):
        raise PathRefused("is not the name of a file")
    relative = _relative(text, physical, tuple(aliases), rights)
    clean = os.path.relpath(os.path.normpath(os.path.join(physical, relative)), physical)  # noqa: PTH118
    if clean == ".":
        raise PathRefused("is the working directory itself; name a file in it")
    if clean == ".." or clean.startswith("../"):
        raise PathRefused(f"leads out of the working directory {physical}; name a file inside it")
    # The unnormalised form too: "link/../x" is not "x" when link is a symbolic link.
    for form in (relative, clean):
        if not _inside(rights.real_path(os.path.join(physical, form)), physical):  # noqa: PTH118 - may hold ".."
            raise PathRefused(
                f"leads out of the working directory {physical} through a symbolic link;"
                " name a file inside it"
            )
    return clean


def _relative(text: str, physical: str, aliases: tuple[str, ...], rights: PathRights) -> str:
    if not text.startswith("/"):
        return text
    for base in (physical, *aliases):
        prefix = base.rstrip("/") + "/"
        if text.startswith(prefix):
            return text[len(prefix) :].lstrip("/") or "."
    clean = os.path.normpath(text)
    for base in (physical, *aliases):
        if _inside(clean, base):
            return os.path.relpath(clean, base)
    # A spelling of the directory that nobody mentioned, through some other link.
    head, name = os.path.split(clean)
    real = rights.real_path(head)
    if _inside(real, physical):
        return os.path.normpath(os.path.join(os.path.relpath(real, physical), name))  # noqa: PTH118
    raise PathRefused(
        f"is not inside the working directory {physical}, and nothing else is brought back;"
        " name a file inside it"
    )


def _inside(path: str, base: str) -> bool:
    return path == base or path.startswith(base.rstrip("/") + "/")
