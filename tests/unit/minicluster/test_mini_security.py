"""Permissions, accounts and the INI form."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from airavata_mesos_plugin.minicluster.http.security import Account, Security, implies, read_ini

INI = """
[users]
root = secret, admin
wfarner = pass=word, eng, ops
ksweeney = 12345
[roles]
admin = *
eng = thrift.AuroraSchedulerManager:*
ops = thrift.AuroraAdmin:setQuota, thrift.AuroraAdmin:listBackups
"""


@pytest.mark.parametrize(
    ("permission", "wanted", "granted"),
    [
        ("*", "a:b:c", True),
        ("a", "a:b:c", True),
        ("a:*", "a:b:c", True),
        ("a:*:c", "a:b:c", True),
        ("a:*:d", "a:b:c", False),
        ("a:b,x:c", "a:x:c", True),
        ("a:b:c:d", "a:b:c", False),
        ("a:b:c:*", "a:b:c", True),
        ("A:B", "a:b", True),
        ("", "a", False),
        ("a:", "a:b", False),
    ],
)
def test_wildcards(permission: str, wanted: str, granted: bool) -> None:
    assert implies(permission, tuple(wanted.split(":"))) is granted


def test_the_ini_form(tmp_path: Path) -> None:
    path = tmp_path / "shiro.ini"
    path.write_text(INI)
    assert read_ini(path) == {
        "root": Account("secret", ("*",)),
        "wfarner": Account(
            "pass=word",
            (
                "thrift.AuroraSchedulerManager:*",
                "thrift.AuroraAdmin:setQuota",
                "thrift.AuroraAdmin:listBackups",
            ),
        ),
        "ksweeney": Account("12345", ()),
    }


@pytest.mark.parametrize("text", ["[main]\nx = y\n", "no section\n", "[users]\na = 1\na = 2\n"])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "shiro.ini"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"shiro\.ini"):
        read_ini(path)


def basic(text: str) -> str:
    return f"Basic {base64.b64encode(text.encode()).decode()}"


@pytest.mark.parametrize(
    "header",
    ["", "Basic", "Basic !!!", basic("root"), basic("root:wrong"), basic("nobody:"), basic("nobody:secret"),
     "Bearer " + basic("root:secret")[6:], "Negotiate YII=", basic("root:secret").replace("Basic ", "Basic"),
     "Basic /w=="],
)  # fmt: skip
def test_wrong_credentials(header: str) -> None:
    security = Security({"root": Account("secret", ("*",))})
    with pytest.raises(PermissionError):
        security.user_of(header)


def test_right_credentials() -> None:
    security = Security({"root": Account("se:cret", ("*",)), "ärger": Account("ß", ())})
    assert security.user_of(basic("root:se:cret")) == "root"
    assert security.user_of(basic("ärger:ß")) == "ärger"
    assert security.user_of(None) is None
