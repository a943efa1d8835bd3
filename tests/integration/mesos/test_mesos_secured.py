"""A framework on masters that want certificates and credentials."""

from __future__ import annotations

from pathlib import Path

import pytest

from airavata_mesos_plugin.errors import ConfigurationError
from airavata_mesos_plugin.jobs import JobPhase
from tests.realmesos.access import make_tls
from tests.support.mesos_framework import Gateway, gateway
from tests.support.real_mesos import RealMesosFactory
from tests.support.waiting import wait_for

ADDRESSES = ("127.0.1.1", "127.0.2.1")
SECRET = "a secret with blanks"  # noqa: S105 - of this test


def settings(directory: Path, secret: str = SECRET, user: str = "gateway") -> dict[str, object]:
    file = directory / f"secret-{user}"
    file.write_text(f"{secret}\n")
    login = {"mechanism": "basic", "user": user, "password": {"file": str(file)}}
    return {"authentication": login, "mesos_authentication": login}


def trouble(made: Gateway, words: str) -> str:
    check = wait_for(
        lambda: made.scheduler.check()[-1], lambda check: words in check.detail, f"trouble about {words}"
    )
    assert not check.ok
    return check.detail


def test_certificates_on_both_sides_and_a_password(own_real_mesos: RealMesosFactory, tmp_path: Path) -> None:
    tls = make_tls(tmp_path / "tls", *ADDRESSES, require_client=True)
    cluster = own_real_mesos(agents=1, tls=tls, credentials={"gateway": SECRET})
    certificate, key = tls.client(tmp_path, "gateway.example.org")
    files = {"ca": str(tls.ca_file), "certificate": str(certificate), "key": str(key)}
    with gateway(tmp_path, cluster, {**settings(tmp_path), "tls": files}) as own:
        assert own.ended(own.submit("true")).phase is JobPhase.COMPLETED
        key_of = own.submit("sleep 600")
        own.running(key_of)
        own.scheduler.cancel([key_of], "enough")
        assert own.ended(key_of).phase is JobPhase.CANCELLED
        assert [check for check in own.scheduler.check() if not check.ok] == []
    (tmp_path / "other").mkdir()
    with gateway(tmp_path / "other", cluster, settings(tmp_path)) as stranger:
        waiting = stranger.submit("true")
        assert "certificate" in trouble(stranger, "certificate").lower()
        assert stranger.known(waiting).phase is JobPhase.QUEUED


def test_wrong_passwords_and_roles_are_told_and_the_jobs_wait(
    own_real_mesos: RealMesosFactory, tmp_path: Path
) -> None:
    acls = {
        "register_frameworks": [
            {"principals": {"values": ["gateway"]}, "roles": {"values": ["*"]}},
            {"principals": {"type": "ANY"}, "roles": {"type": "NONE"}},
        ]
    }
    cluster = own_real_mesos(agents=1, credentials={"gateway": SECRET, "other": "word"}, acls=acls)
    (tmp_path / "wrong").mkdir()
    with gateway(tmp_path / "wrong", cluster, settings(tmp_path, "wrong")) as wrong:
        key = wrong.submit("true")
        said = trouble(wrong, "HTTP 401")
        assert "wrong" not in said.replace("wrong/", "")
        assert wrong.known(key).phase is JobPhase.QUEUED
    with gateway(tmp_path / "wrong", cluster, settings(tmp_path)) as right:
        assert right.ended(key).phase is JobPhase.COMPLETED
    (tmp_path / "role").mkdir()
    with gateway(tmp_path / "role", cluster, settings(tmp_path, "word", "other")) as other:
        other.submit("true")
        assert "Not authorized" in trouble(other, "Not authorized")


def test_without_the_certificate_files_nothing_begins(
    own_real_mesos: RealMesosFactory, tmp_path: Path
) -> None:
    cluster = own_real_mesos(agents=0)
    with (
        gateway(tmp_path, cluster, {"tls": {"ca": str(tmp_path / "none.pem")}}) as own,
        pytest.raises(ConfigurationError, match=r"none\.pem"),
    ):
        own.submit("true")
