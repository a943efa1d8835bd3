"""A stand-in for Airavata master: its REST paths, bearer tokens and rules, over real HTTP."""

from __future__ import annotations

import asyncio
import copy
import ssl
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from tests.integration.registration.proto3 import parse
from tests.integration.registration.rules import (
    GATEWAY,
    GROUPS,
    TOKEN,
    USER,
    Catalogue,
    Document,
    Switches,
    Violation,
    demand,
)

_COMMANDS = {
    "1": "SUBMISSION",
    "2": "JOB_MONITORING",
    "3": "DELETION",
    "8": "SHOW_CLUSTER_INFO",
    "9": "SHOW_NO_OF_RUNNING_JOBS",
    "10": "SHOW_NO_OF_PENDING_JOBS",
}

# path -> kind, message, field with the id, member with the id in the answer, member of a listing
COLLECTIONS = {
    "compute-resources": ("compute", "ComputeResource", "computeResourceId", "computeResourceId", ""),
    "storage-resources": ("storage", "Storage", "storageResourceId", "storageResourceId", ""),
    "group-profiles": ("profile", "Profile", "groupResourceProfileId", "", "groupResourceProfiles"),
    "app-modules": ("module", "Module", "appModuleId", "appModuleId", "applicationModules"),
    "app-interfaces": (
        "interface",
        "Interface",
        "applicationInterfaceId",
        "appInterfaceId",
        "applicationInterfaces",
    ),
    "app-deployments": (
        "deployment",
        "Deployment",
        "appDeploymentId",
        "appDeploymentId",
        "applicationDeployments",
    ),
}


class MasterServer:
    """The API on a port of the loopback interface, until it is stopped."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.switches = Switches()
        self.catalogue = Catalogue()
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self.port = 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._ready.wait(60)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        runner = web.AppRunner(self._application(), shutdown_timeout=0.1)
        self._loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._tls)
        self._loop.run_until_complete(site.start())
        self.port = runner.addresses[0][1]
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())

    # -- frame --------------------------------------------------------------------------------------------

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[self._frame])
        add = application.router.add_route
        for path in COLLECTIONS:
            base = f"/api/v1/{path}"
            add("GET", f"{base}:names", self._names)
            add("GET", base, self._list)
            add("POST", base, self._post)
            add("GET", base + "/{id}", self._get)
            add("PUT", base + "/{id}", self._put)
            add("DELETE", base + "/{id}", self._delete)
        add("DELETE", "/api/v1/compute-resources/{id}/batch-queues/{queue}", self._delete_queue)
        add("POST", "/api/v1/credentials/ssh-keys", self._new_key)
        add("DELETE", "/api/v1/credentials/ssh-keys/{id}", self._delete_key)
        add("GET", "/api/v1/credentials/{id}", self._key)
        add("GET", "/api/v1/credentials", self._keys)
        preferences = "/api/v1/gateway-profiles/{gateway}/storage-preferences"
        add("GET", preferences, self._preferences)
        add("POST", preferences, self._new_preference)
        add("PUT", preferences + "/{id}", self._put_preference)
        add("DELETE", preferences + "/{id}", self._delete_preference)
        add("GET", "/api/v1/gateway-groups", self._groups)
        add("GET", "/api/v1/sharing/{id}/groups", self._readers)
        add("POST", "/api/v1/sharing/{id}/groups", self._share)
        profile = "/api/v1/group-profiles/{id}/compute-preferences/{resource}"
        add("DELETE", profile, self._leave_profile)
        add("DELETE", "/api/v1/group-compute-policies/{id}", self._delete_policy)
        return application

    @web.middleware
    async def _frame(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.json_response({"code": 16, "message": "Invalid or expired token"}, status=401)
        changing = request.method != "GET"
        if changing:
            self.switches.changes += 1
            if self.switches.changes == self.switches.fail_at:
                return web.json_response({"code": 13, "message": "database is down"}, status=500)
            self.catalogue.log.append(f"{request.method} {request.path.removeprefix('/api/v1')}")
        try:
            answer = await handler(request)
        except Violation as violation:
            status = 404 if str(violation).startswith("no ") else 400
            return web.json_response({"code": 3, "message": str(violation)}, status=status)
        if changing and self.switches.changes == self.switches.lose_answer_at:
            assert request.transport is not None
            request.transport.abort()
        return answer

    def _collection(self, request: web.Request) -> tuple[str, str, str, str, str]:
        return COLLECTIONS[request.path.split("/")[3].partition(":")[0]]

    # -- collections --------------------------------------------------------------------------------------

    async def _names(self, request: web.Request) -> web.Response:
        kind = self._collection(request)[0]
        names = {id_: one["hostName"] for id_, one in self.catalogue.of(kind).items()}
        return web.json_response({f"{kind}ResourceNames": names} if names else {})

    async def _list(self, request: web.Request) -> web.Response:
        kind, _, _, _, member = self._collection(request)
        if kind in ("module", "interface", "deployment"):
            demand(request.query.get("gateway_id") == GATEWAY, "no gateway")
        things = list(self.catalogue.of(kind).values())
        return web.json_response({member: things} if things else {})

    async def _get(self, request: web.Request) -> web.Response:
        kind = self._collection(request)[0]
        return web.json_response(self.catalogue.one(kind, request.match_info["id"]))

    async def _post(self, request: web.Request) -> web.Response:
        kind, message, field, member, _ = self._collection(request)
        document = parse(message, await request.json())
        demand(field not in document, f"{field} is given by the server")
        if kind in ("module", "interface", "deployment"):
            demand(request.query.get("gateway_id") == GATEWAY, "no gateway")
        document = self._checked(kind, document)
        id_ = self.catalogue.new_id(str(document.get("hostName", kind)))
        self.catalogue.of(kind)[id_] = {**document, field: id_}
        return web.json_response({member: id_} if member else self.catalogue.of(kind)[id_])

    async def _put(self, request: web.Request) -> web.Response:
        kind, message, field, _, _ = self._collection(request)
        id_ = request.match_info["id"]
        old = self.catalogue.one(kind, id_)
        document = parse(message, await request.json())
        demand(document.get(field, id_) == id_, "the id does not change")
        self.catalogue.of(kind)[id_] = {**self._checked(kind, document, id_, old), field: id_}
        return web.json_response({})

    def _checked(self, kind: str, document: Document, own: str = "", old: Document | None = None) -> Document:
        if kind == "compute":
            self.catalogue.check_resource(document, own)
            demand(document.get("sshPort"), "sshPort is missing")
            manager = document["resourceJobManager"]
            commands = {_COMMANDS[number]: text for number, text in manager["jobManagerCommands"].items()}
            self.catalogue.check_manager(manager, commands)
            manager.pop("parallelismPrefix", None)  # accepted and forgotten
            if old is not None:
                demand(manager.get("resourceJobManagerId"), "this would make one more job manager")
                names = {queue["queueName"] for queue in document["batchQueues"]}
                document["batchQueues"] += [q for q in old["batchQueues"] if q["queueName"] not in names]
            manager.setdefault("resourceJobManagerId", self.catalogue.new_id("manager"))
        elif kind == "storage":
            self.catalogue.unique("storage", "hostName", document, own)
        elif kind == "profile":
            demand(document.get("gatewayId") == GATEWAY, "gateway")
            self.catalogue.check_profile(document, lambda r: r.get("resourceJobManager"), own)
            for policy in document.get("computeResourcePolicies", []):
                policy.setdefault("resourcePolicyId", self.catalogue.new_id("policy"))
        elif kind == "module":
            self.catalogue.unique("module", "appModuleName", document, own)
        elif kind == "interface":
            self.catalogue.check_interface(document, own)
        elif kind == "deployment":
            self.catalogue.check_deployment(document)
            demand(document.get("parallelism") == "SERIAL", "anything but SERIAL fails at submission")
        return document

    async def _delete(self, request: web.Request) -> web.Response:
        kind = self._collection(request)[0]
        id_ = request.match_info["id"]
        self.catalogue.check_unused(kind, id_)
        demand(kind != "storage" or id_ not in self.catalogue.of("preference"), "the gateway prefers it")
        del self.catalogue.of(kind)[id_]
        return web.json_response({})

    async def _delete_queue(self, request: web.Request) -> web.Response:
        resource = self.catalogue.one("compute", request.match_info["id"])
        kept = [q for q in resource["batchQueues"] if q["queueName"] != request.match_info["queue"]]
        demand(len(kept) < len(resource["batchQueues"]), "no such queue")
        resource["batchQueues"] = kept
        return web.json_response({})

    # -- credentials and storage preferences --------------------------------------------------------------

    async def _new_key(self, request: web.Request) -> web.Response:
        body = await request.json()
        demand(set(body) == {"gatewayId", "username", "description"}, f"fields {sorted(body)}")
        demand(body["gatewayId"] == GATEWAY and body["username"] == USER, "whose key?")
        return web.json_response({"token": self.catalogue.new_key(body["description"], USER)})

    async def _key(self, request: web.Request) -> web.Response:
        return web.json_response(self.catalogue.one("credential", request.match_info["id"]))

    async def _keys(self, request: web.Request) -> web.Response:
        demand(request.query.get("gateway_id") == GATEWAY and request.query.get("type") == "SSH", "query")
        things = list(self.catalogue.of("credential").values())
        return web.json_response({"credentialSummaries": things} if things else {})

    async def _delete_key(self, request: web.Request) -> web.Response:
        self.catalogue.check_key_unused(request.match_info["id"])
        del self.catalogue.of("credential")[request.match_info["id"]]
        return web.json_response({})

    async def _preferences(self, request: web.Request) -> web.Response:
        demand(request.match_info["gateway"] == GATEWAY, "no such gateway")
        things = list(self.catalogue.of("preference").values())
        return web.json_response({"storagePreferences": things} if things else {})

    async def _new_preference(self, request: web.Request) -> web.Response:
        demand(request.match_info["gateway"] == GATEWAY, "no such gateway")
        document = parse("StoragePreference", await request.json())
        id_ = request.query["storage_resource_id"]
        demand(document["storageResourceId"] == id_, "ids differ")
        self.catalogue.one("storage", id_)
        self.catalogue.key_is_there(document.get("resourceSpecificCredentialStoreToken"))
        demand(id_ not in self.catalogue.of("preference"), "preference exists")
        self.catalogue.of("preference")[id_] = document
        return web.json_response({})

    async def _put_preference(self, request: web.Request) -> web.Response:
        id_ = request.match_info["id"]
        self.catalogue.one("preference", id_)
        self.catalogue.of("preference")[id_] = parse("StoragePreference", await request.json())
        return web.json_response({})

    async def _delete_preference(self, request: web.Request) -> web.Response:
        self.catalogue.one("preference", request.match_info["id"])
        del self.catalogue.of("preference")[request.match_info["id"]]
        return web.json_response({})

    # -- profiles and sharing -----------------------------------------------------------------------------

    async def _leave_profile(self, request: web.Request) -> web.Response:
        profile = self.catalogue.one("profile", request.match_info["id"])
        entries: list[Any] = profile["computePreferences"]
        kept = [e for e in entries if e["computeResourceId"] != request.match_info["resource"]]
        demand(len(kept) < len(entries), "no such preference")
        profile["computePreferences"] = kept
        return web.json_response({})

    async def _delete_policy(self, request: web.Request) -> web.Response:
        for profile in self.catalogue.of("profile").values():
            entries = profile.get("computeResourcePolicies", [])
            kept = [e for e in entries if e["resourcePolicyId"] != request.match_info["id"]]
            if len(kept) < len(entries):
                profile["computeResourcePolicies"] = kept
                return web.json_response({})
        raise Violation("no such policy")

    async def _groups(self, request: web.Request) -> web.Response:  # noqa: ARG002 - aiohttp's form
        fields = {
            "gatewayId": GATEWAY,
            "adminsGroupId": GROUPS["admins"],
            "readOnlyAdminsGroupId": GROUPS["read_only_admins"],
            "defaultGatewayUsersGroupId": GROUPS["users"],
        }
        return web.json_response(fields)

    async def _readers(self, request: web.Request) -> web.Response:
        demand(request.query.get("permission_type") == "READ", "permission")
        groups = sorted(self.catalogue.readers.get(request.match_info["id"], set()))
        return web.json_response({"groupIds": copy.copy(groups)} if groups else {})

    async def _share(self, request: web.Request) -> web.Response:
        body = await request.json()
        demand(set(body) == {"groupPermissions"}, "fields")
        demand(set(body["groupPermissions"].values()) == {"READ"}, "permission")
        self.catalogue.share(request.match_info["id"], list(body["groupPermissions"]))
        return web.json_response({})
