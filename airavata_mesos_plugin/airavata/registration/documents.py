"""What Airavata is to hold, as documents with the field names of Airavata 0.21 (its Thrift model).

Enumerations are written by name and maps over an enumeration have names as keys; a door turns them into
the numbers of its version. Fields that are not in a document are none of our business: whatever stands
there at Airavata stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airavata_mesos_plugin.airavata.registration.resource import (
    Application,
    Queue,
    Resource,
    Storage,
)

Document = dict[str, Any]


def compute_resource(resource: Resource) -> Document:
    """ComputeResourceDescription without the ways in, which each version keeps elsewhere."""
    default = resource.default_queue
    return {
        "hostName": resource.name,
        "hostAliases": [resource.ssh.host] if resource.ssh.host != resource.name else [],
        "resourceDescription": resource.description,
        "enabled": True,
        "batchQueues": [_queue(queue, queue is default) for queue in resource.queues],
        "cpusPerNode": resource.cpus_per_node or max(queue.max_processors for queue in resource.queues),
        "maxMemoryPerNode": resource.max_memory_mb_per_node
        or max(queue.max_memory_mb for queue in resource.queues),
        "defaultNodeCount": default.default_nodes,
        "defaultCPUCount": default.default_cpus,
        "defaultWalltime": default.default_run_time_minutes,
    }


def _queue(queue: Queue, default: bool) -> Document:
    return {
        "queueName": queue.name,
        "queueDescription": queue.description,
        "maxRunTime": queue.max_run_time_minutes,
        "maxNodes": queue.max_nodes,
        "maxProcessors": queue.max_processors,
        "maxJobsInQueue": queue.max_jobs,
        "maxMemory": queue.max_memory_mb,
        "cpuPerNode": queue.cpus_per_node or queue.max_processors,
        "defaultNodeCount": queue.default_nodes,
        "defaultCPUCount": queue.default_cpus,
        "defaultWalltime": queue.default_run_time_minutes,
        "queueSpecificMacros": ",".join(queue.macros),
        "isDefaultQueue": default,
    }


def job_manager(resource: Resource) -> Document:
    """ResourceJobManager: the commands that Airavata types."""
    return {
        "resourceJobManagerType": "SLURM",
        "jobManagerBinPath": resource.bin_path,
        "jobManagerCommands": dict(resource.all_commands),
        "parallelismPrefix": dict(resource.parallelism_prefixes),
    }


def ssh_submission(resource: Resource) -> Document:
    """SSHJobSubmission of 0.21. The monitor mode has to be there: without it Airavata makes no tasks."""
    mode = "POLL_JOB_MANAGER" if resource.monitoring == "poll" else "JOB_EMAIL_NOTIFICATION_MONITOR"
    return {
        "securityProtocol": "SSH_KEYS",
        "resourceJobManager": job_manager(resource),
        "alternativeSSHHostName": resource.ssh.host if resource.ssh.host != resource.name else "",
        "sshPort": resource.ssh.port,
        "monitorMode": mode,
        "batchQueueEmailSenders": list(resource.email_senders),
    }


def data_movement(resource: Resource) -> Document:
    """SCPDataMovement of the compute resource, 0.21. One way to move data is mandatory there."""
    return {
        "securityProtocol": "SSH_KEYS",
        "alternativeSCPHostName": resource.ssh.host if resource.ssh.host != resource.name else "",
        "sshPort": resource.ssh.port,
    }


def storage(wanted: Storage) -> Document:
    """StorageResourceDescription."""
    return {
        "hostName": wanted.host,
        "storageResourceDescription": wanted.description,
        "enabled": True,
    }


def storage_movement(wanted: Storage) -> Document:
    """SCPDataMovement of the storage, 0.21."""
    return {"securityProtocol": "SSH_KEYS", "sshPort": wanted.port}


def storage_preference(wanted: Storage, storage_id: str, credential: str) -> Document:
    """StoragePreference: how the gateway logs in at its storage."""
    return {
        "storageResourceId": storage_id,
        "loginUserName": wanted.login_user,
        "fileSystemRootLocation": wanted.root,
        "resourceSpecificCredentialStoreToken": wanted.credential_token or credential,
    }


def compute_preference(resource: Resource, resource_id: str, credential: str) -> Document:
    """GroupComputeResourcePreference."""
    slurm: Document = {"preferredBatchQueue": resource.default_queue.name}
    if resource.profile.allocation_project:
        slurm["allocationProjectNumber"] = resource.profile.allocation_project
    return {
        "computeResourceId": resource_id,
        "overridebyAiravata": True,
        "loginUserName": resource.login_user,
        "scratchLocation": resource.scratch,
        "preferredJobSubmissionProtocol": "SSH",
        "preferredDataMovementProtocol": "SCP",
        "resourceSpecificCredentialStoreToken": credential,
        "resourceType": "SLURM",
        "specificPreferences": {"slurm": slurm},
    }


def queue_policy(resource: Resource, resource_id: str) -> Document:
    """ComputeResourcePolicy: the queues that the group may use."""
    return {
        "computeResourceId": resource_id,
        "allowedBatchQueues": [queue.name for queue in resource.queues],
    }


def module(application: Application) -> Document:
    """ApplicationModule."""
    return {
        "appModuleName": application.name,
        "appModuleVersion": application.version,
        "appModuleDescription": application.description,
    }


def interface(application: Application, module_id: str) -> Document:
    """ApplicationInterfaceDescription.

    Inputs get different orders: with equal ones Airavata (0.17 to master) drops all but one. Standard
    output and error are declared, because only then the job script names files for them.
    """
    inputs = [
        {
            "name": entry.name,
            "type": entry.type,
            "value": entry.value,
            "applicationArgument": entry.argument,
            "userFriendlyDescription": entry.description,
            "inputOrder": order,
            "isRequired": entry.required,
            "requiredToAddedToCommandLine": entry.on_command_line,
        }
        for order, entry in enumerate(application.inputs, 1)
    ]
    outputs = [
        {"name": entry.name, "type": entry.type, "value": entry.value, "isRequired": entry.required}
        for entry in application.outputs
    ]
    outputs += [
        {"name": f"{application.name}-{kind}", "type": kind, "value": "", "isRequired": True}
        for kind in ("STDOUT", "STDERR")
    ]
    return {
        "applicationName": application.name,
        "applicationDescription": application.description,
        "applicationModules": [module_id],
        "applicationInputs": inputs,
        "applicationOutputs": outputs,
        "archiveWorkingDirectory": application.archive_working_directory,
        "hasOptionalFileInputs": any(e.type == "URI" and not e.required for e in application.inputs),
    }


def deployment(application: Application, module_id: str, resource_id: str, resource: Resource) -> Document:
    """ApplicationDeploymentDescription. Command lists are empty, never absent: 0.21 fails on null."""
    names = {queue.name: queue for queue in resource.queues}
    queue = names.get(application.default_queue or "", resource.default_queue)
    return {
        "appModuleId": module_id,
        "computeHostId": resource_id,
        "executablePath": application.executable,
        "parallelism": application.parallelism,
        "appDeploymentDescription": application.description,
        "moduleLoadCmds": _commands(application.module_commands),
        "preJobCommands": _commands(application.before),
        "postJobCommands": _commands(application.after),
        "setEnvironment": [
            {"name": variable.name, "value": variable.value, "envPathOrder": order}
            for order, variable in enumerate(application.environment, 1)
        ],
        "libPrependPaths": [],
        "libAppendPaths": [],
        "defaultQueueName": queue.name,
        "defaultNodeCount": queue.default_nodes,
        "defaultCPUCount": queue.default_cpus,
        "defaultWalltime": queue.default_run_time_minutes,
    }


def _commands(lines: Sequence[str]) -> list[Document]:
    return [{"command": line, "commandOrder": order} for order, line in enumerate(lines, 1)]
