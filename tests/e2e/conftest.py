"""Real daemons, clusters and commands for the tests of this folder."""

from __future__ import annotations

from tests.support.fixtures import own_site, site

__all__ = ["own_site", "site"]
