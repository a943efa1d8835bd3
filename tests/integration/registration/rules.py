"""What both stand-ins for Airavata check, on the same documents: who may, and what must be there first."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

Document = dict[str, Any]

TOKEN = "token-of-the-administrator"  # noqa: S105 - of a stand-in
USER = "gateway-admin"
GATEWAY = "seagrid"
GROUPS = {"users": "group-users", "admins": "group-admins", "read_only_admins": "group-readers"}


class Violation(Exception):
    """A rule of Airavata does not allow the call."""


class Switches:
    """Faults: the n-th changing call fails before or after it took effect."""

    def __init__(self) -> None:
        self.changes = 0
        self.fail_at: int | None = None
        self.lose_answer_at: int | None = None


def demand(condition: object, message: str) -> None:
    if not condition:
        raise Violation(message)


class Catalogue:
    """The state of one Airavata: things by kind and id. All documents are plain."""

    def __init__(self) -> None:
        self.things: dict[str, dict[str, Document]] = {}
        self.readers: dict[str, set[str]] = {}
        self.log: list[str] = []
        self._count = 0

    def of(self, kind: str) -> dict[str, Document]:
        return self.things.setdefault(kind, {})

    def one(self, kind: str, id_: str) -> Document:
        demand(id_ in self.of(kind), f"no {kind} with the id {id_}")
        return self.of(kind)[id_]

    def new_id(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}_{self._count:08d}-0000-4000-8000-000000000000"

    def unique(self, kind: str, field: str, document: Document, own: str = "") -> None:
        name = document.get(field)
        demand(name, f"{field} is missing")
        taken = [i for i, one in self.of(kind).items() if one.get(field) == name and i != own]
        demand(not taken, f"{kind} {name} exists")

    def key_is_there(self, token: str | None) -> None:
        demand(token in self.of("credential"), f"no credential {token}")

    # -- rules of one kind each ---------------------------------------------------------------------------

    def check_resource(self, document: Document, own: str = "") -> None:
        self.unique("compute", "hostName", document, own)
        names = [queue["queueName"] for queue in document.get("batchQueues") or []]
        demand(names, "no batch queues")
        demand(len(set(names)) == len(names), "two queues of one name")
        demand(all(re.fullmatch(r"\w+", name) for name in names), "queue names")
        defaults = [queue for queue in document["batchQueues"] if queue.get("isDefaultQueue")]
        demand(len(defaults) == 1, "one queue is the default")

    def check_manager(self, manager: Document, commands: Document) -> None:
        demand(manager.get("resourceJobManagerType") == "SLURM", "job manager type")
        demand(str(manager.get("jobManagerBinPath", "")).startswith("/"), "bin path")
        for purpose in ("SUBMISSION", "JOB_MONITORING", "DELETION"):
            demand(commands.get(purpose), f"command for {purpose}")
        # What the queue monitor of 0.21 would type.
        for purpose in ("SHOW_NO_OF_RUNNING_JOBS", "SHOW_NO_OF_PENDING_JOBS"):
            demand(f"{commands[purpose]}-h".split() == ["squeue", "-h"], f"blank after {commands[purpose]!r}")

    def check_profile(self, document: Document, usable: Callable[[Document], object], own: str = "") -> None:
        self.unique("profile", "groupResourceProfileName", document, own)
        for preference in document.get("computePreferences") or []:
            resource = self.one("compute", preference["computeResourceId"])
            demand(usable(resource), f"{resource['hostName']} has no way in")
            demand(preference.get("loginUserName") and preference.get("scratchLocation"), "login and scratch")
            demand(preference.get("resourceType") == "SLURM", "resource type")
            self.key_is_there(preference.get("resourceSpecificCredentialStoreToken"))
        for policy in document.get("computeResourcePolicies") or []:
            queues = self.one("compute", policy["computeResourceId"])["batchQueues"]
            known = {queue["queueName"] for queue in queues}
            demand(set(policy["allowedBatchQueues"]) <= known, "policy for an unknown queue")

    def check_interface(self, document: Document, own: str = "") -> None:
        self.unique("interface", "applicationName", document, own)
        demand(document.get("applicationModules"), "no module")
        for module in document["applicationModules"]:
            self.one("module", module)
        orders = [entry.get("inputOrder", 0) for entry in document.get("applicationInputs") or []]
        demand(len(set(orders)) == len(orders), "inputs of equal order")
        kinds = {entry["type"] for entry in document.get("applicationOutputs") or []}
        demand({"STDOUT", "STDERR"} <= kinds, "standard output and error")

    def check_deployment(self, document: Document) -> None:
        module = document["appModuleId"]
        self.one("module", module)
        interfaces = self.of("interface").values()
        demand(any(module in one["applicationModules"] for one in interfaces), "no interface for the module")
        self.one("compute", document["computeHostId"])
        demand(document.get("executablePath"), "executable")

    def check_unused(self, kind: str, id_: str) -> None:
        self.one(kind, id_)
        if kind == "compute":
            uses = [d for d in self.of("deployment").values() if d["computeHostId"] == id_]
            uses += [
                preference
                for profile in self.of("profile").values()
                for preference in profile.get("computePreferences") or []
                if preference["computeResourceId"] == id_
            ]
        elif kind == "module":
            uses = [d for d in self.of("deployment").values() if d["appModuleId"] == id_]
            uses += [i for i in self.of("interface").values() if id_ in i["applicationModules"]]
        else:
            uses = []
        demand(not uses, f"{kind} {id_} is in use")

    def check_key_unused(self, token: str) -> None:
        self.one("credential", token)
        users = [p for p in self.of("profile").values() if p.get("defaultCredentialStoreToken") == token]
        users += [
            preference
            for preferences in (
                *(profile.get("computePreferences") or [] for profile in self.of("profile").values()),
                self.of("preference").values(),
            )
            for preference in preferences
            if preference.get("resourceSpecificCredentialStoreToken") == token
        ]
        demand(not users, "the key is in use")

    def share(self, id_: str, groups: list[str]) -> None:
        shareable = {*self.of("profile"), *self.of("deployment"), *self.of("credential")}
        demand(id_ in shareable, f"{id_} cannot be shared")
        demand(set(groups) <= set(GROUPS.values()), f"unknown groups in {groups}")
        self.readers.setdefault(id_, set()).update(groups)

    def new_key(self, description: str, user: str) -> str:
        token = self.new_id("key")
        self.of("credential")[token] = {
            "type": "SSH",
            "gatewayId": GATEWAY,
            "username": user,
            "publicKey": f"ssh-rsa AAAA{token} {description}",
            "token": token,
            "description": description,
        }
        return token
