"""Records are whole however the bytes are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airavata_mesos_plugin.errors import ProtocolError
from airavata_mesos_plugin.schedulers.mesos.recordio import RecordDecoder


@given(st.lists(st.binary(max_size=300), max_size=10), st.lists(st.integers(1, 40), min_size=1))
def test_any_cut_gives_the_same_records(records: list[bytes], cuts: list[int]) -> None:
    data = b"".join(b"%d\n%s" % (len(one), one) for one in records)
    decoder, found, number = RecordDecoder(), [], 0
    while data:
        size = cuts[number % len(cuts)]
        found += decoder.feed(data[:size])
        data, number = data[size:], number + 1
    assert found == records


@pytest.mark.parametrize("data", [b"x\n", b"-1\n", b"\n", b"99999999999\n", b"1" * 30, b"<html>\n"])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        RecordDecoder().feed(data)
