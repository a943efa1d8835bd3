"""Moves a job script: the working directory that it names becomes a token, and the token a sandbox."""

from __future__ import annotations

import re
from collections.abc import Sequence

from airavata_mesos_plugin.errors import InvalidRequest

_NAME = r"\w.~+@%\-"
"""Characters that go on a file name (in a regular expression's brackets)."""

# A path does not start after these: the text before it is part of the same word, as in `$HOME/scratch`.
_GLUE_BEFORE = re.compile(rf"[{_NAME}/)\]}}*?\\]")
# ... unless that text is an option: `-I/scratch/include`.
_OPTION = re.compile(r"(?:^|[\s\"'`=,;(|&])--?[A-Za-z]+\Z")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\Z")
_REMOTE = re.compile(r"[\w.\-]+@[\w.\-]+:\Z")

# The directory's name goes on: P10, P1.bak, P1$N, P1*, P1\ 2, P1"$N". A full stop ends a sentence.
_GOES_ON = rf"(?=[\"']*(?:[\w~+@%\-$*?\[{{]|\.+[{_NAME}$*?\[{{]|\\[^\n]))"
_SLASHES = r"/+(?:\./+)*"


def relocate(script: str, directories: Sequence[str], token: str) -> str:
    """The script with ``token`` in place of each spelling of ``directories``.

    Whole paths only: neither ``/scratch/P10`` nor ``/x/scratch/P1`` is the directory ``/scratch/P1``.
    Doubled slashes, ``/./`` and a backslash before a special character do not hide a path; what follows
    the directory stays. The root directory is never replaced.

    Raises InvalidRequest if the script holds the token, ValueError for a directory that is not absolute.
    """
    if token in script:
        raise InvalidRequest(
            f"the script holds the character sequence {token!r}", advice="remove it from the script"
        )
    spellings = {_spelling(directory) for directory in directories} - {""}
    if not spellings:
        return script
    # The longest first, or a parent directory would hide what lies below it.
    choices = "|".join(sorted(spellings, key=lambda text: (-len(text), text)))
    pattern = re.compile(rf"(?P<slashes>/+)(?:\./+)*(?:{choices})(?!{_GOES_ON})")
    pieces: list[str] = []
    position = 0
    search_from = 0
    while match := pattern.search(script, search_from):
        keep = _kept_slashes(script, match.start(), len(match["slashes"]))
        if keep is None:
            search_from = match.start() + len(match["slashes"])
            continue
        pieces += (script[position : match.start() + keep], token)
        position = search_from = match.end()
    return "".join(pieces) + script[position:]


def _spelling(directory: str) -> str:
    """Expression for what follows the first slash; empty for the root directory."""
    if not directory.startswith("/"):
        raise ValueError(f"not an absolute directory: {directory!r}")
    names = [name for name in directory.split("/") if name not in ("", ".")]
    return _SLASHES.join("".join(map(_character, name)) for name in names)


def _character(character: str) -> str:
    literal = re.escape(character)
    return literal if character.isalnum() or character == "_" else rf"\\?{literal}"


def _kept_slashes(script: str, start: int, slashes: int) -> int | None:
    """How many slashes stay before a path that begins at ``start``; None if no path begins there."""
    line = script[script.rfind("\n", 0, start) + 1 : start]
    if not line:
        return 0
    if line.endswith(":"):
        if _REMOTE.search(line):
            return None
        if slashes > 1 and _SCHEME.search(line):
            return 2 if slashes > 2 else None  # file:///scratch is a path, http://scratch is a host
    last = line[-1]
    if last in "\"'`" and line.count(last) % 2 == 0:
        return None  # the quotes are closed: "$DIR"/scratch
    if _GLUE_BEFORE.match(last) and not _OPTION.search(line):
        return None
    return 0
