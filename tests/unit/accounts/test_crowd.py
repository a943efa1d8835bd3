"""How many connections and bytes an account may have on the command socket."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from airavata_mesos_plugin.errors import ProtocolError
from airavata_mesos_plugin.service.crowd import Crowd


class Caller:
    def __init__(self, *, silent: bool = True) -> None:
        self.silent = silent
        self.gone = False

    def hang_up(self) -> None:
        self.gone = True


def test_the_longest_silent_one_makes_room() -> None:
    crowd = Crowd(3)
    talker, first, second, third, fourth = Caller(silent=False), *(Caller() for _ in range(4))
    with ExitStack() as stack:
        for caller in (talker, first, second, third, fourth):
            stack.enter_context(crowd.inside(1, caller))
        assert [caller.gone for caller in (talker, first, second, third, fourth)] == [
            *(False, True, True),
            *(False, False),
        ]


def test_those_who_have_spoken_stay() -> None:
    crowd = Crowd(2)
    with crowd.inside(1, Caller(silent=False)), crowd.inside(1, Caller(silent=False)):
        with pytest.raises(ProtocolError, match="2 commands of this account"), crowd.inside(1, Caller()):
            pytest.fail("there was no room")
        with crowd.inside(2, Caller()):  # of another account
            pass
    with crowd.inside(1, Caller()):
        pass


def test_bytes_are_counted_while_they_are_held() -> None:
    crowd = Crowd(10, bytes_of_account=100)
    first, second = Caller(), Caller()
    with crowd.inside(1, first):
        crowd.take(1, first, 60)
        with crowd.inside(1, second), pytest.raises(ProtocolError, match="over 100 bytes"):
            crowd.take(1, second, 41)
        with crowd.inside(2, second):
            crowd.take(2, second, 100)
        crowd.take(1, first, 40)
    with crowd.inside(1, first):
        crowd.take(1, first, 100)
