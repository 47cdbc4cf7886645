"""Actors: who may do what, and what counts as a reason."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from installations.actors import (
    Actor,
    ActorKind,
    Via,
    clean_reason,
    command_actor,
    is_reserved,
    operator_actor,
    portal_user_actor,
    provider_actor,
    system_actor,
)
from installations.errors import NotPermitted, ReasonHoldsSecret, ReasonRequired

ROOT = Path(__file__).parents[2]


@dataclass
class Account:
    pk: int = 5
    is_active: bool = True
    is_staff: bool = True
    permissions: set[str] = field(default_factory=lambda: {"app.act"})

    def get_username(self) -> str:
        return "reviewer"

    def has_perm(self, perm: str) -> bool:
        return perm in self.permissions


def test_operator_is_kept_by_value():
    actor = operator_actor(Account(), Via.ADMIN)

    assert actor == Actor(ActorKind.OPERATOR, "5", "reviewer", Via.ADMIN)


def test_operator_with_the_permission_may_act():
    assert operator_actor(Account(), Via.ADMIN).require("app.act") is None


@pytest.mark.parametrize(
    "account",
    [Account(permissions=set()), Account(is_active=False), Account(is_staff=False)],
    ids=["no-permission", "inactive", "not-staff"],
)
def test_operator_without_permission_inactive_or_not_staff_may_not(account):
    with pytest.raises(NotPermitted) as caught:
        operator_actor(account, Via.COMMAND).require("app.act")

    assert caught.value.context == {"permission": "app.act", "actor": "5"}


def test_permission_is_asked_at_the_time_of_the_act():
    account = Account()
    actor = operator_actor(account, Via.ADMIN)

    account.permissions.clear()

    with pytest.raises(NotPermitted):
        actor.require("app.act")


def test_portal_user_is_named_by_id_only_and_may_nothing():
    actor = portal_user_actor("acme.flowlu.com", "7")

    assert actor == Actor(ActorKind.PORTAL_USER, "acme.flowlu.com/7", "", Via.API)
    with pytest.raises(NotPermitted):
        actor.require("app.act")


def test_service_itself_may_nothing():
    with pytest.raises(NotPermitted):
        system_actor().require("app.act")


def test_command_that_names_no_operator_may_everything():
    actor = command_actor()

    assert actor.require("app.act") is None
    assert (actor.kind, actor.id, actor.via) == ("system", "shell", "command")


@pytest.mark.parametrize("make", [command_actor, system_actor, provider_actor])
def test_what_is_nobodys_account_keeps_its_names(make):
    assert (is_reserved(make().id), is_reserved(make().name)) == (True, True)


@pytest.mark.parametrize("name", ["Shell", "sys-tem", "policy", "open.id_provider"])
def test_reserved_name_is_known_however_it_is_written(name):
    assert is_reserved(name) is True


@pytest.mark.parametrize("name", ["shelly", "service-2", "operator", "admin", "", "-"])
def test_other_names_are_free(name):
    assert is_reserved(name) is False


def test_nobody_else_makes_an_actor_that_is_nobodys_account():
    found = {
        path.relative_to(ROOT).as_posix()
        for area in ("installations", "tokens", "flowlu_admin")
        for path in (ROOT / area).rglob("*.py")
        if "ActorKind.SYSTEM" in path.read_text(encoding="utf-8")
    }
    assert found == {"installations/actors.py"}


def test_repr_of_an_actor_holds_no_account():
    assert "Account" not in repr(operator_actor(Account(), Via.ADMIN))


@pytest.mark.parametrize("reason", ["x", "x" * 1000, "  because\n", "日本語"])
def test_reason_is_returned_without_surrounding_white_space(reason):
    assert clean_reason(reason) == reason.strip()


def test_reason_of_thousand_characters_and_white_space_around_is_taken():
    assert clean_reason(f"  {'x' * 1000}  ") == "x" * 1000


@pytest.mark.parametrize(
    "reason",
    [
        "because q8Zr2LxW0nVt5KdYb7EhJm3PcRs9UaGf1TiOv4Xw",
        "was sent as access_token=abc by mail",
        "fls_abcdefghijkl",
    ],
)
def test_reason_that_may_hold_a_token_is_refused(reason):
    with pytest.raises(ReasonHoldsSecret):
        clean_reason(reason)


@pytest.mark.parametrize("reason", ["", " ", "\n\t", "x" * 1001, "a\x00b"], ids=["empty", "space", "lf", "long", "nul"])
def test_reason_that_is_empty_too_long_or_unstorable_is_refused(reason):
    with pytest.raises(ReasonRequired):
        clean_reason(reason)
