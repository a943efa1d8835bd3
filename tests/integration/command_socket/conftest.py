"""A site that is shared by all tests of a module."""

from tests.support.fixtures import site

__all__ = ["site"]
