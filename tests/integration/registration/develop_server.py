"""A stand-in for the API server of Airavata develop: the SDK's own service stubs, an in-memory handler."""

from __future__ import annotations

import copy
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

from airavata.api import Airavata
from airavata.api.error import ttypes as errors
from airavata.model.appcatalog.appdeployment.ttypes import ApplicationDeploymentDescription, ApplicationModule
from airavata.model.appcatalog.appinterface.ttypes import ApplicationInterfaceDescription
from airavata.model.appcatalog.computeresource.ttypes import (
    ComputeResourceDescription,
    JobManagerCommand,
    JobSubmissionInterface,
    JobSubmissionProtocol,
    MonitorMode,
    ResourceJobManagerType,
    SSHJobSubmission,
)
from airavata.model.appcatalog.gatewaygroups.ttypes import GatewayGroups
from airavata.model.appcatalog.gatewayprofile.ttypes import StoragePreference
from airavata.model.appcatalog.groupresourceprofile.ttypes import GroupResourceProfile
from airavata.model.appcatalog.storageresource.ttypes import StorageResourceDescription
from airavata.model.credential.store.ttypes import CredentialSummary, SummaryType
from airavata.model.data.movement.ttypes import (
    DataMovementInterface,
    DataMovementProtocol,
    DMType,
    SCPDataMovement,
    SecurityProtocol,
)
from airavata.model.group.ttypes import ResourcePermissionType
from thrift.protocol.TBinaryProtocol import TBinaryProtocolFactory
from thrift.server.TServer import TThreadedServer
from thrift.transport.TSocket import TServerSocket, TSocket
from thrift.transport.TTransport import TBufferedTransportFactory, TTransportException

from tests.integration.registration.rules import (
    GATEWAY,
    GROUPS,
    TOKEN,
    USER,
    Catalogue,
    Switches,
    Violation,
    demand,
)

UNSET = "DO_NOT_SET_AT_CLIENTS"

KINDS: dict[str, tuple[Any, str]] = {
    "compute": (ComputeResourceDescription, "computeResourceId"),
    "storage": (StorageResourceDescription, "storageResourceId"),
    "ssh": (SSHJobSubmission, "jobSubmissionInterfaceId"),
    "scp": (SCPDataMovement, "dataMovementInterfaceId"),
    "profile": (GroupResourceProfile, "groupResourceProfileId"),
    "module": (ApplicationModule, "appModuleId"),
    "interface": (ApplicationInterfaceDescription, "applicationInterfaceId"),
    "deployment": (ApplicationDeploymentDescription, "appDeploymentId"),
    "preference": (StoragePreference, "storageResourceId"),
}


def plain(value: Any) -> Any:
    """A struct as a document for the rules."""
    if hasattr(value, "thrift_spec"):
        fields = ((name, getattr(value, name)) for _, _, name, *_ in filter(None, value.thrift_spec))
        return {name: plain(entry) for name, entry in fields if entry is not None}
    if isinstance(value, list):
        return [plain(entry) for entry in value]
    if isinstance(value, dict):
        return {plain(key): plain(entry) for key, entry in value.items()}
    return getattr(value, "name", value)


def complete(value: Any) -> None:
    """Required fields at every depth, as the Java server checks them when it reads."""
    if hasattr(value, "thrift_spec"):
        value.validate()
        for _, _, name, *_ in filter(None, value.thrift_spec):
            complete(getattr(value, name))
    elif isinstance(value, list):
        for entry in value:
            complete(entry)


class Handler:
    """Methods of the service, kept as structs in ``structs`` and as documents in the catalogue."""

    def __init__(self, switches: Switches) -> None:
        self.catalogue = Catalogue()
        self.structs: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
        self.switches = switches
        self._lock = threading.Lock()

    # -- frame --------------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(type(self), f"on_{name}", None)
        if method is None:
            raise AttributeError(name)

        def call(token: Any, *arguments: Any) -> Any:
            with self._lock:
                return self._guarded(name, method, token, arguments)

        return call

    def _guarded(self, name: str, method: Any, token: Any, arguments: tuple[Any, ...]) -> Any:
        complete(token)
        claims = token.claimsMap or {}
        if token.accessToken != TOKEN or claims.get("userName") != USER or claims.get("gatewayID") != GATEWAY:
            raise errors.AuthorizationException("User is not authenticated or authorized")
        for argument in arguments:
            complete(argument)
        changing = not name.startswith("get")
        if changing:
            self.switches.changes += 1
            if self.switches.changes == self.switches.fail_at:
                raise errors.AiravataSystemException(
                    errors.AiravataErrorType.INTERNAL_ERROR, "database is down"
                )
            self.catalogue.log.append(name)
        try:
            answer = method(self, *arguments)
        except Violation as violation:
            raise errors.InvalidRequestException(str(violation)) from violation
        if changing and self.switches.changes == self.switches.lose_answer_at:
            raise TTransportException(TTransportException.END_OF_FILE, "answer lost")
        return answer

    def _keep(self, kind: str, struct: Any, prefix: str) -> str:
        field = KINDS[kind][1]
        demand(getattr(struct, field) == UNSET, f"{field} is given by the server")
        id_ = self.catalogue.new_id(prefix)
        self._put(kind, id_, struct)
        return id_

    def _put(self, kind: str, id_: str, struct: Any) -> None:
        if kind != "preference":
            setattr(struct, KINDS[kind][1], id_)
        if kind == "profile":
            for entry in [*(struct.computePreferences or []), *(struct.computeResourcePolicies or [])]:
                entry.groupResourceProfileId = id_
        self.structs[kind][id_] = struct
        self.catalogue.of(kind)[id_] = plain(struct)

    def _drop(self, kind: str, id_: str) -> bool:
        self.catalogue.check_unused(kind, id_)
        del self.structs[kind][id_]
        del self.catalogue.of(kind)[id_]
        return True

    def _get(self, kind: str, id_: str) -> Any:
        self.catalogue.one(kind, id_)
        return copy.deepcopy(self.structs[kind][id_])

    def _known_gateway(self, gateway: str) -> None:
        demand(gateway == GATEWAY, f"no gateway {gateway}")

    def on_getAPIVersion(self) -> str:  # noqa: N802 - Airavata's name
        return "0.21"

    # -- credentials --------------------------------------------------------------------------------------

    def on_generateAndRegisterSSHKeys(self, description: str) -> str:  # noqa: N802
        return self.catalogue.new_key(description, USER)

    def _summary(self, token: str) -> Any:
        one = self.catalogue.one("credential", token)
        return CredentialSummary(**{**one, "type": SummaryType.SSH})

    def on_getCredentialSummary(self, token: str) -> Any:  # noqa: N802
        return self._summary(token)

    def on_getAllCredentialSummaries(self, kind: Any) -> list[Any]:  # noqa: N802
        demand(kind == SummaryType.SSH, "only SSH keys here")
        return [self._summary(token) for token in self.catalogue.of("credential")]

    def on_deleteSSHPubKey(self, token: str) -> bool:  # noqa: N802
        self.catalogue.check_key_unused(token)
        del self.catalogue.of("credential")[token]
        return True

    # -- compute and storage ------------------------------------------------------------------------------

    def on_registerComputeResource(self, resource: Any) -> str:  # noqa: N802
        self.catalogue.check_resource(plain(resource))
        demand(not resource.jobSubmissionInterfaces, "ways in are added later")
        return self._keep("compute", resource, resource.hostName)

    def on_updateComputeResource(self, id_: str, resource: Any) -> bool:  # noqa: N802
        old = self._get("compute", id_)
        demand(resource.computeResourceId == id_, "the id does not change")
        self.catalogue.check_resource(plain(resource), id_)
        names = {queue.queueName for queue in resource.batchQueues}
        # Queues are their own rows: an update writes those that it is given and leaves the others.
        resource.batchQueues += [queue for queue in old.batchQueues if queue.queueName not in names]
        self._put("compute", id_, resource)
        return True

    def on_deleteBatchQueue(self, id_: str, name: str) -> bool:  # noqa: N802
        resource = self._get("compute", id_)
        demand(any(q.queueName == name for q in resource.batchQueues), f"no queue {name}")
        resource.batchQueues = [q for q in resource.batchQueues if q.queueName != name]
        self._put("compute", id_, resource)
        return True

    def on_getComputeResource(self, id_: str) -> Any:  # noqa: N802
        resource = self._get("compute", id_)
        resource.batchQueues.reverse()  # rows of a table have no order
        return resource

    def on_getAllComputeResourceNames(self) -> dict[str, str]:  # noqa: N802
        return {id_: one.hostName for id_, one in self.structs["compute"].items()}

    def on_deleteComputeResource(self, id_: str) -> bool:  # noqa: N802
        return self._drop("compute", id_)

    def on_registerStorageResource(self, storage: Any) -> str:  # noqa: N802
        self.catalogue.unique("storage", "hostName", plain(storage))
        return self._keep("storage", storage, storage.hostName)

    def on_updateStorageResource(self, id_: str, storage: Any) -> bool:  # noqa: N802
        self.catalogue.one("storage", id_)
        self._put("storage", id_, storage)
        return True

    def on_getStorageResource(self, id_: str) -> Any:  # noqa: N802
        return self._get("storage", id_)

    def on_getAllStorageResourceNames(self) -> dict[str, str]:  # noqa: N802
        return {id_: one.hostName for id_, one in self.structs["storage"].items()}

    def on_deleteStorageResource(self, id_: str) -> bool:  # noqa: N802
        demand(id_ not in self.structs["preference"], "the gateway prefers it")
        return self._drop("storage", id_)

    def on_addGatewayStoragePreference(self, gateway: str, id_: str, preference: Any) -> bool:  # noqa: N802
        self._known_gateway(gateway)
        self.catalogue.one("storage", id_)
        demand(preference.storageResourceId == id_, "ids differ")
        demand(id_ not in self.structs["preference"], "preference exists")
        self.catalogue.key_is_there(preference.resourceSpecificCredentialStoreToken)
        self._put("preference", id_, preference)
        return True

    def on_updateGatewayStoragePreference(self, gateway: str, id_: str, preference: Any) -> bool:  # noqa: N802
        self._known_gateway(gateway)
        self.catalogue.one("preference", id_)
        self._put("preference", id_, preference)
        return True

    def on_getAllGatewayStoragePreferences(self, gateway: str) -> list[Any]:  # noqa: N802
        self._known_gateway(gateway)
        return list(self.structs["preference"].values())

    def on_deleteGatewayStoragePreference(self, gateway: str, id_: str) -> bool:  # noqa: N802
        self._known_gateway(gateway)
        return self._drop("preference", id_)

    # -- ways in ------------------------------------------------------------------------------------------

    def on_addSSHJobSubmissionDetails(self, id_: str, priority: int, way: Any) -> str:  # noqa: N802
        resource = self._get("compute", id_)
        demand(not resource.jobSubmissionInterfaces, "a second way in")
        self._check_ssh(way)
        demand(way.resourceJobManager.resourceJobManagerId == UNSET, "the server gives the id")
        way.resourceJobManager.resourceJobManagerId = self.catalogue.new_id("manager")
        way_id = self._keep("ssh", way, "ssh")
        resource.jobSubmissionInterfaces = [
            JobSubmissionInterface(way_id, JobSubmissionProtocol.SSH, priority)
        ]
        self._put("compute", id_, resource)
        return way_id

    def _check_ssh(self, way: Any) -> None:
        demand(way.monitorMode in MonitorMode.__members__.values(), "no monitor mode")
        demand(way.securityProtocol == SecurityProtocol.SSH_KEYS, "keys")
        demand(way.resourceJobManager.resourceJobManagerType == ResourceJobManagerType.SLURM, "type")
        demand(
            all(isinstance(c, JobManagerCommand) for c in way.resourceJobManager.jobManagerCommands), "keys"
        )
        manager = plain(way.resourceJobManager)
        self.catalogue.check_manager(manager, manager["jobManagerCommands"])

    def on_updateSSHJobSubmissionDetails(self, id_: str, way: Any) -> bool:  # noqa: N802
        old = self._get("ssh", id_)
        self._check_ssh(way)
        way.resourceJobManager = old.resourceJobManager  # has its own update
        self._put("ssh", id_, way)
        return True

    def on_updateResourceJobManager(self, id_: str, manager: Any) -> bool:  # noqa: N802
        demand(manager.resourceJobManagerId == id_, "ids differ")
        for way_id, way in self.structs["ssh"].items():
            if way.resourceJobManager.resourceJobManagerId == id_:
                way.resourceJobManager = manager
                self._put("ssh", way_id, way)
                return True
        raise Violation(f"no job manager {id_}")

    def on_getSSHJobSubmission(self, id_: str) -> Any:  # noqa: N802
        return self._get("ssh", id_)

    def on_deleteJobSubmissionInterface(self, id_: str, way_id: str) -> bool:  # noqa: N802
        resource = self._get("compute", id_)
        demand(any(w.jobSubmissionInterfaceId == way_id for w in resource.jobSubmissionInterfaces), way_id)
        resource.jobSubmissionInterfaces = []
        self._put("compute", id_, resource)
        return self._drop("ssh", way_id)

    def _product(self, kind: Any, id_: str) -> tuple[str, Any]:
        name = {DMType.COMPUTE_RESOURCE: "compute", DMType.STORAGE_RESOURCE: "storage"}[kind]
        return name, self._get(name, id_)

    def on_addSCPDataMovementDetails(self, id_: str, kind: Any, priority: int, way: Any) -> str:  # noqa: N802
        name, product = self._product(kind, id_)
        demand(not product.dataMovementInterfaces, "a second way for data")
        demand(way.securityProtocol == SecurityProtocol.SSH_KEYS, "keys")
        way_id = self._keep("scp", way, "scp")
        product.dataMovementInterfaces = [DataMovementInterface(way_id, DataMovementProtocol.SCP, priority)]
        self._put(name, id_, product)
        return way_id

    def on_updateSCPDataMovementDetails(self, id_: str, way: Any) -> bool:  # noqa: N802
        self.catalogue.one("scp", id_)
        self._put("scp", id_, way)
        return True

    def on_getSCPDataMovement(self, id_: str) -> Any:  # noqa: N802
        return self._get("scp", id_)

    def on_deleteDataMovementInterface(self, id_: str, way_id: str, kind: Any) -> bool:  # noqa: N802
        name, product = self._product(kind, id_)
        product.dataMovementInterfaces = []
        self._put(name, id_, product)
        return self._drop("scp", way_id)

    # -- profiles -----------------------------------------------------------------------------------------

    def _check_profile(self, profile: Any, own: str = "") -> None:
        demand(profile.gatewayId == GATEWAY, "gateway")
        self.catalogue.check_profile(
            plain(profile),
            lambda r: r.get("jobSubmissionInterfaces") and r.get("dataMovementInterfaces"),
            own,
        )
        for preference in profile.computePreferences or []:
            known = (UNSET, own) if own else (UNSET,)
            demand(preference.groupResourceProfileId in known, "preference of another profile")
        for policy in profile.computeResourcePolicies or []:
            if policy.resourcePolicyId == UNSET:
                policy.resourcePolicyId = self.catalogue.new_id("policy")

    def on_createGroupResourceProfile(self, profile: Any) -> str:  # noqa: N802
        self._check_profile(profile)
        return self._keep("profile", profile, "profile")

    def on_updateGroupResourceProfile(self, profile: Any) -> None:  # noqa: N802
        self.catalogue.one("profile", profile.groupResourceProfileId)
        self._check_profile(profile, profile.groupResourceProfileId)
        self._put("profile", profile.groupResourceProfileId, profile)

    def on_getGroupResourceList(self, gateway: str) -> list[Any]:  # noqa: N802
        self._known_gateway(gateway)
        return list(self.structs["profile"].values())

    def on_removeGroupResourceProfile(self, id_: str) -> bool:  # noqa: N802
        return self._drop("profile", id_)

    def on_removeGroupComputePrefs(self, resource_id: str, id_: str) -> bool:  # noqa: N802
        profile = self._get("profile", id_)
        kept = [p for p in profile.computePreferences if p.computeResourceId != resource_id]
        demand(len(kept) < len(profile.computePreferences), "no such preference")
        profile.computePreferences = kept
        self._put("profile", id_, profile)
        return True

    def on_removeGroupComputeResourcePolicy(self, policy_id: str) -> bool:  # noqa: N802
        for id_, profile in self.structs["profile"].items():
            kept = [p for p in profile.computeResourcePolicies if p.resourcePolicyId != policy_id]
            if len(kept) < len(profile.computeResourcePolicies):
                profile.computeResourcePolicies = kept
                self._put("profile", id_, profile)
                return True
        raise Violation(f"no policy {policy_id}")

    def on_getGatewayGroups(self) -> Any:  # noqa: N802
        return GatewayGroups(GATEWAY, GROUPS["admins"], GROUPS["read_only_admins"], GROUPS["users"])

    def on_getAllAccessibleGroups(self, id_: str, permission: Any) -> list[str]:  # noqa: N802
        demand(permission == ResourcePermissionType.READ, "READ")
        return sorted(self.catalogue.readers.get(id_, set()))

    def on_shareResourceWithGroups(self, id_: str, groups: dict[str, Any]) -> bool:  # noqa: N802
        demand(set(groups.values()) == {ResourcePermissionType.READ}, "READ")
        self.catalogue.share(id_, list(groups))
        return True

    # -- applications -------------------------------------------------------------------------------------

    def on_registerApplicationModule(self, gateway: str, module: Any) -> str:  # noqa: N802
        self._known_gateway(gateway)
        self.catalogue.unique("module", "appModuleName", plain(module))
        return self._keep("module", module, module.appModuleName)

    def on_updateApplicationModule(self, id_: str, module: Any) -> bool:  # noqa: N802
        self.catalogue.one("module", id_)
        self._put("module", id_, module)
        return True

    def on_getAllAppModules(self, gateway: str) -> list[Any]:  # noqa: N802
        self._known_gateway(gateway)
        return list(self.structs["module"].values())

    def on_deleteApplicationModule(self, id_: str) -> bool:  # noqa: N802
        return self._drop("module", id_)

    def on_registerApplicationInterface(self, gateway: str, interface: Any) -> str:  # noqa: N802
        self._known_gateway(gateway)
        self.catalogue.check_interface(plain(interface))
        return self._keep("interface", interface, interface.applicationName)

    def on_updateApplicationInterface(self, id_: str, interface: Any) -> bool:  # noqa: N802
        self.catalogue.one("interface", id_)
        self.catalogue.check_interface(plain(interface), id_)
        self._put("interface", id_, interface)
        return True

    def on_getAllApplicationInterfaces(self, gateway: str) -> list[Any]:  # noqa: N802
        self._known_gateway(gateway)
        return list(self.structs["interface"].values())

    def on_deleteApplicationInterface(self, id_: str) -> bool:  # noqa: N802
        return self._drop("interface", id_)

    def on_registerApplicationDeployment(self, gateway: str, deployment: Any) -> str:  # noqa: N802
        self._known_gateway(gateway)
        self.catalogue.check_deployment(plain(deployment))
        for field in ("moduleLoadCmds", "preJobCommands", "postJobCommands", "setEnvironment"):
            demand(getattr(deployment, field) is not None, f"{field} is null")
        return self._keep("deployment", deployment, "deployment")

    def on_updateApplicationDeployment(self, id_: str, deployment: Any) -> bool:  # noqa: N802
        self.catalogue.one("deployment", id_)
        self.catalogue.check_deployment(plain(deployment))
        self._put("deployment", id_, deployment)
        return True

    def on_getAllApplicationDeployments(self, gateway: str) -> list[Any]:  # noqa: N802
        self._known_gateway(gateway)
        return list(self.structs["deployment"].values())

    def on_deleteApplicationDeployment(self, id_: str) -> bool:  # noqa: N802
        return self._drop("deployment", id_)


class _ServerSocket(TServerSocket):  # type: ignore[misc]
    """Listens as soon as it is made, so that its port is known; may speak TLS."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        super().__init__(host="127.0.0.1", port=0, socket_family=socket.AF_INET)
        self.listen()
        self._tls = tls

    def accept(self) -> Any:
        client, _ = self.handle.accept()
        if self._tls is not None:
            try:
                client = self._tls.wrap_socket(client, server_side=True)
            except OSError:
                client.close()
                return None
        transport = TSocket()
        transport.setHandle(client)
        return transport


class _Server(TThreadedServer):  # type: ignore[misc]
    """The SDK's kind of server, with an end: its own accepts until the process dies."""

    stopping = False

    def serve(self) -> None:
        while not self.stopping:
            client = self.serverTransport.accept()
            if client and not self.stopping:
                threading.Thread(target=self.handle, args=(client,), daemon=True).start()
            elif client:
                client.close()


class DevelopServer:
    """The service on a port of the loopback interface, until it is stopped."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.switches = Switches()
        self.handler = Handler(self.switches)
        self.catalogue = self.handler.catalogue
        self._socket = _ServerSocket(tls)
        self._server = _Server(
            Airavata.Processor(self.handler),
            self._socket,
            TBufferedTransportFactory(),
            TBinaryProtocolFactory(),
        )
        self._thread = threading.Thread(target=self._server.serve)
        self._thread.start()

    @property
    def port(self) -> int:
        port: int = self._socket.handle.getsockname()[1]
        return port

    def stop(self) -> None:
        self._server.stopping = True
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._thread.join()
        self._socket.close()
