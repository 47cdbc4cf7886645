"""Which tokens a target names, what stops with them, and what changed since somebody looked."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from installations.models import Application, Installation
from tests import factories
from tokens import revocation_selectors as selectors
from tokens.errors import NoTarget
from tokens.models import EmbedSession, OAuthToken, Purpose, ReplacedFingerprint, ServiceCall, ServiceClient
from tokens.selectors import hash_session_token
from tokens.services.revocation import revoke_tokens
from tokens.targets import RevocationTarget

WHY = {"actor": factories.superactor(), "reason": "For a test."}


@pytest.fixture
def places(application):
    """Ana in two applications on acme, Bea in the first, and somebody of the first application on globex."""
    other = factories.application("com.example.other")
    return {
        "ana": factories.launch(application),
        "bea": factories.launch(application, user_id="8", name="Bea"),
        "ana-other": factories.launch(other),
        "globex": factories.launch(application, portal="globex.flowlu.com"),
    }


@pytest.fixture
def tokens(places):
    return {name: factories.token(record.installation, record.portal_user, name) for name, record in places.items()}


def named(target, tokens):
    found = set(selectors.tokens_of(target).values_list("pk", flat=True))
    return {name for name, token in tokens.items() if token.pk in found}


def test_each_kind_names_its_tokens_and_no_others(places, tokens):
    here, user = places["ana"].installation, places["ana"].portal_user
    T = RevocationTarget

    assert named(T.of_token(tokens["bea"].pk), tokens) == {"bea"}
    assert named(T.of_portal_user(user.pk), tokens) == {"ana", "ana-other"}
    assert named(T.of_portal_user(user.pk, installation_id=here.pk), tokens) == {"ana"}
    assert named(T.of_installation(here.pk), tokens) == {"ana", "bea"}
    assert named(T.of_portal(here.portal_id), tokens) == {"ana", "bea", "ana-other"}
    assert named(T.of_application(here.application_id), tokens) == {"ana", "bea", "globex"}


def test_stored_before_names_older_pairs_within_its_bounds(places, tokens):
    now = timezone.now()
    old = [tokens[name].pk for name in ("bea", "ana-other", "globex")]
    OAuthToken.objects.filter(pk__in=old).update(stored_at=now - timedelta(days=2))
    before, here = now - timedelta(days=1), places["ana"].installation
    T = RevocationTarget

    assert named(T.stored_before(before), tokens) == {"bea", "ana-other", "globex"}
    assert named(T.stored_before(before, portal_id=here.portal_id), tokens) == {"bea", "ana-other"}
    assert named(T.stored_before(before, application_id=here.application_id), tokens) == {"bea", "globex"}
    both = T.stored_before(before, portal_id=here.portal_id, application_id=here.application_id)
    assert named(both, tokens) == {"bea"}
    assert named(T.stored_before(now - timedelta(days=2)), tokens) == set()


def test_fingerprints_are_found_by_their_first_digits_whole_earlier_or_of_a_refresh_token(places, tokens):
    Application.objects.update(stores_refresh_tokens=True)
    Installation.objects.update(status="active")
    record = places["bea"]
    pair = factories.token(
        Installation.objects.get(pk=record.installation.pk), record.portal_user, "with", refresh_token="refresh"
    )
    ReplacedFingerprint.objects.create(oauth_token=tokens["globex"], fingerprint="ab" * 32, fingerprint_key_id="1")
    asked = RevocationTarget.of_fingerprints(
        [tokens["ana"].access_fingerprint[:8], pair.refresh_fingerprint, "abababab", "00000000", "f" * 64]
    )

    target, unknown = selectors.resolve_fingerprints(asked)

    assert named(target, {**tokens, "pair": pair}) == {"ana", "globex", "pair"}
    assert unknown == ["00000000", "f" * 64]
    assert all(len(text) == 64 for text in target.fingerprints)
    assert selectors.resolve_fingerprints(target) == (target, [])


def test_first_digits_of_two_tokens_name_neither(tokens):
    OAuthToken.objects.filter(pk=tokens["ana"].pk).update(access_fingerprint="ab" * 32)
    OAuthToken.objects.filter(pk=tokens["bea"].pk).update(access_fingerprint="ab" * 31 + "00")

    with pytest.raises(NoTarget, match="begins the fingerprints of 2 tokens"):
        selectors.resolve_fingerprints(RevocationTarget.of_fingerprints(["abababab"]))


def test_fingerprints_that_nobody_has_name_nothing(tokens):
    target, unknown = selectors.resolve_fingerprints(RevocationTarget.of_fingerprints(["00000000"]))

    assert (named(target, tokens), len(unknown)) == (set(), 1)
    assert selectors.preview_revocation(target).tokens == 0


def test_same_secret_elsewhere_is_cut_with_it_also_an_earlier_one(places, tokens):
    there = places["globex"]
    shared = factories.token(there.installation, there.portal_user, "ana")
    ReplacedFingerprint.objects.create(
        oauth_token=tokens["ana"], fingerprint=tokens["bea"].access_fingerprint, fingerprint_key_id="1"
    )

    found = selectors.cut_with(selectors.tokens_of(RevocationTarget.of_token(tokens["ana"].pk)))

    assert set(found) == {tokens["ana"], shared, tokens["bea"]}


@pytest.mark.parametrize("kind", ["token", "portal user", "installation", "portal", "application"])
def test_what_is_not_there_is_refused_by_name(db, kind):
    target = {
        "token": RevocationTarget.of_token(0),
        "portal user": RevocationTarget.of_portal_user(0),
        "installation": RevocationTarget.of_installation(0),
        "portal": RevocationTarget.of_portal(0),
        "application": RevocationTarget.of_application(0),
    }[kind]

    with pytest.raises(NoTarget, match=f"no such {kind}"):
        selectors.names_of(target)


def open_session(token, name):
    return EmbedSession.objects.create(
        token_hash=hash_session_token(name), oauth_token=token, expires_at=timezone.now() + timedelta(hours=1)
    )


def service_call(token, client, purpose, days_ago=1):
    return ServiceCall.objects.create(
        at=timezone.now() - timedelta(days=days_ago),
        service_client=client,
        purpose=purpose,
        acts_as="user",
        oauth_token=token,
        call="crm/account/list",
        outcome="ok",
    )


def test_preview_says_who_and_what_stops(places, tokens, django_assert_num_queries):
    OAuthToken.objects.filter(pk=tokens["bea"].pk).update(state="stale", sealed_access_token=None)
    for name, row in (("one", "ana"), ("two", "ana"), ("three", "bea"), ("elsewhere", "globex")):
        open_session(tokens[row], name)
    EmbedSession.objects.filter(token_hash=hash_session_token("two")).update(ended_at=timezone.now())
    billing = Purpose.objects.create(code="billing", acts_as="user")
    digest = Purpose.objects.create(code="digest", acts_as="user")
    jobs = ServiceClient.objects.create(name="jobs", key_hash="a" * 64)
    for _ in range(3):
        service_call(tokens["ana"], jobs, billing)
    service_call(tokens["bea"], None, digest)
    service_call(tokens["ana"], jobs, digest, days_ago=31)  # too long ago
    service_call(tokens["globex"], jobs, digest)  # not cut

    with django_assert_num_queries(7):
        preview = selectors.preview_revocation(RevocationTarget.of_installation(places["ana"].installation.pk), names=1)

    assert (preview.tokens, preview.active_tokens, preview.sessions) == (2, 1, 2)
    assert ([str(user) for user in preview.users], preview.more_users) == (["user 7 of acme.flowlu.com"], 1)
    assert [(use.name, use.calls) for use in preview.purposes] == [("billing", 3)]
    assert [(use.name, use.calls) for use in preview.service_clients] == [("jobs", 3)]
    whole = selectors.preview_revocation(RevocationTarget.of_installation(places["ana"].installation.pk))
    assert [(use.name, use.calls) for use in whole.purposes] == [("billing", 3), ("digest", 1)]
    assert [(use.name, use.calls) for use in whole.service_clients] == [("jobs", 3), ("this project's own code", 1)]


def test_preview_of_nothing_is_nothing(places):
    preview = selectors.preview_revocation(RevocationTarget.of_portal(places["ana"].installation.portal_id))

    assert (preview.tokens, preview.active_tokens, preview.sessions, preview.users_count) == (0, 0, 0, 0)


def test_cost_of_a_preview_does_not_grow_with_the_tokens(application):
    costs = set()
    for count in (2, 20):
        for number in range(count):
            record = factories.launch(application, user_id=str(number + 1))
            factories.token(record.installation, record.portal_user, f"token-{count}-{number}")
        with CaptureQueriesContext(connection) as queries:
            selectors.preview_revocation(RevocationTarget.of_application(application.pk))
        costs.add(len(queries))

    assert costs == {7}


def test_change_names_what_came_and_went(places, tokens):
    target = RevocationTarget.of_portal(places["ana"].installation.portal_id)
    pin = selectors.pin_of(target)
    revoke_tokens(target=RevocationTarget.of_token(tokens["bea"].pk), **WHY)
    there = places["ana-other"]
    came = factories.token(there.installation, there.portal_user, "came")
    OAuthToken.objects.filter(pk=tokens["ana"].pk).update(generation=2, stored_at=timezone.now())

    change = selectors.change_since(target, pin, selectors.pin_of(target))

    assert (change.before, change.now) == (3, 3)
    assert (change.added, change.added_count) == ([f"{came} of user 7 of acme.flowlu.com"], 1)
    assert (change.gone, change.gone_count) == ([f"{tokens['bea']} of user 8 of acme.flowlu.com"], 1)
    assert str(change) == (
        f"Then 3, now 3: 1 came ({came} of user 7 of acme.flowlu.com), "
        f"1 went ({tokens['bea']} of user 8 of acme.flowlu.com)."
    )
