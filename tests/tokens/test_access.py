"""The checks of a call, in the documented order: over every combination of causes, the first that holds answers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from installations import catalogue
from installations.errors import (
    InstallationLocked,
    InstallationSuspended,
    InsufficientScope,
    MethodNotAllowed,
    OriginNotAllowed,
    TokenRevoked,
    TokenStale,
    UserLocked,
)
from installations.scopes import Approval, Call, Level, Scope
from tokens.access import Caller, Need, check_call, check_origin, check_scope, check_usable, refresh_need

CATALOGUE = catalogue.load()
LIST = Call("crm", "account", "list")
CREATE = Call("crm", "account", "create")


def approval(code: str, level: str) -> Approval:
    return Approval(code, Level(level), CATALOGUE.coverage[code])


ACCOUNTS_FULL = approval("crm.accounts", "full")
WELL = Caller(
    session_id=1,
    session_used_seconds_ago=0.0,
    token_id=2,
    token_uuid="0a6ee9a6-6c0c-4b8a-9b43-3e1f3a3f6d11",
    token_state="active",
    token_generation=1,
    sealed_access_token=b"sealed",
    installation_id=3,
    installation_status="active",
    installation_locked=False,
    portal="acme.flowlu.com",
    portal_user_id=4,
    flowlu_user_id="7",
    user_locked=False,
    catalogue=CATALOGUE,
    approvals=[ACCOUNTS_FULL],
)

# In the order of the contract: what makes the caller refused, and how.
CAUSES = (
    ({"token_state": "revoked"}, TokenRevoked),
    ({"user_locked": True}, UserLocked),
    ({"installation_locked": True}, InstallationLocked),
    ({"installation_status": "suspended"}, InstallationSuspended),
    ({"approvals": []}, InsufficientScope),
    ({}, MethodNotAllowed),  # by the method of the call, below
    ({"token_state": "stale", "sealed_access_token": None}, TokenStale),
)
COMBINATIONS = [
    chosen for chosen in product((False, True), repeat=len(CAUSES)) if any(chosen) and not (chosen[0] and chosen[6])
]


def identified(chosen: tuple[bool, ...]) -> str:
    return "+".join(error.code for (_change, error), holds in zip(CAUSES, chosen, strict=True) if holds)


@pytest.mark.parametrize("chosen", COMBINATIONS, ids=identified)
def test_first_cause_in_the_documented_order_answers(chosen):
    # given
    caller, expected = WELL, None
    for (change, error), holds in zip(CAUSES, chosen, strict=True):
        if holds:
            caller = replace(caller, **change)
            expected = expected or error
    http_method = "GET" if chosen[5] else "POST"

    # when
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the exact type is the assertion
        check_call(caller, CREATE, CATALOGUE, http_method=http_method)

    # then
    assert type(caught.value) is expected


def test_every_combination_is_in_the_table():
    assert len(COMBINATIONS) == 2**7 - 1 - 2**5


def test_uninstalled_installation_answers_revoked_before_any_lock():
    caller = replace(WELL, installation_status="uninstalled", user_locked=True, installation_locked=True)

    with pytest.raises(TokenRevoked):
        check_call(caller, LIST, CATALOGUE, http_method="GET")


def test_pending_installation_answers_insufficient_scope_whatever_rows_say():
    caller = replace(WELL, installation_status="pending_approval")

    with pytest.raises(InsufficientScope) as caught:
        check_call(caller, LIST, CATALOGUE, http_method="GET")

    assert caught.value.required_scope == "crm.accounts.read"


@pytest.mark.parametrize("status", ["pending_approval", "active"])
def test_credential_is_usable_in_a_pending_or_active_installation(status):
    assert check_usable(replace(WELL, installation_status=status)) is None


@pytest.mark.parametrize("state", ["active", "stale"])
def test_stale_token_may_still_be_replaced(state):
    assert check_usable(replace(WELL, token_state=state)) is None


def test_covered_call_starts_under_the_scope_that_covers_it():
    assert check_call(WELL, CREATE, CATALOGUE, http_method="POST") == Scope("crm.accounts", Level.FULL)


@pytest.mark.parametrize("http_method", ["GET", "POST"])
def test_read_may_come_with_either_method(http_method):
    assert check_call(WELL, LIST, CATALOGUE, http_method=http_method) == Scope("crm.accounts", Level.FULL)


@pytest.mark.parametrize("http_method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "post", ""])
def test_write_needs_post(http_method):
    with pytest.raises(MethodNotAllowed):
        check_call(WELL, CREATE, CATALOGUE, http_method=http_method)


def test_read_approval_does_not_cover_a_write_and_names_the_smallest_scope_that_would():
    caller = replace(WELL, approvals=[approval("crm.accounts", "read")])

    with pytest.raises(InsufficientScope) as caught:
        check_scope(caller, CREATE, CATALOGUE)

    assert caught.value.required_scope == "crm.accounts.full"


def test_call_that_no_scope_covers_names_none():
    with pytest.raises(InsufficientScope) as caught:
        check_scope(WELL, Call("nowhere", "thing", "list"), CATALOGUE)

    assert caught.value.required_scope is None


def test_swallowed_scope_grants_nothing_of_its_own_level():
    caller = replace(WELL, approvals=[ACCOUNTS_FULL, approval("crm", "read")])

    with pytest.raises(InsufficientScope):
        check_scope(caller, CREATE, CATALOGUE)


def test_active_token_without_its_secret_is_stale():
    with pytest.raises(TokenStale):
        check_call(replace(WELL, sealed_access_token=None), LIST, CATALOGUE, http_method="GET")


@pytest.mark.parametrize("state", ["stale", "unheard-of", ""])
def test_only_an_active_token_starts_a_call(state):
    with pytest.raises(TokenStale):
        check_call(replace(WELL, token_state=state), LIST, CATALOGUE, http_method="GET")


@pytest.mark.parametrize("status", ["pending_approval", "unheard-of", ""])
def test_only_an_active_installation_covers_a_call(status):
    with pytest.raises(InsufficientScope):
        check_call(replace(WELL, installation_status=status), LIST, CATALOGUE, http_method="GET")


def test_approved_scopes_are_what_the_approvals_add_up_to():
    caller = replace(WELL, approvals=[ACCOUNTS_FULL, approval("crm", "read"), approval("user.me", "read")])

    assert caller.approved_scopes() == ["crm.read", "user.me.read"]


def test_repr_of_a_caller_holds_no_sealed_value():
    assert "sealed" not in repr(WELL)


NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
MARGIN = timedelta(minutes=5)
OURS = replace(WELL, refreshed_by="server", has_refresh_token=True, token_expires_at=NOW + timedelta(hours=1))
_LATER, _AT, _WITHIN, _PAST = (NOW + MARGIN + timedelta(seconds=late) for late in (1, 0, -1, -600))


@pytest.mark.parametrize(
    ("changes", "need"),
    [
        ({}, Need.NONE),
        ({"token_expires_at": None}, Need.NONE),
        ({"token_expires_at": _LATER}, Need.NONE),
        ({"token_expires_at": _AT}, Need.SOON),
        ({"token_expires_at": _WITHIN}, Need.SOON),
        ({"token_expires_at": _PAST}, Need.SOON),
        ({"token_state": "stale"}, Need.MUST),
        ({"sealed_access_token": None}, Need.MUST),
        ({"token_state": "stale", "sealed_access_token": None, "token_expires_at": None}, Need.MUST),
        ({"token_state": "stale", "has_refresh_token": False}, Need.NONE),
        ({"has_refresh_token": False, "token_expires_at": _PAST}, Need.NONE),
        ({"token_state": "stale", "token_needs_proof": True}, Need.MUST),
        ({"token_state": "stale", "token_needs_proof": True, "has_refresh_token": False}, Need.MUST),
        ({"token_state": "revoked", "token_needs_proof": True}, Need.NONE),
        ({"token_state": "revoked", "sealed_access_token": None}, Need.NONE),
        ({"refreshed_by": "frontend", "token_expires_at": _PAST}, Need.NONE),
        ({"refreshed_by": "frontend", "token_state": "stale", "token_needs_proof": True}, Need.NONE),
    ],
)
def test_pair_needs_a_refresh_only_where_it_is_ours_to_do(changes, need):
    assert refresh_need(replace(OURS, **changes), now=NOW, margin=MARGIN) is need


def test_page_of_another_origin_has_to_be_on_the_list_and_one_of_ours_does_not() -> None:
    allowed = ["https://app.example.com"]
    check_origin(allowed, "https://app.example.com")
    check_origin(allowed, None)
    check_origin([], None)
    for others in (allowed, []):
        with pytest.raises(OriginNotAllowed):
            check_origin(others, "https://other.example.com")
