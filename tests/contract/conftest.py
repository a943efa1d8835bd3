"""Real daemons, clusters and commands for the tests of this folder, with SSH before them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.door import Door, door_of, usual_site
from tests.support.fixtures import own_site, site

__all__ = ["door", "own_site", "site"]


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A compute resource that the tests of a module share, with Airavata before it."""
    directory = tmp_path_factory.mktemp("door")
    with door_of(usual_site(directory), directory) as opened:
        yield opened
