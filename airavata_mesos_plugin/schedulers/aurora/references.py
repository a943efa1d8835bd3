"""Thermos' template references, ``{{...}}``, in texts of a job (Aurora 0.22).

The executor fills in five kinds and refuses tasks with any other; its library takes any text between two
opening and the next two closing braces for one. So two opening braces may stand only where one of the five
is meant, even where Thermos might have let them pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_PORT = r"thermos\.ports\[([^\s\[\]{}]+)\]"
_KNOWN = re.compile(
    r"(?<!\{)\{\{(?:mesos\.instance|mesos\.hostname|thermos\.task_id|thermos\.user|" + _PORT + r")\}\}"
)


def foreign_reference(text: str) -> str | None:
    """The first reference that the executor does not know, with up to 40 characters of it; else None."""
    # Something stays where a known one was, or the braces around it could join.
    rest = _KNOWN.sub("\0", text)
    at = rest.find("{{")
    if at < 0:
        return None
    end = rest.find("}}", at)
    return rest[at : min(end + 2, at + 40)] if end >= 0 else rest[at : at + 40]


def port_names(texts: Iterable[str]) -> list[str]:
    """Names of the ports that the texts mention, each once, sorted."""
    return sorted({name for text in texts for name in _KNOWN.findall(text) if name})
