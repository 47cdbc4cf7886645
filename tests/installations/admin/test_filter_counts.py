"""Filters say how many where that is cheap and true, in one statement each, and say nothing otherwise."""

from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import connection
from django.db.models import Q
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from installations.admin import change_lists, filter_counts
from installations.models import ApprovedPermission, Installation, Portal, PortalUser
from installations.services import lock
from tests import factories
from tests.installations.admin.console import signed_in
from tests.installations.admin.test_list_plans import the_list
from tests.security.scene import set_up

pytestmark = pytest.mark.django_db
USERS = reverse("admin:installations_portaluser_changelist")


@pytest.fixture
def portal(db: None) -> Portal:
    return Portal.objects.create(domain="acme.flowlu.com")


@pytest.fixture
def client(superuser: Any) -> Client:
    return signed_in(superuser)


@pytest.fixture
def bound(monkeypatch: Any) -> int:
    monkeypatch.setattr(filter_counts, "BOUND", 20)
    monkeypatch.setattr(change_lists, "BOUND", 20)
    return 20


def add_users(portal: Portal, number: int, *, locked: int = 0, admins: int = 0) -> None:
    now = timezone.now()
    PortalUser.objects.bulk_create(
        PortalUser(
            portal=portal,
            flowlu_user_id=str(each),
            last_seen_at=now - timedelta(minutes=each),
            locked_at=now if each < locked else None,
            is_portal_admin=each < admins,
        )
        for each in range(number)
    )


def counts(client: Client, query: str = "", url: str = USERS) -> dict[str, dict[str, str]]:
    """Return what each filter says, as a reader of the page finds it."""
    page = client.get(url + query)
    assert page.status_code == 200
    found = {
        title: {str(choice["display"]): choice["count"] for choice in choices}
        for title, choices in page.context["cl"].shown_filters()
    }
    source = page.content.decode()
    for choices in found.values():
        for display, count in choices.items():
            assert not count or f'{display} <span class="choice-count">({count})</span>' in source
    return found


def test_choices_of_a_short_list_say_how_many_they_would_leave(client: Client, portal: Portal) -> None:
    add_users(portal, 9, locked=2, admins=5)
    found = counts(client)
    assert found["lock"] == {"All": "", "locked": "2", "not locked": "7"}
    assert list(found.values())[1] == {"All": "", "Yes": "5", "No": "4"}


def test_other_filters_lookups_and_the_search_count(client: Client, portal: Portal) -> None:
    add_users(portal, 9, locked=2, admins=5)
    add_users(Portal.objects.create(domain="globex.flowlu.com"), 4, locked=4)
    assert list(counts(client, "?locked=yes").values())[1] == {"All": "", "Yes": "2", "No": "4"}
    assert list(counts(client, f"?locked=yes&portal__id__exact={portal.pk}").values())[1]["Yes"] == "2"
    assert counts(client, "?q=globex")["lock"] == {"All": "", "locked": "4", "not locked": "0"}
    # What is chosen itself is asked about as if it were not.
    narrowed = counts(client, f"?locked=yes&portal__id__exact={portal.pk}")
    assert narrowed["lock"] == {"All": "", "locked": "2", "not locked": "7"}
    assert counts(client, "?locked=yes&is_portal_admin__exact=0")["lock"] == {
        "All": "",
        "locked": "4",
        "not locked": "4",
    }


def test_nothing_matches_and_says_none(client: Client, portal: Portal) -> None:
    add_users(portal, 3)
    assert counts(client, "?q=nobody-of-this-name")["lock"] == {"All": "", "locked": "0", "not locked": "0"}


def test_chosen_filter_of_a_searched_list_says_nothing(client: Client, portal: Portal) -> None:
    add_users(portal, 3, locked=1)
    assert set(counts(client, "?q=acme&locked=yes")["lock"].values()) == {""}


def test_long_list_is_counted_by_an_index_to_a_bound(client: Client, portal: Portal, bound: int) -> None:
    add_users(portal, 30, locked=3, admins=5)
    found = counts(client)
    assert found["lock"] == {"All": "", "locked": "3", "not locked": "20+"}
    # No index finds administrators: a number among the first of them would be false.
    assert set(list(found.values())[1].values()) == {""}
    assert counts(client, "?locked=no")["lock"] == {"All": "", "locked": "3", "not locked": "20+"}


def test_bound_itself_is_exact(client: Client, portal: Portal, bound: int) -> None:
    add_users(portal, 23, locked=3)
    assert counts(client)["lock"] == {"All": "", "locked": "3", "not locked": "20"}
    add_users(Portal.objects.create(domain="globex.flowlu.com"), 1)
    assert counts(client)["lock"]["not locked"] == "20+"


def test_rest_of_a_narrowed_list_that_is_long_says_nothing(client: Client, portal: Portal, bound: int) -> None:
    add_users(portal, 30, locked=3)
    here = f"?portal__id__exact={portal.pk}"
    assert set(counts(client, here)["lock"].values()) == {""}
    # Not even where the chosen part is short: what is left without the filter is not.
    assert set(counts(client, f"{here}&locked=yes")["lock"].values()) == {""}


def test_filter_of_very_many_choices_says_nothing(client: Client, monkeypatch: Any) -> None:
    for number in range(3):
        factories.application(f"com.example.app{number}")
    url = reverse("admin:installations_manifest_changelist")
    assert "1" in counts(client, url=url)["application"].values()
    monkeypatch.setattr(change_lists, "MOST_CHOICES", 2)
    assert set(counts(client, url=url)["application"].values()) == {""}


def test_queue_of_reviews_says_nothing(application: Any) -> None:
    client = set_up(application).client("superuser")
    assert ApprovedPermission.objects.exists()
    for choices in counts(client, url=reverse("admin:installations_review_changelist")).values():
        assert set(choices.values()) == {""}


@pytest.mark.parametrize("model", admin.site._registry, ids=lambda model: model._meta.label_lower)
def test_what_a_choice_says_is_what_it_leaves(application: Any, model: Any) -> None:
    """Of each filter of each list, each choice is opened, and beside each that one again."""
    scene = set_up(application)
    client, meta = scene.client("superuser"), model._meta
    url = reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")
    opened = [client.get(url).context["cl"]]
    opened += [
        client.get(url + choice["query_string"]).context["cl"]
        for _t, each in opened[0].shown_filters()
        for choice in each
    ]
    looked = 0
    for changelist in opened:
        for _title, choices in changelist.shown_filters():
            for choice in choices:
                if choice["count"]:
                    left = client.get(url + choice["query_string"]).context["cl"]
                    assert f"{left.result_count:,}" == choice["count"], choice
                    looked += 1
    shown: Any = admin.site._registry[model]
    assert looked or not opened[0].filter_specs or not shown.counts_choices


@pytest.mark.parametrize("query", ["", "locked=yes", "locked=yes&status__exact=active", "q=acme"])
def test_each_filter_costs_one_statement_at_most(superuser: Any, query: str) -> None:
    for number in range(2):
        factories.installation(factories.application(f"com.example.app{number}"))
    found = the_list(Installation, query, superuser)
    with CaptureQueriesContext(connection) as asked:
        filters = list(found.shown_filters())
    assert len(filters) == 5
    counted = [each["sql"] for each in asked if each["sql"].startswith("SELECT (SELECT count")]
    assert bool(found.result_count) <= len(counted) <= 5
    # One filter looks its condition up. Which rows are left is asked once, and again for each filter that is chosen.
    chosen = query.count("=") if not query.startswith("q=") else 0
    assert len(asked) - len(counted) <= 2 + chosen, [each["sql"][:300] for each in asked]


def test_installation_is_locked_with_its_application(superuser: Any) -> None:
    locked, open_ = (factories.installation(factories.application(f"com.example.{name}")) for name in ("one", "two"))
    assert the_list(Installation, "locked=yes", superuser).result_count == 0

    lock(target=locked.application, actor=factories.superactor(), reason="A test.")

    assert [row.pk for row in the_list(Installation, "locked=yes", superuser).result_list] == [locked.pk]
    assert [row.pk for row in the_list(Installation, "locked=no", superuser).result_list] == [open_.pk]


def test_unbounded_counts_of_django_are_off(client: Client, portal: Portal) -> None:
    add_users(portal, 2)
    for shown in admin.site._registry.values():
        assert shown.show_facets is admin.ShowFacets.NEVER
    page = client.get(USERS, {"_facets": "True"}).content.decode()
    assert "Show counts" not in page
    assert "Hide counts" not in page


INDEXES = {
    ("installations.installation", "status__exact"): "installations_inst_status_idx",
    ("installations.installation", "liveness"): "installations_liveness_state",
    ("installations.installation", "locked"): "installations_inst_locked",
    ("installations.approvedpermission", "source__exact"): "installations_approved_source",
    ("installations.evidence", "kind__exact"): "installations_evidence_kind",
    ("installations.portal", "locked"): "installations_portal_locked",
    ("installations.portaluser", "locked"): "installations_user_locked",
    ("installations.auditevent", "verb"): "installations_audit_verb",
    ("installations.auditevent", "actor_kind"): "installations_audit_kind",
    ("installations.auditevent", "via"): "installations_audit_via",
    ("tokens.oauthtoken", "state__exact"): "tokens_oauthtoken_state_idx",
    ("tokens.servicecall", "purpose__id__exact"): "tokens_servicecall_purpose_idx",
    ("tokens.servicecall", "service_client__id__exact"): "tokens_servicecall_client_idx",
}


def test_every_filter_that_is_counted_in_a_whole_list_has_an_index() -> None:
    shown: dict[Any, Any] = admin.site._registry
    declared = {(model._meta.label_lower, name) for model, page in shown.items() for name in page.indexed_filters}
    assert declared == INDEXES.keys()


@pytest.mark.parametrize(("parameter", "index"), [(name, index) for (_label, name), index in INDEXES.items()])
def test_index_of_a_filter_begins_with_what_it_filters_by(parameter: str, index: str) -> None:
    """Stated of the index itself: over a handful of rows PostgreSQL takes any that costs as little."""
    columns = {"liveness": "state", "locked": "locked_at"}
    expected = columns.get(parameter, parameter.partition("__")[0])
    found = [each for model in apps.get_models() for each in model._meta.indexes if each.name == index]
    assert [each.fields[0] for each in found] == [expected]
    # The choice that is looked for is in it: one that leaves out what is not locked has all that is.
    assert [each.condition for each in found if each.condition] == (
        [Q(locked_at__isnull=False)] if parameter == "locked" else []
    )


@pytest.mark.django_db
def test_choices_that_can_find_nothing_cost_no_statement(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert filter_counts._counted(Portal.objects.all(), [None, None]) == [0, 0]


@pytest.mark.django_db
def test_what_is_searched_for_is_looked_for_once(client: Client, portal: Portal) -> None:
    add_users(portal, 3)
    with CaptureQueriesContext(connection) as asked:
        page = client.get(USERS, {"q": "acme"})
    assert page.context["cl"].result_count == 3
    looked = [each["sql"] for each in asked if '"installations_portaluser"."portal_id" IN (' in each["sql"]]
    assert len(looked) == 2, looked  # for what it finds, and for the rows of the page, which are named by then
    assert sum('"id" IN (' in sql for sql in looked) == 1


@pytest.mark.django_db
def test_number_is_said_to_a_bound(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filter_counts, "BOUND", 2)
    add_users(portal, 3)
    users = PortalUser.objects.all()
    sets = [users, users.filter(flowlu_user_id="0"), users.none()]

    assert filter_counts.bounded_counts(sets) == ["2+", "1", "0"]
    assert filter_counts.bounded_counts([]) == []
