"""What the pages say: the list of installations, the page of one, the first page."""

import html
import re
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import transaction
from django.utils import timezone

from installations.actors import system_actor
from installations.audit import Event, append
from installations.models import Application, ApprovedPermission, Installation
from installations.services import lock
from tests import factories
from tests.installations.admin.console import signed_in, text, url
from tests.tampering import as_owner
from tokens.models import OAuthToken, Revocation
from tokens.services.api_keys import confirm_key_deletion, revoke_api_key
from tokens.services.ledger import record_portal_step
from tokens.services.revocation import revoke_tokens
from tokens.services.sessions import note_stale_token
from tokens.targets import RevocationTarget


def test_list_shows_pending_first_and_counts_approved_scopes(auditor: Any, application: Application) -> None:
    # given
    factories.installation(application, portal="one.flowlu.com")
    factories.installation(application, portal="two.flowlu.com", approved=["crm.accounts.read", "task.read"])

    # when
    page = signed_in(auditor).get(url("installations_installation_changelist"))

    # then
    assert [row.portal.domain for row in page.context["cl"].result_list] == ["one.flowlu.com", "two.flowlu.com"]
    assert "pending approval – 0 of 5 scopes" in text(page)
    assert "active – 2 of 5 scopes" in text(page)


_case_filter = pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"status__exact": "pending_approval"}, ["one.flowlu.com"]),
        ({"locked": "yes"}, ["two.flowlu.com"]),
        ({"locked": "no"}, ["one.flowlu.com"]),
        ({"q": "TWO.flow"}, ["two.flowlu.com"]),
        ({"q": "com.example.desk"}, ["one.flowlu.com", "two.flowlu.com"]),
        ({"q": "nowhere"}, []),
    ],
)


@_case_filter
def test_list_is_filtered_and_searched(
    auditor: Any, application: Application, query: dict[str, str], found: list[str]
) -> None:
    factories.installation(application, portal="one.flowlu.com")
    two = factories.installation(application, portal="two.flowlu.com", approved=["task.read"])
    lock(target=two.portal, actor=factories.superactor(), reason="For a test.")

    page = signed_in(auditor).get(url("installations_installation_changelist"), query)

    assert [row.portal.domain for row in page.context["cl"].result_list] == found


@time_machine.travel("2026-04-01 10:15:20", tick=False)
def test_page_says_what_was_asked_what_was_approved_by_whom_and_why(auditor: Any, reviewer: Any) -> None:
    # given
    permissions = ["crm.read", "crm.accounts.full", "task.full", "crm.cоntacts.read", "st.read"]
    application = factories.application("com.example.mixed", permissions=permissions)
    installation = factories.installation(application, approved=["crm.read", "crm.accounts.full", "task.read"])

    # when
    page = text(signed_in(auditor).get(url("installations_installation_change", installation.pk)))

    # then
    assert "Requested scopes 3 of 5 approved" in page
    assert "approved: read by shell, 2026-04-01 10:15 UTC : For a test." in page
    assert "swallowed by crm: crm decides" in page
    assert "crm.c \\u043E ntacts.read" in page
    assert page.count("unknown: cannot be approved") == 2
    assert "not documented by Flowlu" in page


def test_page_shows_what_is_approved_but_no_longer_requested(auditor: Any, active: Installation) -> None:
    factories.application(version="2.0.0", permissions=["task.read"])

    page = text(signed_in(auditor).get(url("installations_installation_change", active.pk)))

    assert "Approved, but no longer requested" in page
    assert ApprovedPermission.objects.in_force().count() == 2


def test_page_names_every_lock_that_applies(auditor: Any, active: Installation) -> None:
    for row in (active.portal, active.application, active):
        lock(target=row, actor=factories.superactor(), reason="For a test.")

    page = text(signed_in(auditor).get(url("installations_installation_change", active.pk)))

    for words in ("portal locked", "application locked", "installation locked", "Locked: every call is refused"):
        assert words in page


def test_page_shows_people_and_tokens_without_a_secret(responder: Any, token: OAuthToken) -> None:
    page = signed_in(responder).get(url("installations_installation_credentials", object_id=token.installation_id))

    assert f"Ana Ruiz (7) token # {token.pk}".replace("# ", "#") in text(page)
    assert token.access_fingerprint[:8] in text(page)
    assert "unknown" in text(page)  # no expiry was told
    assert url("tokens_oauthtoken_revoke", object_id=token.pk) in page.content.decode()


def test_view_only_staff_see_no_way_to_act(auditor: Any, token: OAuthToken) -> None:
    page = signed_in(auditor).get(url("installations_installation_change", token.installation_id)).content.decode()

    for slug in ("revoke", "approve", "suspend", "lock", "uninstall", "withdraw"):
        assert f"/{slug}/" not in page
    assert "What you can do" not in page


def test_no_heading_stands_over_nothing(responder: Any, token: OAuthToken) -> None:
    page = text(signed_in(responder).get(url("installations_portal_change", token.installation.portal_id)))

    assert "What stops something Revoke all tokens" in page
    assert "What you can do" not in page


def test_name_of_a_stranger_is_shown_with_its_marks(auditor: Any) -> None:
    application = factories.application("com.example.odd", name="Desk\u202e<b>")
    installation = factories.installation(application)

    page = signed_in(auditor).get(url("installations_installation_change", installation.pk)).content.decode()

    assert "\u202e" not in page
    assert "<b>" not in page
    assert "\\u202E" in page


def test_first_page_names_what_waits(auditor: Any, token: OAuthToken, application: Application) -> None:
    # given
    factories.installation(application, portal="one.flowlu.com")
    note_stale_token(token_id=token.pk, generation=token.generation)
    lock(target=token.portal_user, actor=factories.superactor(), reason="For a test.")

    # when
    page = signed_in(auditor).get(url("index"))

    # then
    assert "1 installation waits for approval Until then every call of theirs is refused. The oldest for less" in text(
        page
    )
    assert "1 token is stale" in text(page)
    assert "1 portal user is locked" in text(page)
    assert "?status__exact=pending_approval" in page.content.decode()


def test_first_page_says_that_the_trail_is_broken(auditor: Any, reviewer: Any, token: OAuthToken) -> None:
    client = signed_in(auditor)
    call_command("verify_audit", stdout=StringIO(), stderr=StringIO())
    assert "is broken" not in text(client.get(url("index")))

    with as_owner() as cursor:
        cursor.execute("UPDATE installations_auditevent SET reason = 'x' WHERE sequence = 1")
        with pytest.raises(CommandError):
            call_command("verify_audit", stdout=StringIO(), stderr=StringIO())

        assert "The audit trail is broken: 1 finding The last verification, less than a minute ago, says so." in text(
            client.get(url("index"))
        )


def test_first_page_names_what_is_left_of_a_revocation(
    auditor: Any, token: OAuthToken, django_assert_max_num_queries: Any
) -> None:
    # given
    here, who = RevocationTarget.of_token(token.pk), factories.superactor()
    done = revoke_tokens(target=here, actor=who, reason="For a test.").revocation
    assert done is not None
    factories.approve(token.installation, "crm.accounts.full")
    nightly = factories.purpose("nightly", acts_as="system")
    key = factories.api_key(token.installation, purposes=[nightly])
    revoke_api_key(api_key_id=key.pk, actor=who, reason="For a test.")
    client = signed_in(auditor)

    # then
    page = client.get(url("index"))
    assert "1 revocation waits for a step at Flowlu" in text(page)
    assert "1 revoked API key is not confirmed to be deleted at Flowlu" in text(page)
    assert "not finished" not in text(page)
    for query in ("portal_step__exact=open", "state__exact=revoked&amp;deletion_confirmed_at__isnull=True"):
        found = re.search(rf'href="([^"]+{re.escape(query)})"', page.content.decode())
        assert found is not None
        assert len(client.get(html.unescape(found[1])).context["cl"].result_list) == 1

    # when
    record_portal_step(revocation_id=done.pk, actor=who, note="Done.")
    confirm_key_deletion(api_key_id=key.pk, actor=who, reason="Done.")
    began = timezone.now() - timedelta(minutes=6)
    Revocation.objects.update(state="running", cut_at=began, probe="let_in", probed_at=timezone.now())

    # then
    with django_assert_max_num_queries(35):
        page = client.get(url("index"))
    assert "step at Flowlu" not in text(page)
    assert "confirmed to be deleted" not in text(page)
    assert "1 revocation is not finished The page of each says how to go on. Nothing was cut for 6 minutes." in text(
        page
    )
    assert "1 revocation did not hold when tried, in the last 7 days A probe was let in." in text(page)


def test_first_page_of_an_empty_system_says_the_next_step(reviewer: Any, auditor: Any) -> None:
    assert url("installations_application_import") in signed_in(reviewer).get(url("index")).content.decode()

    page = signed_in(auditor).get(url("index"))

    assert "Nothing is registered yet." in text(page)
    assert url("installations_application_import") not in page.content.decode()


def test_first_page_shows_each_only_what_they_may_see(outsider: Any, token: OAuthToken) -> None:
    page = text(signed_in(outsider).get(url("index")))

    assert "Your account may not see installations, so this page cannot tell what waits." in page
    assert "Nothing waits for a decision." not in page
    assert "Last events" not in page
    assert "acme" not in page


def test_first_page_costs_the_same_for_many_rows(
    auditor: Any, application: Application, django_assert_max_num_queries: Any
) -> None:
    client = signed_in(auditor)
    client.get(url("index"))
    with django_assert_max_num_queries(35):
        client.get(url("index"))
    for number in range(3):
        factories.installation(application, portal=f"customer-{number}.flowlu.com")
    with django_assert_max_num_queries(35):
        client.get(url("index"))


def test_history_leads_to_the_audit_trail(auditor: Any, active: Installation) -> None:
    client = signed_in(auditor)

    response = client.get(url("installations_installation_history", active.pk), follow=True)

    assert response.redirect_chain[0][0] == f"{url('installations_auditevent_changelist')}?installation_id={active.pk}"
    assert "scopes.approved" in text(response)


def test_first_page_says_that_a_token_did_not_unseal(auditor: Any, token: OAuthToken) -> None:
    with transaction.atomic():
        append(system_actor(), Event("token.undecryptable", "token", str(token.pk)))

    page = signed_in(auditor).get(url("index"))

    assert "1 token did not unseal in the last 7 days A key is missing or a row was damaged." in text(page)
    assert "?verb=token.undecryptable" in page.content.decode()
