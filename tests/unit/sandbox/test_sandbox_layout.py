from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airavata_mesos_plugin.sandbox import layout
from airavata_mesos_plugin.sandbox.result import WrapperResult, parse

NAMES = st.binary(min_size=1, max_size=255).filter(lambda name: b"/" not in name and b"\0" not in name)


@given(NAMES, st.integers(1, 10**9))
def test_a_part_file_has_a_possible_name_and_knows_its_job(name: bytes, job_id: int) -> None:
    part = layout.part_name(os.fsdecode(name), job_id)
    assert len(os.fsencode(part)) <= 255
    assert layout.part_owner(part) == job_id
    assert layout.part_owner(f"some/where/{part}") == job_id
    assert layout.reserved(f"some/where/{part}")


def test_long_names_that_begin_alike_get_different_part_files() -> None:
    assert layout.part_name("x" * 254 + "a", 1) != layout.part_name("x" * 254 + "b", 1)


@pytest.mark.parametrize(
    "name", [".logs", ".logs/run/0/stdout", ".airavata-mesos/result", ".thermos_profile"]
)
def test_reserved(name: str) -> None:
    assert layout.reserved(name)


@pytest.mark.parametrize(
    "name", ["logs", "sub/.logs", ".logs2", ".airavata", "x.airavata-part-1", ".x.airavata-part-"]
)
def test_not_reserved(name: str) -> None:
    assert not layout.reserved(name)


FULL = b"exit_code=137\nsignal=9\ntimed_out=1\nstarted_at=10.25\nended_at=12\nnewer_key=x=y\n"


def test_a_whole_result() -> None:
    assert parse(FULL) == WrapperResult(137, True, 10.25, 12.0, 9)


def test_without_a_signal() -> None:
    assert parse(FULL.replace(b"signal=9", b"signal=")) == WrapperResult(137, True, 10.25, 12.0, None)


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"\n",
        FULL[:-1],
        FULL.replace(b"exit_code=137\n", b""),
        FULL.replace(b"137", b"abc"),
        FULL.replace(b"137", b"256"),
        FULL.replace(b"137", b"-1"),
        FULL.replace(b"timed_out=1", b"timed_out=2"),
        FULL + b"x" * 5000 + b"\n",
        b"\xff\xfe\n",
    ],
)
def test_a_result_that_is_missing_or_torn(content: bytes | None) -> None:
    assert parse(content) is None


@given(st.integers(0, len(FULL) - 1))
def test_a_result_cut_anywhere_is_never_wrong(length: int) -> None:
    result = parse(FULL[:length])
    assert result is None or result == WrapperResult(137, True, 10.25, 12.0, 9)
