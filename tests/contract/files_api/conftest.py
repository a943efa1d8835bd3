"""One agent of each kind for all tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.contract.files_api.worlds import WORLDS, World, running


@pytest.fixture(scope="session")
def worlds(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], World]]:
    """Agents by name, started when they are first asked for."""
    started: dict[str, World] = {}
    with ExitStack() as stack:

        def find(name: str) -> World:
            if name not in started:
                build = None if name == "minicluster" else request.getfixturevalue("real_mesos_build")
                directory = tmp_path_factory.mktemp("files")
                started[name] = stack.enter_context(running(name, directory, build))
            return started[name]

        yield find


@pytest.fixture(params=["minicluster", "plain", "tls"])
def world(request: pytest.FixtureRequest, worlds: Callable[[str], World]) -> World:
    """Not to be changed, but for what a test leaves as it was."""
    return worlds(request.param)


@pytest.fixture(params=WORLDS)
def any_world(request: pytest.FixtureRequest, worlds: Callable[[str], World]) -> World:
    """The same, with those that ask for credentials."""
    return worlds(request.param)
