"""What an administrator of Airavata 0.17 has to enter in the portal, step by step.

0.17 learns of the end of a job from mails only, whatever the monitor mode says in a file for other versions.
"""

from __future__ import annotations

from collections.abc import Iterator

from airavata_mesos_plugin.airavata.registration import documents
from airavata_mesos_plugin.airavata.registration.resource import Application, Command, Resource

_COMMANDS: tuple[Command, ...] = ("SUBMISSION", "JOB_MONITORING", "DELETION")
"""The purposes that 0.17 knows and uses."""


def steps(resource: Resource) -> Iterator[str]:
    """The lines to print."""
    yield f"Steps for the portal of Airavata 0.17: compute resource {resource.name}"
    yield ""
    yield from _credential(resource)
    yield from _resource(resource)
    yield from _queues(resource)
    yield from _access(resource)
    yield from _preference(resource)
    for number, application in enumerate(resource.applications, 6):
        yield from _application(number, application, resource)


def _credential(resource: Resource) -> Iterator[str]:
    yield "1. Credential store: an SSH key"
    if resource.credential.token:
        yield from _values([("Token", resource.credential.token)])
    else:
        yield from _values([("Generate, description", resource.credential.description)])
    yield f"   Add the public key to authorized_keys of {resource.login_user} on {resource.ssh.host}."


def _resource(resource: Resource) -> Iterator[str]:
    document = documents.compute_resource(resource)
    yield "2. Compute resources: create"
    yield from _values(
        [
            ("Host name", document["hostName"]),
            ("Host aliases", ", ".join(document["hostAliases"])),
            ("Description", document["resourceDescription"]),
            ("Maximum memory per node", document["maxMemoryPerNode"]),
            ("CPUs per node", document["cpusPerNode"]),
            ("Enabled", "yes"),
        ]
    )


def _queues(resource: Resource) -> Iterator[str]:
    yield "3. Queues: add each"
    for queue in documents.compute_resource(resource)["batchQueues"]:
        yield from _values(
            [
                ("Queue name", queue["queueName"]),
                ("Description", queue["queueDescription"]),
                ("Maximum run time (minutes)", queue["maxRunTime"]),
                ("Maximum nodes", queue["maxNodes"]),
                ("Maximum processors", queue["maxProcessors"]),
                ("Maximum jobs", queue["maxJobsInQueue"]),
                ("Maximum memory (MB)", queue["maxMemory"]),
                ("CPUs per node", queue["cpuPerNode"]),
                ("Default nodes", queue["defaultNodeCount"]),
                ("Default CPUs", queue["defaultCPUCount"]),
                ("Default wall time (minutes)", queue["defaultWalltime"]),
                ("Queue-specific macros", queue["queueSpecificMacros"]),
                ("Default queue", "yes" if queue["isDefaultQueue"] else "no"),
            ]
        )
        yield ""


def _access(resource: Resource) -> Iterator[str]:
    yield "4. Connection options"
    yield from _values(
        [
            ("Job submission protocol", "SSH, security SSH_KEYS"),
            ("Alternative SSH host name", resource.ssh.host),
            ("SSH port", resource.ssh.port),
            ("Monitor mode", "JOB_EMAIL_NOTIFICATION_MONITOR"),
            ("E-mail senders", ", ".join(resource.email_senders)),
            ("Resource job manager", "SLURM"),
            ("Job manager bin path", resource.bin_path),
            *((f"Command {name}", resource.all_commands[name]) for name in _COMMANDS),
            *((f"Parallelism prefix {name}", text) for name, text in resource.parallelism_prefixes.items()),
            ("Data movement protocol", f"SCP, security SSH_KEYS, port {resource.ssh.port}"),
        ]
    )
    if not resource.email_senders:
        yield "   Note: 0.17 hears of the end of a job by mail only; set email_senders in the file."


def _preference(resource: Resource) -> Iterator[str]:
    yield "5. Gateway preferences: add the compute resource"
    yield from _values(
        [
            ("Login user name", resource.login_user),
            ("Preferred job submission protocol", "SSH"),
            ("Preferred data movement protocol", "SCP"),
            ("Preferred batch queue", resource.default_queue.name),
            ("Scratch location", resource.scratch),
            ("Allocation project number", resource.profile.allocation_project),
            ("Credential store token", resource.credential.token or "of step 1"),
            ("Override by Airavata", "yes"),
        ]
    )
    if resource.storage:
        storage = resource.storage
        yield "   And, if the gateway has no storage yet, a storage resource:"
        yield from _values(
            [
                ("Host name", storage.host),
                ("Data movement", f"SCP, security SSH_KEYS, port {storage.port}"),
                ("Login user name", storage.login_user),
                ("File system root location", storage.root),
                ("Credential store token", storage.credential_token or "of step 1"),
            ]
        )


def _application(number: int, application: Application, resource: Resource) -> Iterator[str]:
    interface = documents.interface(application, "")
    deployment = documents.deployment(application, "", "", resource)
    yield f"{number}. Application {application.name}: module, interface and deployment on {resource.name}"
    yield from _values(
        [
            ("Module", f"{application.name} {application.version}".rstrip()),
            *(
                (f"Input {one['inputOrder']}", f"{one['name']}, {one['type']}, {one['value']!r}")
                for one in interface["applicationInputs"]
            ),
            *(
                ("Output", f"{one['name']}, {one['type']}, {one['value']!r}")
                for one in interface["applicationOutputs"]
            ),
            ("Executable path", deployment["executablePath"]),
            ("Parallelism", deployment["parallelism"]),
            *(
                (title, one["command"])
                for title, field in (
                    ("Module load command", "moduleLoadCmds"),
                    ("Pre-job command", "preJobCommands"),
                    ("Post-job command", "postJobCommands"),
                )
                for one in deployment[field]
            ),
            *(("Environment", f"{one['name']}={one['value']}") for one in deployment["setEnvironment"]),
        ]
    )


def _values(pairs: list[tuple[str, object]]) -> Iterator[str]:
    """Title and value; a value that is not set is not printed."""
    for title, value in pairs:
        if value not in (None, ""):
            yield f"   {title + ':':<36} {value}"
