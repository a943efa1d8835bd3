"""Commands that tell Airavata of this resource: register and unregister."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from airavata_mesos_plugin.airavata.registration import doors, portal, server
from airavata_mesos_plugin.airavata.registration.compare import compare
from airavata_mesos_plugin.airavata.registration.door import Call, Journal
from airavata_mesos_plugin.airavata.registration.record import Record, record_name
from airavata_mesos_plugin.airavata.registration.registrar import Outcome, Registrar
from airavata_mesos_plugin.airavata.registration.removal import Removal
from airavata_mesos_plugin.airavata.registration.resource import Resource, load
from airavata_mesos_plugin.airavata.registration.token import Access, access, read_token
from airavata_mesos_plugin.cli import view
from airavata_mesos_plugin.cli.context import Context
from airavata_mesos_plugin.config import SYSTEM_CONFIG
from airavata_mesos_plugin.errors import AiravataMesosError
from airavata_mesos_plugin.schedulers.base import Check

FILE_NAME = "compute-resource.yaml"


def resource_file(settings_file: Path | None) -> Path:
    """The file beside the provider's settings, whether it is there or not."""
    return (settings_file or SYSTEM_CONFIG).with_name(FILE_NAME)


def queue_checks(context: Context, given: Path | None) -> list[Check]:
    """What doctor says of the resource file: nothing when none is named and none lies beside the settings."""
    settings, settings_file = context.settings()
    path = given or resource_file(settings_file)
    if given is None and (settings_file is None or not path.exists()):
        return []
    try:
        resource = load(path)
    except AiravataMesosError as error:
        return [Check("compute resource", False, str(error))]
    return [Check("compute resource", True, f"{path}: {resource.name}"), *compare(resource, settings)]


def _options(function: Callable[..., None]) -> Callable[..., None]:
    """What both commands take."""
    for option in reversed(
        (
            click.option(
                "--airavata",
                "version",
                required=True,
                type=click.Choice(["develop", "master", "0.17"]),
                help="Which Airavata: develop is 0.21.",
            ),
            click.option(
                "--config",
                "file",
                metavar="FILE",
                type=click.Path(dir_okay=False, path_type=Path),
                help=f"What to register. [default: {FILE_NAME} beside the settings]",
            ),
            click.option(
                "--server",
                "address",
                metavar="HOST[:PORT]",
                envvar="AIRAVATA_SERVER",
                show_envvar=True,
                help="Airavata's API. [port: 8930 on develop, 9090 on master]",
            ),
            click.option("--tls/--no-tls", envvar="AIRAVATA_TLS", help="Encrypt the connection."),
            click.option(
                "--ca-file",
                metavar="FILE",
                type=click.Path(dir_okay=False, path_type=Path),
                help="Who signed Airavata's certificate. [default: the system's list]",
            ),
            click.option(
                "--gateway",
                metavar="ID",
                envvar="AIRAVATA_GATEWAY",
                show_envvar=True,
                help="The gateway. [default: the token's realm, else 'default']",
            ),
            click.option(
                "--user",
                metavar="NAME",
                envvar="AIRAVATA_USER",
                show_envvar=True,
                help="Whose token it is. [default: as the token says]",
            ),
            click.option(
                "--token-file",
                metavar="FILE",
                envvar="AIRAVATA_TOKEN_FILE",
                show_envvar=True,
                type=click.Path(dir_okay=False, path_type=Path),
                help="The access token of a gateway administrator; or set AIRAVATA_TOKEN.",
            ),
            click.option(
                "--timeout",
                metavar="SECONDS",
                type=click.FloatRange(min=0, min_open=True),
                default=30.0,
                show_default=True,
                help="For each call.",
            ),
            click.option("--dry-run", is_flag=True, help="Print the calls that would change something."),
            click.option("--json", "as_json", is_flag=True, help="Print JSON for programs."),
        )
    ):
        function = option(function)
    return function


class _Job:
    """One run: where to, as whom, with which file."""

    def __init__(self, context: Context, given: dict[str, Any]) -> None:
        self.version: server.Version = given["version"]
        self.dry: bool = given["dry_run"]
        self.as_json: bool = given["as_json"]
        self.resource = _resource(context, given["file"])
        self.journal = Journal(self.dry)
        self.server: server.Server | None = None
        if given["address"]:
            self.server = server.parse(
                given["address"],
                self.version,
                tls=given["tls"],
                ca_file=given["ca_file"],
                timeout=given["timeout"],
            )
            if self.server.exposes_token:
                click.echo(f"airavata-mesos: the token goes to {self.server} unencrypted", err=True)
        self.access = self._access(given)
        self.record = Record(self._record_file(context))

    def _access(self, given: dict[str, Any]) -> Access:
        if self.server is None:
            return Access(given["user"] or "<user>", given["gateway"] or "default", "")
        token = read_token(os.environ.get("AIRAVATA_TOKEN"), given["token_file"])
        return access(token, given["user"], given["gateway"])

    def _record_file(self, context: Context) -> Path | None:
        if self.server is None:
            return None
        name = record_name(self.version, str(self.server), self.access.gateway, self.resource.name)
        return context.home.directory / "registrations" / name

    def door(self) -> Any:
        return closing(doors.open_door(self.version, self.server, self.access, self.journal))

    def report(self, outcomes: list[Outcome], notes: list[str]) -> None:
        """Print what was done, or the calls that would do it."""
        if self.as_json:
            document: dict[str, object] = {"outcomes": [vars(one) for one in outcomes], "notes": notes}
            if self.dry:
                document["calls"] = [vars(call) for call in self.journal.calls]
            view.print_json(document)
            return
        if self.dry:
            _print_calls(self.journal.calls)
            return
        rows = [[one.action, one.kind, one.name, one.id] for one in outcomes]
        view.print_table(["", "WHAT", "NAME", "ID"], [[view.visible(cell) for cell in row] for row in rows])
        for one in outcomes:
            for detail in one.details:
                click.echo(view.visible(f"{one.kind} {one.name}: {detail}"))
        for note in notes:
            click.echo(note)


def _resource(context: Context, file: Path | None) -> Resource:
    if file is None:
        file = resource_file(context.settings()[1])
    return load(file)


def _print_calls(calls: list[Call]) -> None:
    for number, call in enumerate(calls, 1):
        click.echo(f"{number}. {call.name}")
        text = json.dumps(call.arguments, indent=2, ensure_ascii=False)
        click.echo("\n".join(f"   {line}" for line in text.splitlines()))
    click.echo("Nothing was sent." if calls else "Nothing would be changed.")


@click.command()
@_options
@click.pass_obj
def register(context: Context, /, **given: Any) -> None:
    """Make Airavata know this compute resource, as FILE says.

    What is there already is found by its name; only what differs is changed, so the command may be run
    again at any time. With --dry-run and --server it compares and sends nothing; with --dry-run alone it
    prints the calls for an Airavata that knows nothing yet. For 0.17 it prints the steps in the portal.
    """
    if given["version"] == "0.17":
        for line in portal.steps(_resource(context, given["file"])):
            click.echo(line)
        return
    job = _Job(context, given)
    with job.door() as door:
        registrar = Registrar(door, job.resource, job.access.gateway, job.record)
        try:
            key = registrar.register()
        except AiravataMesosError:
            if registrar.outcomes and not job.dry:
                job.report(registrar.outcomes, ["Not complete; the next run goes on from here."])
            raise
    job.report(registrar.outcomes, _notes(job, registrar.outcomes, key))


def _notes(job: _Job, outcomes: list[Outcome], key: str) -> list[str]:
    resource = job.resource
    if job.dry:
        return []
    if all(one.action == "unchanged" for one in outcomes):
        return ["Nothing to change: Airavata holds what the file says."]
    notes = []
    if key:
        notes.append(
            f"In ~{resource.login_user}/.ssh/authorized_keys on {resource.ssh.host} must stand:\n{key}"
        )
    if job.version == "master" and resource.name != resource.ssh.host:
        notes.append(
            f"Airavata connects to the host {resource.name}: its server must resolve that name to "
            f"{resource.ssh.host}."
        )
    if any(one.action == "updated" and one.kind in ("compute resource", "SSH access") for one in outcomes):
        notes.append("If host, port or key changed, restart Airavata: it keeps connections.")
    return notes


@click.command()
@_options
@click.option("--with-storage", is_flag=True, help="Also the storage, if this command registered it.")
@click.pass_obj
def unregister(context: Context, /, with_storage: bool, **given: Any) -> None:
    """Remove from Airavata what `register` made for this compute resource.

    A profile, application, storage or key that was there before, or that others use, stays. May be run
    again.
    """
    if given["version"] == "0.17":
        raise click.UsageError("Airavata 0.17 has no door for this; remove the resource in its portal")
    if not given["address"]:
        raise click.UsageError("give --server HOST[:PORT]: only Airavata knows what is registered")
    job = _Job(context, given)
    with job.door() as door:
        removal = Removal(door, job.resource, job.record, dry=job.dry)
        try:
            removal.unregister(with_storage=with_storage)
        except AiravataMesosError:
            if removal.outcomes and not job.dry:
                job.report(removal.outcomes, ["Not complete; the next run goes on from here."])
            raise
    changed = any(one.action in ("removed", "updated") for one in removal.outcomes)
    job.report(removal.outcomes, [] if changed else ["Nothing to remove."])
