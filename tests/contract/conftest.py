"""Real daemons, clusters and commands for the tests of this folder, with SSH before them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.door import Door, door_of
from tests.support.fixtures import own_site, site
from tests.support.site import Site

__all__ = ["door", "own_site", "site"]


@pytest.fixture(scope="module")
def door(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """SSH before the site that the tests of a module share."""
    with door_of(site, tmp_path_factory.mktemp("door")) as opened:
        yield opened
