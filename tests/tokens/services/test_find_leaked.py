"""Looking leaked tokens up: whose each is, what it may do, and nothing of what was looked up in the trail."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from installations.errors import NotPermitted
from installations.models import Application, Installation
from installations.services import approve_scopes
from tests import factories
from tests.tokens.keyring import F1, F2
from tests.tokens.services.test_revoke_tokens import session_on
from tests.tokens.services.test_rewrap_tokens import api_key
from tests.unchanged import last_event, nothing_changes
from tokens import vault
from tokens.leaks import read
from tokens.models import OAuthToken, ReplacedFingerprint, RevokedFingerprint
from tokens.services.api_keys import revoke_api_key
from tokens.services.keys import rewrap_tokens
from tokens.services.leaks import find_leaked
from tokens.services.revocation import revoke_tokens
from tokens.targets import RevocationTarget

ACTOR = factories.superactor()


def find(text, actor=ACTOR):
    return find_leaked(lines=read(text), actor=actor)


@pytest.fixture
def row(record):
    Application.objects.update(stores_refresh_tokens=True)
    Installation.objects.update(status="active")
    installation = Installation.objects.get()
    approve_scopes(
        installation_id=installation.pk, requested=["crm.accounts.full", "fin.read"], actor=ACTOR, reason="A test."
    )
    installation.refresh_from_db()
    return factories.token(installation, record.portal_user, "an-access-token", refresh_token="a-refresh-token")


def test_live_token_is_told_with_its_lines_owner_scopes_and_last_use(row):
    session = session_on(row)

    found = find("nothing-of-ours\nan-access-token\nBearer an-access-token\n")

    (hit,) = found.hits
    assert (hit.kind, hit.lines, hit.token, hit.is_live) == ("access token", [2, 3], row, True)
    assert hit.installation == row.installation
    assert hit.scopes == ["crm.accounts.full", "fin.read"]
    assert hit.last_used_at == session.last_used_at
    assert (found.lines, found.unknown) == (3, 1)


def test_refresh_token_and_api_key_are_found_too(row, record):
    key = api_key(record, "an-api-key-of-acme")

    found = find("a-refresh-token\nan-api-key-of-acme")

    assert [(hit.kind, hit.lines, hit.token, hit.api_key) for hit in found.hits] == [
        ("refresh token", [1], row, None),
        ("API key", [2], None, key),
    ]


@pytest.mark.parametrize("which", ["an-access-token", "a-refresh-token"])
def test_revoked_token_is_told_as_such(row, which):
    cut = revoke_tokens(target=RevocationTarget.of_installation(row.installation_id), actor=ACTOR, reason="Before.")

    found = find(which)

    (hit,) = found.hits
    assert (hit.is_live, hit.revoked_at, hit.revocation_id) == (False, cut.revocation.cut_at, cut.revocation.pk)
    assert (found.live, found.unknown) == ([], 0)


def test_denied_token_that_lives_in_another_row_is_offered_for_cutting(row, record):
    revoke_tokens(target=RevocationTarget.of_installation(row.installation_id), actor=ACTOR, reason="Before.")
    beside = factories.token(row.installation, record.portal_user)  # stored beside the revocation

    found = find("an-access-token")

    assert [(hit.token, hit.is_live) for hit in found.hits] == [(beside, True), (row, False)]
    cut = revoke_tokens(target=RevocationTarget.of_token(beside.pk), actor=ACTOR, reason="It leaked.")
    assert cut.tokens_cut == 1
    assert find("an-access-token").live == []


def test_same_token_in_two_installations_is_told_twice(row):
    other = factories.launch(factories.application("com.example.other"))
    second = factories.token(other.installation, other.portal_user, "an-access-token")

    assert {hit.token for hit in find("an-access-token").hits} == {row, second}


def test_token_is_found_under_whichever_key_its_fingerprint_is(row, record, settings):
    settings.FINGERPRINT_KEY = f"{F2},{F1}"
    later = factories.token(row.installation, record.portal_user, "a-later-token")

    assert {hit.token for hit in find("an-access-token\na-later-token").hits} == {row, later}
    rewrap_tokens(actor=ACTOR, reason="A rotation.")
    assert {hit.token for hit in find("an-access-token\na-later-token").hits} == {row, later}


def test_stale_token_is_live_for_the_desk(row):
    OAuthToken.objects.update(state="stale", sealed_access_token=None, stale_at="2026-01-01T00:00:00Z")

    assert [hit.is_live for hit in find("an-access-token").hits] == [True]


def test_trail_keeps_counts_and_ids_only(row, record):
    key = api_key(record, "an-api-key-of-acme")
    find("an-access-token\nan-api-key-of-acme\nwhat-nobody-knows-here\n")

    event = last_event()
    assert (event.verb, event.target_kind, event.target_id) == ("leaked.looked_up", "vault", "leaked")
    assert event.details == {
        "lines": 3,
        "not_known": 1,
        "live": 2,
        "revoked_before": 0,
        "tokens": [row.pk],
        "api_keys": [key.pk],
    }


def test_miss_costs_the_same_statements_as_a_look_at_nothing_else(row):
    counts = []
    for text in ("what-nobody-knows-here", "another-one-of-those"):
        with CaptureQueriesContext(connection) as made:
            find(text)
        counts.append(len(made))

    assert counts[0] == counts[1]


def test_statements_follow_the_batches_not_the_hits(row, record, monkeypatch):
    monkeypatch.setattr("tokens.services.storing.MAX_LIVE_TOKENS", 100)
    for number in range(30):
        factories.token(row.installation, record.portal_user, f"token-number-{number}")
    counts = []
    for hits in (1, 30):
        with CaptureQueriesContext(connection) as made:
            assert len(find("\n".join(f"token-number-{number}" for number in range(hits))).hits) == hits
        counts.append(len(made))

    assert counts[0] == counts[1]


def test_without_the_permission_nothing_is_looked_up(row, reviewer, auditor):
    for operator in (reviewer, auditor):
        with nothing_changes(), pytest.raises(NotPermitted):
            find("an-access-token", factories.actor(operator))


def test_more_lines_than_go_into_one_statement_are_all_looked_up(row):
    text = "\n".join([*(f"nothing-{number}" for number in range(900)), "an-access-token"])

    found = find(text)

    assert (found.lines, found.unknown) == (901, 900)
    assert [(hit.kind, hit.lines) for hit in found.live] == [("access token", [901])]


def test_earlier_token_of_a_lineage_leads_to_what_is_stored_now(row):
    ReplacedFingerprint.objects.create(
        oauth_token=row, fingerprint=vault.fingerprint_of("an-older-token").digest, fingerprint_key_id="1"
    )

    [hit] = find("an-older-token").live

    assert (hit.kind, hit.token) == ("earlier token of this lineage", row)


@pytest.mark.parametrize("revoked", [False, True])
def test_api_key_is_a_hit_too(row, record, revoked):
    key = api_key(record)
    key.scopes = ["crm.accounts.read"]
    key.save()
    if revoked:
        revoke_api_key(api_key_id=key.pk, actor=ACTOR, reason="A test.")

    [hit] = find("an-api-key").hits

    assert (hit.kind, hit.api_key, hit.is_live) == ("API key", key, not revoked)
    assert list(hit.scopes) == ["crm.accounts.read"]
    assert last_event().details["api_keys"] == [key.pk]


def test_token_that_is_only_on_the_deny_list_is_told_with_its_revocation(row):
    revocation = revoke_tokens(target=RevocationTarget.of_token(row.pk), actor=ACTOR, reason="A test.").revocation
    RevokedFingerprint.objects.create(
        fingerprint=vault.fingerprint_of("came-back-from-a-refresh").digest,
        fingerprint_key_id="1",
        revocation=revocation,
        revoked_at=revocation.cut_at,
    )

    [hit] = find("came-back-from-a-refresh").hits

    assert (hit.kind, hit.token, hit.is_live, hit.revocation_id) == ("token", None, False, revocation.pk)
