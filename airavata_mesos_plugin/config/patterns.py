"""Patterns for names of files, as in a ``.gitignore`` file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated

from pathspec import GitIgnoreSpec
from pydantic import AfterValidator

MOST_PATTERNS = 100
MOST_STARS = 4
"""Wildcards of one pattern. Each multiplies the time that a name can take to be compared."""

_LONGEST = 1000  # characters of a pattern
_STARS = re.compile(r"\*+")


def compiled(patterns: Iterable[str]) -> GitIgnoreSpec:
    """The patterns as one. Raises ValueError for one that is none, or would take long to compare."""
    lines = list(patterns)
    if len(lines) > MOST_PATTERNS:
        raise ValueError(f"{len(lines)} patterns; at most {MOST_PATTERNS} are allowed")
    for line in lines:
        if len(line) > _LONGEST or len(_STARS.findall(line)) > MOST_STARS or not line.isprintable():
            raise ValueError(
                f"the pattern {line[:80]!a} has more than {MOST_STARS} asterisks or {_LONGEST} characters,"
                " or is not printable"
            )
    try:
        return GitIgnoreSpec.from_lines(lines)
    except (ValueError, re.error) as error:
        raise ValueError(f"a pattern cannot be understood: {error}") from error


def _checked(patterns: tuple[str, ...]) -> tuple[str, ...]:
    compiled(patterns)
    return patterns


Patterns = Annotated[tuple[str, ...], AfterValidator(_checked)]
"""Patterns in settings."""
