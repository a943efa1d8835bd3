"""Which protocol a request is in and which one its answer takes (Aurora 0.16 to 0.22)."""

from __future__ import annotations

import re

from airavata_mesos_plugin.minicluster.wire.message import Protocol

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - the word of the HTTP grammar
_MEDIA_TYPE = re.compile(rf'{_TOKEN}/{_TOKEN}(?:\s*;\s*{_TOKEN}=(?:{_TOKEN}|"[^"]*"))*\s*;?')
_JSON_TYPES = frozenset(
    (
        "application/x-thrift",
        "application/json",
        "application/vnd.apache.thrift.json",
        "application/vnd.apache.thrift.json;charset=utf-8",
    )
)


class UnsupportedContentType(Exception):
    """A media type that no protocol belongs to."""


class MalformedContentType(Exception):
    """Not a media type."""


def request_protocol(content_type: str | None) -> Protocol:
    """Raises UnsupportedContentType and MalformedContentType."""
    if content_type is None:
        return Protocol.JSON
    if not _MEDIA_TYPE.fullmatch(content_type.strip()):
        raise MalformedContentType(content_type)
    plain = re.sub(r'[\s"]', "", content_type).lower()
    if plain == Protocol.BINARY.value:
        return Protocol.BINARY
    if plain in _JSON_TYPES:
        return Protocol.JSON
    raise UnsupportedContentType(content_type)


def response_protocol(accept: str | None) -> Protocol:
    """Binary is answered only to exactly its own type; lists and wildcards get JSON."""
    return Protocol.BINARY if accept == Protocol.BINARY.value else Protocol.JSON
