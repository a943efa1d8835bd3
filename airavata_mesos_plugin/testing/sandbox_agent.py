"""The files endpoints of a Mesos agent over a real socket, for sandboxes that a test fills."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from pathlib import Path

from aiohttp import web

from airavata_mesos_plugin.minicluster.faults import Fault, Faults, Kind
from airavata_mesos_plugin.minicluster.http.breaking import hang_up, tear
from airavata_mesos_plugin.minicluster.http.files import FilesHttp
from airavata_mesos_plugin.minicluster.http.server import Handler, Routes, Server, query_of
from airavata_mesos_plugin.minicluster.mesos.files import Attached, FilesError
from airavata_mesos_plugin.sandbox.layout import RESULT_FILE
from airavata_mesos_plugin.schedulers.base import SandboxAddress
from airavata_mesos_plugin.testing.faults import FaultSwitches
from airavata_mesos_plugin.testing.loop_thread import LoopThread

_PATH = "/files/"


class SandboxAgent:
    """Serves sandboxes from `start` to `stop`.

    Its calls are ``browse``, ``read`` and ``download``: ``calls`` counts them, ``faults`` breaks them.
    """

    def __init__(self, directory: Path) -> None:
        """Sandboxes are made below ``directory``."""
        self._directory = directory
        self._attached = Attached()
        self._loop = LoopThread("sandbox-agent")
        plain = FilesHttp(self._attached).routes()
        routes: Routes = {path: (methods, self._faulty(path, do)) for path, (methods, do) in plain.items()}
        self._server = Server(routes)
        self._numbers = itertools.count()
        self._faults = Faults()
        self.faults = FaultSwitches(self._add)
        self.calls: Counter[str] = Counter()

    def start(self) -> None:
        """Listen on any free port of 127.0.0.1."""
        self._loop.start()
        self._loop.run(self._server.start(0))

    def stop(self) -> None:
        """Close everything."""
        self._loop.run(self._server.stop())
        self._loop.stop()

    @property
    def url(self) -> str:
        return self._server.url

    def sandbox(self) -> tuple[Path, SandboxAddress]:
        """A new sandbox: where a test writes its files, and where a client finds them."""
        number = next(self._numbers)
        path = self._directory / f"sandbox-{number}"
        path.mkdir(parents=True)
        virtual = f"/frameworks/F-1/executors/thermos-{number}/runs/latest/sandbox"
        self._attached.attach(virtual, path)
        return path, SandboxAddress(self.url, virtual)

    def remove(self, address: SandboxAddress) -> None:
        """The sandbox has been collected: it is not found any more. Repeatable."""
        self._attached.detach(address.path)

    def clear_faults(self) -> None:
        """Switch all faults off. Repeatable."""
        self._faults.clear()

    def _add(self, fault: Fault) -> None:
        if fault.method not in ("*", "browse", "read", "download"):
            raise ValueError(f"an agent has the calls browse, read and download, not {fault.method}")
        self._faults.add(fault)

    def _faulty(self, path: str, handler: Handler) -> Handler:
        call = path.removeprefix(_PATH)

        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            self.calls[call] += 1
            met = self._faults.meet(call)
            await asyncio.sleep(met.delay)
            if met.fault is None:
                return await handler(request)
            if met.fault.kind is Kind.STATUS:
                return web.Response(status=met.fault.status)
            if met.fault.kind is Kind.TORN:
                whole = self._whole(request) if call == "download" else await handler(request)
                if isinstance(whole, web.Response):
                    return await tear(request, whole)
            return hang_up(request)

        return answer

    def _whole(self, request: web.BaseRequest) -> web.Response:
        try:
            real = self._attached.resolve(query_of(request).get("path", ""))
            return web.Response(body=Path(real).read_bytes(), content_type="application/octet-stream")
        except (OSError, FilesError):
            return web.Response(status=404)


def leave_result(sandbox: Path, exit_code: int = 0, *, timed_out: bool = False, signal: int = 0) -> None:
    """Write what the wrapper of a job leaves when the script has ended."""
    lines = [f"exit_code={exit_code}", f"timed_out={int(timed_out)}", "started_at=1.0", "ended_at=2.0"]
    if signal:
        lines.append(f"signal={signal}")
    path = sandbox / RESULT_FILE
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
