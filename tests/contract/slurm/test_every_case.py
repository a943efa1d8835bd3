"""Nothing of what was recorded is forgotten: each case is typed again or listed with the reason."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase

from tests.contract.slurm.test_transcripts import HERE, NOT_RUN, OURS, cases, reason_not_run

NAMES = json.loads((HERE / "cases" / "names.json").read_text(encoding="utf-8"))
ALL = {f"{folder}/{name}" for folder, names in NAMES.items() for name in names}
TYPED = {parameters.id for parameters in cases()}
TABLES = {name for name in ALL if name.startswith(("matrix/", "directives/"))}
"""Recorded as tables and blocks, which have tests of their own."""


def test_each_case_is_typed_or_has_a_reason() -> None:
    assert len(ALL) == 613
    listed = {name for name in ALL if reason_not_run(name) is not None}
    assert TYPED | listed | TABLES == ALL
    assert not TYPED & listed


def test_each_pattern_and_each_difference_means_a_case() -> None:
    for patterns in NOT_RUN.values():
        for pattern in patterns:
            assert any(fnmatchcase(name, pattern) for name in ALL), pattern
    assert set(OURS) <= TYPED
    assert all(difference["why"] for difference in OURS.values())


def test_tables_and_blocks_are_complete() -> None:
    for folder in ("matrix", "directives"):
        document = json.loads((HERE / "cases" / f"{folder}.json").read_text(encoding="utf-8"))
        assert {f"{folder}/{name}" for name in document} == {
            name for name in TABLES if name.startswith(folder)
        }
