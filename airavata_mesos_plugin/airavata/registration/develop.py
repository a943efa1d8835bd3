"""Airavata develop (0.21) as a door: each kind of thing, and the methods of the Thrift service for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from airavata_mesos_plugin.airavata.registration.develop_client import ThriftClient
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
from airavata_mesos_plugin.airavata.registration.stubs import document, struct, stub
from airavata_mesos_plugin.errors import InvalidRequest, NotFound


@dataclass(frozen=True)
class _Methods:
    """How one kind is spoken about. ``kind``: the struct's module and class; ``id``: its field for that."""

    kind: tuple[str, str]
    id: str
    create: str
    update: str
    delete: str
    names: str = ""  # answers with a map from id to name
    all: str = ""  # answers with a list of structs
    get: str = ""
    of_gateway: bool = False  # lists and creates take the gateway first


_METHODS: dict[Kind, _Methods] = {
    "compute resource": _Methods(
        ("compute", "ComputeResourceDescription"),
        "computeResourceId",
        "registerComputeResource",
        "updateComputeResource",
        "deleteComputeResource",
        names="getAllComputeResourceNames",
        get="getComputeResource",
    ),
    "storage": _Methods(
        ("storage", "StorageResourceDescription"),
        "storageResourceId",
        "registerStorageResource",
        "updateStorageResource",
        "deleteStorageResource",
        names="getAllStorageResourceNames",
        get="getStorageResource",
    ),
    "group resource profile": _Methods(
        ("profile", "GroupResourceProfile"),
        "groupResourceProfileId",
        "createGroupResourceProfile",
        "updateGroupResourceProfile",
        "removeGroupResourceProfile",
        all="getGroupResourceList",
    ),
    "application module": _Methods(
        ("deployment", "ApplicationModule"),
        "appModuleId",
        "registerApplicationModule",
        "updateApplicationModule",
        "deleteApplicationModule",
        all="getAllAppModules",
        of_gateway=True,
    ),
    "application interface": _Methods(
        ("interface", "ApplicationInterfaceDescription"),
        "applicationInterfaceId",
        "registerApplicationInterface",
        "updateApplicationInterface",
        "deleteApplicationInterface",
        all="getAllApplicationInterfaces",
        of_gateway=True,
    ),
    "application deployment": _Methods(
        ("deployment", "ApplicationDeploymentDescription"),
        "appDeploymentId",
        "registerApplicationDeployment",
        "updateApplicationDeployment",
        "deleteApplicationDeployment",
        all="getAllApplicationDeployments",
        of_gateway=True,
    ),
    "storage preference": _Methods(
        ("gateway", "StoragePreference"),
        "storageResourceId",
        "addGatewayStoragePreference",
        "updateGatewayStoragePreference",
        "deleteGatewayStoragePreference",
        all="getAllGatewayStoragePreferences",
        of_gateway=True,
    ),
    "credential": _Methods(
        ("credential", "CredentialSummary"),
        "token",
        "generateAndRegisterSSHKeys",
        "",
        "deleteSSHPubKey",
        all="getAllCredentialSummaries",
    ),
    "SSH access": _Methods(
        ("compute", "SSHJobSubmission"),
        "jobSubmissionInterfaceId",
        "addSSHJobSubmissionDetails",
        "updateSSHJobSubmissionDetails",
        "deleteJobSubmissionInterface",
        get="getSSHJobSubmission",
    ),
}
_MOVEMENT = _Methods(
    ("movement", "SCPDataMovement"),
    "dataMovementInterfaceId",
    "addSCPDataMovementDetails",
    "updateSCPDataMovementDetails",
    "deleteDataMovementInterface",
    get="getSCPDataMovement",
)
_METHODS["data movement"] = _MOVEMENT
_METHODS["storage data movement"] = _MOVEMENT

_FIRST = 0
"""Priority of the only way in; Airavata takes the lowest."""


class DevelopDoor(Door):
    """Speaks to a server, or to nobody: then Airavata counts as empty, and the run has to be dry."""

    separate_access = True
    serial_only = False

    def __init__(self, client: ThriftClient | None, gateway: str, journal: Journal) -> None:
        super().__init__(journal)
        self._client = client
        self._gateway = gateway

    def entries(self, kind: Kind, parent: str = "", name: str = "") -> list[Found]:
        methods = _METHODS[kind]
        if parent:
            return self._ways(kind, methods, parent)
        if methods.names:
            names: dict[str, str] = self._ask(methods.names, nothing={})
            ids = [id_ for id_, one in names.items() if not name or one == name]
            return [Found(id_, document(self._ask(methods.get, id_, nothing=None))) for id_ in ids]
        structs = self._ask(methods.all, *self._listing_arguments(kind), nothing=[])
        return [Found(getattr(one, methods.id), document(one)) for one in structs]

    def create(self, kind: Kind, document: Document, parent: str = "") -> str:
        methods = _METHODS[kind]
        if kind == "credential":
            arguments: list[Any] = [document["description"]]
        else:
            arguments = [struct(self._class(methods), document)]
        if methods.of_gateway:
            first = [self._gateway]
            arguments = first + ([document[methods.id]] if kind == "storage preference" else []) + arguments
        elif kind == "SSH access":
            arguments = [parent, _FIRST, *arguments]
        elif methods is _MOVEMENT:
            arguments = [parent, self._product(kind), _FIRST, *arguments]
        id_ = self._change(methods.create, *arguments, instead=placeholder(kind, document))
        return str(document[methods.id]) if kind == "storage preference" else str(id_)

    def update(self, kind: Kind, found: Found, document: Document) -> None:
        methods = _METHODS[kind]
        if kind == "SSH access":
            self._update_access(found, document)
            return
        arguments: list[Any] = [found.id, struct(self._class(methods), document)]
        if kind == "group resource profile":
            arguments = arguments[1:]
        elif kind == "storage preference":
            arguments = [self._gateway, *arguments]
        self._change(methods.update, *arguments, instead=None)

    def _update_access(self, found: Found, wanted: Document) -> None:
        # The job manager is a thing of its own behind this one, with its own update.
        manager = wanted["resourceJobManager"]
        if manager != found.document.get("resourceJobManager"):
            kind = stub("compute").ResourceJobManager
            self._change(
                "updateResourceJobManager",
                manager["resourceJobManagerId"],
                struct(kind, manager),
                instead=None,
            )
        if any(wanted[name] != found.document.get(name) for name in wanted if name != "resourceJobManager"):
            methods = _METHODS["SSH access"]
            self._change(methods.update, found.id, struct(self._class(methods), wanted), instead=None)

    def delete(self, kind: Kind, id_: str, parent: str = "") -> None:
        arguments: list[Any] = [id_]
        if kind == "SSH access":
            arguments = [parent, id_]
        elif _METHODS[kind] is _MOVEMENT:
            arguments = [parent, id_, self._product(kind)]
        elif kind == "storage preference":
            arguments = [self._gateway, id_]
        self._change(_METHODS[kind].delete, *arguments, instead=None)

    def delete_queue(self, resource_id: str, name: str) -> None:
        self._change("deleteBatchQueue", resource_id, name, instead=None)

    def leave_profile(self, profile: Found, resource_id: str) -> None:
        lists: tuple[tuple[str, str, Callable[[Document], list[str]]], ...] = (
            (
                "batchQueueResourcePolicies",
                "removeGroupBatchQueueResourcePolicy",
                lambda e: [e["resourcePolicyId"]],
            ),
            (
                "computeResourcePolicies",
                "removeGroupComputeResourcePolicy",
                lambda e: [e["resourcePolicyId"]],
            ),
            ("computePreferences", "removeGroupComputePrefs", lambda _: [resource_id, profile.id]),
        )
        for field, method, arguments in lists:
            for entry in profile.document.get(field) or []:
                if entry["computeResourceId"] == resource_id:
                    self._change(method, *arguments(entry), instead=None)

    def groups(self) -> dict[str, str]:
        if self._client is None:
            return {name: f"<id of group {name}>" for name in GROUPS}
        groups = self._ask("getGatewayGroups", nothing=None)
        return {
            "users": groups.defaultGatewayUsersGroupId,
            "admins": groups.adminsGroupId,
            "read_only_admins": groups.readOnlyAdminsGroupId,
        }

    def readers(self, id_: str) -> list[str]:
        read = stub("group").ResourcePermissionType.READ
        return list(self._ask("getAllAccessibleGroups", id_, read, nothing=[]))

    def share(self, id_: str, groups: Sequence[str]) -> None:
        read = stub("group").ResourcePermissionType.READ
        self._change("shareResourceWithGroups", id_, dict.fromkeys(groups, read), instead=None)

    def public_key(self, token: str) -> str:
        if self._client is None:
            return ""
        try:
            summary = self._ask("getCredentialSummary", token, nothing=None)
        except InvalidRequest as error:
            raise NotFound(str(error)) from error
        return str(summary.publicKey or "")

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    def _ways(self, kind: Kind, methods: _Methods, parent: str) -> list[Found]:
        """The SSH or SCP interface that Airavata would take: of the parent's, the one with lowest order."""
        owner = _METHODS["storage" if kind == "storage data movement" else "compute resource"]
        holder = self._ask(owner.get, parent, nothing=None)
        if kind == "SSH access":
            ways = [w for w in holder.jobSubmissionInterfaces or [] if w.jobSubmissionProtocol.name == "SSH"]
        else:
            ways = [w for w in holder.dataMovementInterfaces or [] if w.dataMovementProtocol.name == "SCP"]
        ways.sort(key=lambda way: way.priorityOrder)
        ids = [getattr(way, methods.id) for way in ways[:1]]
        return [Found(id_, document(self._ask(methods.get, id_, nothing=None))) for id_ in ids]

    def _listing_arguments(self, kind: Kind) -> list[Any]:
        if kind == "credential":
            return [stub("credential").SummaryType.SSH]
        return [self._gateway]

    def _class(self, methods: _Methods) -> Any:
        module, name = methods.kind
        return getattr(stub(module), name)

    def _product(self, kind: Kind) -> Any:
        product = stub("movement").DMType
        return product.STORAGE_RESOURCE if kind == "storage data movement" else product.COMPUTE_RESOURCE

    def _ask(self, method: str, *arguments: Any, nothing: Any) -> Any:
        return nothing if self._client is None else self._client.call(method, *arguments)

    def _change(self, method: str, *arguments: Any, instead: Any) -> Any:
        plain = [document(a) if hasattr(a, "thrift_spec") else _plain(a) for a in arguments]

        def send() -> Any:
            if self._client is None:
                raise AssertionError("only a dry run has no server")
            return self._client.call(method, *arguments)

        return self.journal.change(Call(method, plain), send, instead)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {_plain(key): _plain(entry) for key, entry in value.items()}
    return getattr(value, "name", value)
