"""Registration in the order that Airavata needs: key, storage, resource, ways in, profile, programs, groups.

Each step looks first and changes only what differs, so a run that broke off is completed by the next one,
and a run with nothing to do changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from airavata_mesos_plugin.airavata.registration import documents
from airavata_mesos_plugin.airavata.registration.differences import differences, joined, without
from airavata_mesos_plugin.airavata.registration.documents import Document
from airavata_mesos_plugin.airavata.registration.door import GROUPS, Door, Found, Kind, is_placeholder
from airavata_mesos_plugin.airavata.registration.record import Record
from airavata_mesos_plugin.airavata.registration.resource import Application, Resource, Storage
from airavata_mesos_plugin.errors import ConfigurationError, InvalidRequest, NotFound

Action = Literal["created", "updated", "unchanged", "shared", "removed", "kept"]


@dataclass(frozen=True)
class Outcome:
    """What became of one thing. ``details`` say what differed, or why it was kept."""

    action: Action
    kind: str
    name: str
    id: str
    details: tuple[str, ...] = ()


class Registrar:
    """One registration of one resource at one gateway. Not for several threads."""

    def __init__(self, door: Door, resource: Resource, gateway: str, record: Record) -> None:
        self._door = door
        self._resource = resource
        self._gateway = gateway
        self._record = record
        self.outcomes: list[Outcome] = []
        """Grows while `register` works; after an error it tells how far it came."""

    def register(self) -> str:
        """Make Airavata hold what the file says; the public key that the login account has to accept.

        Raises InvalidRequest when the file cannot be registered with this version, and what `Door`
        raises. A repeat completes what is missing.
        """
        self._check()
        groups = self._groups()
        credential, key = self._credential()
        if self._resource.storage:
            self._storage(self._resource.storage, credential)
        resource_id = self._compute_resource()
        profile = self._profile(resource_id, credential)
        deployments = [self._application(one, resource_id) for one in self._resource.applications]
        self._share(
            {
                "group resource profile": [profile],
                "application deployment": deployments,
                "credential": [credential],
            },
            groups,
        )
        return key

    def _check(self) -> None:
        parallel = [a.name for a in self._resource.applications if a.parallelism != "SERIAL"]
        if self._door.serial_only and parallel:
            raise InvalidRequest(
                f"this version of Airavata runs serial applications only, not {', '.join(parallel)}",
                advice="set parallelism to SERIAL and start the ranks in the program or in a script",
            )

    # -- one thing ---------------------------------------------------------------------------------------

    def _ensure(self, kind: Kind, name: str, wanted: Document, parent: str = "") -> str:
        wanted = without(self._door.absent, wanted)
        found = self._door.find(kind, wanted, parent)
        if found is None:
            return self._create(kind, name, wanted, parent)
        return self._adapt(kind, name, wanted, found)

    def _create(self, kind: Kind, name: str, wanted: Document, parent: str = "") -> str:
        id_ = self._door.create(kind, wanted, parent)
        if not is_placeholder(id_):
            self._record.add(kind, id_)
        self.outcomes.append(Outcome("created", kind, name, id_))
        return id_

    def _adapt(self, kind: Kind, name: str, wanted: Document, found: Found) -> str:
        changes = tuple(differences(wanted, found.document))
        if changes:
            self._door.update(kind, found, joined(wanted, found.document))
        self.outcomes.append(Outcome("updated" if changes else "unchanged", kind, name, found.id, changes))
        return found.id

    # -- the steps ---------------------------------------------------------------------------------------

    def _groups(self) -> dict[str, str]:
        """Name and id of the groups to share with. Asked first: a wrong token or name stops here."""
        named = self._door.groups()
        given = self._resource.profile.share_with
        missing = [name for name in given if name in GROUPS and name not in named]
        if missing:
            raise NotFound(f"the gateway {self._gateway} has no group for {', '.join(missing)}")
        return {name: named.get(name, name) for name in given}

    def _credential(self) -> tuple[str, str]:
        wanted = self._resource.credential
        if wanted.token is not None:
            try:
                key = self._door.public_key(wanted.token)
            except NotFound as error:
                raise ConfigurationError(
                    f"the credential store has no key with the token {wanted.token}",
                    advice="correct credential.token, or give credential.description to have a key made",
                ) from error
            self.outcomes.append(Outcome("unchanged", "credential", "given in the file", wanted.token))
            return wanted.token, key
        description = wanted.description or ""
        document = {"description": description}
        token = self._ensure("credential", description, document)
        return token, "" if is_placeholder(token) else self._door.public_key(token)

    def _storage(self, wanted: Storage, credential: str) -> None:
        id_ = self._ensure("storage", wanted.host, self._storage_document(wanted))
        if self._door.separate_access:
            movement = documents.storage_movement(wanted)
            self._ensure("storage data movement", wanted.host, movement, id_)
        preference = documents.storage_preference(wanted, id_, credential)
        self._ensure("storage preference", wanted.host, preference)

    def _storage_document(self, wanted: Storage) -> Document:
        document = documents.storage(wanted)
        return document if self._door.separate_access else {**document, "sftpPort": wanted.port}

    def _compute_resource(self) -> str:
        wanted = documents.compute_resource(self._resource)
        if not self._door.separate_access:
            wanted["sshPort"] = self._resource.ssh.port
            wanted["resourceJobManager"] = documents.job_manager(self._resource)
        wanted = without(self._door.absent, wanted)
        name = self._resource.name
        found = self._door.find("compute resource", wanted)
        if found is None:
            id_ = self._create("compute resource", name, wanted)
        else:
            names = {queue.name for queue in self._resource.queues}
            for queue in found.document.get("batchQueues") or []:
                if queue["queueName"] not in names:
                    self._door.delete_queue(found.id, queue["queueName"])
            id_ = self._adapt("compute resource", name, wanted, found)
        if self._door.separate_access:
            self._ensure("SSH access", name, documents.ssh_submission(self._resource), id_)
            self._ensure("data movement", name, documents.data_movement(self._resource), id_)
        return id_

    def _profile(self, resource_id: str, credential: str) -> str:
        name = self._resource.profile.name
        preference = documents.compute_preference(self._resource, resource_id, credential)
        preference = without(self._door.absent, preference)
        policy = documents.queue_policy(self._resource, resource_id)
        wanted: Document = {"gatewayId": self._gateway, "groupResourceProfileName": name}
        found = self._door.find("group resource profile", wanted)
        if found is None:
            wanted["defaultCredentialStoreToken"] = credential
            wanted["computePreferences"] = [preference]
            wanted["computeResourcePolicies"] = [policy]
            return self._create("group resource profile", name, wanted)
        # An update replaces the whole profile: what belongs to other resources goes along.
        for field, ours in (("computePreferences", preference), ("computeResourcePolicies", policy)):
            entries = found.document.get(field) or []
            others = [entry for entry in entries if entry.get("computeResourceId") != resource_id]
            if len(others) == len(entries):
                ours["groupResourceProfileId"] = found.id
            wanted[field] = [*others, ours]
        return self._adapt("group resource profile", name, wanted, found)

    def _application(self, application: Application, resource_id: str) -> str:
        name = application.name
        module_id = self._ensure("application module", name, documents.module(application))
        self._ensure("application interface", name, documents.interface(application, module_id))
        deployment = documents.deployment(application, module_id, resource_id, self._resource)
        return self._ensure("application deployment", name, deployment)

    def _share(self, things: Mapping[str, list[str]], groups: Mapping[str, str]) -> None:
        for kind, ids in things.items():
            for id_ in ids:
                readers = [] if is_placeholder(id_) else self._door.readers(id_)
                missing = {name: group for name, group in groups.items() if group not in readers}
                if missing:
                    self._door.share(id_, list(missing.values()))
                    self.outcomes.append(Outcome("shared", kind, ", ".join(missing), id_))
