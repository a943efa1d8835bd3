"""The command socket: sbatch, squeue and their kin, and the calls of `airavata-mesos`, arrive here."""

from __future__ import annotations

import asyncio
import logging
import os
import pwd
import socket
import struct
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from airavata_mesos_plugin.errors import ProtocolError
from airavata_mesos_plugin.provider import Provider
from airavata_mesos_plugin.service.people import COMMAND, Answer, PeopleCalls
from airavata_mesos_plugin.slurm import dispatch, wire
from airavata_mesos_plugin.slurm.session import COMMANDS, Invocation

log = logging.getLogger(__name__)

SILENCE_SECONDS = 30.0
"""How long a command may keep us waiting for what it has to send."""

WORKERS = 16
"""Commands that are carried out at the same time; more wait for their turn."""

BACKLOG = 1024
"""Commands that may wait to be let in."""

_CREDENTIALS = struct.Struct("3i")


class CommandServer:
    """Answers commands on a Unix socket, each as the account that typed it (SO_PEERCRED)."""

    def __init__(self, path: Path, provider: Provider, people: PeopleCalls) -> None:
        self._path = path
        self._provider = provider
        self._people = people
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="command")
        self._server: asyncio.Server | None = None
        self._conversations: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen. A socket that an earlier daemon left is replaced: the home's lock is ours."""
        self._path.unlink(missing_ok=True)
        before = os.umask(0)  # every account may ask; who is served is decided by its credentials
        try:
            self._server = await asyncio.start_unix_server(
                self._accepted, self._path, backlog=BACKLOG, limit=wire.PART_LIMIT
            )
        finally:
            os.umask(before)

    async def stop(self) -> None:
        """Listen no more, give commands under way a moment, and hang up. Repeatable."""
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._conversations:
            await asyncio.wait(self._conversations, timeout=2)
        for task in list(self._conversations):
            task.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._path.unlink(missing_ok=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._conversations.add(task)
            task.add_done_callback(self._conversations.discard)
        try:
            await _Conversation(self, reader, writer).hold()
        except (ConnectionError, asyncio.TimeoutError, asyncio.IncompleteReadError):
            log.info("a command hung up or fell silent")
        except ProtocolError as error:
            log.warning("%s", error)
            with suppress(ConnectionError):
                writer.write(wire.encode_output(b"", f"{error}\n".encode(), 1))
                await writer.drain()
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def answer(self, request: wire.Request, uid: int, conversation: _Conversation) -> bytes:
        """The last bytes of a conversation."""
        user, home = account(uid)
        # Root's daemon too: it would read and write any directory that a stranger names, with root's rights.
        if uid != os.geteuid():
            owner = account(os.geteuid())[0]
            text = f"{request.command}: error: this provider serves the account {owner} only, not {user}\n"
            return wire.encode_output(b"", text.encode(), 1)
        loop = asyncio.get_running_loop()
        if request.command == COMMAND:
            answer: Answer = await loop.run_in_executor(self._pool, self._people.run, request.argv, uid, user)
            return wire.encode_output(answer.stdout, answer.stderr, answer.exit_code)
        if request.command not in COMMANDS:
            raise ProtocolError(f"{request.command!r} is no command of this provider")
        limit = self._provider.settings.max_script_bytes + 1

        def read_file(path: str | None) -> bytes:
            asked = asyncio.run_coroutine_threadsafe(conversation.ask_file(path, limit), loop)
            return asked.result()

        invocation = Invocation(
            command=request.command,
            argv=request.argv,
            cwd=request.cwd,
            environ=request.environ,
            uid=uid,
            user=user,
            home=home,
            host=socket.gethostname(),
            read_file=read_file,
        )
        result = await loop.run_in_executor(self._pool, dispatch.run, invocation, self._provider)
        return wire.encode_result(result)


class _Conversation:
    """One command on its connection."""

    def __init__(
        self, server: CommandServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer
        self._side = wire.ServerSide()

    async def hold(self) -> None:
        request = await asyncio.wait_for(self._message(), SILENCE_SECONDS)
        if not isinstance(request, wire.Request):
            raise ProtocolError("a command began with an answer")
        self._writer.write(await self._server.answer(request, self._uid(), self))
        await asyncio.wait_for(self._writer.drain(), SILENCE_SECONDS)

    async def ask_file(self, path: str | None, limit: int) -> bytes:
        """A file, or standard input, as the caller can read it. Raises OSError or ProtocolError."""
        self._side.expect_file(limit)
        self._writer.write(wire.encode_file_request(path, limit))
        try:
            answer = await asyncio.wait_for(self._message(), SILENCE_SECONDS)
        except asyncio.TimeoutError:
            raise ProtocolError(f"the script did not come within {SILENCE_SECONDS:.0f} s") from None
        if not isinstance(answer, wire.FileAnswer):
            raise ProtocolError("a command answered a file request with something else")
        return answer.bytes_or_raise(path)

    async def _message(self) -> wire.Request | wire.FileAnswer:
        while True:
            data = await self._reader.read(256 * 1024)
            if not data:
                raise ConnectionResetError("the command hung up")
            message = self._side.feed(data)
            if message is not None:
                return message

    def _uid(self) -> int:
        connection: socket.socket = self._writer.get_extra_info("socket")
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        _, uid, _ = _CREDENTIALS.unpack(raw)
        return int(uid)


@lru_cache(maxsize=1024)
def account(uid: int) -> tuple[str, str]:
    """Login name and home directory of a uid; its number and nothing where the host knows no name."""
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return str(uid), ""
    return entry.pw_name, entry.pw_dir
