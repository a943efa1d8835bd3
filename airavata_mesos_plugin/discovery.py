"""Finds the leading Aurora scheduler and the leading Mesos master by ZooKeeper.

Aurora 0.22: the leader alone publishes a ``member_<number>`` below the server set's path, with a JSON of its
endpoints. Mesos since 0.23: each master publishes ``json.info_<number>``, the lowest number leads.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import KazooException, NoNodeError
from kazoo.handlers.threading import KazooTimeoutError

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.config import ClusterSettings, ZooKeeperSettings
from airavata_mesos_plugin.errors import ConfigurationError
from airavata_mesos_plugin.schedulers.base import FixedLeader, Leader
from airavata_mesos_plugin.secret import Secret

log = logging.getLogger(__name__)

READ_SECONDS = 5.0
"""Longest wait for one answer of a connected ensemble."""


class Ensemble:
    """One session with a ZooKeeper ensemble, opened at its first use. Safe to use from several threads."""

    def __init__(self, settings: ZooKeeperSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._client: KazooClient | None = None
        self._closed = threading.Event()
        self._listeners: list[Callable[[], None]] = []

    @property
    def where(self) -> str:
        """The servers, for messages."""
        return ",".join(self._settings.hosts)

    def listen(self, changed: Callable[[], None]) -> None:
        """Call ``changed`` whenever the session is lost, interrupted or back."""
        self._listeners.append(changed)

    def connected(self) -> bool:
        """Whether a server answers now. Opens the session. Raises ConfigurationError for its secrets."""
        return bool(self._open().connected)

    def children(self, path: str, changed: Callable[[object], None]) -> list[str]:
        """Names below ``path``, none when it is not there; ``changed`` is called at the next change.

        Raises KazooException or KazooTimeoutError.
        """
        client = self._open()
        try:
            # The same function each time: the library keeps one watch of it, however often we look.
            found = client.get_children_async(path, watch=changed).get(timeout=READ_SECONDS)
            return [str(name) for name in found]
        except NoNodeError:
            client.exists_async(path, watch=changed).get(timeout=READ_SECONDS)
            return []

    def data(self, path: str) -> bytes | None:
        """What stands in a node; None when it has just gone. Raises as `children`."""
        try:
            value, _ = self._open().get_async(path).get(timeout=READ_SECONDS)
        except NoNodeError:
            return None
        return bytes(value)

    def close(self) -> None:
        """End the session. Repeatable."""
        self._closed.set()
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.stop()
            client.close()

    def _open(self) -> KazooClient:
        with self._lock:
            if self._client is None:
                if self._closed.is_set():
                    raise ConfigurationError("the session with ZooKeeper has been closed")
                client = KazooClient(
                    hosts=self.where,
                    timeout=self._settings.session_timeout_seconds,
                    read_only=True,
                    # A server that is back is to be found at once; the waits in between are short.
                    connection_retry={"max_tries": -1, "delay": 0.1, "backoff": 2, "max_delay": 5.0},
                    command_retry={"max_tries": 0},
                    **_credentials(self._settings),
                )
                client.add_listener(self._moved)
                client.start_async()
                self._client = client
            return self._client

    def _moved(self, state: str) -> None:
        log.info("ZooKeeper %s: %s", self.where, state)
        if state in (KazooState.CONNECTED, KazooState.LOST, KazooState.SUSPENDED):
            for listener in self._listeners:
                listener()


def _credentials(settings: ZooKeeperSettings) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if settings.digest is not None:
        text = Secret(settings.digest).read()
        if ":" not in text:
            raise ConfigurationError("the digest secret of ZooKeeper is not of the form user:password")
        found["auth_data"] = [("digest", text)]
    sasl = settings.sasl
    if sasl is not None:
        try:
            import puresasl  # noqa: F401 - kazoo needs it for SASL only
        except ImportError as error:
            raise ConfigurationError(
                "SASL towards ZooKeeper needs another package",
                advice="install airavata-mesos-plugin[zookeeper-sasl]",
            ) from error
        options: dict[str, str] = {"mechanism": sasl.mechanism}
        if sasl.password is not None:
            options.update(username=sasl.username or "", password=Secret(sasl.password).read())
        else:
            options.update(service=sasl.service)
        found["sasl_options"] = options
    return found


class ZooKeeperLeader:
    """Who leads according to ZooKeeper; the last one known, then ``fallback``, while it does not answer."""

    def __init__(
        self,
        ensemble: Ensemble,
        path: str,
        member: Callable[[str, bytes], str | None],
        prefix: str,
        clock: Clock,
        *,
        wait_seconds: float,
        fallback: Sequence[str] = (),
    ) -> None:
        """``member`` makes an address from a node's name and data, or None for one that has no say."""
        self._ensemble = ensemble
        self._path = path
        self._member = member
        self._prefix = prefix
        self._clock = clock
        self._wait_seconds = wait_seconds
        self._fallback = tuple(fallback)
        self._lock = threading.Lock()
        self._known: tuple[str, ...] = ()
        self._stale = True
        self._news = threading.Event()
        ensemble.listen(self._changed)

    def addresses(self, seconds: float) -> Sequence[str]:
        """See `Leader`. A leader that is known is told at once, whatever ZooKeeper does."""
        end = self._clock.monotonic() + min(seconds, self._wait_seconds)
        while True:
            self._news.clear()
            if self._stale:
                self._look()
            with self._lock:
                known = self._known
            if known:
                return (*known, *(url for url in self._fallback if url not in known))
            remaining = end - self._clock.monotonic()
            # With a list at hand there is somebody to ask at once: one that stands by redirects.
            if self._fallback or remaining <= 0:
                return self._fallback
            self._clock.wait(self._news, remaining)

    def note_failure(self) -> None:
        """See `Leader`."""
        self._stale = True

    def close(self) -> None:
        """See `Leader`; ends the session, which other leaders may share."""
        self._ensemble.close()
        self._news.set()

    def _changed(self, _event: object = None) -> None:
        self._stale = True
        self._news.set()

    def _look(self) -> None:
        """Read the members. While ZooKeeper does not answer, what is known stays known, and stale."""
        try:
            if not self._ensemble.connected():
                return
            self._stale = False  # a change while we read must not be lost
            names = [
                name
                for name in self._ensemble.children(self._path, self._changed)
                if name.startswith(self._prefix) and name[len(self._prefix) :].isdigit()
            ]
            found = []
            for name in sorted(names, key=lambda name: int(name[len(self._prefix) :])):
                data = self._ensemble.data(f"{self._path}/{name}")
                address = None if data is None else self._member(name, data)
                if address is not None and address not in found:
                    found.append(address)
        except (KazooException, KazooTimeoutError) as error:
            self._stale = True
            log.warning("ZooKeeper %s%s cannot be read: %r", self._ensemble.where, self._path, error)
            return
        with self._lock:
            self._known = tuple(found)


def aurora_member(name: str, data: bytes) -> str | None:
    """Address of a scheduler from its server set entry: the endpoint ``https``, else ``http``.

    An entry without either is an old one that has the service endpoint only, which is plain HTTP.
    """
    document = _object(name, data)
    if document is None or document.get("status", "ALIVE") != "ALIVE":
        return None
    more = document.get("additionalEndpoints")
    more = more if isinstance(more, dict) else {}
    for scheme in ("https", "http"):
        address = _address(scheme, more.get(scheme))
        if address is not None:
            return address
    return _address("http", document.get("serviceEndpoint"))


def mesos_member(scheme: str) -> Callable[[str, bytes], str | None]:
    """Reader of a Mesos master's entry; ``scheme`` is what the masters speak."""

    def read(name: str, data: bytes) -> str | None:
        document = _object(name, data)
        if document is None:
            return None
        place = document.get("address")
        for endpoint in (place if isinstance(place, dict) else {}, document):
            host = endpoint.get("hostname") or endpoint.get("ip")
            address = _address(scheme, {"host": host, "port": endpoint.get("port")})
            if address is not None:
                return address
        return None

    return read


def _object(name: str, data: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        log.warning("the ZooKeeper node %s does not hold a JSON object", name)
        return None
    return document


def _address(scheme: str, endpoint: object) -> str | None:
    if not isinstance(endpoint, dict):
        return None
    host, port = endpoint.get("host"), endpoint.get("port")
    if not isinstance(host, str) or not host or not isinstance(port, int) or not 0 < port < 65536:
        return None
    if any(letter in host for letter in "/@?# \t\n"):
        return None  # it could lead anywhere
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def find_leaders(cluster: ClusterSettings, clock: Clock) -> tuple[Leader, Leader]:
    """The leaders of a cluster's schedulers and of its Mesos masters. Nothing is contacted yet."""
    keeper = cluster.zookeeper
    schedulers: Leader = FixedLeader(cluster.schedulers)
    masters: Leader = FixedLeader(cluster.mesos_masters)
    if keeper is None:
        return schedulers, masters
    ensemble = Ensemble(keeper, clock)

    def leader(
        path: str, member: Callable[[str, bytes], str | None], prefix: str, rest: Sequence[str]
    ) -> Leader:
        return ZooKeeperLeader(
            ensemble, path, member, prefix, clock, wait_seconds=keeper.wait_seconds, fallback=rest
        )

    if keeper.aurora_path is not None:
        schedulers = leader(keeper.aurora_path, aurora_member, "member_", cluster.schedulers)
    if keeper.mesos_path is not None:
        read = mesos_member(keeper.mesos_scheme)
        masters = leader(keeper.mesos_path, read, "json.info_", cluster.mesos_masters)
    return schedulers, masters
