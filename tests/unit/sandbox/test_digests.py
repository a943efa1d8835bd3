from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from airavata_mesos_plugin.sandbox.inputs import digests
from airavata_mesos_plugin.sandbox.inputs.digests import PLACES, SPACING_BYTES, Digests


@given(st.lists(st.integers(1, 3 * SPACING_BYTES), max_size=8), st.integers(0, 30 * SPACING_BYTES))
def test_a_stream_goes_on_from_a_place_before(pieces: list[int], start: int) -> None:
    known, digest, position = Digests(), hashlib.sha256(), 0
    for size in pieces:
        digest.update(size.to_bytes(4, "big"))  # stands for the piece
        position += size
        known.note("job", position, digest)
    found, resumed = known.before("job", start)
    assert found <= start
    again, end = hashlib.sha256(), 0
    for size in pieces:
        if end + size > found:
            break
        again.update(size.to_bytes(4, "big"))
        end += size
    assert (found, resumed.digest()) == (end, again.digest())
    resumed.update(b"what the caller does with it changes nothing")
    if start:
        assert known.before("job", start)[1].digest() == again.digest()


def test_the_last_places_are_kept() -> None:
    known, digest = Digests(), hashlib.sha256()
    for number in range(1, 3 * PLACES):
        known.note("job", number * SPACING_BYTES // 2, digest)
    last = known.before("job", 10**12)[0]
    assert last >= (3 * PLACES - 2) * SPACING_BYTES // 2
    assert known.before("job", last - 1)[0] == last - SPACING_BYTES


def test_a_stream_that_begins_again_is_forgotten() -> None:
    known = Digests()
    known.note("job", SPACING_BYTES, hashlib.sha256(b"x"))
    known.note("other", SPACING_BYTES, hashlib.sha256(b"y"))
    assert known.before("job", 0)[0] == 0
    assert known.before("job", 10**12)[0] == 0
    assert known.before("other", 10**12)[0] == SPACING_BYTES


def test_streams_that_were_not_used_for_long_are_forgotten() -> None:
    known = Digests()
    for number in range(digests.STREAMS + 1):
        known.note(number, SPACING_BYTES, hashlib.sha256())
        known.note(0, SPACING_BYTES, hashlib.sha256())
    assert known.before(0, 10**12)[0] == SPACING_BYTES
    assert known.before(1, 10**12)[0] == 0
    assert known.before(2, 10**12)[0] == SPACING_BYTES
