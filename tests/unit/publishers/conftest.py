"""A ledger on a clock that is moved by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airavata_mesos_plugin.clock import ManualClock
from airavata_mesos_plugin.store import Ledger


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_700_000_000.0)


@pytest.fixture
def ledger(tmp_path: Path, clock: ManualClock) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger.db", clock)
    yield ledger
    ledger.close()
