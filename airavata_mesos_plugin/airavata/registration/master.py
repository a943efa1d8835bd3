"""Airavata master (June 2026) as a door: each kind of thing, and where it lies below ``/api/v1``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from airavata_mesos_plugin.airavata.registration.documents import Document
from airavata_mesos_plugin.airavata.registration.door import (
    GROUPS,
    Call,
    Door,
    Found,
    Journal,
    Kind,
    placeholder,
)
from airavata_mesos_plugin.airavata.registration.master_client import RestClient
from airavata_mesos_plugin.airavata.registration.proto_json import from_proto, to_proto
from airavata_mesos_plugin.errors import ProtocolError

API = "/api/v1"


@dataclass(frozen=True)
class _Place:
    """Where one kind lies; ``id`` is its field with the id, ``new_id`` where the answer to POST has it."""

    path: str
    id: str
    new_id: str
    all: str = ""  # the member of a listing that holds the things
    names: str = ""  # the member of :names that maps ids to names
    of_gateway: bool = False  # takes the gateway as a parameter


_PLACES: dict[Kind, _Place] = {
    "compute resource": _Place(
        "/compute-resources", "computeResourceId", "computeResourceId", names="computeResourceNames"
    ),
    "storage": _Place(
        "/storage-resources", "storageResourceId", "storageResourceId", names="storageResourceNames"
    ),
    "storage preference": _Place(
        "/gateway-profiles/{gateway}/storage-preferences",
        "storageResourceId",
        "",
        all="storagePreferences",
    ),
    "group resource profile": _Place(
        "/group-profiles", "groupResourceProfileId", "groupResourceProfileId", all="groupResourceProfiles"
    ),
    "application module": _Place(
        "/app-modules", "appModuleId", "appModuleId", all="applicationModules", of_gateway=True
    ),
    "application interface": _Place(
        "/app-interfaces",
        "applicationInterfaceId",
        "appInterfaceId",
        all="applicationInterfaces",
        of_gateway=True,
    ),
    "application deployment": _Place(
        "/app-deployments",
        "appDeploymentId",
        "appDeploymentId",
        all="applicationDeployments",
        of_gateway=True,
    ),
    "credential": _Place("/credentials", "token", "token", all="credentialSummaries", of_gateway=True),
}


class MasterDoor(Door):
    """Speaks to a server, or to nobody: then Airavata counts as empty, and the run has to be dry."""

    separate_access = False
    serial_only = True
    # The first two fields were removed; a parallelism prefix is accepted and forgotten.
    absent = frozenset(
        {"preferredJobSubmissionProtocol", "preferredDataMovementProtocol", "parallelismPrefix"}
    )

    def __init__(self, client: RestClient | None, gateway: str, user: str, journal: Journal) -> None:
        super().__init__(journal)
        self._client = client
        self._gateway = gateway
        self._user = user

    def entries(
        self,
        kind: Kind,
        parent: str = "",  # noqa: ARG002 - nothing has a parent on master
        name: str = "",
    ) -> list[Found]:
        place = _PLACES[kind]
        if place.names:
            names = self._ask(f"{self._path(place)}:names").get(place.names) or {}
            ids = [id_ for id_, one in names.items() if not name or one == name]
            return [Found(id_, from_proto(self._ask(self._path(place, id_)))) for id_ in ids]
        query = {"gateway_id": self._gateway} if place.of_gateway else {}
        if kind == "credential":
            query["type"] = "SSH"
        found = [from_proto(one) for one in self._ask(self._path(place), query).get(place.all) or []]
        return [Found(str(one.get(place.id, "")), one) for one in found]

    def create(
        self,
        kind: Kind,
        document: Document,
        parent: str = "",  # noqa: ARG002 - nothing has a parent on master
    ) -> str:
        place = _PLACES[kind]
        path, body = self._path(place), to_proto(document)
        query = {"gateway_id": self._gateway} if place.of_gateway else {}
        if kind == "credential":
            path, query = f"{path}/ssh-keys", {}
            body = {"gatewayId": self._gateway, "username": self._user, **body}
        elif kind == "storage preference":
            self._change("POST", path, body, {"storage_resource_id": str(document[place.id])})
            return str(document[place.id])
        answer = self._change("POST", path, body, query)
        if self.journal.dry:
            return placeholder(kind, document)
        id_ = answer.get(place.new_id)
        if not id_:
            raise ProtocolError(f"Airavata made the {kind} and did not say its {place.new_id}")
        return str(id_)

    def update(self, kind: Kind, found: Found, document: Document) -> None:
        self._change("PUT", self._path(_PLACES[kind], found.id), to_proto(document))

    def delete(
        self,
        kind: Kind,
        id_: str,
        parent: str = "",  # noqa: ARG002 - nothing has a parent on master
    ) -> None:
        path = self._path(_PLACES[kind], id_)
        if kind == "credential":
            path = f"{self._path(_PLACES[kind])}/ssh-keys/{_quoted(id_)}"
            self._change("DELETE", path, query={"gateway_id": self._gateway})
        else:
            self._change("DELETE", path)

    def delete_queue(self, resource_id: str, name: str) -> None:
        path = self._path(_PLACES["compute resource"], resource_id)
        self._change("DELETE", f"{path}/batch-queues/{_quoted(name)}")

    def leave_profile(self, profile: Found, resource_id: str) -> None:
        for field, path in (
            ("batchQueueResourcePolicies", "batch-queue-policies"),
            ("computeResourcePolicies", "group-compute-policies"),
        ):
            for entry in profile.document.get(field) or []:
                if entry.get("computeResourceId") == resource_id:
                    self._change("DELETE", f"{API}/{path}/{_quoted(entry['resourcePolicyId'])}")
        place = _PLACES["group resource profile"]
        ours = [
            entry
            for entry in profile.document.get("computePreferences") or []
            if entry.get("computeResourceId") == resource_id
        ]
        if ours:
            path = f"{self._path(place, profile.id)}/compute-preferences/{_quoted(resource_id)}"
            self._change("DELETE", path)

    def groups(self) -> dict[str, str]:
        if self._client is None:
            return {name: f"<id of group {name}>" for name in GROUPS}
        groups = self._ask(f"{API}/gateway-groups")
        fields = {
            "users": "defaultGatewayUsersGroupId",
            "admins": "adminsGroupId",
            "read_only_admins": "readOnlyAdminsGroupId",
        }
        return {name: str(groups[field]) for name, field in fields.items() if groups.get(field)}

    def readers(self, id_: str) -> list[str]:
        answer = self._ask(f"{API}/sharing/{_quoted(id_)}/groups", {"permission_type": "READ"})
        return [str(group) for group in answer.get("groupIds") or []]

    def share(self, id_: str, groups: Sequence[str]) -> None:
        body = {"groupPermissions": dict.fromkeys(groups, "READ")}
        self._change("POST", f"{API}/sharing/{_quoted(id_)}/groups", body)

    def public_key(self, token: str) -> str:
        path = f"{API}/credentials/{_quoted(token)}"
        return str(self._ask(path, {"gateway_id": self._gateway}).get("publicKey", ""))

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    def _path(self, place: _Place, id_: str = "") -> str:
        path = API + place.path.replace("{gateway}", _quoted(self._gateway))
        return f"{path}/{_quoted(id_)}" if id_ else path

    def _ask(self, path: str, query: dict[str, str] | None = None) -> dict[str, Any]:
        return {} if self._client is None else self._client.call("GET", path, query)

    def _change(
        self, method: str, path: str, body: Document | None = None, query: dict[str, str] | None = None
    ) -> dict[str, Any]:
        shown = path + (f"?{'&'.join(f'{name}={value}' for name, value in query.items())}" if query else "")

        def send() -> dict[str, Any]:
            if self._client is None:
                raise AssertionError("only a dry run has no server")
            return self._client.call(method, path, query, body)

        return self.journal.change(Call(f"{method} {shown}", body or {}), send, {})


def _quoted(text: str) -> str:
    return text if text.startswith("<") else quote(text, safe="")
