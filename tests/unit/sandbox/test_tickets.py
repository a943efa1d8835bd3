from __future__ import annotations

import re
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airavata_mesos_plugin.errors import ConfigurationError
from airavata_mesos_plugin.sandbox.tickets import Tickets

OFFICE = Tickets(b"s" * 32)
IDS = st.integers(1, 2**63)
EXPIRIES = st.integers(1, 2**40)


@given(IDS, st.integers(1, 2**32 - 1), EXPIRIES)
def test_a_ticket_is_good_for_its_attempt_until_it_expires(
    job_id: int, attempt: int, expires_at: int
) -> None:
    token = OFFICE.issue(job_id, attempt, expires_at)
    assert re.fullmatch(r"[A-Za-z0-9_-]{72}", token)
    assert OFFICE.issue(job_id, attempt, expires_at) == token
    assert OFFICE.check(token, expires_at - 1) == (job_id, attempt)
    assert OFFICE.check(token, expires_at) is None
    assert Tickets(b"t" * 32).check(token, 0) is None


@given(st.integers(0, 71), st.characters(codec="utf-8"))
def test_no_character_can_be_changed(position: int, character: str) -> None:
    token = OFFICE.issue(1042, 3, 2_000_000_000)
    forged = token[:position] + character + token[position + 1 :]
    assert OFFICE.check(forged, 0) == ((1042, 3) if forged == token else None)


@given(st.text(max_size=80))
def test_anything_else_is_no_ticket(text: str) -> None:
    assert OFFICE.check(text, 0) is None


def test_the_standard_alphabet_is_no_second_spelling() -> None:
    tokens = [OFFICE.issue(number, 1, 2_000_000_000) for number in range(200)]
    token = next(token for token in tokens if "-" in token and "_" in token)
    assert OFFICE.check(token.replace("-", "+").replace("_", "/"), 0) is None
    assert OFFICE.check(token + "\n", 0) is None
    assert OFFICE.check(token[:-4] + "====", 0) is None


def test_a_fraction_of_a_second_does_not_shorten_the_life() -> None:
    assert OFFICE.check(OFFICE.issue(1, 1, 100.25), 100.2) == (1, 1)


def test_a_marker_is_no_ticket_and_always_the_same_for_an_attempt() -> None:
    assert re.fullmatch("[0-9a-f]{32}", OFFICE.marker(1, 1))
    assert OFFICE.marker(1, 1) == OFFICE.marker(1, 1)
    assert len({OFFICE.marker(1, 1), OFFICE.marker(1, 2), OFFICE.marker(2, 1)}) == 3


def test_the_secret_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    token = Tickets.open(path).issue(5, 1, 1000)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Tickets.open(path).check(token, 0) == (5, 1)
    assert [item.name for item in tmp_path.iterdir()] == ["secret"]
    assert Tickets.open(tmp_path / "other").check(token, 0) is None


def test_everybody_who_comes_at_once_gets_the_same_secret(tmp_path: Path) -> None:
    barrier = threading.Barrier(8)
    tokens: set[str] = set()

    def come() -> None:
        barrier.wait()
        tokens.add(Tickets.open(tmp_path / "secret").issue(1, 1, 1000))

    threads = [threading.Thread(target=come) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tokens) == 1


def test_secrets_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    with pytest.raises(ConfigurationError, match="No such file"):
        Tickets.open(tmp_path / "missing" / "secret")
    Tickets.open(path)
    path.chmod(0o640)
    with pytest.raises(ConfigurationError, match="others may read") as caught:
        Tickets.open(path)
    assert "chmod 600" in caught.value.advice
    path.chmod(0o600)
    for content in (b"", b"abcd", b"not hexadecimal" * 10, b"\xff" * 70):
        path.write_bytes(content)
        with pytest.raises(ConfigurationError, match="does not hold a secret"):
            Tickets.open(path)
    with pytest.raises(ValueError, match="32 bytes"):
        Tickets(b"short")
