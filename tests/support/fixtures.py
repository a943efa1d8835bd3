"""Fixtures: real daemons, clusters and commands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.site import Site, SiteFactory, running_site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site that the tests of a module share; none of them may stop it."""
    with running_site(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture
def own_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SiteFactory]:
    """Makes sites for one test, which may do anything to them."""
    with ExitStack() as stack:

        def make(cpus: int = 8, **settings: object) -> Site:
            directory = tmp_path_factory.mktemp("own")
            return stack.enter_context(running_site(directory, cpus=cpus, settings=settings))

        yield make
