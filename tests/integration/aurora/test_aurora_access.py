"""Credentials and certificates towards a scheduler behind TLS."""

from __future__ import annotations

import base64
import logging
import ssl
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import requests
import trustme
from pydantic import ValidationError
from requests.auth import AuthBase

from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import ClusterSettings
from airavata_mesos_plugin.errors import (
    AuthenticationFailed,
    ConfigurationError,
    Refused,
    Unreachable,
)
from airavata_mesos_plugin.gen.aurora import ttypes as t
from airavata_mesos_plugin.jobs import JobKey
from airavata_mesos_plugin.schedulers.aurora.scheduler import AuroraScheduler
from airavata_mesos_plugin.schedulers.retry import RetryPolicy
from tests.integration.aurora.thrift_server import ThriftServer, ok, refused, serving

KEY = JobKey("www", "prod", "hello")
HIDDEN = "b\N{LATIN SMALL LETTER SHARP S}blume-of-ours"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return tmp_path / "ca.pem"


@pytest.fixture
def server(authority: trustme.CA) -> Iterator[ThriftServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with serving(lambda _name, _arguments: ok(), context) as running:
        yield running


Adapters = Callable[..., AuroraScheduler]


@pytest.fixture
def adapters(server: ThriftServer) -> Iterator[Adapters]:
    made: list[AuroraScheduler] = []

    def make(**settings: Any) -> AuroraScheduler:
        cluster = ClusterSettings(
            name="c", schedulers=[server.url], mesos_masters=["http://127.0.0.1:1"], **settings
        )
        retry = RetryPolicy(attempts=2, first_pause_seconds=0.01)
        made.append(AuroraScheduler(cluster, SystemClock(), retry=retry))
        return made[-1]

    yield make
    for adapter in made:
        adapter.close()


def kill(adapter: AuroraScheduler) -> Exception | None:
    (result,) = adapter.cancel([KEY], "why")
    return result.error


def test_own_authority_is_needed(adapters: Adapters, server: ThriftServer, ca_file: Path) -> None:
    assert kill(adapters(tls={"ca": ca_file})) is None
    error = kill(adapters())
    assert isinstance(error, Unreachable)
    assert "certificate" in str(error)
    assert len(server.calls) == 1


def test_client_certificate(authority: trustme.CA, tmp_path: Path, ca_file: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    issued = authority.issue_cert("gateway.example.org")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    with serving(lambda _name, _arguments: ok(), context) as server:

        def adapter(**tls: Path) -> AuroraScheduler:
            cluster = ClusterSettings(
                name="c",
                schedulers=[server.url],
                mesos_masters=["http://127.0.0.1:1"],
                tls={"ca": ca_file, **tls},
            )
            return AuroraScheduler(cluster, SystemClock(), retry=RetryPolicy(attempts=1))

        for files in (
            {"certificate": tmp_path / "both.pem"},
            {"certificate": tmp_path / "cert.pem", "key": tmp_path / "key.pem"},
        ):
            known = adapter(**files)
            assert kill(known) is None
            known.close()
        stranger = adapter()
        assert kill(stranger) is not None
        stranger.close()
        assert len(server.calls) == 2


def test_basic(adapters: Adapters, server: ThriftServer, ca_file: Path, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text(HIDDEN + "\n")
    expected = "Basic " + base64.b64encode(f"gateway:{HIDDEN}".encode()).decode()
    server.gate = lambda headers: 200 if headers.get("authorization") == expected else 401
    login = {"mechanism": "basic", "user": "gateway", "password": {"file": secret}}
    adapter = adapters(tls={"ca": ca_file}, authentication=login)
    assert kill(adapter) is None
    secret.write_text("an older one\n")
    assert isinstance(kill(adapter), AuthenticationFailed)
    secret.write_text(HIDDEN)
    assert kill(adapter) is None
    assert isinstance(kill(adapters(tls={"ca": ca_file})), AuthenticationFailed)


def test_missing_permission(
    adapters: Adapters, server: ThriftServer, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AURORA_PASSWORD", HIDDEN)
    login = {"mechanism": "basic", "user": "gateway", "password": {"variable": "AURORA_PASSWORD"}}
    adapter = adapters(tls={"ca": ca_file}, authentication=login)
    server.gate = lambda _headers: 403
    assert isinstance(kill(adapter), Refused)
    server.gate = lambda _headers: 200
    words = "Subject gateway is not permitted to JobScopedRpcPermission{rpc=killTasks}."
    server.reply = lambda _name, _arguments: refused(t.ResponseCode.AUTH_FAILED, words)
    error = kill(adapter)
    assert isinstance(error, Refused)
    assert words in str(error)


def test_token_is_rotated(adapters: Adapters, server: ThriftServer, ca_file: Path, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    seen: list[str] = []

    def gate(headers: Any) -> int:
        seen.append(headers.get("authorization", ""))
        return 200

    server.gate = gate
    bearer = {"mechanism": "bearer", "token": {"file": token}}
    adapter = adapters(tls={"ca": ca_file}, authentication=bearer)
    kill(adapter)
    token.write_text("second\n")
    kill(adapter)
    assert seen == ["Bearer first", "Bearer second"]
    token.unlink()
    error = kill(adapter)
    assert isinstance(error, ConfigurationError)
    assert str(token) in str(error)


def test_token_from_a_function(
    adapters: Adapters, server: ThriftServer, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plug = ModuleType("site_tokens")
    tokens: list[object] = ["one", "two\r\nX-Evil: 1", ValueError(HIDDEN)]

    def give() -> object:
        token = tokens.pop(0)
        if isinstance(token, Exception):
            raise token
        return token

    plug.give = give  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "site_tokens", plug)
    bearer = {"mechanism": "bearer", "token_from": "site_tokens:give"}
    adapter = adapters(tls={"ca": ca_file}, authentication=bearer)
    assert kill(adapter) is None
    assert server.headers[-1]["authorization"] == "Bearer one"
    for _ in range(2):
        error = kill(adapter)
        assert isinstance(error, ConfigurationError)
        assert HIDDEN not in str(error)
    for wrong in ("site_tokens:none", "no_such_module_of_ours:give"):
        with pytest.raises(ConfigurationError, match="cannot be loaded"):
            adapters(authentication={"mechanism": "bearer", "token_from": wrong})


def test_kerberos_without_its_package(adapters: Adapters, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "requests_gssapi", None)
    with pytest.raises(ConfigurationError, match=r"\[kerberos\]"):
        adapters(authentication={"mechanism": "kerberos"})


def test_kerberos_sends_its_token_at_once(
    adapters: Adapters, server: ThriftServer, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library needs a realm; what is ours is how it is asked."""
    asked: list[dict[str, object]] = []

    class Negotiate(AuthBase):
        def __init__(self, **options: object) -> None:
            asked.append(options)

        def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
            request.headers["Authorization"] = "Negotiate abc"
            return request

    library = ModuleType("requests_gssapi")
    library.OPTIONAL = 2  # type: ignore[attr-defined]
    library.HTTPSPNEGOAuth = Negotiate  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "requests_gssapi", library)
    adapter = adapters(tls={"ca": ca_file}, authentication={"mechanism": "kerberos"})
    assert kill(adapter) is None
    assert server.headers[-1]["authorization"] == "Negotiate abc"
    assert asked == [{"mutual_authentication": 2, "opportunistic_auth": True, "target_name": "HTTP"}]


def test_credentials_are_not_for_the_master(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(HIDDEN)
    login = {"mechanism": "basic", "user": "gateway", "password": {"file": tmp_path / "password"}}
    headers: list[Any] = []
    with serving(lambda _name, _arguments: ok()) as other:
        cluster = ClusterSettings(
            name="c", schedulers=["http://127.0.0.1:1"], mesos_masters=[other.url], authentication=login
        )
        adapter = AuroraScheduler(cluster, SystemClock(), retry=RetryPolicy(attempts=1))
        adapter._master_session.hooks["response"].append(
            lambda answer, **_: headers.append(answer.request.headers)
        )
        with pytest.raises(Exception, match="501"):
            adapter.capacity()
        adapter.close()
    assert headers
    assert all("Authorization" not in sent for sent in headers)


def test_secrets_are_never_seen(
    adapters: Adapters,
    server: ThriftServer,
    ca_file: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    (tmp_path / "password").write_text(HIDDEN)
    login = {"mechanism": "basic", "user": "gateway", "password": {"file": tmp_path / "password"}}
    adapter = adapters(tls={"ca": ca_file}, authentication=login)
    encoded = base64.b64encode(f"gateway:{HIDDEN}".encode()).decode()
    server.gate = lambda _headers: 401
    texts = [str(kill(adapter)), repr(adapter._session.auth), caplog.text]
    texts += [check.detail for check in adapter.check()]
    for text in texts:
        assert HIDDEN not in text
        assert encoded not in text


@pytest.mark.parametrize(
    "wrong",
    [
        {"mechanism": "basic", "user": "a"},
        {"mechanism": "none", "user": "a"},
        {"mechanism": "bearer"},
        {"mechanism": "basic", "user": "a", "password": {"file": "/x", "variable": "X"}},
        {"mechanism": "basic", "user": "a", "password": "open text"},
        {"mechanism": "basic", "user": "a:b", "password": {"variable": "X"}},
    ],
)
def test_incomplete_settings_are_refused(wrong: dict[str, object]) -> None:
    values = {"name": "c", "schedulers": ["http://a"], "mesos_masters": ["http://m"]}
    with pytest.raises(ValidationError):
        ClusterSettings.model_validate({**values, "authentication": wrong})


def test_missing_certificate_is_named(adapters: Adapters, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"gone\.pem"):
        adapters(tls={"ca": tmp_path / "gone.pem"})
