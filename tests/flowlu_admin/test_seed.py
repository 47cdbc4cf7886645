"""`seed`: a made-up world that keeps every rule of a real one, that nobody mistakes for one, and whose secrets nobody
knows."""

from collections import Counter
from io import StringIO
from typing import Any, ClassVar

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import Count, F
from django.test import TestCase

from flowlu_admin.seeding.build import SUFFIX
from flowlu_admin.seeding.trail import LONGEST
from flowlu_admin.seeding.writing import ORDER
from installations import evidence
from installations.approval_requests import confirm_request
from installations.models import (
    ApprovalRequest,
    ApprovedPermission,
    AuditEvent,
    Installation,
    Liveness,
    Portal,
    PortalUser,
)
from installations.reviews import due
from tests import factories
from tests.unchanged import nothing_changes
from tokens import vault
from tokens.models import ApiKey, EmbedSession, OAuthToken, RevokedFingerprint

pytestmark = pytest.mark.django_db
MANY = 600


def seed(*arguments: str, installations: int = MANY) -> str:
    out = StringIO()
    words = ("--yes-this-database-is-for-trials", "--installations", str(installations), *arguments)
    call_command("seed", *words, stdout=out)
    return out.getvalue()


def run(name: str) -> str:
    out = StringIO()
    call_command(name, stdout=out, stderr=out)
    return out.getvalue()


class TestWorld(TestCase):
    """One world for all that only look at it: it takes seconds to make."""

    printed: ClassVar[str]

    @classmethod
    def setUpTestData(cls) -> None:
        cls.printed = seed()

    def test_there_is_as_much_as_was_asked_for_and_it_says_so(self) -> None:
        assert (Installation.objects.count(), OAuthToken.objects.count()) == (MANY, 2 * MANY)
        for model in ORDER:
            assert f"{model._meta.verbose_name_plural}" in self.printed
        assert self.printed.startswith("seeded: ")
        assert f"{MANY} installations" in self.printed

    def test_every_state_is_there(self) -> None:
        states = set(Installation.objects.values_list("status", flat=True))
        assert states == set(Installation.Status.values)
        assert set(OAuthToken.objects.values_list("state", flat=True)) == set(OAuthToken.State.values)
        assert {"active", "quiet", "confirmed_removed"} <= set(Liveness.objects.values_list("state", flat=True))
        assert Installation.objects.filter(generation=2).exists()
        for model in ORDER:
            if model not in (ApiKey, ApprovalRequest):  # one of hundreds has some
                assert model._base_manager.exists(), model

    def test_every_constraint_of_the_database_holds(self) -> None:
        connection.check_constraints()
        for model in ORDER:
            for field in model._meta.concrete_fields:
                if field.choices:
                    found = set(model._base_manager.values_list(field.attname, flat=True))
                    assert found <= {value for value, _label in field.flatchoices} | {""}, field

    def test_trail_verifies_in_the_order_of_its_times(self) -> None:
        assert run("verify_audit").startswith("intact: ")
        times = list(AuditEvent.objects.exclude(verb="audit.verified").order_by("sequence").values_list("occurred_at"))
        assert times == sorted(times)

    def test_last_event_says_where_all_of_it_comes_from(self) -> None:
        event = AuditEvent.objects.order_by("-sequence").first()
        assert event is not None
        assert (event.verb, event.via) == ("trial.seeded", "command")
        assert event.details == {"installations": MANY, "tokens": 2 * MANY, "seed": 1}

    def test_what_was_done_is_in_the_trail(self) -> None:
        verbs = Counter(AuditEvent.objects.values_list("verb", flat=True))
        assert verbs["installation.first_seen"] == MANY
        assert verbs["token.stored"] == 2 * MANY
        assert verbs["installation.uninstalled"] == Installation.objects.filter(status="uninstalled").count()
        assert (
            verbs["tokens.revoked"]
            == OAuthToken.objects.values("revocation").distinct().exclude(revocation=None).count()
        )

    def test_keys_are_all_there_and_every_sealed_value_unseals_to_its_fingerprint(self) -> None:
        assert "every key that rows need is there" in run("key_status")
        for row in OAuthToken.objects.exclude(sealed_access_token=None)[:50]:
            token = vault.unseal_access_token(str(row.uuid), row.sealed_access_token)
            assert vault.fingerprint_of(token).digest == row.access_fingerprint
            if row.sealed_refresh_token is not None:
                refresh = vault.unseal_refresh_token(str(row.uuid), row.sealed_refresh_token)
                assert vault.fingerprint_of(refresh).digest == row.refresh_fingerprint
        for key in ApiKey.objects.active():
            assert vault.fingerprint_of(vault.unseal_api_key(str(key.uuid), key.sealed_key)).digest == key.fingerprint

    def test_what_is_revoked_is_wiped_and_denied(self) -> None:
        revoked = OAuthToken.objects.filter(state="revoked")
        denied = set(RevokedFingerprint.objects.values_list("fingerprint", flat=True))
        assert {row.access_fingerprint for row in revoked} <= denied
        gone = OAuthToken.objects.filter(installation__status="uninstalled")
        assert set(gone.values_list("state", flat=True)) == {"revoked"}

    def test_nobody_has_more_live_tokens_than_the_vault_would_keep(self) -> None:
        kept = OAuthToken.objects.live().values("installation", "portal_user").annotate(rows=Count("pk"))
        assert max(row["rows"] for row in kept) <= 10
        assert not OAuthToken.objects.exclude(portal_user__portal=F("installation__portal")).exists()

    def test_liveness_is_what_the_rules_say(self) -> None:
        before = dict(Liveness.objects.values_list("pk", "state"))
        evidence.judge_locked(before)
        assert dict(Liveness.objects.values_list("pk", "state")) == before

    def test_no_portal_has_a_name_that_leads_anywhere(self) -> None:
        assert not Portal.objects.exclude(domain__endswith=".invalid").exists()

    def test_nobody_can_sign_in_as_one_of_its_operators(self) -> None:
        made = get_user_model().objects.filter(username__startswith="trial-")
        assert made.exists()
        assert [user for user in made if user.has_usable_password() or user.email or user.is_superuser] == []

    def test_no_session_is_one_that_anybody_can_use(self) -> None:
        assert EmbedSession.objects.values("token_hash").distinct().count() == EmbedSession.objects.count()

    def test_what_comes_next_is_numbered_on(self) -> None:
        record = factories.launch(factories.application())
        assert record.installation.pk > MANY
        factories.token(record.installation, record.portal_user)

    def test_no_act_is_long_after_the_first_sight_of_its_installation(self) -> None:
        """What waits to be chained in the order of time is a bounded number then, whatever the size."""
        seen = dict(Installation.objects.values_list("pk", "first_seen_at"))
        acts = AuditEvent.objects.filter(installation_id__isnull=False).values_list(
            "installation_id", "occurred_at", "verb"
        )
        late = [verb for pk, at, verb in acts if at - seen[pk] > LONGEST]
        assert late == []


@pytest.mark.parametrize("tokens", [0, 7, 3000])
def test_tokens_are_exactly_those_asked_for(tokens: int) -> None:
    seed("--tokens", str(tokens), installations=150)
    assert OAuthToken.objects.count() == tokens


def test_some_reviews_are_due_and_some_scopes_wait_for_a_decision() -> None:
    seed(installations=3000)
    in_force = ApprovedPermission.objects.in_force()
    assert 0 < in_force.filter(due()).count() < in_force.count() / 10
    assert 0 < Installation.objects.pending().count() < 300
    assert 0 < Installation.objects.asking_anew().count() < 200


def test_requests_can_be_confirmed(superuser: Any) -> None:
    seed(installations=3000)
    request = ApprovalRequest.objects.waiting().first()
    assert request is not None
    confirm_request(request_id=request.pk, actor=factories.actor(superuser), reason="For a test.")
    request.refresh_from_db()
    assert request.state == "confirmed"


def test_same_seed_is_the_same_world_but_for_its_secrets() -> None:
    seed("--seed", "5", installations=60)
    first = list(Portal.objects.order_by("pk").values_list("domain", flat=True))
    names = list(PortalUser.objects.order_by("pk").values_list("name", "flowlu_user_id"))
    secrets = set(OAuthToken.objects.values_list("access_fingerprint", flat=True))
    seed("--seed", "5", "--add-to-what-is-there", installations=60)
    again = list(Portal.objects.order_by("pk").values_list("domain", flat=True))[len(first) :]

    assert [_unnumbered(name) for name in again] == [_unnumbered(name) for name in first]
    assert list(PortalUser.objects.order_by("pk").values_list("name", "flowlu_user_id"))[len(names) :] == names
    assert len(set(OAuthToken.objects.values_list("access_fingerprint", flat=True)) - secrets) == len(secrets)


def _unnumbered(domain: str) -> str:
    return domain.removesuffix(SUFFIX).rpartition("-")[0]


def test_another_seed_is_another_world() -> None:
    seed("--seed", "5", installations=40)
    first = [_unnumbered(name) for name in Portal.objects.order_by("pk").values_list("domain", flat=True)]
    seed("--seed", "6", "--add-to-what-is-there", installations=40)
    again = [_unnumbered(name) for name in Portal.objects.order_by("pk").values_list("domain", flat=True)]
    assert again[len(first) :] != first


def test_without_debug_it_has_to_be_told_that_the_database_is_for_trials() -> None:
    with nothing_changes(), pytest.raises(CommandError, match="--yes-this-database-is-for-trials"):
        call_command("seed", "--installations", "5")


def test_with_debug_it_need_not_be_told(settings: Any) -> None:
    settings.DEBUG = True
    call_command("seed", "--installations", "5", stdout=StringIO())
    assert Installation.objects.count() == 5


def test_database_with_installations_is_left_alone(application: Any) -> None:
    factories.installation(application)
    with nothing_changes(), pytest.raises(CommandError, match="--add-to-what-is-there"):
        seed()


@pytest.mark.parametrize("arguments", [("--installations", "0"), ("--tokens", "-1"), ("--tokens", "12001")])
def test_sizes_that_make_no_world_are_refused(arguments: tuple[str, str]) -> None:
    with nothing_changes(), pytest.raises(CommandError, match=r"must be"):
        seed(*arguments)
