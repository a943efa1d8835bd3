"""What has come on an SSH channel: readers sleep until there is enough for them."""

from __future__ import annotations

import threading

import pytest
from paramiko.buffered_pipe import PipeTimeout

from airavata_mesos_plugin.sandbox.sftp.pipe import PacketPipe


def test_packets_come_as_they_were_and_in_parts() -> None:
    pipe = PacketPipe()
    pipe.feed(b"abc")
    pipe.feed(b"defg")
    assert len(pipe) == 7
    assert pipe.read_ready()
    assert pipe.read(2) == b"ab"
    assert pipe.read(100) == b"c"
    assert pipe.read(100) == b"defg"
    assert not pipe.read_ready()


def test_a_reader_sleeps_until_there_is_enough() -> None:
    pipe = PacketPipe()
    pipe.least = 6
    pipe.feed(b"abc")
    with pytest.raises(PipeTimeout):
        pipe.read(100, 0.01)
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(pipe.read(100, 60)))
    reader.start()
    pipe.feed(b"def")
    reader.join()
    assert found == [b"abc"]
    assert pipe.read(2) == b"de"  # as much as was asked for is enough


def test_the_end_wakes_the_reader() -> None:
    pipe = PacketPipe()
    pipe.least = 6
    pipe.feed(b"abc")
    pipe.close()
    assert pipe.read(100) == b"abc"
    assert pipe.read(100) == b""
    pipe.feed(b"late")
    assert pipe.empty() == b"late"


def test_whoever_watches_is_told() -> None:
    pipe = PacketPipe()
    event = threading.Event()
    pipe.set_event(event)
    assert not event.is_set()
    pipe.feed(b"a")
    assert event.is_set()
