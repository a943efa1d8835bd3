"""Whom the settings let in."""

from __future__ import annotations

import grp
import pwd

import pytest
from pytest_mock import MockerFixture

from airavata_mesos_plugin.clock import ManualClock
from airavata_mesos_plugin.config import AccountSettings
from airavata_mesos_plugin.errors import ConfigurationError, Refused
from airavata_mesos_plugin.service.accounts import KNOWN_SECONDS, Accounts, account, identity

PEOPLE = {"root": (0, 0), "alice": (1001, 100), "bob": (1002, 100), "carol": (1003, 103)}
GROUPS = {"users": 100, "portal": 200, "carol": 103}
MEMBERS = {"alice": [100, 200], "bob": [100], "carol": [103, 200], "root": [0]}


@pytest.fixture(autouse=True)
def database(mocker: MockerFixture) -> None:
    """An account database of three people."""
    by_uid = {
        uid: pwd.struct_passwd((name, "x", uid, gid, "", f"/home/{name}", "/bin/sh"))
        for name, (uid, gid) in PEOPLE.items()
    }
    mocker.patch("pwd.getpwuid", autospec=True, side_effect=by_uid.__getitem__)
    mocker.patch("pwd.getpwnam", autospec=True, side_effect=lambda name: by_uid[PEOPLE[name][0]])
    mocker.patch(
        "grp.getgrnam",
        autospec=True,
        side_effect=lambda name: grp.struct_group((name, "x", GROUPS[name], [])),
    )
    mocker.patch("os.getgrouplist", side_effect=lambda name, _gid: MEMBERS[name])
    account.cache_clear()


def served(settings: AccountSettings) -> set[str]:
    accounts = Accounts(settings, ManualClock(), owner=0)
    return {name for name, (uid, _) in PEOPLE.items() if not accounts.visitor(uid).refusal}


@pytest.mark.parametrize(
    ("allow", "refuse", "expected"),
    [
        ([], [], {"alice", "bob", "carol"}),
        (["alice"], [], {"alice"}),
        (["1002"], [], {"bob"}),
        (["@portal"], [], {"alice", "carol"}),
        (["@200"], [], {"alice", "carol"}),
        (["bob", "@portal"], ["carol"], {"alice", "bob"}),
        ([], ["@users"], {"carol"}),
        (["alice"], ["alice"], set()),
        ([], ["1001", "1002", "1003"], set()),
    ],
)
def test_who_is_served(allow: list[str], refuse: list[str], expected: set[str]) -> None:
    settings = AccountSettings.model_validate({"allow": allow, "refuse": refuse})
    assert served(settings) == {"root", *expected}


def test_unknown_accounts_are_refused() -> None:
    visitor = Accounts(AccountSettings(), ManualClock(), owner=0).visitor(4242)
    assert visitor.refusal == "this host knows no account with the number 4242"


@pytest.mark.parametrize(
    ("place", "entry", "what"),
    [("allow", "alcie", "account 'alcie'"), ("refuse", "@protal", "group 'protal'")],
)
def test_names_that_are_not_known_are_wrong_settings(place: str, entry: str, what: str) -> None:
    settings = AccountSettings.model_validate({place: [entry]})
    with pytest.raises(ConfigurationError, match=rf"accounts\.{place}: this host knows no {what}"):
        Accounts(settings, ManualClock(), owner=0)
    Accounts(settings, ManualClock(), owner=1001)  # there they mean nothing


def test_a_name_that_vanishes_later_lets_nobody_in(monkeypatch: pytest.MonkeyPatch) -> None:
    accounts = Accounts(AccountSettings(refuse=("@portal",)), ManualClock(), owner=0)
    monkeypatch.delitem(GROUPS, "portal")
    assert "does not serve" in accounts.visitor(1002).refusal


def test_a_daemon_of_an_account_serves_that_account() -> None:
    accounts = Accounts(AccountSettings(allow=("bob",)), ManualClock(), owner=1001)
    assert accounts.visitor(1001).refusal == ""
    for uid in (0, 1002):
        assert "serves the account alice only" in accounts.visitor(uid).refusal


def test_who_sees_all() -> None:
    accounts = Accounts(AccountSettings(see_all_jobs=False), ManualClock(), owner=0)
    assert accounts.visitor(0).sees_all
    assert not accounts.visitor(1001).sees_all
    assert Accounts(AccountSettings(), ManualClock(), owner=0).visitor(1001).sees_all


def test_answers_are_kept_for_a_while(mocker: MockerFixture) -> None:
    clock = ManualClock()
    accounts = Accounts(AccountSettings(allow=("@portal",)), clock, owner=0)
    assert accounts.known(1001) is None
    assert accounts.visitor(1001).refusal == ""
    mocker.patch("os.getgrouplist", return_value=[100])
    assert accounts.visitor(1001).refusal == ""
    assert accounts.known(1001) is not None
    clock.advance(KNOWN_SECONDS)
    assert accounts.known(1001) is None
    assert "does not serve" in accounts.visitor(1001).refusal


def test_the_rights_of_an_account() -> None:
    user, rights = identity(1001)
    assert (user, rights.uid, rights.gid, rights.groups) == ("alice", 1001, 100, (100, 200))
    with pytest.raises(Refused, match="no account with the number 4242"):
        identity(4242)
