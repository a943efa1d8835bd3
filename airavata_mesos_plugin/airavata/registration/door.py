"""The contract of a door: how one version of Airavata is asked about, and told of, the things we register.

A thing has a kind, an id that Airavata gives, and a document (see `documents`). Airavata itself lets two
things have the same name; a door finds by name and refuses to guess between two.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from airavata_mesos_plugin.airavata.registration.documents import Document
from airavata_mesos_plugin.errors import AlreadyExists

T = TypeVar("T")

Kind = Literal[
    "credential",
    "storage",
    "storage data movement",
    "storage preference",
    "compute resource",
    "SSH access",
    "data movement",
    "group resource profile",
    "application module",
    "application interface",
    "application deployment",
]

NAMED_BY: dict[Kind, tuple[str, ...]] = {
    "credential": ("description",),
    "storage": ("hostName",),
    "storage data movement": (),
    "storage preference": ("storageResourceId",),
    "compute resource": ("hostName",),
    "SSH access": (),
    "data movement": (),
    "group resource profile": ("groupResourceProfileName",),
    "application module": ("appModuleName",),
    "application interface": ("applicationName",),
    "application deployment": ("appModuleId", "computeHostId"),
}
"""Fields by which a thing is found again. None: there is one for each parent."""


@dataclass(frozen=True)
class Found:
    """A thing that Airavata holds."""

    id: str
    document: Document


@dataclass(frozen=True)
class Call:
    """A call that changes something: its name and arguments as they go over the wire, without the token."""

    name: str
    arguments: object


@dataclass
class Journal:
    """The changing calls in their order. ``dry``: they are noted and not sent."""

    dry: bool = False
    calls: list[Call] = field(default_factory=list)

    def change(self, call: Call, send: Callable[[], T], instead: T) -> T:
        """Note the call and send it; in a dry run answer ``instead``."""
        self.calls.append(call)
        return instead if self.dry else send()


def placeholder(kind: Kind, document: Document) -> str:
    """Stands in a dry run for the id that Airavata would give to the thing."""
    names = [str(document[one]) for one in NAMED_BY[kind]]
    name = "" if any(is_placeholder(one) for one in names) else f" {' '.join(names)}"
    return f"<id of {kind}{name.rstrip()}>"


def is_placeholder(id_: str) -> bool:
    """Nothing can be asked about such an id."""
    return id_.startswith("<")


GROUPS = ("users", "admins", "read_only_admins")
"""The groups that each gateway has; they have ids like all others."""


class Door(ABC):
    """One Airavata. Calls block up to the time-out of the connection.

    They raise AuthenticationFailed and Refused (token), InvalidRequest (a document was not accepted),
    Unreachable (nothing was sent), OutcomeUnknown and ServerFault. After any of them the whole
    registration can be run again: things are looked up by name before they are made.
    """

    separate_access: bool
    """Are SSH access and data movement things of their own (0.21), or part of the resource (master)?"""

    serial_only: bool
    """Do only serial applications run (master as of June 2026)?"""

    absent: frozenset[str] = frozenset()
    """Fields of `documents` that this version does not have, or forgets."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal

    @abstractmethod
    def entries(self, kind: Kind, parent: str = "", name: str = "") -> list[Found]:
        """All things of a kind (below a parent); with ``name`` perhaps only those of that name."""

    @abstractmethod
    def create(self, kind: Kind, document: Document, parent: str = "") -> str:
        """Make a thing; its id. A repeat makes a second one: look first."""

    @abstractmethod
    def update(self, kind: Kind, found: Found, document: Document) -> None:
        """Replace a thing's document. A repeat changes nothing."""

    @abstractmethod
    def delete(self, kind: Kind, id_: str, parent: str = "") -> None:
        """Remove a thing."""

    @abstractmethod
    def delete_queue(self, resource_id: str, name: str) -> None:
        """Remove a batch queue, which an update of the resource does not do."""

    @abstractmethod
    def leave_profile(self, profile: Found, resource_id: str) -> None:
        """Take the preference and policies of one compute resource out of a group resource profile."""

    @abstractmethod
    def groups(self) -> dict[str, str]:
        """Ids of the gateway's groups: users, admins, read_only_admins."""

    @abstractmethod
    def readers(self, id_: str) -> list[str]:
        """Groups that may use the profile, deployment or credential."""

    @abstractmethod
    def share(self, id_: str, groups: Sequence[str]) -> None:
        """Let groups use the profile, deployment or credential. A repeat changes nothing."""

    @abstractmethod
    def public_key(self, token: str) -> str:
        """The public half of a credential, in the form of authorized_keys. Raises NotFound."""

    @abstractmethod
    def close(self) -> None:
        """Give the connection back. A repeat does nothing."""

    def find(self, kind: Kind, wanted: Document, parent: str = "") -> Found | None:
        """The thing that the document names, or None. Raises AlreadyExists when there are several."""
        fields = NAMED_BY[kind]
        name = " ".join(str(wanted[one]) for one in fields)
        if is_placeholder(parent) or any(is_placeholder(str(wanted[one])) for one in fields):
            return None
        same = [
            found
            for found in self.entries(kind, parent, name)
            if all(found.document.get(one) == wanted[one] for one in fields)
        ]
        if len(same) > 1:
            ids = ", ".join(sorted(found.id for found in same))
            raise AlreadyExists(
                f"Airavata holds {len(same)} entries of the kind {kind} with the name {name!r}: {ids}",
                advice="delete or rename all but one in the portal",
            )
        return same[0] if same else None
