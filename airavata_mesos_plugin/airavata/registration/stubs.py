"""Airavata's own Thrift stubs, and the way between its structs and plain documents.

They come from the PyPI package airavata-python-sdk (2.2.7: the model of Airavata 0.21). Only the package
``airavata`` of it is used: the client in ``airavata_sdk`` connects without a time-out, hides why a
connection failed, and takes a public server as default at import.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from thrift.Thrift import TType

from airavata_mesos_plugin.airavata.registration.documents import Document
from airavata_mesos_plugin.errors import ConfigurationError

_MODULES = {
    "Airavata": "airavata.api.Airavata",
    "errors": "airavata.api.error.ttypes",
    "security": "airavata.model.security.ttypes",
    "compute": "airavata.model.appcatalog.computeresource.ttypes",
    "storage": "airavata.model.appcatalog.storageresource.ttypes",
    "gateway": "airavata.model.appcatalog.gatewayprofile.ttypes",
    "profile": "airavata.model.appcatalog.groupresourceprofile.ttypes",
    "deployment": "airavata.model.appcatalog.appdeployment.ttypes",
    "interface": "airavata.model.appcatalog.appinterface.ttypes",
    "parallelism": "airavata.model.appcatalog.parallelism.ttypes",
    "movement": "airavata.model.data.movement.ttypes",
    "credential": "airavata.model.credential.store.ttypes",
    "group": "airavata.model.group.ttypes",
}

_KEYS = {
    "jobManagerCommands": ("compute", "JobManagerCommand"),
    "fileSystems": ("compute", "FileSystems"),
    "parallelismPrefix": ("parallelism", "ApplicationParallelismType"),
}
"""Maps over an enumeration; their specification in the stubs says only that keys are numbers."""


def stub(name: str) -> Any:
    """One module of the stubs. Raises ConfigurationError when the package is not installed."""
    try:
        return importlib.import_module(_MODULES[name])
    except ImportError as error:
        raise ConfigurationError(
            f"registration with Airavata develop needs Airavata's Python SDK: {error}",
            advice="pip install 'airavata-mesos-plugin[airavata]'",
        ) from error


def struct(kind: Any, document: Mapping[str, Any]) -> Any:
    """A struct of the class with the fields of the document; enumerations by name."""
    result = kind()
    for _, ttype, name, details, *_ in filter(None, kind.thrift_spec):
        if document.get(name) is not None:
            setattr(result, name, _to_wire(ttype, details, name, document[name]))
    return result


def _to_wire(ttype: int, details: Any, name: str, value: Any) -> Any:
    if ttype == TType.STRUCT:
        return struct(details[0], value)
    if ttype == TType.LIST:
        return [_to_wire(details[0], details[1], name, entry) for entry in value]
    if ttype == TType.MAP and name in _KEYS:
        module, enumeration = _KEYS[name]
        return {getattr(stub(module), enumeration)[key]: entry for key, entry in value.items()}
    # Texts for fields of an enumeration are turned into its members by the struct itself.
    return value


def document(value: Any) -> Document:
    """The fields of a struct that are set; enumerations by name."""
    fields = ((name, getattr(value, name)) for _, _, name, *_ in filter(None, value.thrift_spec))
    return {name: _from_wire(entry) for name, entry in fields if entry is not None}


def _from_wire(value: Any) -> Any:
    if hasattr(value, "thrift_spec"):
        return document(value)
    if isinstance(value, list):
        return [_from_wire(entry) for entry in value]
    if isinstance(value, dict):
        return {_from_wire(key): _from_wire(entry) for key, entry in value.items()}
    return getattr(value, "name", value)
