"""The framing of Mesos' event streams: length in decimal, a line feed, so many bytes (Mesos 1.5 to 1.11)."""

from __future__ import annotations

from airavata_mesos_plugin.errors import ProtocolError

LONGEST_RECORD = 256 * 1024 * 1024
"""Bytes; a master with 10,000 agents sends some 20 MB of offers in one record."""

_LONGEST_HEAD = 20


class RecordDecoder:
    """Bytes in, whole records out. Chunks may be cut anywhere. Not safe to use from several threads."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._length: int | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """The records that are complete with ``data``.

        Raises ProtocolError for bytes that are no records; the decoder is of no use after that.
        """
        self._buffer += data
        records = []
        start = 0
        while True:
            if self._length is None:
                end = self._buffer.find(b"\n", start, start + _LONGEST_HEAD + 1)
                if end < 0:
                    if len(self._buffer) - start > _LONGEST_HEAD:
                        raise ProtocolError("the event stream of the Mesos master is not made of records")
                    break
                head = bytes(self._buffer[start:end])
                if not head.isdigit() or int(head) > LONGEST_RECORD:
                    raise ProtocolError(f"the Mesos master announced a record of {head!r} bytes")
                self._length, start = int(head), end + 1
            if len(self._buffer) - start < self._length:
                break
            records.append(bytes(self._buffer[start : start + self._length]))
            start += self._length
            self._length = None
        del self._buffer[:start]
        return records
