"""Who may read: status codes of real agents that ask for credentials."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contract.files_api.worlds import World
from tests.realmesos.access import basic, token

ENDPOINTS = ("browse", "read", "download")


@pytest.fixture(params=["basic", "acls"])
def locked(request: pytest.FixtureRequest, worlds: Callable[[str], World]) -> World:
    return worlds(request.param)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize(
    "header",
    [
        "",
        basic("reader", "wrong"),
        basic("nobody", "x"),
        "Basic nonsense",
        f"Bearer {token('x', key=b'y' * 32)}",
    ],
)
def test_wrong_credentials_are_401(locked: World, endpoint: str, header: str) -> None:
    reply = locked.ask(f"/files/{endpoint}?path={locked.path('out.txt')}", headers={"Authorization": header})
    assert reply.status == 401
    assert reply.body.endswith(b"401 Unauthorized.")
    challenge = reply.headers["WWW-Authenticate"]
    assert 'Basic realm="mesos-agent-readonly"' in challenge
    assert 'Bearer realm="mesos-agent-readonly"' in challenge


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_others_than_the_acls_name_are_403(worlds: Callable[[str], World], endpoint: str) -> None:
    world = worlds("acls")
    target = f"/files/{endpoint}?path={world.path('out.txt')}&offset=0"
    reply = world.ask(target, headers={"Authorization": basic("stranger", "s-secret")})
    assert (reply.status, reply.body) == (403, b"403 Forbidden." if endpoint == "download" else b"")
    assert world.ask(target).status == 200


@pytest.mark.parametrize("call", ["LIST_FILES", "READ_FILE"])
def test_v1_asks_the_same_of_everybody(worlds: Callable[[str], World], call: str) -> None:
    world = worlds("acls")
    fields = {call.lower(): {"path": f"{world.base}/out.txt", "offset": 0}}
    statuses = [
        world.call(call, {"Authorization": header}, **fields).status
        for header in ("", basic("stranger", "s-secret"), basic("reader", "r-secret"))
    ]
    assert statuses == [401, 403, 200]


def test_what_is_not_attached_is_404_for_everybody(worlds: Callable[[str], World]) -> None:
    world = worlds("acls")
    stranger = {"Authorization": basic("stranger", "s-secret")}
    assert world.ask("/files/browse?path=/etc", headers=stranger).status == 404
