"""A daemon with its Thrift service, and clients that the Thrift compiler makes from the IDL."""

from __future__ import annotations

import importlib
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import trustme
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.transport.TSocket import TSocket
from thrift.transport.TSSLSocket import TSSLSocket
from thrift.transport.TTransport import TFramedTransport

from tests.support.site import Minicluster, Site

ROOT = Path(__file__).parents[3]
NAMESPACE = "peer_of_a_test"
PEER_NAME = "gateway.example.org"

Connect = Callable[..., Any]


@dataclass(frozen=True)
class Peer:
    """The generated client code, which shares nothing with what the daemon runs."""

    service: ModuleType
    ttypes: ModuleType
    constants: ModuleType


@dataclass(frozen=True)
class Served:
    """A daemon, and how its service is reached."""

    site: Site
    socket: Path
    port: int
    authority: trustme.CA
    directory: Path


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    compiler = shutil.which("thrift")
    if compiler is None:
        missing = "the Thrift compiler is not installed (Debian: thrift-compiler)"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    directory = tmp_path_factory.mktemp("peer")
    text = (ROOT / "thrift" / "provider.thrift").read_text()
    ours = "namespace py airavata_mesos_plugin.gen.provider"
    assert ours in text
    idl = directory / "provider.thrift"
    idl.write_text(text.replace(ours, f"namespace py {NAMESPACE}"))
    subprocess.run([compiler, "--gen", "py:dynamic", "-out", str(directory), str(idl)], check=True)
    sys.path.insert(0, str(directory))
    try:
        modules = [
            importlib.import_module(f"{NAMESPACE}.{name}")
            for name in ("MesosProvider", "ttypes", "constants")
        ]
        yield Peer(*modules)
    finally:
        sys.path.remove(str(directory))
        for name in [name for name in sys.modules if name.split(".")[0] == NAMESPACE]:
            del sys.modules[name]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    directory = tmp_path_factory.mktemp("served")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    certificate.private_key_pem.write_to_path(str(directory / "key.pem"))
    for index, blob in enumerate(certificate.cert_chain_pems):
        blob.write_to_path(str(directory / "cert.pem"), append=index > 0)
    minicluster = Minicluster(directory, cpus=8)
    thrift = {
        "port": 0,
        "certificate": str(directory / "cert.pem"),
        "key": str(directory / "key.pem"),
        "client_ca": str(directory / "ca.pem"),
    }
    site = Site(directory, minicluster, {})
    site = Site(
        directory, minicluster, {"service": {"thrift": {**thrift, "accounts": {PEER_NAME: site.user}}}}
    )
    minicluster.start()
    try:
        ready = site.start()
        try:
            site.install()
            yield Served(site, Path(ready["provider_socket"]), ready["provider_port"], authority, directory)
        finally:
            site.stop()
    finally:
        minicluster.stop()


@pytest.fixture
def connect(served: Served, peer: Peer) -> Iterator[Connect]:
    """Makes clients: on the Unix socket, or over TLS as the holder of a certificate with this name."""
    transports = []

    def make(name: str | None = None, authority: trustme.CA | None = None) -> Any:
        if name is None:
            socket = TSocket(unix_socket=str(served.socket))
        else:
            socket = TSSLSocket("localhost", served.port, ssl_context=client_context(served, name, authority))
        socket.setTimeout(25_000)  # the service bears the silence of others for 30 s
        transport = TFramedTransport(socket)
        transports.append(transport)
        transport.open()
        return peer.service.Client(TBinaryProtocol(transport))

    yield make
    for transport in transports:
        transport.close()


def client_context(served: Served, name: str, authority: trustme.CA | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(served.directory / "ca.pem"))
    (authority or served.authority).issue_cert(name).configure_cert(context)
    return context
