"""Which links of a listing stay inside the sandbox. The text of a link is what a job, or worse, wrote."""

from __future__ import annotations

from dataclasses import dataclass

from airavata_mesos_plugin.errors import UnsafePath
from airavata_mesos_plugin.sandbox.outputs.listing import Listing
from airavata_mesos_plugin.sandbox.paths import components, escape
from airavata_mesos_plugin.sandbox.source import Entry

_TURNS = 40  # links on the way to one file; Linux gives up after as many


@dataclass(frozen=True)
class InnerLink:
    """A link that stays inside the sandbox, and all that is passed on the way to where it leads.

    ``way`` holds names with the target of those that are links, None for all else: it stays inside the
    working directory too as long as nothing there is another link.
    """

    entry: Entry
    target: str
    way: tuple[tuple[str, str | None], ...]


def inner_links(listing: Listing) -> tuple[list[InnerLink], list[tuple[str, str]]]:
    """The links that lead to something in the listing, and the other ones with the reasons."""
    there = {entry.name for entry in (*listing.files, *listing.directories)}
    links = {entry.name: entry.target or "" for entry in listing.links}
    kept: list[InnerLink] = []
    refused = []
    for entry in listing.links:
        try:
            way = _way(entry.name, links, there)
        except UnsafePath as error:
            refused.append((entry.name, f"a link {error.message}: {escape(links[entry.name])}"))
        else:
            kept.append(InnerLink(entry, links[entry.name], tuple(way)))
    return kept, refused


def _way(name: str, links: dict[str, str], there: set[str]) -> list[tuple[str, str | None]]:
    """What is passed from the link ``name`` on. Raises UnsafePath when that does not end well."""
    here = name.split("/")[:-1]  # never holds a link; the directories of a listing are real
    way: list[tuple[str, str | None]] = []
    ahead = _steps(links[name])
    turns = 1
    while ahead:
        step = ahead.pop()
        if step in ("", "."):
            continue
        if step == "..":
            if not here:
                raise UnsafePath("that leads out of the sandbox")
            here.pop()
            continue
        here.append(step)
        path = "/".join(here)
        target = links.get(path)
        way.append((path, target))
        if target is not None:
            turns += 1
            if turns > _TURNS:
                raise UnsafePath("that leads in a circle")
            here.pop()
            ahead += _steps(target)
        elif path not in there:
            raise UnsafePath("to nothing in the sandbox")
    return way


def _steps(target: str) -> list[str]:
    """The parts of a link's text, the last first."""
    if not target:
        raise UnsafePath("without a target")
    if target.startswith("/"):
        raise UnsafePath("with an absolute target")
    steps = target.split("/")
    components("/".join(step for step in steps if step not in ("", ".", "..")) or "x")
    return steps[::-1]
