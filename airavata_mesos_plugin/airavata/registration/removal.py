"""Taking a registration back: what belongs to the resource alone, and what the registration itself made.

A profile, an application, a storage or a key may serve others too. Those go only when the record says that
the registration made them, and nobody else uses them.
"""

from __future__ import annotations

from airavata_mesos_plugin.airavata.registration.door import Door, Found, Kind
from airavata_mesos_plugin.airavata.registration.record import Record
from airavata_mesos_plugin.airavata.registration.registrar import Outcome
from airavata_mesos_plugin.airavata.registration.resource import Resource
from airavata_mesos_plugin.errors import InvalidRequest


class Removal:
    """Removal of one resource from one gateway. Not for several threads."""

    def __init__(self, door: Door, resource: Resource, record: Record, *, dry: bool) -> None:
        self._door = door
        self._resource = resource
        self._record = record
        self._dry = dry
        self.outcomes: list[Outcome] = []
        """Grows while `unregister` works; after an error it tells how far it came."""

    def unregister(self, *, with_storage: bool = False) -> None:
        """Remove in the reverse order of registration. A repeat goes on where the last run stopped.

        Raises InvalidRequest, before anything is removed, when others use the resource.
        """
        resource = self._door.find("compute resource", {"hostName": self._resource.name})
        id_ = resource.id if resource else ""
        profiles = self._door.entries("group resource profile")
        deployments = self._door.entries("application deployment")
        modules = {
            found.id: str(found.document.get("appModuleName", ""))
            for found in self._door.entries("application module")
        }
        ours = [one for one in deployments if id_ and one.document.get("computeHostId") == id_]
        self._refuse_if_used(id_, profiles, ours, modules)
        for one in ours:
            self._remove("application deployment", one, modules.get(one.document["appModuleId"], ""))
        gone = {one.id for one in ours}
        self._applications([one for one in deployments if one.id not in gone])
        self._profile(id_, profiles)
        if resource:
            if self._door.separate_access:
                way: Kind
                for way in ("SSH access", "data movement"):
                    for found in self._door.entries(way, id_):
                        self._remove(way, found, self._resource.name, id_)
            self._remove("compute resource", resource, self._resource.name)
        self._storage(with_storage)
        self._credential(id_, profiles)

    def _refuse_if_used(
        self, id_: str, profiles: list[Found], ours: list[Found], modules: dict[str, str]
    ) -> None:
        if not id_:
            return
        mine = {application.name for application in self._resource.applications}
        users = [
            f"the deployment of {modules.get(one.document['appModuleId'], one.id)}"
            for one in ours
            if not self._record.made("application deployment", one.id)
            and modules.get(one.document["appModuleId"]) not in mine
        ]
        users += [
            f"the profile {one.document.get('groupResourceProfileName', one.id)}"
            for one in profiles
            if one.document.get("groupResourceProfileName") != self._resource.profile.name and _uses(one, id_)
        ]
        if users:
            raise InvalidRequest(
                f"others use the compute resource {self._resource.name}: {', '.join(users)}",
                advice="remove them in the portal first; nothing was removed",
            )

    def _applications(self, remaining: list[Found]) -> None:
        used = {one.document.get("appModuleId") for one in remaining}
        names = {application.name for application in self._resource.applications}
        interfaces = self._door.entries("application interface")
        for one in self._door.entries("application module"):
            name = str(one.document.get("appModuleName", ""))
            made = self._record.made("application module", one.id)
            if not made and name not in names:
                continue
            belonging = [i for i in interfaces if one.id in (i.document.get("applicationModules") or [])]
            foreign = [i for i in belonging if not self._record.made("application interface", i.id)]
            if one.id in used:
                self._keep("application module", one, name, "deployed on other resources too")
            elif not made or foreign:
                self._keep("application module", one, name, "not made by this registration")
            else:
                for found in belonging:
                    self._remove("application interface", found, name)
                self._remove("application module", one, name)

    def _profile(self, id_: str, profiles: list[Found]) -> None:
        name = self._resource.profile.name
        for profile in profiles:
            if profile.document.get("groupResourceProfileName") != name:
                continue
            others = [
                entry
                for entry in profile.document.get("computePreferences") or []
                if entry.get("computeResourceId") != id_
            ]
            if self._record.made("group resource profile", profile.id) and not others:
                self._remove("group resource profile", profile, name)
            elif id_ and _uses(profile, id_):
                self._door.leave_profile(profile, id_)
                why = f"preferences and policies of {self._resource.name} removed"
                self.outcomes.append(Outcome("updated", "group resource profile", name, profile.id, (why,)))

    def _storage(self, with_storage: bool) -> None:
        wanted = self._resource.storage
        found = self._door.find("storage", {"hostName": wanted.host}) if wanted else None
        if found is None or wanted is None:
            return
        if not self._record.made("storage", found.id):
            self._keep("storage", found, wanted.host, "not made by this registration")
        elif not with_storage:
            self._keep("storage", found, wanted.host, "files of experiments are registered there")
        else:
            preference = self._door.find("storage preference", {"storageResourceId": found.id})
            if preference:
                self._remove("storage preference", preference, wanted.host)
            if self._door.separate_access:
                for way in self._door.entries("storage data movement", found.id):
                    self._remove("storage data movement", way, wanted.host, found.id)
            self._remove("storage", found, wanted.host)

    def _credential(self, id_: str, profiles: list[Found]) -> None:
        description = self._resource.credential.description
        found = self._door.find("credential", {"description": description}) if description else None
        if found is None:
            return
        if not self._record.made("credential", found.id):
            self._keep("credential", found, description or "", "not made by this registration")
        elif found.id in self._keys_in_use(id_, profiles):
            self._keep("credential", found, description or "", "used by the storage or for another resource")
        else:
            self._remove("credential", found, description or "")

    def _keys_in_use(self, id_: str, profiles: list[Found]) -> set[str]:
        """Keys of what is left, or would be left after a dry run."""
        gone = {one.id for one in self.outcomes if one.action == "removed"}
        keys = {str(profile.document.get("defaultCredentialStoreToken")) for profile in _left(profiles, gone)}
        for profile in _left(profiles, gone):
            for entry in profile.document.get("computePreferences") or []:
                if entry.get("computeResourceId") != id_:
                    keys.add(str(entry.get("resourceSpecificCredentialStoreToken")))
        for preference in _left(self._door.entries("storage preference"), gone):
            keys.add(str(preference.document.get("resourceSpecificCredentialStoreToken")))
        return keys

    def _remove(self, kind: Kind, found: Found, name: str, parent: str = "") -> None:
        self._door.delete(kind, found.id, parent)
        if not self._dry:
            self._record.forget(kind, found.id)
        self.outcomes.append(Outcome("removed", kind, name, found.id))

    def _keep(self, kind: Kind, found: Found, name: str, why: str) -> None:
        self.outcomes.append(Outcome("kept", kind, name, found.id, (why,)))


def _uses(profile: Found, resource_id: str) -> bool:
    return any(
        entry.get("computeResourceId") == resource_id
        for entry in profile.document.get("computePreferences") or []
    )


def _left(things: list[Found], gone: set[str]) -> list[Found]:
    return [one for one in things if one.id not in gone]
