"""Framed Thrift over a Unix socket and over TLS.

The servers of the Thrift library give each connection a thread for as long as it lasts, and know neither
time limits nor limits on sizes. Here connections cost no thread: a call gets one when its frame is whole.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from thrift.protocol.TBinaryProtocol import TBinaryProtocol, TBinaryProtocolAccelerated
from thrift.Thrift import TException
from thrift.transport.TTransport import TMemoryBuffer

from airavata_mesos_plugin.config import ServiceSettings, ThriftSettings
from airavata_mesos_plugin.errors import ConfigurationError
from airavata_mesos_plugin.gen.provider import MesosProvider
from airavata_mesos_plugin.provider import Provider
from airavata_mesos_plugin.service.accounts import Accounts
from airavata_mesos_plugin.service.peers.handler import SLOW_CALLS, PeerHandler
from airavata_mesos_plugin.service.peers.identity import (
    Caller,
    admit,
    of_certificate,
    of_unix_socket,
    uids_of,
)

log = logging.getLogger(__name__)

SILENCE_SECONDS = 30.0
"""How long a connection may keep us waiting: for its first byte, the rest of a frame, to take an answer."""

GOODBYE_SECONDS = 10.0
"""How long the last bytes may take that were written to a connection which is being closed."""

IDLE_SECONDS = 600.0
"""How long a connection may stay open between two calls."""

CONNECTIONS = 256
"""Connections at the same time; more are closed at once."""

CONNECTIONS_OF_CALLER = 64
"""Connections of one account at the same time."""

WORKERS = 8
"""Calls that are carried out at the same time, and the same number again of slow ones."""

SLOW_CALLS_OF_CALLER = WORKERS // 2
"""Slow calls of one account at the same time, so that its hanging file system leaves room for others."""

CONTAINER_LIMIT = 10_000
"""Members of a list, set or map of a request."""

FRAME_EXTRA = 1024 * 1024
"""What a request may hold beside the largest script, in bytes."""


class PeerServer:
    """Serves the calls of `PeerHandler`, each connection as the account behind it."""

    def __init__(self, path: Path, provider: Provider, settings: ServiceSettings, accounts: Accounts) -> None:
        self._path = path
        self._accounts = accounts
        self._provider = provider
        self._settings = settings.thrift
        self._frame_limit = provider.settings.max_script_bytes + FRAME_EXTRA
        self._calls = ThreadPoolExecutor(WORKERS, thread_name_prefix="peer")
        self._slow_calls = ThreadPoolExecutor(WORKERS, thread_name_prefix="peer-slow")
        self._slow: defaultdict[int, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(SLOW_CALLS_OF_CALLER)
        )
        self._servers: list[asyncio.Server] = []
        self._conversations: set[asyncio.Task[None]] = set()
        self._open: Counter[int] = Counter()
        self._crowded: set[int] = set()
        self.port: int | None = None
        """Where TLS is listened on; None when it is not configured."""

    async def start(self) -> None:
        """Listen. Raises ConfigurationError when certificates, accounts or addresses cannot be used."""
        self._path.unlink(missing_ok=True)
        before = os.umask(0)  # every account may connect; who is served is decided by its credentials
        try:
            unix = await asyncio.start_unix_server(self._accepted_unix, self._path)
        finally:
            os.umask(before)
        self._servers.append(unix)
        if self._settings is not None:
            await self._start_tls(self._settings)

    async def _start_tls(self, settings: ThriftSettings) -> None:
        uids = uids_of(settings.accounts)

        async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._hold(
                reader, writer, lambda: of_certificate(writer.get_extra_info("peercert") or {}, uids)
            )

        context = _context(settings)
        try:
            server = await asyncio.start_server(
                accepted,
                settings.listen,
                settings.port,
                ssl=context,
                ssl_handshake_timeout=SILENCE_SECONDS / 3,
                reuse_address=True,
            )
        except OSError as error:
            raise ConfigurationError(
                f"cannot listen on {settings.listen}:{settings.port}: {error.strerror or error}",
                advice="change service.thrift.listen or service.thrift.port",
            ) from error
        self._servers.append(server)
        self.port = server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more, give calls under way a moment, and hang up. Repeatable."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        for task in list(self._conversations):
            task.cancel()
        if self._conversations:
            await asyncio.wait(self._conversations, timeout=2)
        for pool in (self._calls, self._slow_calls):
            pool.shutdown(wait=False, cancel_futures=True)
        self._path.unlink(missing_ok=True)

    async def _accepted_unix(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._hold(reader, writer, lambda: of_unix_socket(writer.get_extra_info("socket")))

    async def _hold(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        identify: Callable[[], Caller | None],
    ) -> None:
        """One connection from its first byte to its last."""
        task = asyncio.current_task()
        assert task is not None
        self._conversations.add(task)
        task.add_done_callback(self._conversations.discard)
        try:
            caller = identify()
            if caller is not None:
                loop = asyncio.get_running_loop()
                caller = await loop.run_in_executor(self._calls, admit, caller, self._accounts)
            if caller is None:
                log.warning("a peer was sent away: no account is named for its certificate")
            elif len(self._conversations) > CONNECTIONS or self._open[caller.uid] >= CONNECTIONS_OF_CALLER:
                if caller.uid not in self._crowded:  # said once, for there may be many more
                    self._crowded.add(caller.uid)
                    log.warning("peers of %s are sent away: too many connections", caller.user)
            else:
                await self._converse(reader, writer, caller)
        except asyncio.CancelledError:
            if self._servers:
                raise
        except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError):
            log.info("a peer hung up or fell silent")
        finally:
            await _close(writer)

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, caller: Caller
    ) -> None:
        seen = self._provider if caller.sees_all else self._provider.seen_by(caller.uid, caller.user)
        processor = MesosProvider.Processor(PeerHandler(seen, caller))
        loop = asyncio.get_running_loop()
        self._open[caller.uid] += 1
        try:
            patience = SILENCE_SECONDS
            while True:
                size = int.from_bytes(await asyncio.wait_for(reader.readexactly(4), patience), "big")
                if not 0 < size <= self._frame_limit:
                    log.warning("a peer of %s was sent away: a frame of %d bytes", caller.user, size)
                    return
                frame = await asyncio.wait_for(reader.readexactly(size), SILENCE_SECONDS)
                if _method(frame) in SLOW_CALLS:
                    async with self._slow[caller.uid]:
                        answer = await loop.run_in_executor(self._slow_calls, _process, processor, frame)
                else:
                    answer = await loop.run_in_executor(self._calls, _process, processor, frame)
                if answer is None:
                    log.warning("a peer of %s was sent away: a malformed message", caller.user)
                    return
                writer.write(len(answer).to_bytes(4, "big") + answer)
                await asyncio.wait_for(writer.drain(), SILENCE_SECONDS)
                patience = IDLE_SECONDS
        finally:
            self._open[caller.uid] -= 1
            if self._open[caller.uid] < CONNECTIONS_OF_CALLER // 2:
                self._crowded.discard(caller.uid)


async def _close(writer: asyncio.StreamWriter) -> None:
    """Hang up, without waiting for a peer that does not take what was written."""
    writer.close()
    with suppress(OSError, asyncio.TimeoutError, asyncio.CancelledError):
        await asyncio.wait_for(writer.wait_closed(), GOODBYE_SECONDS)
        return
    writer.transport.abort()


def _reading(frame: bytes) -> TBinaryProtocol:
    # Not the accelerated one: in some releases it takes a length for true before the bytes are there, and
    # follows any depth of nesting on the stack of the process.
    return TBinaryProtocol(
        TMemoryBuffer(frame),
        strictRead=True,
        string_length_limit=len(frame),
        container_length_limit=CONTAINER_LIMIT,
    )


def _method(frame: bytes) -> str:
    """The name of the call; empty when the frame is malformed, which `_process` will say."""
    try:
        return str(_reading(frame).readMessageBegin()[0])
    except _MALFORMED:
        return ""


def _process(processor: MesosProvider.Processor, frame: bytes) -> bytes | None:
    """The answer to one message; None when it makes no sense."""
    written = TMemoryBuffer()
    try:
        processor.process(_reading(frame), TBinaryProtocolAccelerated(written))
    except _MALFORMED:
        return None
    return bytes(written.getvalue())


_MALFORMED = (TException, EOFError, ValueError, RecursionError)
"""What reading a message that is none ends with; faults of the calls themselves never get here."""


def _context(settings: ThriftSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_cert_chain(settings.certificate, settings.key, password=_no_password)
        context.load_verify_locations(settings.client_ca)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ConfigurationError(
            f"service.thrift: certificate {settings.certificate}, key {settings.key} and client_ca"
            f" {settings.client_ca} cannot be used: {error}",
            advice="name readable PEM files that belong together; the key must have no passphrase",
        ) from error
    return context


def _no_password() -> str:
    raise ValueError("the key is protected by a passphrase")
