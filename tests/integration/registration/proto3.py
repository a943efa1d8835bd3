"""Proto3 JSON as a server of Airavata master reads and writes it: unknown fields are refused, numbers of a
map are texts, enumerations are names, and what has its default value is left out of answers."""

from __future__ import annotations

from typing import Any

from tests.integration.registration.rules import demand

ENUMS = {
    "ResourceJobManagerType": ["FORK", "PBS", "SLURM", "LSF", "UGE", "CLOUD", "AIRAVATA_CUSTOM", "HTCONDOR"],
    "ResourceType": ["SLURM", "AWS"],
    "Parallelism": ["SERIAL", "MPI", "OPENMP", "OPENMP_MPI", "CCM", "CRAY_MPI"],
    "DataType": ["STRING", "INTEGER", "FLOAT", "URI", "URI_COLLECTION", "STDOUT", "STDERR"],
}

# str, int, bool, Enum, [message], message or {int} for a map of numbers to texts
MESSAGES: dict[str, dict[str, Any]] = {
    "ResourceJobManager": {
        "resourceJobManagerId": "str",
        "resourceJobManagerType": "ResourceJobManagerType",
        "pushMonitoringEndpoint": "str",
        "jobManagerBinPath": "str",
        "jobManagerCommands": "{int}",
        "parallelismPrefix": "{int}",
    },
    "BatchQueue": {
        "queueName": "str",
        "queueDescription": "str",
        **dict.fromkeys(("maxRunTime", "maxNodes", "maxProcessors", "maxJobsInQueue", "maxMemory"), "int"),
        **dict.fromkeys(("cpuPerNode", "defaultNodeCount", "defaultCpuCount", "defaultWalltime"), "int"),
        "queueSpecificMacros": "str",
        "isDefaultQueue": "bool",
    },
    "ComputeResource": {
        "computeResourceId": "str",
        "hostName": "str",
        "hostAliases": ["str"],
        "ipAddresses": ["str"],
        "resourceDescription": "str",
        "enabled": "bool",
        "batchQueues": ["BatchQueue"],
        "fileSystems": "{int}",
        **dict.fromkeys(("maxMemoryPerNode", "cpusPerNode", "defaultNodeCount"), "int"),
        **dict.fromkeys(("defaultCpuCount", "defaultWalltime", "sshPort"), "int"),
        "gatewayUsageReporting": "bool",
        "resourceJobManager": "ResourceJobManager",
    },
    "Storage": {
        "storageResourceId": "str",
        "hostName": "str",
        "storageResourceDescription": "str",
        "enabled": "bool",
        "sftpPort": "int",
    },
    "StoragePreference": {
        "storageResourceId": "str",
        "loginUserName": "str",
        "fileSystemRootLocation": "str",
        "resourceSpecificCredentialStoreToken": "str",
    },
    "Slurm": {"allocationProjectNumber": "str", "preferredBatchQueue": "str", "qualityOfService": "str"},
    "Specific": {"slurm": "Slurm"},
    "Preference": {
        "computeResourceId": "str",
        "groupResourceProfileId": "str",
        "overrideByAiravata": "bool",
        "loginUserName": "str",
        "scratchLocation": "str",
        "resourceSpecificCredentialStoreToken": "str",
        "resourceType": "ResourceType",
        "specificPreferences": "Specific",
    },
    "Policy": {
        "resourcePolicyId": "str",
        "computeResourceId": "str",
        "groupResourceProfileId": "str",
        "allowedBatchQueues": ["str"],
    },
    "Profile": {
        "gatewayId": "str",
        "groupResourceProfileId": "str",
        "groupResourceProfileName": "str",
        "computePreferences": ["Preference"],
        "computeResourcePolicies": ["Policy"],
        "creationTime": "str",
        "defaultCredentialStoreToken": "str",
    },
    "Module": dict.fromkeys(
        ("appModuleId", "appModuleName", "appModuleVersion", "appModuleDescription"), "str"
    ),
    "Command": {"command": "str", "commandOrder": "int"},
    "Variable": {"name": "str", "value": "str", "envPathOrder": "int"},
    "Deployment": {
        **dict.fromkeys(("appDeploymentId", "appModuleId", "computeHostId", "executablePath"), "str"),
        "parallelism": "Parallelism",
        "appDeploymentDescription": "str",
        **{name: ["Command"] for name in ("moduleLoadCmds", "preJobCommands", "postJobCommands")},
        **{name: ["Variable"] for name in ("libPrependPaths", "libAppendPaths", "setEnvironment")},
        "defaultQueueName": "str",
        **dict.fromkeys(("defaultNodeCount", "defaultCpuCount", "defaultWalltime"), "int"),
        "editableByUser": "bool",
    },
    "Input": {
        **dict.fromkeys(("name", "value", "applicationArgument", "userFriendlyDescription"), "str"),
        "type": "DataType",
        "inputOrder": "int",
        **dict.fromkeys(("isRequired", "requiredToAddedToCommandLine", "standardInput"), "bool"),
    },
    "Output": {
        **dict.fromkeys(("name", "value", "applicationArgument"), "str"),
        "type": "DataType",
        **dict.fromkeys(("isRequired", "requiredToAddedToCommandLine"), "bool"),
    },
    "Interface": {
        **dict.fromkeys(("applicationInterfaceId", "applicationName", "applicationDescription"), "str"),
        "applicationModules": ["str"],
        "applicationInputs": ["Input"],
        "applicationOutputs": ["Output"],
        **dict.fromkeys(("archiveWorkingDirectory", "hasOptionalFileInputs", "cleanAfterStaged"), "bool"),
    },
}


def parse(kind: Any, value: Any, place: str = "") -> Any:
    """A value of that type, without what has its default. Raises Violation."""
    if isinstance(kind, list):
        demand(isinstance(value, list), f"{place} is no list")
        return [parse(kind[0], entry, place) for entry in value]
    if kind == "{int}":
        demand(all(key.isdigit() and isinstance(entry, str) for key, entry in value.items()), place)
        return dict(value)
    if kind in ENUMS:
        demand(value in ENUMS[kind], f"{place}: {value!r} is no {kind}")
        return value
    if kind in MESSAGES:
        fields = MESSAGES[kind]
        unknown = set(value) - set(fields)
        demand(not unknown, f"cannot find field {sorted(unknown)} in {kind}")
        parsed = {name: parse(fields[name], entry, f"{place}.{name}") for name, entry in value.items()}
        return {name: entry for name, entry in parsed.items() if entry}
    expected = {"str": str, "int": int, "bool": bool}[kind]
    demand(type(value) is expected, f"{place}: {value!r} is no {kind}")
    return value
