"""The command socket: sbatch, squeue and their kin, and the calls of `airavata-mesos`, arrive here."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import socket
import struct
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from airavata_mesos_plugin.errors import AiravataMesosError, ProtocolError
from airavata_mesos_plugin.provider import Provider
from airavata_mesos_plugin.service.accounts import Accounts, Visitor
from airavata_mesos_plugin.service.answers import COMMAND, Answer, failed
from airavata_mesos_plugin.service.crowd import Crowd
from airavata_mesos_plugin.service.people import PeopleCalls
from airavata_mesos_plugin.slurm import dispatch, wire
from airavata_mesos_plugin.slurm.session import COMMANDS, Invocation

log = logging.getLogger(__name__)

SILENCE_SECONDS = 30.0
"""How long a command may keep us waiting for what it has to send."""

GOODBYE_SECONDS = 10.0
"""How long the last bytes may take on a connection that is being closed; callers may stand still a while."""

WORKERS = 16
"""Commands that are carried out at the same time; more wait for their turn."""

STREAMS = 4
"""Pieces of long answers that are got at the same time."""

SHARE = 8
"""Of these, those of one account where the daemon serves several."""

MOST_OF_ACCOUNT = 1000
"""Connections of one account, where the process may have that many descriptors."""

BACKLOG = 1024
"""Commands that may wait to be let in."""

READ_BYTES = 256 * 1024
"""Most bytes that are read at once."""

_CREDENTIALS = struct.Struct("3i")

T = TypeVar("T")


class CommandServer:
    """Answers commands on a Unix socket, each as the account that typed it (SO_PEERCRED)."""

    def __init__(self, path: Path, provider: Provider, people: PeopleCalls, accounts: Accounts) -> None:
        self._path = path
        self._accounts = accounts
        self._turns: dict[int, asyncio.Semaphore] = {}
        self.crowd = Crowd(min(MOST_OF_ACCOUNT, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 3))
        self._provider = provider
        self._people = people
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="command")
        self._streams = ThreadPoolExecutor(STREAMS, thread_name_prefix="stream")
        self._server: asyncio.Server | None = None
        self._conversations: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen. A socket that an earlier daemon left is replaced: the home's lock is ours."""
        self._path.unlink(missing_ok=True)
        before = os.umask(0)  # every account may ask; who is served is decided by its credentials
        try:
            self._server = await asyncio.start_unix_server(
                self._accepted, self._path, backlog=BACKLOG, limit=READ_BYTES
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
        self._streams.shutdown(wait=False)
        self._path.unlink(missing_ok=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._conversations.add(task)
            task.add_done_callback(self._conversations.discard)
        try:
            conversation = _Conversation(self, reader, writer)
            with self.crowd.inside(conversation.uid, conversation):
                await conversation.hold()
        except (ConnectionError, asyncio.TimeoutError, asyncio.IncompleteReadError):
            log.info("a command hung up or fell silent")
        except ProtocolError as error:
            log.warning("%s", error)
            with suppress(ConnectionError):
                writer.write(wire.encode_output(b"", f"{error}\n".encode(), 1))
                await writer.drain()
        finally:
            writer.close()
            with suppress(ConnectionError, asyncio.TimeoutError):
                await asyncio.wait_for(writer.wait_closed(), GOODBYE_SECONDS)
            writer.transport.abort()  # for callers that do not take their answer

    async def answer(self, request: wire.Request, uid: int, conversation: _Conversation) -> bytes:
        """The last bytes of a conversation."""
        loop = asyncio.get_running_loop()
        visitor = self._accounts.known(uid)
        if visitor is None:
            visitor = await loop.run_in_executor(self._pool, self._accounts.visitor, uid)
        if visitor.refusal:
            text = f"{request.command}: error: {visitor.refusal}\n"
            return wire.encode_output(b"", text.encode(), 1)
        people, provider = self._people, self._provider
        if not visitor.sees_all:
            provider = provider.seen_by(uid, visitor.user)
            people = people.seen_by(uid, visitor.user)
        if request.command == COMMAND:
            answer = await self._in_turn(uid, lambda: people.run(request.argv, uid, visitor.user))
            if answer.more is not None:
                return await self._pass_on(answer, answer.more, conversation)
            return wire.encode_output(answer.stdout, answer.stderr, answer.exit_code)
        if request.command not in COMMANDS:
            raise ProtocolError(f"{request.command!r} is no command of this provider")
        files: dict[str | None, wire.FileAnswer] = {}
        limit = self._provider.settings.max_script_bytes + 1
        while True:
            try:
                return await self._in_turn(uid, lambda: self._carry_out(request, visitor, provider, files))
            except _FileNeeded as needed:
                files[needed.path] = await conversation.ask_file(needed.path, limit)

    async def _pass_on(self, answer: Answer, more: Iterator[bytes], conversation: _Conversation) -> bytes:
        """Send an answer piece by piece. No thread is kept while the caller takes its time."""
        loop = asyncio.get_running_loop()
        end = Answer()
        try:
            await conversation.send(wire.encode_output(answer.stdout, answer.stderr))
            while (piece := await loop.run_in_executor(self._streams, next, more, None)) is not None:
                await conversation.send(wire.encode_output(piece))
        except AiravataMesosError as error:
            end = failed(error)
        finally:
            with suppress(RuntimeError):  # the daemon is being stopped
                self._streams.submit(_close, more)
        return wire.encode_output(b"", end.stderr, end.exit_code)

    async def _in_turn(self, uid: int, work: Callable[[], T]) -> T:
        """Do the work on a thread. One account does not get all threads, unless there is but one."""
        if uid == os.geteuid():
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        turns = self._turns.setdefault(uid, asyncio.Semaphore(SHARE))
        async with turns:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def _carry_out(
        self,
        request: wire.Request,
        visitor: Visitor,
        provider: Provider,
        files: dict[str | None, wire.FileAnswer],
    ) -> bytes:
        def read_file(path: str | None) -> bytes:
            if path not in files:
                raise _FileNeeded(path)
            return files[path].bytes_or_raise(path)

        try:
            rights = provider.files_of(visitor.uid)
        except AiravataMesosError as error:
            return wire.encode_output(b"", f"{request.command}: error: {error}\n".encode(), 1)
        invocation = Invocation(
            command=request.command,
            argv=request.argv,
            cwd=request.cwd,
            environ=request.environ,
            uid=visitor.uid,
            user=visitor.user,
            home=visitor.home,
            host=socket.gethostname(),
            read_file=read_file,
            rights=rights,
        )
        return wire.encode_result(dispatch.run(invocation, provider))


def _close(more: Iterator[bytes]) -> None:
    if isinstance(more, Generator):
        with suppress(ValueError):  # it is at work for a caller who went away; nobody will ask it again
            more.close()


class _FileNeeded(BaseException):
    """Ends a command that has to wait for a file; it is begun anew when the file is there.

    So no thread waits for what a caller may never send. Not an Exception: what lies between the command and
    us must not take it for a fault.
    """

    def __init__(self, path: str | None) -> None:
        super().__init__(path)
        self.path = path


class _Conversation:
    """One command on its connection."""

    def __init__(
        self, server: CommandServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer
        self._side = wire.ServerSide()
        self.silent = True
        self.uid = self._credentials()

    def hang_up(self) -> None:
        """Close the connection at once."""
        self._writer.transport.abort()

    async def hold(self) -> None:
        """Answer the command."""
        request = await asyncio.wait_for(self._message(), SILENCE_SECONDS)
        if not isinstance(request, wire.Request):
            raise ProtocolError("a command began with an answer")
        self.silent = False
        self._writer.write(await self._server.answer(request, self.uid, self))
        await asyncio.wait_for(self._writer.drain(), SILENCE_SECONDS)

    async def send(self, frames: bytes) -> None:
        """Send frames of an answer that is not over, as fast as the caller takes them."""
        self._writer.write(frames)
        await asyncio.wait_for(self._writer.drain(), SILENCE_SECONDS)

    async def ask_file(self, path: str | None, limit: int) -> wire.FileAnswer:
        """A file, or standard input, as the caller can read it. Raises ProtocolError."""
        self._side.expect_file(limit)
        self._writer.write(wire.encode_file_request(path, limit))
        try:
            answer = await asyncio.wait_for(self._message(), SILENCE_SECONDS)
        except asyncio.TimeoutError:
            raise ProtocolError(f"the script did not come within {SILENCE_SECONDS:.0f} s") from None
        if not isinstance(answer, wire.FileAnswer):
            raise ProtocolError("a command answered a file request with something else")
        return answer

    async def _message(self) -> wire.Request | wire.FileAnswer:
        while True:
            data = await self._reader.read(READ_BYTES)
            if not data:
                raise ConnectionResetError("the command hung up")
            self._server.crowd.take(self.uid, self, len(data))
            message = self._side.feed(data)
            if message is not None:
                return message

    def _credentials(self) -> int:
        connection: socket.socket = self._writer.get_extra_info("socket")
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        _, uid, _ = _CREDENTIALS.unpack(raw)
        return int(uid)
