"""A scheduler on a bench for every test that asks for one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pytest_mock import MockerFixture

from airavata_mesos_plugin.minicluster.scheduler.core import Driver
from tests.unit.minicluster.bench import Bench


@pytest.fixture
def bench(mocker: MockerFixture) -> Callable[..., Bench]:
    return lambda **settings: Bench(mocker.create_autospec(Driver, instance=True), **settings)
