"""The file of a list: what the list shows, to who sees it, with one event, in pieces, and whole or seen not to be."""

import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.db import connection
from django.db.utils import OperationalError
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from flowlu_admin.sessions import end_other_sessions
from installations.admin import list_export
from installations.admin.base import ReadOnlyAdmin
from installations.admin.display import when
from installations.admin.list_export import said
from installations.admin.text import visible
from installations.errors import NotPermitted
from installations.list_exports import export_list
from installations.list_files import END
from installations.models import AuditEvent, Installation, Portal, PortalUser
from installations.statement_bound import bounded_statements
from installations.trail.exporting import Format
from tests import factories
from tests.installations.admin.console import messages, sign_in, signed_in, text
from tests.security.scene import set_up
from tests.unchanged import last_event, nothing_changes

pytestmark = pytest.mark.django_db
USERS = reverse("admin:installations_portaluser_list_export")
# Lists that nobody takes away so, each with the reason.
WITHOUT = {
    "installations.auditevent": "it has an export of its own, which is signed, for who may export the trail",
    "installations.catalogueedition": "each edition is taken away whole, as the file that can be imported again",
}
EXPORTED = {model: shown for model, shown in admin.site._registry.items() if model._meta.label_lower not in WITHOUT}


@pytest.fixture
def portal(db: None) -> Portal:
    return Portal.objects.create(domain="acme.flowlu.com")


@pytest.fixture
def client(superuser: Any) -> Client:
    return signed_in(superuser)


def add_users(portal: Portal, number: int) -> None:
    now = timezone.now()
    PortalUser.objects.bulk_create(
        # Three of a time: the number alone tells them apart.
        PortalUser(
            portal=portal, flowlu_user_id=str(each), name=f"P{each}", last_seen_at=now - timedelta(minutes=each // 3)
        )
        for each in range(number)
    )


def text_of(response: Any) -> str:
    assert response.status_code == 200
    return b"".join(response.streaming_content).decode()


def rows_of(response: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text_of(response).splitlines()]


def take(client: Client, url: str = USERS, query: str = "", **body: str) -> list[dict[str, Any]]:
    """Return the rows of a JSON Lines file that is whole."""
    *rows, end = rows_of(client.post(url + query, {"format": "jsonl", **body}))
    assert end == {END: len(rows)}
    return rows


def test_every_list_has_a_file_or_a_reason() -> None:
    without = set()
    for model, shown in admin.site._registry.items():
        assert isinstance(shown, ReadOnlyAdmin)
        if not shown.can_be_exported:
            without.add(model._meta.label_lower)
    assert without == WITHOUT.keys()
    assert ReadOnlyAdmin.can_be_exported is False


@pytest.mark.parametrize("batch", [7, 20, 60, 61])
def test_file_is_the_whole_list_in_its_order_once(client: Client, portal: Portal, monkeypatch: Any, batch: int) -> None:
    monkeypatch.setattr(list_export, "BATCH", batch)
    add_users(portal, 60)
    found = [row["id"] for row in take(client)]
    assert found == list(PortalUser.objects.order_by("-last_seen_at", "-pk").values_list("pk", flat=True))
    assert len(found) == 60


def test_filters_search_and_order_of_the_list_are_those_of_the_file(client: Client, portal: Portal) -> None:
    add_users(portal, 9)
    other = Portal.objects.create(domain="globex.flowlu.com")
    add_users(other, 9)
    PortalUser.objects.filter(flowlu_user_id__in=["2", "3"]).update(locked_at=timezone.now())
    page = client.get(reverse("admin:installations_portaluser_changelist"), {"locked": "yes", "q": "globex", "o": "1"})

    found = take(client, page.context["export_url"])

    assert [row["Flowlu user id"] for row in found] == ["2", "3"]
    assert {row["portal"] for row in found} == {"globex.flowlu.com"}
    assert [row["lock"] for row in found] == ["locked", "locked"]


def test_place_of_a_page_narrows_no_file(client: Client, portal: Portal) -> None:
    add_users(portal, 60)
    page = client.get(reverse("admin:installations_portaluser_changelist"))
    second = client.get(reverse("admin:installations_portaluser_changelist") + page.context["cl"].next_url)
    assert len(take(client, second.context["export_url"])) == 60


def test_csv_holds_the_same_rows(client: Client, portal: Portal) -> None:
    add_users(portal, 3)
    PortalUser.objects.filter(flowlu_user_id="1").update(name='=HYPERLINK("x")')
    response = client.post(USERS, {"format": "csv"})
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Cache-Control"] == "no-store"
    assert response["Content-Disposition"] == f'attachment; filename="portaluser-{last_event().sequence}.csv"'
    names, *rows, end = csv.reader(text_of(response).splitlines())
    assert names == ["id", "Flowlu user id", "name", "portal", "role at the portal", "lock", "last seen"]
    assert {row[2] for row in rows} == {"P0", "P2", '\'=HYPERLINK("x")'}
    assert end == [END, "3"]


def test_times_are_utc_whatever_zone_the_operator_reads_in(client: Client, portal: Portal) -> None:
    client.post(reverse("account_time_zone"), {"zone": "Asia/Kathmandu"})
    add_users(portal, 1)
    PortalUser.objects.update(last_seen_at=datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC))
    assert [row["last seen"] for row in take(client)] == ["2026-03-04T05:06:07+00:00"]


def test_one_event_says_who_took_what(client: Client, superuser: Any, portal: Portal) -> None:
    add_users(portal, 4)
    before = AuditEvent.objects.count()
    take(client, query="?locked=no&q=acme&o=1")

    event = last_event()
    assert AuditEvent.objects.count() == before + 1
    assert (event.verb, event.target_kind, event.target_id) == ("list.exported", "list", "installations.portaluser")
    assert (event.actor_kind, event.actor_id) == ("operator", str(superuser.pk))
    # What was searched for may be a name, and no erasure reaches the trail.
    assert event.details == {"format": "jsonl", "rows": 4, "filters": {"locked": ["no"]}, "searched": True}


def test_long_value_of_a_filter_does_not_fill_the_trail(client: Client, superuser: Any) -> None:
    take(client, reverse("admin:installations_installation_list_export"), f"?status__exact={'pending ' * 300}")
    assert len(last_event().details["filters"]["status__exact"][0]) == 100


def test_event_is_there_before_the_first_byte(client: Client, portal: Portal) -> None:
    add_users(portal, 4)
    response = client.post(USERS)
    assert (last_event().verb, last_event().details["rows"]) == ("list.exported", 4)
    assert response.streaming, "nothing was read yet"


@pytest.mark.parametrize("method", ["get", "head"])
def test_to_look_at_the_address_leads_to_the_list_and_records_nothing(client: Client, method: str) -> None:
    with nothing_changes():
        response = getattr(client, method)(USERS, {"locked": "yes"})
    assert response["Location"] == reverse("admin:installations_portaluser_changelist") + "?locked=yes"


def test_unknown_format_is_refused(client: Client) -> None:
    with nothing_changes():
        assert client.post(USERS, {"format": "xlsx"}).status_code == 400


@pytest.mark.parametrize("query", ["?password=a", "?portal__domain__startswith=a", "?q=%00"])
def test_what_the_list_does_not_filter_by_is_refused(client: Client, query: str) -> None:
    with nothing_changes():
        assert client.post(USERS + query).status_code == 400


def test_value_that_is_none_is_said_by_the_list(client: Client) -> None:
    with nothing_changes():
        response = client.post(USERS + "?portal__id__exact=x", follow=True)
    assert response.redirect_chain[0] == (
        reverse("admin:installations_portaluser_changelist") + "?portal__id__exact=x",
        302,
    )


def test_search_that_looks_like_a_token_is_not_exported(client: Client, portal: Portal) -> None:
    add_users(portal, 1)
    token = "q8Zr2LxW0nVt5KdYb7EhJm3PcRs9UaGf1TiOv4Xw"
    with nothing_changes():
        response = client.post(f"{USERS}?q={token}", {"format": "csv"}, follow=True)
    assert not response.streaming
    assert token not in response.content.decode()
    assert any("looks like a token" in message for message in messages(response))


def test_search_for_too_much_is_not_exported(client: Client, portal: Portal) -> None:
    add_users(portal, 1)
    with nothing_changes():
        response = client.post(f"{USERS}?q={'+'.join('a' * 11)}", {"format": "csv"}, follow=True)
    assert not response.streaming
    assert any("at most 200 characters and 10 words" in message for message in messages(response))


def test_form_without_its_secret_is_refused(superuser: Any) -> None:
    client = Client(enforce_csrf_checks=True)
    sign_in(client, superuser)
    with nothing_changes():
        assert client.post(USERS).status_code == 403


def test_who_may_not_see_a_list_does_not_get_it(portal: Portal) -> None:
    client = signed_in(factories.operator("outsider", None))
    with nothing_changes():
        assert client.post(USERS).status_code == 403
    assert last_event().verb == "attempt.refused"
    assert last_event().details["permission"] == "installations.view_portaluser"


@pytest.mark.parametrize("missing", ["view_approvedpermission", "view_installation"])
def test_queue_of_reviews_takes_both_its_rights(missing: str) -> None:
    url = reverse("admin:installations_review_list_export")
    held = {"view_approvedpermission", "view_installation"} - {missing}
    user = factories.operator("half", None)
    user.user_permissions.set(Permission.objects.filter(codename__in=held, content_type__app_label="installations"))
    with nothing_changes():
        assert signed_in(user).post(url).status_code == 403


@pytest.mark.parametrize("model", EXPORTED, ids=lambda model: model._meta.label_lower)
def test_each_file_says_what_its_list_says(application: Any, model: Any) -> None:
    scene = set_up(application)
    client = scene.client("superuser")
    meta = model._meta
    page = client.get(
        reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist"),
        {"what": "all"} if meta.model_name == "review" else {},
    )
    shown = page.context["cl"]
    assert shown.result_count > 0, "nothing to look at"

    found = take(client, page.context["export_url"])

    assert [row["id"] for row in found] == [row.pk for row in shown.result_list]
    # As the page says it, whatever stands between its words.
    said_there = "".join(text(page).split())
    for row in found:
        for name, value in row.items():
            if isinstance(value, str) and "+00:00" not in value:
                assert "".join(value.split()) in said_there, (name, value)


@pytest.mark.parametrize("model", EXPORTED, ids=lambda model: model._meta.label_lower)
def test_names_in_a_file_are_told_apart(model: Any, rf: Any, superuser: Any) -> None:
    request = rf.get("/")
    request.user = superuser
    shown: Any = EXPORTED[model]
    names = list_export.names_of(list_export.columns_of(shown, request), shown)
    assert len(names) == len(set(names))
    assert END not in names


def test_piece_costs_no_more_statements_however_far_it_is(client: Client, portal: Portal, monkeypatch: Any) -> None:
    monkeypatch.setattr(list_export, "BATCH", 20)
    add_users(portal, 200)
    costs = []
    response = client.post(USERS, {"format": "csv"})
    lines = iter(response.streaming_content)
    for _piece in range(10):
        with CaptureQueriesContext(connection) as asked:
            assert len([next(lines) for _row in range(20)]) == 20
        costs.append([each["sql"] for each in asked if "OFFSET" in each["sql"]] + [str(len(asked))])
    assert all(len(cost) == 1 for cost in costs), "an OFFSET"
    assert max(int(cost[0]) for cost in costs[1:]) <= 8


def test_file_breaks_off_where_the_reader_is_removed(superuser: Any, portal: Portal, monkeypatch: Any) -> None:
    monkeypatch.setattr(list_export, "BATCH", 5)
    add_users(portal, 20)
    operator = factories.operator("leaving", "Auditor")
    lines = iter(signed_in(operator).post(USERS, {"format": "csv"}).streaming_content)
    taken = [next(lines) for _row in range(5)]
    type(operator).objects.filter(pk=operator.pk).update(is_active=False)

    with pytest.raises(NotPermitted):
        taken += list(lines)
    assert END.encode() not in b"".join(taken)


@pytest.mark.parametrize("ending", ["signed out", "ended elsewhere"])
def test_file_breaks_off_where_the_session_ends(superuser: Any, portal: Portal, monkeypatch: Any, ending: str) -> None:
    monkeypatch.setattr(list_export, "BATCH", 5)
    add_users(portal, 20)
    operator = factories.operator("leaving", "Auditor")
    client, other = signed_in(operator), signed_in(operator)
    lines = iter(client.post(USERS, {"format": "csv"}).streaming_content)
    going_on = iter(other.post(USERS, {"format": "csv"}).streaming_content)
    taken = [next(lines) for _row in range(5)]
    if ending == "signed out":
        client.logout()
    else:
        end_other_sessions(operator.pk, other.session.session_key)

    with pytest.raises(NotPermitted):
        taken += list(lines)
    assert END.encode() not in b"".join(taken)
    assert END.encode() in b"".join(going_on)


def test_file_breaks_off_where_the_database_does(client: Client, portal: Portal, monkeypatch: Any) -> None:
    monkeypatch.setattr(list_export, "BATCH", 5)
    add_users(portal, 20)
    taken: list[bytes] = []
    lines = iter(client.post(USERS, {"format": "jsonl"}).streaming_content)
    taken += [next(lines) for _row in range(5)]

    def refuse(*_given: Any) -> None:
        raise OperationalError("gone")

    with connection.execute_wrapper(refuse), pytest.raises(OperationalError):
        taken += list(lines)
    assert END.encode() not in b"".join(taken)


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_database_ends_a_statement_of_a_piece_that_takes_too_long(monkeypatch: Any) -> None:
    monkeypatch.setattr("installations.statement_bound._SECONDS", 1)
    with pytest.raises(OperationalError), bounded_statements(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(5)")
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("0",)


@pytest.mark.postgresql
def test_pieces_and_the_count_are_read_under_that_bound(client: Client, portal: Portal) -> None:
    add_users(portal, 1)
    with CaptureQueriesContext(connection) as asked:
        text_of(client.post(USERS))
    assert sum("statement_timeout = '30s'" in each["sql"] for each in asked) >= 2


def cells() -> Iterator[tuple[object, object]]:
    yield 3, 3
    yield True, True
    yield None, None
    yield "–", None
    yield "a <b>", "a <b>"
    yield datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05+00:00"
    yield when(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)), "2026-01-02T03:04:05+00:00"
    yield when(None), None
    yield when(None, "never"), "never"
    yield visible("<i>&amp;\u202e"), "<i>&amp;\\u202E"


@pytest.mark.parametrize(("shown", "expected"), list(cells()))
def test_cell_says_what_is_shown_without_its_markup(shown: object, expected: object) -> None:
    assert said(shown) == expected


def test_list_offers_its_file_only_where_there_is_something(client: Client, portal: Portal) -> None:
    where = reverse("admin:installations_portaluser_changelist")
    assert 'value="jsonl"' not in client.get(where).content.decode()
    add_users(portal, 1)
    assert 'value="jsonl"' in client.get(where).content.decode()
    assert "export_url" not in client.get(reverse("admin:installations_auditevent_changelist")).content.decode()


def test_empty_list_is_a_whole_file(client: Client) -> None:
    assert take(client, reverse("admin:installations_installation_list_export")) == []


def test_file_of_manifests_reads_no_document(client: Client, application: Any) -> None:
    response = client.post(reverse("admin:installations_manifest_list_export"))
    with CaptureQueriesContext(connection) as asked:
        assert "1.0.0" in text_of(response)
    assert [each["sql"] for each in asked if '"document"' in each["sql"]] == []


def test_decide_is_no_data(client: Client) -> None:
    assert not Installation.objects.exists()
    [names, _end] = csv.reader(text_of(client.post(reverse("admin:installations_review_list_export"))).splitlines())
    assert names == ["id", "installation", "scope", "why it is here", "use"]


def test_verb_asks_for_every_right_that_the_list_takes(auditor: Any) -> None:
    with nothing_changes(), pytest.raises(NotPermitted):
        export_list(
            rows=Portal.objects.all(),
            required=["installations.view_portal", "tokens.close_upstream"],
            format=Format.CSV,
            filters={},
            searched=False,
            actor=factories.actor(auditor),
        )
