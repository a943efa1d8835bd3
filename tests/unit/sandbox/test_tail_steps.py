"""Following a file whose names move at the worst moments."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airavata_mesos_plugin.errors import NotFound
from airavata_mesos_plugin.sandbox.live import tail
from airavata_mesos_plugin.sandbox.live.tail import Changed, Mark, Tail
from airavata_mesos_plugin.sandbox.live.windows import PIECE, Seen

LIMIT = 1024 * 1024
LOG = "logs/stdout"


class Place:
    """Files in memory. ``between`` is called before each look, so that anything can happen there."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.times: dict[str, int] = {}
        self.clock = 0
        self.between: Callable[[], None] = lambda: None
        self.reads = 0

    def write(self, name: str, data: bytes, *, append: bool = True) -> None:
        self.clock += 1
        self.content[name] = self.content.get(name, b"") + data if append else data
        self.times[name] = self.clock

    def rename(self, name: str, new: str) -> None:
        self.content[new] = self.content.pop(name)
        self.times[new] = self.times.pop(name)

    def rotate(self, name: str, backups: int) -> None:
        for index in range(backups - 1, 0, -1):
            if f"{name}.{index}" in self.content:
                self.rename(f"{name}.{index}", f"{name}.{index + 1}")
        self.rename(name, f"{name}.1")
        self.write(name, b"")

    def read(self, name: str, offset: int, length: int) -> bytes:
        self.between()
        self.reads += 1
        try:
            return self.content[name][offset : offset + min(length, PIECE)]
        except KeyError:
            raise NotFound(name) from None

    def size(self, name: str) -> int:
        self.between()
        try:
            return len(self.content[name])
        except KeyError:
            raise NotFound(name) from None

    def files(self, directory: str) -> Mapping[str, Seen]:
        self.between()
        prefix = f"{directory}/" if directory else ""
        return {
            name.removeprefix(prefix): Seen(len(data), self.times[name])
            for name, data in self.content.items()
            if name.startswith(prefix)
        }


class Reader:
    """Follows and keeps everything that came."""

    def __init__(self, place: Place, name: str = LOG, *, rotated: bool = True, strict: bool = False) -> None:
        self.strict = strict
        self.tail = Tail(place, name, rotated=rotated)
        self.mark: Mark | None = None
        self.data = b""
        self.notes: list[str] = []

    def look(self, limit: int = LIMIT) -> bytes:
        if self.mark is None:
            self.mark = self.tail.begin()
        step = self.tail.step(self.mark, limit, strict=self.strict)
        self.mark = step.mark
        self.data += step.data
        self.notes += step.notes
        return step.data

    def drain(self, limit: int = LIMIT) -> bytes:
        while self.look(limit):
            pass
        return self.data


@pytest.fixture
def place() -> Place:
    return Place()


def test_a_file_that_is_not_there_yet(place: Place) -> None:
    reader = Reader(place)
    assert reader.look() == b""
    place.write(LOG, b"one")
    assert reader.look() == b"one"
    assert reader.look() == b""
    assert reader.notes == []


def test_pieces_and_characters_are_cut_anywhere(place: Place) -> None:
    text = "aé€😀\n".encode() * 50_000
    place.write(LOG, text)
    reader = Reader(place)
    assert reader.drain(limit=1) == text
    assert place.reads < 40


def test_an_idle_file_costs_two_small_reads(place: Place) -> None:
    place.write(LOG, b"x" * 5000)
    reader = Reader(place)
    reader.drain()
    place.reads = 0
    assert reader.look() == b""
    assert place.reads == 2


@pytest.mark.parametrize("after", [b"", b"short", b"longer than what was there before" * 100])
def test_a_file_that_was_cut_short_is_given_from_its_beginning(place: Place, after: bytes) -> None:
    place.write(LOG, b"what was there before\n" * 80)
    reader = Reader(place)
    reader.drain()
    place.write(LOG, after, append=False)
    before = len(reader.data)
    reader.drain()
    assert reader.data[before:] == after
    assert reader.notes == [f"{LOG} was cut short or replaced; it is shown from its beginning"]


def test_a_file_replaced_by_one_that_ends_alike_but_begins_otherwise(place: Place) -> None:
    place.write("out", b"a" * 1000 + b"z" * 5000)
    reader = Reader(place, "out", rotated=False)
    reader.drain()
    new = b"b" * 1000 + b"z" * 5000 + b"more"
    place.write("out.part", new)
    place.rename("out.part", "out")
    assert reader.drain() == b"a" * 1000 + b"z" * 5000 + new
    assert len(reader.notes) == 1


def test_strict_readers_are_told_instead(place: Place) -> None:
    place.write(LOG, b"before")
    reader = Reader(place)
    reader.drain()
    assert reader.mark is not None
    place.write(LOG, b"other!", append=False)
    with pytest.raises(Changed):
        reader.tail.step(reader.mark, LIMIT, strict=True)


def test_rotation_between_two_looks(place: Place) -> None:
    place.write(LOG, b"first ")
    reader = Reader(place)
    reader.drain()
    place.write(LOG, b"rest of the first ")
    place.rotate(LOG, 5)
    place.write(LOG, b"second, longer than the first ever was")
    assert reader.drain() == b"first rest of the first second, longer than the first ever was"
    place.rotate(LOG, 5)
    place.rotate(LOG, 5)
    place.write(LOG, b" fourth")
    assert reader.drain().endswith(b" fourth")
    assert reader.notes == []


def test_a_reader_that_comes_late_begins_with_the_oldest_part(place: Place) -> None:
    for number in range(4):
        place.write(LOG, b"part %d\n" % number)
        place.rotate(LOG, 2)
    place.write(LOG, b"part 4\n")
    assert Reader(place).drain() == b"part 2\npart 3\npart 4\n"


def test_lost_parts_are_told(place: Place) -> None:
    place.write(LOG, b"part 0\n")
    reader = Reader(place)
    reader.drain()
    for number in range(1, 5):
        place.rotate(LOG, 2)
        place.write(LOG, b"part %d\n" % number)
    assert reader.drain() == b"part 0\npart 2\npart 3\npart 4\n"
    assert reader.notes == [f"{LOG} was rotated faster than it was read; bytes are missing here"]


def test_between_the_renaming_and_the_new_file(place: Place) -> None:
    place.write(LOG, b"one ")
    reader = Reader(place)
    reader.drain()
    place.write(LOG, b"two ")
    place.rename(LOG, f"{LOG}.1")
    assert reader.look() == b"two "
    assert reader.look() == b""
    place.write(LOG, b"")
    assert reader.look() == b""
    place.write(LOG, b"three")
    assert reader.look() == b"three"
    assert reader.notes == []


def test_parts_of_the_same_bytes_and_sizes_are_counted(place: Place) -> None:
    part = b"tick\n" * 1000
    place.write(LOG, part)
    reader = Reader(place)
    reader.drain()
    for _ in range(3):
        place.rotate(LOG, 5)
        place.write(LOG, part)
    assert reader.drain() == part * 4


def test_a_log_that_is_copied_and_emptied(place: Place) -> None:
    place.write(LOG, b"one ")
    reader = Reader(place)
    reader.drain()
    place.write(LOG, b"two ")
    place.write(f"{LOG}.1", place.content[LOG])
    place.write(LOG, b"three", append=False)
    assert reader.drain() == b"one two three"


def test_other_files_with_numbers_are_no_parts(place: Place) -> None:
    place.write("out", b"old ")
    place.write("out.1", b"something else")
    reader = Reader(place, "out", rotated=False)
    reader.drain()
    place.write("out.1", b" and more")
    place.write("out", b"new", append=False)
    assert reader.drain() == b"old new"
    assert reader.notes == ["out was cut short or replaced; it is shown from its beginning"]


def test_another_place_with_the_same_bytes_goes_on(place: Place) -> None:
    """As when the outputs have arrived in the working directory."""
    place.write("out", b"x" * 3000)
    reader = Reader(place, "out", rotated=False)
    reader.drain()
    assert reader.mark is not None
    other = Place()
    other.write("out", b"x" * 3000 + b"the end")
    mark = Mark(reader.mark.offset, reader.mark.head, reader.mark.tail)
    assert Tail(other, "out", rotated=False).step(mark, LIMIT, strict=True).data == b"the end"


BURSTS = {
    "rotated": ["write", "rotate", "write"],
    "rotated and empty": ["write", "rotate"],
    "rotated twice": ["rotate", "write", "rotate", "write"],
    "rotated, and long": ["write", "rotate", "long", "rotate"],
}


@pytest.mark.parametrize("burst", BURSTS)
@pytest.mark.parametrize("first", [b"", b"a few bytes ", b"many bytes " * 20_000])
@pytest.mark.parametrize("strict", [False, True])
def test_all_happens_between_two_questions(burst: str, first: bytes, strict: bool) -> None:
    """Whichever two they are."""
    for moment in range(25):
        place = Place()
        place.write(LOG, first)
        reader = Reader(place, strict=strict)
        reader.drain()
        expected = bytearray(first)
        left = moment

        def happen(place: Place = place, expected: bytearray = expected) -> None:
            nonlocal left
            left -= 1
            if left != -1:
                return
            for act in BURSTS[burst]:
                if act == "rotate":
                    place.rotate(LOG, 9)
                else:
                    data = b"%d " % len(expected) * (1 if act == "write" else 30_000)
                    place.write(LOG, data)
                    expected += data

        place.between = happen
        for _ in range(20):
            reader.look(limit=100_000)
        assert left < 0
        reader.drain()
        assert (moment, reader.data) == (moment, bytes(expected))
        assert reader.notes == []


def test_a_file_that_is_replaced_between_two_pieces(place: Place) -> None:
    place.write("out", b"a" * (3 * PIECE))
    reader = Reader(place, "out", rotated=False)
    reader.mark = reader.tail.begin()
    place.reads = 0

    def replace() -> None:
        if place.reads == 2 and place.content["out"].startswith(b"a"):
            place.write("out", b"b" * (3 * PIECE), append=False)

    place.between = replace
    reader.drain()
    assert reader.data in (b"a" * PIECE + b"b" * (3 * PIECE), b"b" * (3 * PIECE))
    assert reader.data.count(b"b") == 3 * PIECE


@given(
    st.lists(st.sampled_from(["write", "long", "rotate", "pause"]), min_size=1, max_size=60),
    st.lists(st.integers(0, 6), min_size=1, max_size=60),
)
@settings(max_examples=300, deadline=None)
def test_no_byte_is_lost_or_doubled_whenever_names_move(story: list[str], gaps: list[int]) -> None:
    """The writer goes on between any two looks of the reader; the reader keeps up with the rotation."""
    place = Place()
    written = bytearray()
    steps = iter(story)
    waits = iter(gaps * (len(story) + 1))
    wait = next(waits)
    rotated = 0

    def go_on() -> None:
        nonlocal wait, rotated
        wait -= 1
        if wait >= 0:
            return
        wait = next(waits, 1)
        act = next(steps, "pause")
        if act == "rotate" and place.content.get(LOG) and rotated < 20:
            rotated += 1
            place.rotate(LOG, 25)
        elif act in ("write", "long"):
            data = b"%d " % len(written) * (1 if act == "write" else 20_000)
            written.extend(data)
            place.write(LOG, data)

    reader = Reader(place)
    place.between = go_on
    for _ in range(len(story) * 8 + 10):
        reader.look(limit=70_000)
    place.between = lambda: None
    for act in steps:
        if act == "write":
            written.extend(b"end ")
            place.write(LOG, b"end ")
    assert reader.drain() == bytes(written)
    assert reader.notes == []


@pytest.mark.parametrize("lines", [0, 1, 2, 7, 8, 100])
@pytest.mark.parametrize("ending", [b"", b"\n"])
def test_the_last_lines(place: Place, lines: int, ending: bytes) -> None:
    everything = b"".join(b"line %d\n" % number for number in range(7)) + b"last" + ending
    for start in range(0, len(everything), 20):
        place.write(LOG, everything[start : start + 20])
        if start + 20 < len(everything):
            place.rotate(LOG, 9)
    reader = Reader(place)
    reader.mark = reader.tail.mark_before_end(lines=lines, most=LIMIT)
    wanted = everything.splitlines(keepends=True)
    assert reader.drain() == b"".join(wanted[len(wanted) - lines :] if lines <= len(wanted) else wanted)


@pytest.mark.parametrize("size", [0, 1, 19, 20, 21, 55, 1000])
def test_the_last_bytes(place: Place, size: int) -> None:
    everything = bytes(range(60))
    for start in range(0, 60, 20):
        place.write(LOG, everything[start : start + 20])
        if start < 40:
            place.rotate(LOG, 9)
    reader = Reader(place)
    reader.mark = reader.tail.mark_before_end(size=size)
    assert reader.drain() == (everything[-size:] if size else b"")


def test_lines_are_looked_for_in_so_many_bytes_only(place: Place) -> None:
    place.write("out", b"x" * 500_000)
    reader = Reader(place, "out", rotated=False)
    reader.mark = reader.tail.mark_before_end(lines=3, most=100_000)
    assert len(reader.drain()) == 100_000


def test_the_witness_is_shorter_than_a_piece() -> None:
    assert 2 * tail.WITNESS_BYTES < PIECE
