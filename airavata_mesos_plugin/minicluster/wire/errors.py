"""What can be wrong with the bytes of a request."""

from __future__ import annotations


class NotAMessage(Exception):
    """The body is no Thrift message at all."""


class BadArguments(Exception):
    """The message header could be read, the arguments could not."""
