"""The console's pages of API keys, purposes, service clients and calls: what they do and what they say."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone

from installations.models import Application, Installation, Portal, PortalUser
from tests import factories
from tests.installations.admin.console import confirm, messages, seen, signed_in, text, url
from tests.unchanged import last_event, nothing_changes
from tokens import backend_reads
from tokens.models import ApiKey, Purpose, ServiceCall, ServiceClient

REASON = {"reason": "A trial."}


@pytest.fixture
def installation(application: Application) -> Installation:
    return factories.installation(application, approved=["crm.accounts.full", "task.read"])


@pytest.fixture
def nightly(db: None) -> Purpose:
    return factories.purpose("nightly", acts_as="system")


@pytest.fixture
def key(installation: Installation, nightly: Purpose) -> ApiKey:
    return factories.api_key(installation, purposes=[nightly])


def call(installation: Installation, **columns: Any) -> ServiceCall:
    values = {"installation": installation, "acts_as": "user", "call": "crm/account/list", "outcome": "ok"}
    return ServiceCall.objects.create(**values | columns)


def test_key_is_added_on_the_page_of_its_installation(
    reviewer: Any, installation: Installation, nightly: Purpose
) -> None:
    factories.purpose("sync")
    client, where = signed_in(reviewer), url("installations_installation_add_key", object_id=installation.pk)
    page = client.get(where)
    choices = page.context["form"].fields
    assert [value for value, _label in choices["scopes"].choices] == [
        "crm.accounts.read", "crm.accounts.full", "task.read",
    ]  # fmt: skip
    assert list(choices["purposes"].queryset) == [nightly]
    assert 'type="password"' in page.content.decode()

    body = {
        **REASON,
        "label": "Weekly",
        "key": " a-pasted-key \n",
        "scopes": ["crm.accounts.read"],
        "purposes": [nightly.pk],
        "last_day": "2099-12-31",
    }
    response = client.post(where, body, follow=True)

    row = ApiKey.objects.get()
    assert messages(response) == [f"API key #{row.pk} is stored. No page shows it again."]
    assert row.expires_at == datetime(2100, 1, 1, tzinfo=UTC)
    assert (row.label, row.scopes, row.added_by) == ("Weekly", ["crm.accounts.read"], "reviewer")
    assert "a-pasted-key" not in response.content.decode()
    assert f"Weekly (#{row.pk})" in text(response)


def test_last_day_of_the_calendar_is_refused(reviewer: Any, installation: Installation, nightly: Purpose) -> None:
    where = url("installations_installation_add_key", object_id=installation.pk)
    body = {**REASON, "label": "x", "key": "a-key", "scopes": ["task.read"], "purposes": [nightly.pk]}

    response = signed_in(reviewer).post(where, body | {"last_day": "9999-12-31"})

    assert response.context["form"].errors["last_day"] == ["Ensure this value is less than or equal to 9999-12-30."]
    assert not ApiKey.objects.exists()


@pytest.mark.parametrize("number", ["0", "x", "9" * 30])
def test_choice_of_a_row_that_cannot_be_is_refused(reviewer: Any, installation: Installation, number: str) -> None:
    where = url("installations_installation_add_key", object_id=installation.pk)
    body = {**REASON, "label": "x", "key": "a-key", "scopes": ["task.read"], "purposes": [number]}

    response = signed_in(reviewer).post(where, body)

    assert response.status_code == 200
    assert "purposes" in response.context["form"].errors
    assert not ApiKey.objects.exists()


def test_what_the_verb_refuses_stands_beside_its_field(
    reviewer: Any, installation: Installation, nightly: Purpose
) -> None:
    where = url("installations_installation_add_key", object_id=installation.pk)
    body = {**REASON, "label": "x", "key": "with space", "scopes": ["task.read"], "purposes": [nightly.pk]}
    with nothing_changes():
        response = signed_in(reviewer).post(where, body | {"last_day": "2001-01-01"})

    errors = response.context["form"].errors
    assert errors["key"] == ["must be visible ASCII characters without spaces"]
    assert errors["last_day"] == ["must be in the future"]
    assert "with space" not in response.content.decode()


def test_key_is_replaced_revoked_and_recorded_as_deleted(reviewer: Any, responder: Any, key: ApiKey) -> None:
    response = signed_in(reviewer).post(
        url("tokens_apikey_replace", object_id=key.pk), {**REASON, "key": "the-next", "overlap": "3600"}, follow=True
    )
    new = ApiKey.objects.latest("pk")
    assert messages(response) == [f"API key #{new.pk} takes the place of this one. Have the old one deleted at Flowlu."]
    client = signed_in(responder)
    assert "an administrator of acme.flowlu.com deletes it" in text(
        client.get(url("tokens_apikey_revoke", object_id=key.pk))
    )
    revoked = client.post(url("tokens_apikey_revoke", object_id=key.pk), REASON, follow=True)
    assert "For Developers > API" in messages(revoked)[0]
    page = text(client.get(url("tokens_apikey_change", key.pk)))
    assert "not confirmed to be deleted" in page
    assert "Then record it here." in page
    confirmed = client.post(url("tokens_apikey_confirm_deletion", object_id=key.pk), REASON, follow=True)
    assert messages(confirmed) == ["Recorded: the key is deleted at Flowlu."]
    assert "deleted, as responder recorded on" in text(confirmed)


def test_page_of_a_key_names_the_one_that_it_replaced_and_that_works_on(
    reviewer: Any, responder: Any, key: ApiKey
) -> None:
    signed_in(reviewer).post(
        url("tokens_apikey_replace", object_id=key.pk), {**REASON, "key": "the-next", "overlap": "3600"}
    )
    new = ApiKey.objects.latest("pk")
    key.refresh_from_db()
    client = signed_in(responder)
    words = f"{key}, which it replaced, works until {key.expires_at:%Y-%m-%d %H:%M} UTC unless you revoke it as well."

    assert words in text(client.get(url("tokens_apikey_revoke", object_id=new.pk)))
    revoked = client.post(url("tokens_apikey_revoke", object_id=new.pk), REASON, follow=True)

    assert words in messages(revoked)[0]
    assert "which it replaced" not in text(client.get(url("tokens_apikey_revoke", object_id=key.pk)))


def test_purpose_is_declared_changed_and_switched(reviewer: Any, responder: Any) -> None:
    client = signed_in(reviewer)
    where = url("tokens_purpose_new")
    assert f'href="{where}"' in client.get(url("tokens_purpose_changelist")).content.decode()
    body = {
        **REASON,
        "code": "invoice-sync",
        "description": "Copy invoices.",
        "acts_as": "user",
        "owner": "Billing",
        "scopes": "crm.accounts.read\n\ntask.read ",
        "enabled": "on",
    }
    response = client.post(where, body, follow=True)
    row = Purpose.objects.get()
    assert messages(response) == [
        "The purpose invoice-sync is declared. Allow it to a service client next. See invoice-sync."
    ]
    assert (row.scopes, row.enabled, row.expires_at) == (["crm.accounts.read", "task.read"], True, None)

    change = url("tokens_purpose_change_purpose", object_id=row.pk)
    form = client.get(change).context["form"]
    assert form.initial["scopes"] == "crm.accounts.read\ntask.read"
    confirm(client, change, {**REASON, "description": "x", "owner": "Billing", "scopes": "task.read", "last_day": ""})
    row.refresh_from_db()
    assert (row.description, row.scopes) == ("x", ["task.read"])
    signed_in(responder).post(url("tokens_purpose_switch_off", object_id=row.pk), REASON)
    row.refresh_from_db()
    assert row.enabled is False
    client.post(url("tokens_purpose_switch_on", object_id=row.pk), REASON)
    row.refresh_from_db()
    assert row.enabled is True


def test_last_day_that_is_not_touched_keeps_its_moment(reviewer: Any) -> None:
    moment = timezone.now() + timedelta(days=3, hours=1)
    row = factories.purpose(expires_at=moment)
    client, where = signed_in(reviewer), url("tokens_purpose_change_purpose", object_id=row.pk)
    initial = client.get(where).context["form"].initial

    client.post(where, {**REASON, **initial, "owner": "Billing"})

    row.refresh_from_db()
    assert (row.owner, row.expires_at) == ("Billing", moment)


def test_stale_page_of_a_purpose_widens_nothing_again(reviewer: Any) -> None:
    row = factories.purpose(scopes=["crm.accounts.full", "crm.deals.full"])
    client, where = signed_in(reviewer), url("tokens_purpose_change_purpose", object_id=row.pk)
    stale = {**seen(client.get(where)), **REASON, "description": "Better words."}
    narrowed = {**stale, "description": row.description, "scopes": "crm.accounts.read"}
    assert signed_in(reviewer).post(where, narrowed).status_code == 302

    with nothing_changes():
        refused = client.post(where, stale)
    assert "The purpose account-sync was changed while you were reading it. Look at it again." in text(refused)
    with nothing_changes():
        assert client.post(where, narrowed).status_code == 302  # sent twice: it is so already

    fresh = {**seen(client.get(where)), **REASON, "description": "Better words."}
    assert client.post(where, fresh).status_code == 302
    row.refresh_from_db()
    assert (row.description, row.scopes) == ("Better words.", ["crm.accounts.read"])


def test_stale_page_of_a_client_widens_nothing_again(reviewer: Any, installation: Installation) -> None:
    portal = installation.portal
    row = factories.service_client(applications=[installation.application], portals=[portal]).client
    client, where = signed_in(reviewer), url("tokens_serviceclient_change_client", object_id=row.pk)
    stale = {"seen": seen(client.get(where))["seen"], **REASON, "portals": portal.domain}
    narrowed = {**stale, "portals": "", "applications": [installation.application_id]}
    assert signed_in(reviewer).post(where, narrowed).status_code == 302

    with nothing_changes():
        refused = client.post(where, stale)
    assert f"What {row.name} may do was changed while you were reading it. Look at it again." in text(refused)

    again = {"seen": seen(client.get(where))["seen"], **REASON, "portals": portal.domain}
    assert client.post(where, again).status_code == 302
    assert (list(row.applications.all()), list(row.portals.all())) == ([], [portal])


@pytest.mark.parametrize("seen_before", ["x", "", "of another form"])
def test_page_whose_word_cannot_be_read_changes_nothing(reviewer: Any, seen_before: str) -> None:
    row, other = factories.purpose(), factories.service_client().client
    client, where = signed_in(reviewer), url("tokens_purpose_change_purpose", object_id=row.pk)
    elsewhere = client.get(url("tokens_serviceclient_change_client", object_id=other.pk))
    word = seen_before if len(seen_before) < 2 else seen(elsewhere)["seen"]

    with nothing_changes():
        refused = client.post(where, {**seen(client.get(where)), **REASON, "owner": "Billing", "seen": word})
    assert "This page cannot be read any more. Look at it again." in text(refused)


def test_unknown_scope_of_a_purpose_is_said(reviewer: Any) -> None:
    body = {**REASON, "code": "x", "description": "x", "acts_as": "user", "owner": "x", "scopes": "no.such"}
    with nothing_changes():
        response = signed_in(reviewer).post(url("tokens_purpose_new"), body)
    assert response.context["form"].errors["scopes"] == ["not in the catalogue: no.such"]


def test_client_is_created_and_its_key_is_on_that_answer_only(reviewer: Any, installation: Installation) -> None:
    purpose = factories.purpose()
    client = signed_in(reviewer)
    body = {
        **REASON,
        "name": "worker",
        "purposes": [purpose.pk],
        "applications": [installation.application_id],
        "portals": "ACME.flowlu.com\n",
    }
    response = client.post(url("tokens_serviceclient_new"), body)

    row = ServiceClient.objects.get()
    key = response.context["service_key"]
    found = backend_reads.client_of(key)
    assert found is not None
    assert found.id == row.pk
    assert (response.status_code, response["Cache-Control"]) == (200, "no-store")
    assert response.content.decode().count(key) == 1
    assert list(response.context["messages"]) == []
    page = client.get(url("tokens_serviceclient_change", row.pk))
    assert key not in page.content.decode()
    assert "account-sync" in text(page)

    renewed = client.post(url("tokens_serviceclient_new_key", object_id=row.pk), REASON)
    assert backend_reads.client_of(key) is None
    assert backend_reads.client_of(renewed.context["service_key"]) is not None


def test_portal_that_was_never_seen_is_said(reviewer: Any, installation: Installation) -> None:
    with nothing_changes():
        response = signed_in(reviewer).post(
            url("tokens_serviceclient_new"), {**REASON, "name": "x", "portals": "acme.flowlu.com\nnobody.flowlu.com"}
        )
    assert "Never seen here: nobody.flowlu.com." in response.context["form"].errors["portals"][0]


def test_what_a_client_may_do_is_changed_and_it_is_switched(
    reviewer: Any, responder: Any, installation: Installation
) -> None:
    row = factories.service_client(portals=[installation.portal]).client
    client, where = signed_in(reviewer), url("tokens_serviceclient_change_client", object_id=row.pk)
    assert client.get(where).context["form"].initial["portals"] == "acme.flowlu.com"

    confirm(client, where, {**REASON, "portals": ""})
    assert list(row.portals.all()) == []
    assert last_event().verb == "service_client.changed"
    signed_in(responder).post(url("tokens_serviceclient_switch_off", object_id=row.pk), REASON)
    row.refresh_from_db()
    assert row.enabled is False
    client.post(url("tokens_serviceclient_switch_on", object_id=row.pk), REASON)
    row.refresh_from_db()
    assert row.enabled is True


def test_user_page_says_who_acted_in_their_name_and_nobody_elses(auditor: Any, installation: Installation) -> None:
    user = PortalUser.objects.get(flowlu_user_id="7")
    other = factories.launch(installation.application, user_id="8", name="Bo Li").portal_user
    sync, mine = factories.purpose(), factories.service_client("worker").client
    theirs = factories.service_client("other-worker").client
    for _ in range(3):
        call(installation, portal_user=user, purpose=sync, service_client=mine, code="crm.accounts", level="read")
    call(installation, portal_user=user, purpose=sync, service_client=mine, outcome="token_stale")
    call(installation, portal_user=other, purpose=sync, service_client=theirs)
    call(installation, portal_user=user, purpose=sync, at=timezone.now() - timedelta(days=31))

    page = text(signed_in(auditor).get(url("installations_portaluser_change", user.pk)))

    assert "Who acted in this user's name Calls of backend code. What the user's own page calls is not listed." in page
    assert page.count("worker account-sync") == 4
    assert "code of this service account-sync" in page
    assert "other-worker" not in page
    assert "Purpose Calls Refused Last account-sync 3 1" in page  # of the last 30 days


def test_purpose_and_client_pages_count_use_per_user_and_per_purpose(auditor: Any, installation: Installation) -> None:
    user = PortalUser.objects.get(flowlu_user_id="7")
    sync, worker = factories.purpose(), factories.service_client("worker").client
    for outcome in ("ok", "ok", "no_credential"):
        call(installation, portal_user=user, purpose=sync, service_client=worker, outcome=outcome)
    client = signed_in(auditor)

    purpose_page = text(client.get(url("tokens_purpose_change", sync.pk)))
    client_page = text(client.get(url("tokens_serviceclient_change", worker.pk)))

    assert "Ana Ruiz (7) 2 1" in purpose_page
    assert "worker 2 1 1" in purpose_page
    assert "account-sync 2 1 1" in client_page
    assert "3" in text(client.get(url("tokens_purpose_changelist")))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, 3),
        ({"result": "ok"}, 1),
        ({"result": "refused"}, 2),
        ({"acts_as__exact": "system"}, 1),
        ({"service_client__isnull": "True"}, 3),
        ({"purpose__isnull": "True"}, 3),
    ],
)
def test_calls_are_filtered(auditor: Any, installation: Installation, query: dict[str, str], found: int) -> None:
    call(installation)
    call(installation, outcome="no_credential")
    call(installation, outcome="scope_not_in_key", acts_as="system")

    response = signed_in(auditor).get(url("tokens_servicecall_changelist"), query)

    assert response.status_code == 200
    assert response.context["cl"].result_count == found


@pytest.mark.parametrize(
    ("page", "lookup"),
    [
        ("tokens_apikey", "sealed_key__startswith"),
        ("tokens_apikey", "fingerprint__startswith"),
        ("tokens_serviceclient", "key_hash__startswith"),
        ("tokens_servicecall", "service_client__key_hash__startswith"),
        ("tokens_servicecall", "api_key__sealed_key__startswith"),
        ("tokens_servicecall", "oauth_token__access_fingerprint__startswith"),
    ],
)
def test_no_list_is_an_oracle_for_a_secret_column(auditor: Any, key: ApiKey, page: str, lookup: str) -> None:
    assert signed_in(auditor).get(url(f"{page}_changelist"), {lookup: "a"}).status_code == 400


@pytest.mark.parametrize("name", ["apikey", "purpose", "serviceclient", "servicecall"])
def test_lists_cost_the_same_however_long_they_are(
    auditor: Any, installation: Installation, nightly: Purpose, name: str, django_assert_max_num_queries: Any
) -> None:
    client = signed_in(auditor)

    def fill(start: int) -> None:
        for number in range(start, start + 4):
            purpose = factories.purpose(f"purpose-{number}")
            row = factories.service_client(
                f"client {number}",
                purposes=[purpose],
                applications=[installation.application],
                portals=[installation.portal],
            ).client
            key = factories.api_key(installation, f"api-key-number-{number}", purposes=[nightly])
            call(installation, purpose=purpose, service_client=row, api_key=key)

    fill(0)
    with django_assert_max_num_queries(14) as few:
        assert client.get(url(f"tokens_{name}_changelist")).status_code == 200
    fill(4)
    with django_assert_max_num_queries(14) as many:
        assert client.get(url(f"tokens_{name}_changelist")).status_code == 200
    assert len(many) == len(few)


def test_name_that_is_none_is_said_beside_its_field(reviewer: Any) -> None:
    with nothing_changes():
        response = signed_in(reviewer).post(url("tokens_serviceclient_new"), {**REASON, "name": "wor\u200bker"})

    assert "name" in response.context["form"].errors


def test_key_whose_time_is_over_is_shown_as_expired(auditor: Any, key: ApiKey) -> None:
    ApiKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    assert "expired" in text(signed_in(auditor).get(url("tokens_apikey_change", key.pk)))


def test_who_may_not_see_clients_sees_none_on_a_purpose(django_user_model: Any) -> None:
    row = factories.purpose()
    user = django_user_model.objects.create_user("viewer", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_purpose"]))

    page = text(signed_in(user).get(url("tokens_purpose_change", row.pk)))

    assert "account-sync" in page
    assert "Service clients" not in page


def test_unknown_scope_of_a_change_is_said_beside_its_field(reviewer: Any) -> None:
    row = factories.purpose()
    where = url("tokens_purpose_change_purpose", object_id=row.pk)

    with nothing_changes():
        response = confirm(
            signed_in(reviewer), where, {**REASON, "description": "x", "owner": "x", "scopes": "no.such"}
        )

    assert response.context["form"].errors["scopes"] == ["not in the catalogue: no.such"]


def test_who_may_not_see_keys_is_led_to_the_installation(
    reviewer: Any, installation: Installation, nightly: Purpose
) -> None:
    reviewer.groups.clear()
    names = ("manage_apikey", "view_installation")
    reviewer.user_permissions.set(Permission.objects.filter(codename__in=names))
    where = url("installations_installation_add_key", object_id=installation.pk)
    body = {
        **REASON,
        "label": "Weekly",
        "key": "a-pasted-key",
        "scopes": ["crm.accounts.read"],
        "purposes": [nightly.pk],
    }

    response = signed_in(reviewer).post(where, body)

    assert response["Location"] == url("installations_installation_change", installation.pk)


def test_what_nobody_used_for_long_is_found_and_said(auditor: Any, nightly: Purpose) -> None:
    service_client = factories.service_client("nightly-jobs").client
    since = timezone.now() - timedelta(days=400)
    factories.purpose("fresh")
    Purpose.objects.filter(pk=nightly.pk).update(created_at=since)
    ServiceClient.objects.update(created_at=since, key_made_at=since)
    client = signed_in(auditor)

    for name, row in (("purpose", nightly), ("serviceclient", service_client)):
        page = client.get(url(f"tokens_{name}_changelist"), {"use": "unused"})
        assert list(page.context["cl"].result_list) == [row]
        assert "propose to switch it off" in text(client.get(url(f"tokens_{name}_change", row.pk)))


def test_of_many_portals_the_first_are_named(auditor: Any) -> None:
    portals = [Portal.objects.create(domain=f"p{number}.flowlu.com") for number in range(7)]
    factories.service_client(portals=portals)

    assert "p4.flowlu.com and 2 more" in text(signed_in(auditor).get(url("tokens_serviceclient_changelist")))
