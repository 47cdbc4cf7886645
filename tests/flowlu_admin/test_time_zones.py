"""Times in the zone that an operator chose, for nobody else, and with the exact UTC; hours that are twice or never."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from flowlu_admin import time_zones
from flowlu_admin.models import OperatorZone
from installations.admin.display import when, when_text
from installations.models import Application, Installation, PortalUser
from tests import factories
from tests.installations.admin.console import signed_in, text
from tokens.forms import TimeNotClear, read_time
from tokens.vault import parse_expiry

URL = "account_time_zone"


def choose(client: Client, zone: str) -> Any:
    return client.post(reverse(URL), {"zone": zone}, follow=True)


def page_of(client: Client, installation: Installation) -> str:
    return text(client.get(reverse("admin:installations_installation_change", args=[installation.pk])))


@pytest.fixture
def seen(application: Application) -> Installation:
    row = factories.installation(application, approved=["crm.accounts.read"])
    moment = datetime(2026, 10, 25, 0, 30, 7, tzinfo=UTC)
    Installation.objects.filter(pk=row.pk).update(first_seen_at=moment, last_seen_at=moment)
    return row


def test_zone_is_utc_until_one_is_chosen(seen: Installation, auditor: Any) -> None:
    page = page_of(signed_in(auditor), seen)

    assert "2026-10-25 00:30 UTC" in page
    assert "Times are in UTC: choose another zone" in page


def test_chosen_zone_holds_for_its_operator_at_once_and_for_nobody_else(
    seen: Installation, auditor: Any, reviewer: Any
) -> None:
    client, other = signed_in(auditor), signed_in(reviewer)
    answer = choose(client, "Europe/Berlin")

    assert "Times are shown in Europe/Berlin from now on." in text(answer)
    page = page_of(client, seen)
    assert "2026-10-25 02:30 CEST" in page
    assert "Times are in Europe/Berlin: choose another zone" in page
    assert "2026-10-25 00:30 UTC" in page_of(other, seen)
    assert OperatorZone.objects.get().operator_id == auditor.pk


def test_chosen_zone_is_there_at_the_next_sign_in(seen: Installation, auditor: Any) -> None:
    choose(signed_in(auditor), "America/Sao_Paulo")

    assert "2026-10-24 21:30 UTC-03:00" in page_of(signed_in(auditor), seen)


def test_zone_is_held_by_the_session_so_that_a_page_needs_no_statement_for_it(seen: Installation, auditor: Any) -> None:
    def statements(client: Client) -> int:
        with CaptureQueriesContext(connection) as found:
            page_of(client, seen)
        return len(found)

    client = signed_in(auditor)
    page_of(client, seen)  # a process learns the content types with the first page that names one
    before = statements(client)
    choose(client, "Europe/Berlin")

    assert statements(client) == before


@pytest.mark.parametrize(
    "zone", ["", "Europe/Atlantis", "../../etc/passwd", "Etc/GMT+5", "localtime", "\x00", "a" * 5000]
)
def test_what_is_no_zone_is_refused(auditor: Any, zone: str) -> None:
    client = signed_in(auditor)
    answer = client.post(reverse(URL), {"zone": zone})

    assert answer.status_code == 200
    assert answer.context["form"].errors.keys() == {"zone"}
    assert not OperatorZone.objects.exists()
    assert "Times are in UTC" in text(client.get(reverse("admin:index")))


def test_zone_that_is_unknown_by_now_is_utc(seen: Installation, auditor: Any) -> None:
    OperatorZone.objects.create(operator_id=auditor.pk, name="Europe/Atlantis")

    assert "2026-10-25 00:30 UTC" in page_of(signed_in(auditor), seen)


@pytest.mark.django_db
def test_nobody_chooses_without_a_sign_in(client: Client) -> None:
    assert client.post(reverse(URL), {"zone": "Europe/Berlin"}).status_code == 302
    assert not OperatorZone.objects.exists()


def test_choosing_twice_keeps_one_row(auditor: Any) -> None:
    client = signed_in(auditor)
    choose(client, "Europe/Berlin")
    choose(client, "Asia/Tokyo")

    assert OperatorZone.objects.get().name == "Asia/Tokyo"
    assert timezone.get_current_timezone_name() == "UTC", "it ends with the request"


def test_zones_to_choose_from_are_known_and_begin_with_utc() -> None:
    names = time_zones.names()

    assert names[0] == "UTC"
    assert {"Europe/Berlin", "America/Sao_Paulo", "Asia/Kolkata"} <= set(names)
    assert all(ZoneInfo(name) for name in names)


def test_export_stays_in_utc(seen: Installation, auditor: Any) -> None:
    client = signed_in(auditor)
    choose(client, "Asia/Tokyo")
    with time_machine.travel(datetime(2026, 11, 29, 20, 0, tzinfo=UTC), tick=False):
        address = reverse("admin:installations_installation_permissions", args=[seen.pk])
        answer = client.get(f"{address}?format=json").json()

    assert answer["at"] == "2026-11-29T20:00:00+00:00"


@pytest.mark.parametrize(
    ("zone", "moment", "shown"),
    [
        ("UTC", "2026-03-29T01:00:00", "2026-03-29 01:00 UTC"),
        # clocks are put forward at 01:00 UTC
        ("Europe/Berlin", "2026-03-29T00:59:59", "2026-03-29 01:59 CET"),
        ("Europe/Berlin", "2026-03-29T01:00:00", "2026-03-29 03:00 CEST"),
        # and back: the same hour twice, told apart by its letters
        ("Europe/Berlin", "2026-10-25T00:30:00", "2026-10-25 02:30 CEST"),
        ("Europe/Berlin", "2026-10-25T01:30:00", "2026-10-25 02:30 CET"),
        ("America/New_York", "2026-11-01T05:30:00", "2026-11-01 01:30 EDT"),
        ("America/New_York", "2026-11-01T06:30:00", "2026-11-01 01:30 EST"),
        # zones without letters
        ("America/Sao_Paulo", "2026-07-01T01:15:00", "2026-06-30 22:15 UTC-03:00"),
        ("Asia/Kathmandu", "2026-07-01T01:15:00", "2026-07-01 07:00 UTC+05:45"),
        ("Australia/Lord_Howe", "2026-04-04T15:00:00", "2026-04-05 01:30 UTC+10:30"),
    ],
)
def test_time_is_told_in_the_zone_with_the_exact_utc_for_pointer_focus_and_screen_reader(
    zone: str, moment: str, shown: str
) -> None:
    at = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    exact = f"{at:%Y-%m-%d %H:%M:%S} UTC"
    with timezone.override(zone):
        assert when_text(at) == shown
        markup = when(at)

    assert f'datetime="{moment}+00:00" data-exact="{exact}" aria-label="{shown}, {exact}" tabindex="0"' in markup


def test_no_time_is_a_dash_without_a_tab_stop() -> None:
    assert when(None) == "–"
    assert when(None, "never") == "never"


@pytest.mark.parametrize(
    ("zone", "written", "read"),
    [
        ("UTC", "2026-11-25 10:15", "2026-11-25T10:15:00"),
        ("Europe/Berlin", "2026-11-25 10:15", "2026-11-25T09:15:00"),
        ("Europe/Berlin", "2026-07-25 10:15", "2026-07-25T08:15:00"),
        ("Europe/Berlin", "2026-07-25", "2026-07-24T22:00:00"),
        ("Europe/Berlin", "2026-10-25 02:30 UTC", "2026-10-25T02:30:00"),
        ("Europe/Berlin", "2026-10-25T00:30:07Z", "2026-10-25T00:30:07"),
        ("Asia/Kathmandu", "2026-07-01 07:00", "2026-07-01T01:15:00"),
    ],
)
def test_time_that_is_typed_is_read_in_the_zone(zone: str, written: str, read: str) -> None:
    assert read_time(written, ZoneInfo(zone)).astimezone(UTC) == datetime.fromisoformat(read).replace(tzinfo=UTC)


@pytest.mark.parametrize("written", ["2026-10-25 02:30", "2026-03-29 02:30"])
def test_hour_that_is_there_twice_or_never_is_not_guessed(written: str) -> None:
    with pytest.raises(TimeNotClear):
        read_time(written, ZoneInfo("Europe/Berlin"))


@pytest.mark.parametrize(
    ("zone", "named"), [("Asia/Tokyo", "9999-12-31 23:59:59"), ("America/Los_Angeles", "0001-01-01 00:00:01")]
)
def test_expiry_that_a_page_names_hides_no_token_from_anybody(
    zone: str, named: str, seen: Installation, auditor: Any
) -> None:
    """Whoever opens the application says when their token expires, and some zones have no such time."""
    token = factories.token(
        seen, PortalUser.objects.create(portal=seen.portal, flowlu_user_id="8"), expires_at=parse_expiry(named)
    )
    client = signed_in(auditor)
    choose(client, zone)

    for address in (
        reverse("admin:tokens_oauthtoken_changelist"),
        reverse("admin:tokens_oauthtoken_change", args=[token.pk]),
        reverse("admin:installations_installation_credentials", kwargs={"object_id": seen.pk}),
        reverse("admin:installations_portaluser_change", args=[token.portal_user_id]),
    ):
        assert f"{named[:16].lstrip('0')} UTC" in text(client.get(address))


@pytest.mark.parametrize(
    ("zone", "written"),
    [("Asia/Tokyo", "0001-01-01"), ("America/Los_Angeles", "9999-12-31 23:59"), ("UTC", "10000-01-01")],
)
def test_time_that_is_none_in_utc_is_refused_and_no_error_of_the_server(
    zone: str, written: str, responder: Any
) -> None:
    client = signed_in(responder)
    choose(client, zone)

    page = client.post(reverse("admin:tokens_oauthtoken_revoke_by"), {"stored_before": written})

    assert page.status_code == 200
    assert f"Write the time like 2026-11-25 10:15, in {zone}." in text(page)


def test_form_says_in_which_zone_it_reads_and_what_to_write_where_that_is_not_clear(responder: Any) -> None:
    client = signed_in(responder)
    choose(client, "Europe/Berlin")
    address = reverse("admin:tokens_oauthtoken_revoke_by")

    assert "Or everything stored before (Europe/Berlin)" in text(client.get(address))
    for written, words in (
        ("2026-10-25 02:30", "it is there twice or never. Write it in UTC, like 2026-11-25 10:15 UTC."),
        ("soon", "Write the time like 2026-11-25 10:15, in Europe/Berlin."),
    ):
        assert words in text(client.post(address, {"stored_before": written}))


def test_zone_of_an_operator_names_itself(auditor: Any) -> None:
    made = OperatorZone.objects.create(operator_id=auditor.pk, name="Asia/Tokyo")
    assert str(made) == f"zone of operator #{auditor.pk}"
