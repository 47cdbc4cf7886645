"""Somebody writes into the database: whatever they put into a sealed column, it is refused, told, and nothing is sent.

tests/tokens/test_sealing.py has the same for the pure functions, bit by bit; here real rows are damaged by SQL.
"""

import base64
import logging
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from rest_framework.test import APIClient

from flowlu_admin.sandbox.server import SandboxServer
from installations.keys import Key, KeyRing, KeyRingError, parse_key_ring
from installations.models import Application, AuditEvent, Installation
from installations.services import approve_scopes
from tests import factories
from tests.embedded import Frontend
from tokens import vault
from tokens.models import OAuthToken
from tokens.sealing import Context, seal

pytestmark = pytest.mark.django_db(transaction=True)

TABLE = OAuthToken._meta.db_table
ANOTHER_KEY = "k1:" + base64.b64encode(bytes(range(200, 232))).decode()


@pytest.fixture
def victim(sandbox: SandboxServer, application: Application) -> Frontend:
    """A page with a working session, whose pair includes a stored refresh token."""
    Application.objects.update(stores_refresh_tokens=True)
    page = Frontend(APIClient(raise_request_exception=False), sandbox, "acme.flowlu.com").open()
    installation = Installation.objects.get()
    approve_scopes(
        installation_id=installation.pk,
        requested=["crm.accounts.full"],
        actor=factories.superactor(),
        reason="A test.",
    )
    assert page.handshake(refresh_token=page.pair.refresh_token).status_code == 201
    assert page.accounts().status_code == 200
    sandbox.state.clear_requests()
    return page


@pytest.fixture
def attacker(victim: Frontend) -> Frontend:
    """Another user of the portal, whose row the attacker may copy from or to."""
    return Frontend(APIClient(raise_request_exception=False), victim.sandbox, "acme.flowlu.com", "3").open()


def row_of(page: Frontend) -> OAuthToken:
    from tokens.selectors import hash_session_token

    return OAuthToken.objects.get(sessions__token_hash=hash_session_token(page.session_token))


def write(row: OAuthToken, column: str, value: bytes | None) -> None:
    """Write past the models, as whoever holds the database does."""
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {TABLE} SET {column} = %s WHERE id = %s", [value, row.pk])
        assert cursor.rowcount == 1


def sealed(row: OAuthToken, column: str = vault.ACCESS) -> bytes:
    return bytes(getattr(row, column))


def flipped(data: bytes, place: int) -> bytes:
    changed = bytearray(data)
    changed[place] ^= 1
    return bytes(changed)


def resealed(row: OAuthToken, context: Context, *keys: Key) -> bytes:
    value = vault.unseal_access_token(str(row.uuid), sealed(row))
    return seal(value, context, KeyRing(keys) if keys else vault.token_keys())


def here(row: OAuthToken) -> Context:
    return Context("tokens.OAuthToken", str(row.uuid), vault.ACCESS)


# name -> (what the victim's column holds afterwards, made of the victim's row and the attacker's; the reason told)
DAMAGE: dict[str, tuple[Callable[[OAuthToken, OAuthToken], bytes], str]] = {
    "another row's value": (lambda _mine, theirs: sealed(theirs), "tampered"),
    "the row's own refresh token": (lambda mine, _theirs: sealed(mine, vault.REFRESH), "tampered"),
    "sealed for another model": (
        lambda mine, _theirs: resealed(mine, Context("tokens.ApiKey", str(mine.uuid), vault.ACCESS)),
        "tampered",
    ),
    "sealed for no place": (lambda mine, _theirs: resealed(mine, Context("", "", "")), "tampered"),
    "another key under the same id": (
        lambda mine, _theirs: resealed(mine, here(mine), Key("k1", bytes(range(200, 232)))),
        "tampered",
    ),
    "a key that is not in the ring": (
        lambda mine, _theirs: resealed(mine, here(mine), Key("k9", bytes(range(200, 232)))),
        "unknown_key",
    ),
    "another version": (lambda mine, _theirs: bytes([2]) + sealed(mine)[1:], "unknown_version"),
    "another key id": (lambda mine, _theirs: sealed(mine).replace(b"k1", b"k7", 1), "unknown_key"),
    "the token in clear": (lambda mine, _theirs: b"an-access-token-in-clear-" * 8, "unknown_version"),
    "the token in clear behind a head": (lambda mine, _theirs: b"\x01\x02k1" + b"in-clear-" * 12, "tampered"),
    "a short token in clear": (lambda mine, _theirs: b"short", "malformed"),
    "nothing": (lambda _mine, _theirs: b"", "malformed"),
    "only the head": (lambda mine, _theirs: sealed(mine)[:4], "malformed"),
    "one byte less": (lambda mine, _theirs: sealed(mine)[:-1], "tampered"),
    "one byte more": (lambda mine, _theirs: sealed(mine) + b"\x00", "tampered"),
    "a bit of the time": (lambda mine, _theirs: flipped(sealed(mine), 8), "tampered"),
    "a bit of the text": (lambda mine, _theirs: flipped(sealed(mine), 40), "tampered"),
    "a bit of the seal": (lambda mine, _theirs: flipped(sealed(mine), -1), "tampered"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_row_is_refused_told_and_nothing_is_sent(
    victim: Frontend, attacker: Frontend, caplog: Any, damage: str
) -> None:
    make, reason = DAMAGE[damage]
    row = row_of(victim)
    damaged = make(row, row_of(attacker))
    victim.sandbox.state.clear_requests()
    write(row, vault.ACCESS, damaged)

    with caplog.at_level(logging.ERROR):
        answer = victim.accounts()

    assert (answer.status_code, answer.json()["error"]) == (401, "token_stale")
    assert victim.sandbox.state.requests() == []
    event = AuditEvent.objects.get(verb="token.undecryptable")
    assert (event.target_id, event.details["reason"]) == (str(row.pk), reason)
    assert f"Token #{row.pk} does not unseal: {reason}" in caplog.text
    # Kept for whoever mends the keys; nothing of it is told.
    assert sealed(OAuthToken.objects.get(pk=row.pk)) == damaged
    told = answer.content.decode() + caplog.text + str(event.details)
    assert victim.access_token not in told
    assert "clear-" not in told
    # The session mends itself as after any stale token; the neighbour never noticed.
    victim.refresh()
    assert victim.hand_over().status_code == 204
    assert victim.accounts().status_code == 200
    assert attacker.get("session").json()["token"]["state"] == "active"


def test_swapped_rows_give_neither_user_the_others_token(victim: Frontend, attacker: Frontend) -> None:
    mine, theirs = row_of(victim), row_of(attacker)
    write(mine, vault.ACCESS, sealed(theirs))
    write(theirs, vault.ACCESS, sealed(mine))
    victim.sandbox.state.clear_requests()

    for page in (victim, attacker):
        assert page.accounts().json()["error"] == "token_stale"

    assert victim.sandbox.state.requests() == []
    assert AuditEvent.objects.filter(verb="token.undecryptable").count() == 2


def test_uuid_moved_with_the_value_is_no_way_to_take_over_a_session(victim: Frontend, attacker: Frontend) -> None:
    """The uuid binds a value to its row, and there is one row for a uuid: moving both needs the victim's row gone.

    What remains is a writer of the database who rewrites who owns what; the audit trail is the witness of that
    (docs/security.md).
    """
    mine, theirs = row_of(victim), row_of(attacker)
    with pytest.raises(Exception, match="(?i)unique"), connection.cursor() as cursor:
        cursor.execute(f"UPDATE {TABLE} SET uuid = (SELECT uuid FROM {TABLE} WHERE id = %s) WHERE id = %s",
                       [mine.pk, theirs.pk])  # fmt: skip


def test_every_row_under_a_lost_key_is_refused_and_comes_back_with_the_key(
    victim: Frontend, attacker: Frontend, settings: Any
) -> None:
    kept = settings.TOKEN_KEYS
    settings.TOKEN_KEYS = ANOTHER_KEY
    victim.sandbox.state.clear_requests()
    assert victim.accounts().json()["error"] == "token_stale"
    assert victim.sandbox.state.requests() == []

    settings.TOKEN_KEYS = kept
    row = row_of(victim)
    assert vault.unseal_access_token(str(row.uuid), sealed(row)) == victim.access_token


def test_swapped_second_factor_of_an_api_token_unseals_nothing(victim: Frontend, superuser: Any) -> None:
    """A sealed token put into an operator's second factor, or the reverse, is of another place."""
    from flowlu_admin.operators import OperatorMFAAdapter

    adapter = OperatorMFAAdapter()
    seed = adapter.encrypt("JBSWY3DPEHPK3PXP")
    row = row_of(victim)
    with pytest.raises(Exception, match="tampered"):
        adapter.decrypt(base64.b64encode(sealed(row)).decode())
    with pytest.raises(Exception, match="tampered"):
        vault.unseal_access_token(str(row.uuid), base64.b64decode(seed))


def test_operators_session_in_clear_or_of_another_is_no_session(superuser: Any, auditor: Any) -> None:
    """A row of django_session swapped, damaged or written in clear signs nobody in."""
    from django.contrib.sessions.models import Session

    mine, theirs = Client(), Client()
    mine.force_login(auditor, backend="django.contrib.auth.backends.ModelBackend")
    theirs.force_login(superuser, backend="django.contrib.auth.backends.ModelBackend")
    rows = list(Session.objects.all())
    own = {row.session_key: row.session_data for row in rows}
    assert len(own) == 2
    for row in rows:
        other = next(data for key, data in own.items() if key != row.session_key)
        clear = base64.b64encode(b'{"_auth_user_id": "1"}').decode()
        for data in (other, own[row.session_key][:-4] + "AAAA", clear, "", "e30:1x:forged"):
            Session.objects.filter(pk=row.pk).update(session_data=data)
            for client in (mine, theirs):
                response = client.get("/admin/", follow=False)
                if response.status_code == 200:
                    # Still whoever it was: the other row is whole.
                    assert response.context["user"].pk == (auditor if client is mine else superuser).pk
        Session.objects.filter(pk=row.pk).update(session_data="")
    assert mine.get("/admin/").status_code == theirs.get("/admin/").status_code == 302


@pytest.mark.parametrize(
    "ring",
    [
        "",
        " ",
        ",",
        "k1:",
        "k1:" + base64.b64encode(bytes(31)).decode(),
        "k1:" + base64.b64encode(bytes(33)).decode(),
        ANOTHER_KEY + "," + ANOTHER_KEY,
        ANOTHER_KEY + "," + ANOTHER_KEY.replace("k1:", "k1 :"),
        "k1:not-base64-at-all!",
    ],
)
def test_ring_that_is_empty_short_or_ambiguous_is_refused_not_repaired(
    victim: Frontend, settings: Any, ring: str
) -> None:
    """The start is refused already (tests/flowlu_admin/test_checks.py); should it come this far, nothing is sealed."""
    with pytest.raises(KeyRingError) as caught:
        parse_key_ring(ring)
    assert base64.b64encode(bytes(31)).decode()[:12] not in str(caught.value)

    settings.TOKEN_KEYS = ring
    known = OAuthToken.objects.count()
    victim.sandbox.state.clear_requests()
    response = victim.accounts()
    assert response.status_code == 500
    assert victim.sandbox.state.requests() == []
    assert OAuthToken.objects.count() == known
