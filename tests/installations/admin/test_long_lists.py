"""Long lists: pages that lose nothing while rows come and go, places that nobody makes up, counts with a bound."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from installations.admin import change_lists, filter_counts, searching
from installations.admin.change_lists import ConsoleChangeList
from installations.admin.keyset import Keyset, NoPlace
from installations.distinct import values_of
from installations.models import PENDING_FIRST, Application, AuditEvent, Installation, Portal, PortalUser
from tests import factories
from tests.installations.admin.console import signed_in, url

pytestmark = pytest.mark.django_db
URL = reverse("admin:installations_portaluser_changelist")
PER_PAGE = 50


@pytest.fixture
def portal(db: None) -> Portal:
    return Portal.objects.create(domain="acme.flowlu.com")


def add_users(portal: Portal, numbers: Iterator[int] | range) -> None:
    now = timezone.now()
    PortalUser.objects.bulk_create(
        PortalUser(
            portal=portal,
            flowlu_user_id=str(number),
            name=f"Person {number}",
            # Three of a time: the number alone tells them apart.
            last_seen_at=now - timedelta(minutes=number // 3),
            locked_at=now if number % 7 == 0 else None,
        )
        for number in numbers
    )


def ids(page: Any) -> list[str]:
    return [row.flowlu_user_id for row in page.context["cl"].result_list]


def follow(client: Client, page: Any, where: str) -> Any:
    url = getattr(page.context["cl"], f"{where}_url")
    assert url, f"no way {where}"
    return client.get(URL + url)


def walk(client: Client, query: str = "") -> list[list[str]]:
    page = client.get(URL + query)
    pages = [ids(page)]
    while page.context["cl"].next_url:
        page = follow(client, page, "next")
        pages.append(ids(page))
    return pages


@pytest.fixture
def client(superuser: Any) -> Client:
    return signed_in(superuser)


def in_order(*ordering: str, **lookups: Any) -> list[str]:
    return list(PortalUser.objects.filter(**lookups).order_by(*ordering).values_list("flowlu_user_id", flat=True))


def test_pages_are_the_whole_list_once(client: Client, portal: Portal) -> None:
    add_users(portal, range(130))
    pages = walk(client)
    assert [len(page) for page in pages] == [50, 50, 30]
    assert sum(pages, []) == in_order("-last_seen_at", "-pk")


def test_way_back_shows_the_same_pages(client: Client, portal: Portal) -> None:
    add_users(portal, range(170))
    pages = walk(client)
    page = client.get(URL)
    for _number in range(3):
        page = follow(client, page, "next")
    back = []
    while page.context["cl"].previous_url:
        page = follow(client, page, "previous")
        back.append(ids(page))
    assert back == pages[2::-1]


@pytest.mark.parametrize("column", ["lock", "user", "last_seen_at"])
@pytest.mark.parametrize("sign", ["", "-"])
def test_every_heading_sorts_without_loss(client: Client, portal: Portal, column: str, sign: str) -> None:
    """Also by what may be empty, and by what many rows have alike."""
    add_users(portal, range(120))
    names = [getattr(shown, "__name__", shown) for shown in client.get(URL).context["cl"].list_display]
    pages = walk(client, f"?o={sign}{names.index(column)}")
    assert len(sum(pages, [])) == len(set(sum(pages, []))) == 120


def test_rows_that_come_and_go_move_no_page(client: Client, portal: Portal) -> None:
    add_users(portal, range(120))
    page = client.get(URL)
    expected = in_order("-last_seen_at", "-pk")
    PortalUser.objects.create(portal=portal, flowlu_user_id="9999", last_seen_at=timezone.now() + timedelta(hours=1))
    PortalUser.objects.filter(flowlu_user_id=expected[3]).delete()
    assert ids(follow(client, page, "next")) == expected[50:100]


def test_row_of_the_place_itself_may_be_gone(client: Client, portal: Portal) -> None:
    add_users(portal, range(120))
    page, expected = client.get(URL), in_order("-last_seen_at", "-pk")
    PortalUser.objects.filter(flowlu_user_id=expected[49]).delete()
    assert ids(follow(client, page, "next")) == expected[50:100]


def test_filter_and_search_go_along(client: Client, portal: Portal) -> None:
    other = Portal.objects.create(domain="globex.flowlu.com")
    add_users(portal, range(130))
    add_users(other, range(130))
    pages = walk(client, f"?portal__id__exact={other.pk}&locked=no&q=globex")
    assert sum(pages, []) == in_order("-last_seen_at", "-pk", portal=other, locked_at=None)


def test_links_of_filters_and_headings_begin_at_the_beginning(client: Client, portal: Portal) -> None:
    add_users(portal, range(120))
    page = follow(client, client.get(URL), "next")
    text = page.content.decode()
    inside = text[text.index('id="changelist"') :]
    places = [line for line in inside.splitlines() if "after=" in line or 'name="after"' in line]
    places = [line for line in places if 'rel="next"' not in line]
    assert places == []
    assert inside.count("before=") == 1


def test_page_before_the_first_is_the_first_and_whole(client: Client, portal: Portal) -> None:
    add_users(portal, range(120))
    second = follow(client, client.get(URL), "next")
    PortalUser.objects.filter(flowlu_user_id__in=in_order("-last_seen_at", "-pk")[:10]).delete()
    first = follow(client, second, "previous")
    assert ids(first) == in_order("-last_seen_at", "-pk")[:50]
    assert first.context["cl"].previous_url == ""


def test_nothing_behind_a_place_is_said(client: Client, portal: Portal) -> None:
    add_users(portal, range(120))
    page, expected = client.get(URL), in_order("-last_seen_at", "-pk")
    PortalUser.objects.filter(flowlu_user_id__in=expected[50:]).delete()
    add_users(portal, range(1000, 1010))
    newer = PortalUser.objects.filter(name__startswith="Person 100")
    newer.update(last_seen_at=timezone.now() + timedelta(hours=1))
    page = follow(client, page, "next")
    assert "Nothing is left behind that place" in page.content.decode()
    assert len(ids(page)) == 50


HOSTILE = [
    "i1~i2~0000000000000000",
    "x",
    "0",
    "WyJ4Il0",
    "[1,2]",
    "'; DROP TABLE x",
    "é" * 20,
    "a" * 5000,
    "1:1:1",
    "n~",
    "i1~i2~0000000000000000",
    "~",
    "t9999999",
]


@pytest.mark.parametrize("name", ["after", "before"])
@pytest.mark.parametrize("text", HOSTILE)
def test_place_that_is_none_is_answered_in_words(client: Client, portal: Portal, name: str, text: str) -> None:
    add_users(portal, range(120))
    page = client.get(URL, {name: text})
    assert page.status_code == 200
    assert "named no place in this list" in page.content.decode()
    assert ids(page) == in_order("-last_seen_at", "-pk")[:50]


def test_place_of_another_list_or_ordering_is_none() -> None:
    rows = PortalUser.objects.all()
    Portal.objects.create(domain="acme.flowlu.com")
    portal = Portal.objects.get()
    add_users(portal, range(2))
    keyset = Keyset(rows, ("-last_seen_at", "-pk"))
    text = keyset.text_of(keyset.first(1)[0])
    assert keyset.read(text) == keyset.place_of(keyset.first(1)[0])
    for other in (Keyset(rows, ("last_seen_at", "-pk")), Keyset(Portal.objects.all(), ("-created_at", "-pk"))):
        with pytest.raises(NoPlace):
            other.read(text)


def test_place_with_nothing_in_a_column_and_with_an_expression(portal: Portal) -> None:
    add_users(portal, range(40))
    for ordering in (("locked_at", "pk"), ("-locked_at", "-pk"), (F("locked_at").desc(), "name", "pk")):
        rows = PortalUser.objects.all()
        keyset = Keyset(rows, ordering)
        found = keyset.first(6)
        while more := keyset.after(keyset.place_of(found[-1]), 6):
            assert keyset.before(keyset.place_of(more[0]), 6) == found[-6:]
            found += more
        assert found == list(rows.order_by(*ordering))


def test_installations_that_wait_come_first_on_every_page() -> None:
    app = factories.application()
    for number in range(12):
        made = factories.installation(app, portal=f"p{number}.flowlu.com")
        if number % 3:
            Installation.objects.filter(pk=made.pk).update(status="active")
    ordering = (PENDING_FIRST, "-first_seen_at", "-pk")
    keyset = Keyset(Installation.objects.all(), ordering)
    found = keyset.first(5)
    while more := keyset.after(keyset.read(keyset.text_of(found[-1])), 5):
        found += more
    assert found == list(Installation.objects.order_by(*ordering))


def test_count_stops_where_it_would_cost(client: Client, portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ConsoleChangeList, "most_counted", 100)
    monkeypatch.setattr(change_lists, "FOUND", 80)
    for module in (change_lists, filter_counts):
        monkeypatch.setattr(module, "BOUND", 60)
    add_users(portal, range(101))
    page = client.get(URL).content.decode()
    assert "more than 100 portal users" in page
    assert "more than 60 found" in client.get(URL, {"q": "acme"}).content.decode()
    assert "more than 80 found" in client.get(URL, {"locked": "no"}).content.decode()
    PortalUser.objects.filter(flowlu_user_id="0").delete()
    assert "<span>100 portal users</span>" in client.get(URL).content.decode()


def test_any_page_costs_as_many_statements(client: Client, portal: Portal) -> None:
    add_users(portal, range(400))
    page = client.get(URL)
    costs = []
    while page.context["cl"].next_url:
        with CaptureQueriesContext(connection) as asked:
            page = follow(client, page, "next")
        costs.append(len(asked))
    assert max(costs) <= costs[0] + 2
    assert max(costs) <= 12


def test_values_to_filter_by_are_those_that_are_there() -> None:
    assert values_of(AuditEvent, "verb") == []
    factories.installation(factories.application(), approved=["fin.read"])
    there = sorted(set(AuditEvent.objects.values_list("verb", flat=True)))
    assert values_of(AuditEvent, "verb") == there != []


def test_short_list_has_no_pages(client: Client, portal: Portal) -> None:
    add_users(portal, range(50))
    page = client.get(URL).content.decode()
    assert "rel=" not in page[page.index('class="paginator"') :]


def test_place_by_a_day_and_in_an_order_that_ends_with_another_unique_column(application: Application) -> None:
    here = factories.installation(application, approved=["crm.accounts.read", "fin.read"])
    days = Keyset(here.approved_permissions.all(), ("review_by", "pk"))
    (row,) = days.first(1)
    assert days.read(days.text_of(row)) == days.place_of(row) == [row.review_by, row.pk]

    Portal.objects.create(domain="a.flowlu.com")
    names = Keyset(Portal.objects.all(), ("domain",))
    first, second = names.first(2)
    assert names.after(names.place_of(first), 5) == [second]


@pytest.mark.parametrize("most", [500, 1])
def test_list_is_searched_by_a_name_few_or_many_have(
    auditor: Any, application: Application, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    for number, name in enumerate(("Ana Ruiz", "Ana Silva", "Bea Cruz")):
        made = factories.launch(application, user_id=str(number + 1), name=name)
        factories.token(made.installation, made.portal_user, f"token-{number}")
    monkeypatch.setattr(searching, "_NAMED", most)

    page = signed_in(auditor).get(url("tokens_oauthtoken_changelist"), {"q": "ana"})

    assert {row.portal_user.name for row in page.context["cl"].result_list} == {"Ana Ruiz", "Ana Silva"}
    page = signed_in(auditor).get(url("tokens_oauthtoken_changelist"), {"q": "2"})
    assert [row.portal_user.name for row in page.context["cl"].result_list] == ["Ana Silva"]


def test_parts_are_counted_and_looked_through_no_further_than_the_bound(portal: Portal) -> None:
    add_users(portal, range(6))
    parts = [PortalUser.objects.all()[:3], PortalUser.objects.all()[3:]]
    parts = [PortalUser.objects.filter(pk__in=list(part.values_list("pk", flat=True))) for part in parts]
    for bound, counted, statements in ((10, 6, 2), (4, 5, 2), (2, 3, 1), (0, 1, 1)):
        for found in (
            lambda bound=bound: change_lists.count_up_to(parts, bound),
            lambda bound=bound: sum(map(len, filter_counts.first_keys(parts, bound))),
        ):
            with CaptureQueriesContext(connection) as asked:
                assert found() == counted
            assert len(asked) == statements
