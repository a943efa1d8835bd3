"""One scheduler's session with ZooKeeper: its candidacy, and the leader that is announced."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import KazooException, NoNodeError
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.security import make_acl, make_digest_acl

from airavata_mesos_plugin.minicluster.settings import ClusterSettings

_LOG = logging.getLogger(__name__)
CANDIDATE = "singleton_candidate_"
MEMBER = "member_"
TROUBLE = (KazooException, KazooTimeoutError, OSError, asyncio.TimeoutError)
"""What any call may raise when the ensemble is not to be reached."""


def member_of(url: str, endpoint: str) -> bytes:
    """What the leader publishes: a ServerSet member as Aurora 0.22 writes it."""
    parts = urlsplit(url)
    place = {"host": parts.hostname, "port": parts.port}
    member = {"serviceEndpoint": place, "additionalEndpoints": {endpoint: place}, "status": "ALIVE"}
    return json.dumps(member).encode()


def url_of(member: bytes) -> str:
    """Raises ValueError for anything that is no member."""
    try:
        place = json.loads(member)["serviceEndpoint"]
        return f"http://{place['host']}:{int(place['port'])}"
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a ServerSet member: {error}") from None


class Session:
    """Methods that reach the ensemble block and are for a worker thread; `changed` and `lost` are called on
    the loop's thread."""

    def __init__(
        self, settings: ClusterSettings, changed: Callable[[], None], lost: Callable[[], None]
    ) -> None:
        self._path = settings.serverset_path.rstrip("/")
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._changed = changed
        self._lost = lost
        auth = [("digest", settings.zk_digest)] if settings.zk_digest else None
        acl = None
        if settings.zk_digest:
            user, _, password = settings.zk_digest.partition(":")
            acl = [make_digest_acl(user, password, all=True), make_acl("world", "anyone", read=True)]
        self._client = KazooClient(
            settings.zookeeper, timeout=settings.zk_session_timeout, auth_data=auth, default_acl=acl
        )
        self._connected = asyncio.Event()
        self._own = ""
        self.candidates: list[tuple[str, str]] = []
        """Node and data of everybody who wants to lead, the next leader first."""
        self.members: list[str] = []
        """Addresses of those who say that they lead."""

    async def connect(self) -> None:
        """Raises TimeoutError when no server answers in time."""
        self._client.add_listener(self._on_state)
        self._client.start_async()
        await asyncio.wait_for(self._connected.wait(), self._settings.zk_connection_timeout)

    def stand(self, token: str) -> None:
        """Become a candidate, known by `token`.  Raises one of TROUBLE."""
        self._client.ensure_path(self._path)
        made = self._client.create(f"{self._path}/{CANDIDATE}", token.encode(), ephemeral=True, sequence=True)
        self._own = made.rsplit("/", 1)[1]
        # Not renewed after a loss of the connection: that ends the whole candidacy.
        self._client.ChildrenWatch(self._path, self._on_children, allow_session_lost=False)

    @property
    def first(self) -> bool:
        """Whether this candidate is the one to lead."""
        return bool(self.candidates) and self.candidates[0][0] == self._own

    def announce(self, url: str) -> None:
        """Publish the leader's address.  Raises one of TROUBLE."""
        data = member_of(url, self._settings.serverset_endpoint)
        self._client.create(f"{self._path}/{MEMBER}", data, ephemeral=True, sequence=True)

    def close(self) -> None:
        """What was published goes away.  May be repeated."""
        self._client.remove_listener(self._on_state)
        with contextlib.suppress(*TROUBLE):
            self._client.stop()
        with contextlib.suppress(*TROUBLE):
            self._client.close()

    def expire(self) -> None:
        """Make the ensemble end the session as if it had timed out.  Raises one of TROUBLE."""
        twin = KazooClient(self._settings.zookeeper, client_id=self._client.client_id)
        twin.start(timeout=self._settings.zk_connection_timeout)
        twin.stop()
        twin.close()

    def _call(self, function: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(function)

    def _on_state(self, state: str) -> None:
        if state == KazooState.CONNECTED:
            self._call(self._connected.set)
        else:
            # Aurora's leader gives up as soon as the connection is suspended.
            self._call(self._lost)

    def _on_children(self, children: list[str]) -> None:
        try:
            self._read(children)
        except TROUBLE as error:  # the session has lost its connection, and `lost` is told
            _LOG.info("cannot read %s: %s", self._path, error)

    def _read(self, children: list[str]) -> None:
        candidates = sorted((c for c in children if c.startswith(CANDIDATE)), key=lambda c: c[-10:])
        members = sorted(c for c in children if c.startswith(MEMBER))
        found = [(name, self._data(name).decode(errors="replace")) for name in candidates]
        urls = []
        for name in members:
            try:
                urls.append(url_of(self._data(name)))
            except ValueError as error:
                _LOG.warning("%s/%s: %s", self._path, name, error)

        def take() -> None:
            self.candidates, self.members = found, urls
            self._changed()

        self._call(take)

    def _data(self, name: str) -> bytes:
        try:
            found: tuple[bytes, Any] = self._client.get(f"{self._path}/{name}")
        except NoNodeError:  # gone meanwhile; the next event tells
            return b""
        return found[0]
