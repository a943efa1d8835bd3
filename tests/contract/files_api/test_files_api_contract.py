"""What a Mesos agent's files endpoints do, bytes and texts, on real agents and on the minicluster's."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from tests.contract.files_api.tree import (
    BIG_BYTES,
    ESCAPE,
    LISTED_ELSEWHERE,
    NOT_UTF8,
    ODD,
    RAW,
    SPARSE_BYTES,
)
from tests.contract.files_api.worlds import Reply, World

LIMIT = 65536
ROOT = os.geteuid() == 0
LOOP = "Failed to determine canonical path of '@/loop': Too many levels of symbolic links.\n"
NO_NAME = "Expecting 'path=value' in query.\n"


def read(world: World, name: str | bytes, query: str = "") -> Reply:
    return world.ask(f"/files/read?path={world.path(name)}{query}")


def download(world: World, name: str | bytes) -> Reply:
    return world.ask(f"/files/download?path={world.path(name)}")


def browse(world: World, name: str | bytes = "") -> Reply:
    return world.ask(f"/files/browse?path={world.path(name)}")


def listed(world: World, name: str = "") -> dict[str, dict[str, Any]]:
    """Entries by name."""
    prefix = f"{world.base}/{name}".rstrip("/") + "/"
    return {entry["path"].removeprefix(prefix): entry for entry in browse(world, name).json()}


def test_browse_has_every_entry_in_order(world: World) -> None:
    found = browse(world)
    assert found.headers["Content-Type"] == "application/json"
    paths = [entry["path"].removeprefix(world.base + "/") for entry in found.json()]
    there = {os.fsdecode(name) for name in os.listdir(os.fsencode(world.directory))}  # noqa: PTH208 - bytes
    assert set(paths) == there - LISTED_ELSEWHERE
    assert paths == sorted(paths)
    assert {ODD, os.fsdecode(NOT_UTF8), ESCAPE, "a b", "a;b=c"} <= set(paths)
    assert len(browse(world, "many").json()) == 500


def test_an_entry(world: World) -> None:
    (entry,) = browse(world, "sub").json()
    state = (world.directory / "sub" / "file").stat()
    assert entry == {
        "gid": entry["gid"],
        "mode": "-rw-r--r--",
        "mtime": float(int(state.st_mtime)),
        "nlink": 1,
        "path": f"{world.base}/sub/file",
        "size": 3,
        "uid": (world.directory / "sub").owner(),
    }
    assert list(entry) == sorted(entry)


def test_kinds_and_modes(world: World) -> None:
    found = {name: entry["mode"] for name, entry in listed(world).items()}
    assert found["sub"] == found["subl"] == found["outd"] == "drwxr-xr-x"
    assert found["inside"] == found["absolute"] == found["out"] == "-rw-r--r--"  # what links lead to
    assert found["pipe"][0] == "p"
    assert found["sock"][0] == "s"
    assert found["m0000"] == "----------"
    assert found["m0640"] == "-rw-r-----"
    # Of set-uid, set-gid and sticky nothing is to be seen.
    assert found["m4755"] == found["m2755"] == found["m0755"] == "-rwxr-xr-x"
    assert found["m1644"] == "-rw-r--r--"
    assert found["sticky"] == "drwxrwxrwx"


def test_sizes_links_and_times(world: World) -> None:
    found = listed(world)
    assert found["big"]["size"] == BIG_BYTES
    assert found["sparse"]["size"] == SPARSE_BYTES
    assert found["hard"]["nlink"] == found["hard2"]["nlink"] == 2
    times = {name: found[name]["mtime"] for name in ("old", "new", "frac")}
    assert times == {"old": -315619200.0, "new": 2208988800.0, "frac": 1.0}


@pytest.mark.parametrize("name", ["out.txt", "emptydir", "inside", "pipe", "sock", "subl/file", "out.txt/"])
def test_browsing_anything_but_a_directory_gives_nothing(world: World, name: str) -> None:
    reply = browse(world, name)
    assert (reply.status, reply.body) == (200, b"[]")


def test_a_trailing_slash_and_a_linked_directory(world: World) -> None:
    assert set(listed(world, "sub/")) == set(listed(world, "subl")) == {"file"}


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("", {"data": "", "offset": 6}),
        ("&offset=-1", {"data": "", "offset": 6}),
        ("&offset=-1&length=3", {"data": "", "offset": 6}),
        ("&length=3", {"data": "", "offset": 6}),
        ("&offset=0", {"data": "hello\n", "offset": 0}),
        ("&offset=2&length=2", {"data": "ll", "offset": 2}),
        ("&offset=2&length=0", {"data": "", "offset": 2}),
        ("&offset=2&length=-1", {"data": "llo\n", "offset": 2}),
        ("&offset=5&length=99999999999999999", {"data": "\n", "offset": 5}),
        ("&offset=6", {"data": "", "offset": 6}),
        ("&offset=99", {"data": "", "offset": 99}),
        ("&offset=9223372036854775807", {"data": "", "offset": 2**63 - 1}),
        ("&offset=%2B1", {"data": "ello\n", "offset": 1}),
        ("&offset=0x2", {"data": "llo\n", "offset": 2}),
        ("&offset=1&offset=2", {"data": "llo\n", "offset": 2}),
        ("&Offset=1", {"data": "", "offset": 6}),
    ],
)
def test_read(world: World, query: str, answer: dict[str, Any]) -> None:
    reply = read(world, "out.txt", query)
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/json")
    assert reply.json() == answer


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("&offset=-2", "Negative offset provided: -2.\n"),
        ("&offset=0&length=-2", "Negative length provided: -2.\n"),
        ("&offset=x", "Failed to parse offset: Failed to convert 'x' to number.\n"),
        ("&offset=", "Failed to parse offset: Failed to convert '' to number.\n"),
        ("&offset=1.5", "Failed to parse offset: Failed to convert '1.5' to number.\n"),
        ("&offset=0&length=x", "Failed to parse length: Failed to convert 'x' to number.\n"),
        (f"&offset={2**63}", f"Failed to parse offset: Failed to convert '{2**63}' to number.\n"),
    ],
)
def test_reads_of_no_number(world: World, query: str, text: str) -> None:
    reply = read(world, "out.txt", query)
    assert (reply.status, reply.body.decode()) == (400, text)


def test_bytes_of_a_read(world: World) -> None:
    assert read(world, "raw", "&offset=0").body == (
        b'{"data":"\xfe\xffabc\xc3\xa9\\u0001\\u001B\\n\\t\\"\\\\/\x7f","offset":0}'
    )
    assert read(world, "raw", "&offset=5&length=1").body == b'{"data":"\xc3","offset":5}'
    assert read(world, "sparse", f"&offset={SPARSE_BYTES - 1}").body == (
        b'{"data":"\\u0000","offset":%d}' % (SPARSE_BYTES - 1)
    )


@pytest.mark.parametrize("length", [None, -1, LIMIT, LIMIT + 1, 1000000])
def test_no_read_gives_more_than_sixteen_pages(world: World, length: int | None) -> None:
    asked = "" if length is None else f"&length={length}"
    assert read(world, "big", f"&offset=0{asked}").json() == {"data": "x" * LIMIT, "offset": 0}
    rest = read(world, "big", f"&offset={BIG_BYTES - 10}{asked}").json()
    assert rest["data"] == "x" * 10


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("out.txt", "text/plain"),
        ("x.html", "text/html"),
        ("x.png", "image/png"),
        ("x.py", "text/x-python"),
        ("x.json", "application/octet-stream"),
        ("x.txt.gz", "application/octet-stream"),
        ("x.JPG", "application/octet-stream"),
        ("x.UNKNOWN", "application/octet-stream"),
        ("big", "application/octet-stream"),
        ("empty", "application/octet-stream"),
    ],
)
def test_download(world: World, name: str, content_type: str) -> None:
    content = (world.directory / name).read_bytes()
    reply = download(world, name)
    assert (reply.status, reply.body) == (200, content)
    assert reply.headers["Content-Type"] == content_type
    assert reply.headers["Content-Disposition"] == f"attachment; filename={name}"
    assert reply.headers["Content-Length"] == str(len(content))
    assert "Content-Encoding" not in reply.headers


@pytest.mark.parametrize("endpoint", ["read", "download"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        (ODD, b"q\n"), (NOT_UTF8, b"x\n"), (ESCAPE, b"e\n"), ("pct%41", b"p\n"), ("a+b", b"plus\n"),
        ("a b", b"blank\n"), ("a;b=c", b"semi\n"), ("inside", b"in\n"), ("absolute", b"in\n"),
        ("subl/file", b"in\n"), ("sub/../sub/file", b"in\n"), ("./sub//file", b"in\n"),
        ("out.txt/", b"hello\n"), ("out.txt\0ignored", b"hello\n"),
    ],
)  # fmt: skip
def test_odd_names_and_links_inside(world: World, endpoint: str, name: str | bytes, content: bytes) -> None:
    reply = world.ask(f"/files/{endpoint}?path={world.path(name)}&offset=0")
    assert reply.status == 200
    assert (reply.body if endpoint == "download" else reply.json()["data"].encode()) == content


def test_how_addresses_are_decoded(world: World) -> None:
    assert download(world, "a b").body == b"blank\n"
    base = world.path()
    assert world.ask(f"/files/download?path={base}/a+b").body == b"blank\n"
    assert world.ask(f"/files/download?path={base}/pct%41").status == 404
    assert world.ask(f"/files/download?path={base}/a;b=c").status == 404  # a semicolon separates, too
    assert world.ask(f"/files/browse/?path={base}/sub").status == 200
    assert world.ask(f"/files/browse.json?path={base}/sub").status == 404


@pytest.mark.parametrize("endpoint", ["browse", "read", "download"])
@pytest.mark.parametrize(
    ("name", "status", "text"),
    [
        ("none", 404, ""),
        ("dangling", 404, ""),
        ("out.txt/x", 404, ""),
        ("many/" + "d/" * 500, 404, ""),
        ("out", 400, "'@/out' is inaccessible.\n"),
        ("outd", 400, "'@/outd' is inaccessible.\n"),
        ("outd/passwd", 400, "'@/outd/passwd' is inaccessible.\n"),
        ("../../../..", 400, "'@/../../../..' is inaccessible.\n"),
        ("loop", 400, LOOP),
        ("n" * 300, 400, f"Failed to determine canonical path of '@/{'n' * 300}': File name too long.\n"),
    ],
)
def test_paths_that_lead_nowhere_or_outside(
    world: World, endpoint: str, name: str, status: int, text: str
) -> None:
    reply = world.ask(f"/files/{endpoint}?path={world.path(name)}&offset=0")
    if status == 404 and endpoint == "download":
        text = "404 Not Found."
    assert (reply.status, reply.body.decode()) == (status, world.real(text))
    assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("endpoint", ["browse", "read", "download"])
def test_what_is_not_attached(world: World, endpoint: str) -> None:
    for query in ("", "?path="):
        reply = world.ask(f"/files/{endpoint}{query}")
        assert (reply.status, reply.body.decode()) == (400, NO_NAME)
    for path in ("/", "x", "/etc/passwd", f"{world.path()}x/out.txt"):
        assert world.ask(f"/files/{endpoint}?path={path}").status == 404


@pytest.mark.parametrize("name", ["", "sub", "subl"])
def test_directories_are_not_read(world: World, name: str) -> None:
    assert (read(world, name).status, read(world, name).body) == (400, b"Cannot read a directory.\n")
    reply = download(world, name)
    assert (reply.status, reply.body) == (400, b"Cannot download a directory.\n")


def test_sockets_are_not_read(world: World) -> None:
    text = "Failed to open file at '@/sock': No such device or address.\n"
    reply = read(world, "sock", "&offset=0")
    assert (reply.status, reply.body.decode()) == (500, world.real(text))
    reply = download(world, "sock")
    assert (reply.status, reply.body) == (500, b"500 Internal Server Error.")


def test_files_that_the_agent_may_not_read(world: World) -> None:
    assert read(world, "m0000", "&offset=0").status == (200 if ROOT else 500)
    assert download(world, "m0000").status == (200 if ROOT else 500)


def test_other_methods_ranges_and_encodings(world: World) -> None:
    target = f"/files/download?path={world.path('out.txt')}"
    head = world.ask(target, "HEAD")
    assert (head.status, head.headers["Content-Length"], head.body) == (200, "6", b"")
    assert world.ask(target, "POST").body == world.ask(target, "DELETE").body == b"hello\n"
    assert world.ask(target, headers={"Range": "bytes=2-3"}).body == b"hello\n"
    zipped = {"Accept-Encoding": "gzip"}
    big = world.ask(f"/files/download?path={world.path('big')}", headers=zipped)
    assert (len(big.body), "Content-Encoding" in big.headers) == (BIG_BYTES, False)
    assert (
        world.ask(f"/files/browse?path={world.path('many')}", headers=zipped).headers["Content-Encoding"]
        == "gzip"
    )
    assert (
        "Content-Encoding" not in world.ask(f"/files/browse?path={world.path('sub')}", headers=zipped).headers
    )


def test_jsonp(world: World) -> None:
    reply = read(world, "out.txt", "&offset=0&jsonp=cb")
    assert reply.headers["Content-Type"] == "text/javascript"
    assert reply.body == b'cb({"data":"hello\\n","offset":0})'
    assert world.ask(f"/files/browse?path={world.path('emptydir')}&jsonp=cb").body == b"cb([])"


def test_debug_tells_what_is_attached(world: World) -> None:
    virtual, _, _ = world.base.partition("/latest")
    attached = world.ask("/files/debug").json()
    real = attached[f"{virtual}/latest"]
    assert str(world.directory).startswith(real)
    assert attached[real] == real


def test_list_files(world: World) -> None:
    answer = world.call("LIST_FILES", list_files={"path": f"{world.base}/sub"})
    state = (world.directory / "sub" / "file").stat()
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    (info,) = answer.json()["list_files"]["file_infos"]
    assert info == {
        "path": f"{world.base}/sub/file",
        "nlink": 1,
        "size": 3,
        "mtime": {"nanoseconds": int(state.st_mtime) * 10**9},  # no more exact than browse
        "mode": state.st_mode,
        "uid": info["uid"],
        "gid": info["gid"],
    }
    modes = world.call("LIST_FILES", list_files={"path": world.base}).json()["list_files"]["file_infos"]
    found = {info["path"].rpartition("/")[2]: info["mode"] for info in modes}
    assert found["m4755"] == 0o104755  # here it is to be seen
    assert len(found) == len(listed(world))
    for name in ("emptydir", "out.txt", "pipe"):
        empty = world.call("LIST_FILES", list_files={"path": f"{world.base}/{name}"})
        assert empty.json() == {"type": "LIST_FILES", "list_files": {}}


@pytest.mark.parametrize(
    ("fields", "size", "data"),
    [
        ({"offset": 0}, 6, b"hello\n"),
        ({"offset": 2, "length": 3}, 6, b"llo"),
        ({"offset": 2, "length": 0}, 6, b""),
        ({"offset": 0, "length": -1}, 6, b"hello\n"),
        ({"offset": -1}, 6, b""),
        ({"offset": 6}, 6, b""),
        ({"offset": 99}, 6, b""),
        ({"offset": "2"}, 6, b"llo\n"),
    ],
)
def test_read_file(world: World, fields: dict[str, Any], size: int, data: bytes) -> None:
    answer = world.call("READ_FILE", read_file={"path": f"{world.base}/out.txt", **fields}).json()
    assert answer == {
        "type": "READ_FILE",
        "read_file": {"size": size, "data": base64.b64encode(data).decode()},
    }


def test_read_file_keeps_all_bytes_and_the_limit(world: World) -> None:
    def content(name: str, offset: int = 0, **more: int) -> bytes:
        fields = {"path": f"{world.base}/{name}", "offset": offset, **more}
        return base64.b64decode(world.call("READ_FILE", read_file=fields).json()["read_file"]["data"])

    assert content("raw") == RAW
    assert content("big") == content("big", length=10**6) == b"x" * LIMIT
    assert content("sparse", SPARSE_BYTES - 1) == b"\0"
    assert content(ODD) == b"q\n"


def test_read_file_takes_names_that_are_not_utf8(world: World) -> None:
    path = world.base.encode() + b"/" + NOT_UTF8
    body = b'{"type":"READ_FILE","read_file":{"offset":0,"path":"' + path + b'"}}'
    reply = world.ask("/slave(1)/api/v1", "POST", body, {"Content-Type": "application/json"})
    assert reply.json()["read_file"]["data"] == base64.b64encode(b"x\n").decode()


@pytest.mark.parametrize("kind", ["LIST_FILES", "READ_FILE"])
@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("@/none", 404, ""),
        ("", 404, ""),
        ("x", 404, ""),
        ("@/out", 400, "'@/out' is inaccessible.\n"),
        (
            "@/loop",
            400,
            "Failed to determine canonical path of '@/loop': Too many levels of symbolic links.\n",
        ),
    ],
)
def test_v1_paths_that_lead_nowhere_or_outside(
    world: World, kind: str, path: str, status: int, text: str
) -> None:
    fields: Any = {kind.lower(): {"path": path.replace("@", world.base), "offset": 0}}
    reply = world.call(kind, **fields)
    assert (reply.status, reply.body.decode()) == (status, world.real(text))


def test_v1_reads_no_directory(world: World) -> None:
    reply = world.call("READ_FILE", read_file={"path": f"{world.base}/sub", "offset": 0})
    assert (reply.status, reply.body) == (400, b"Cannot read a directory.\n")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("{", "Failed to parse body into JSON"),
        ("{}", "Failed to validate agent::Call: Expecting 'type' to be present"),
        ('{"type": "NOPE"}', "Failed to validate agent::Call: Expecting 'type' to be present"),
        ('{"type": "READ_FILE"}', "Failed to validate agent::Call: Expecting 'read_file' to be present"),
        ('{"type": "READ_FILE", "read_file": {"path": "x"}}', "Missing required fields: read_file.offset"),
        ('{"type": "LIST_FILES", "list_files": {}}', "Missing required fields: list_files.path"),
    ],
)
def test_v1_calls_that_are_none(world: World, body: str, text: str) -> None:
    reply = world.ask("/api/v1", "POST", body.encode(), {"Content-Type": "application/json"})
    assert reply.status == 400
    assert reply.body.decode().startswith(text)


def test_v1_forms(world: World) -> None:
    body = json.dumps({"type": "GET_HEALTH"}).encode()
    exact = {"Content-Type": "application/json"}
    healthy = world.ask("/api/v1", "POST", body, exact)
    assert healthy.json() == {"type": "GET_HEALTH", "get_health": {"healthy": True}}
    assert (
        world.ask("/api/v1", "POST", body, {"Content-Type": "application/json; charset=utf-8"}).status == 415
    )
    assert world.ask("/api/v1", "POST", body, {**exact, "Accept": "text/html"}).status == 406
    refused = world.ask("/api/v1")
    assert (refused.status, refused.headers["Allow"]) == (405, "POST")
    assert b"Expecting one of { 'POST' }, but received 'GET'." in refused.body


@contextmanager
def somebody_writes(world: World) -> Iterator[None]:
    """Into the named pipe, without waiting for a reader."""
    descriptor = os.open(world.directory / "pipe", os.O_RDWR | os.O_NONBLOCK)
    os.write(descriptor, b"x")
    yield
    os.close(descriptor)


def test_a_fifo_holds_up_a_download(world: World) -> None:
    """Which is why nobody may ever ask for one: a thread of the agent waits until somebody writes."""
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(download, world, "pipe")
        assert download(world, "out.txt").body == b"hello\n"
        with somebody_writes(world):
            assert (asked.result().status, asked.result().body) == (200, b"")


def test_a_fifo_holds_up_every_read(world: World) -> None:
    """Worse: until somebody writes, the agent answers no request for files at all."""
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(read, world, "pipe", "&offset=0")
        with somebody_writes(world):
            text = "Failed to open file at '@/pipe': Illegal seek.\n"
            assert (asked.result().status, asked.result().body.decode()) == (500, world.real(text))
    assert read(world, "out.txt", "&offset=0").status == 200
