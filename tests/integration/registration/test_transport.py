"""What happens on the wire: TLS, silence, strangers, and the doctor's look at the file."""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme
import yaml

from tests.integration.registration.develop_server import DevelopServer
from tests.integration.registration.master_server import MasterServer

if TYPE_CHECKING:
    from tests.integration.registration.conftest import Airavata


@pytest.fixture
def authority(tmp_path: Path) -> tuple[trustme.CA, Path]:
    """Who signs, and the file that says so."""
    ca = trustme.CA()
    path = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    return ca, path


@pytest.fixture(params=["develop", "master"])
def encrypted(
    request: pytest.FixtureRequest,
    authority: tuple[trustme.CA, Path],
    airavata_class: type[Airavata],
    tmp_path: Path,
) -> Iterator[Airavata]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority[0].issue_cert("127.0.0.1").configure_cert(context)
    server = DevelopServer(context) if request.param == "develop" else MasterServer(context)
    try:
        yield airavata_class(request.param, server, tmp_path)
    finally:
        server.stop()


def test_over_tls(encrypted: Airavata, authority: tuple[trustme.CA, Path]) -> None:
    document = encrypted.good("register", "--tls", "--ca-file", str(authority[1]))
    assert {one["action"] for one in document["outcomes"]} == {"created", "shared"}


def test_a_certificate_that_nobody_vouches_for(encrypted: Airavata) -> None:
    done = encrypted.run("register", "--tls")
    assert done.returncode == 1
    assert "cannot connect to Airavata at" in done.stderr
    assert encrypted.catalogue.log == []


@pytest.fixture
def stranger() -> Iterator[tuple[int, list[bytes]]]:
    """A server that accepts one connection after the other and answers with the bytes that a test puts."""
    listening = socket.create_server(("127.0.0.1", 0))
    answer: list[bytes] = []
    stopping = threading.Event()

    def serve() -> None:
        while True:
            client, _ = listening.accept()
            with client:
                if stopping.is_set():
                    return
                client.settimeout(60)
                if answer:
                    client.recv(65536)
                    client.sendall(answer[0])
                else:
                    while client.recv(65536):
                        continue

    thread = threading.Thread(target=serve)
    thread.start()
    port: int = listening.getsockname()[1]
    yield port, answer
    stopping.set()
    socket.create_connection(("127.0.0.1", port)).close()
    thread.join()
    listening.close()


def test_a_server_that_says_nothing(airavata: Airavata, stranger: tuple[int, list[bytes]]) -> None:
    done = airavata.run("register", "--timeout", "0.3", server=f"127.0.0.1:{stranger[0]}")
    assert done.returncode == 1
    assert re.search("timed out|timeout", done.stderr)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        b"\x80\x01\x00\x02\x7f\xff\xff\xff",
        b"\x80\x01\x00\x02\x00\x00\x00\x10getGatewayGroups\x00\x00\x00\x00\x0c\x00\x00\x0b\x00\x01\x00\x00\x00\x01",
        b"",
    ],
)
def test_a_server_that_is_no_airavata(
    airavata: Airavata, stranger: tuple[int, list[bytes]], answer: bytes
) -> None:
    port, answers = stranger
    answers.append(answer)
    done = airavata.run("register", "--timeout", "60", server=f"127.0.0.1:{port}")
    assert done.returncode == 1
    assert done.stderr.startswith("airavata-mesos: ")
    assert f"127.0.0.1:{port}" in done.stderr


PROVIDER = """
clusters: [{name: c, schedulers: ["http://127.0.0.1:1"], mesos_masters: ["http://127.0.0.1:1"]}]
queues:
  - {name: normal, cluster: c, role: airavata, max_cpus: 8}
  - {name: long, cluster: c, role: airavata, max_cpus: 2}
"""


def test_doctor_compares_the_queues(airavata: Airavata) -> None:
    settings = airavata.directory / "provider.yaml"
    settings.write_text(PROVIDER)
    resource = airavata.directory / "compute-resource.yaml"
    resource.write_text(yaml.safe_dump(airavata.resource))
    elsewhere = airavata.directory / "other.yaml"
    elsewhere.write_text("name: 1")
    for options, expected in (
        ([], {"registered queue normal": True, "registered queue long": False, "compute resource": True}),
        (["--resource", str(elsewhere)], {"compute resource": False}),
    ):
        done = airavata.main(["--config", str(settings), "doctor", "--json", *options])
        checks = {one["subject"]: one for one in json.loads(done.stdout)}
        assert {name: checks[name]["ok"] for name in expected} == expected
    resource.unlink()
    done = airavata.main(["--config", str(settings), "doctor", "--json"])
    assert "compute resource" not in done.stdout
