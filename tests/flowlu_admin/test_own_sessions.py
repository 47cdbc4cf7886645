"""Where an operator is signed in: listed with what is known of it, and ended by nobody but its owner."""

import time
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from flowlu_admin.browsers import browser_of
from flowlu_admin.open_sessions import handle_of, open_sessions
from tests.factories import PASSWORD
from tests.flowlu_admin.test_accounts import log_in
from tests.installations.admin.console import messages, sign_in, signed_in, text, url
from tests.unchanged import last_event, recorded

pytestmark = pytest.mark.django_db

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
SAFARI = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile Safari/604.1"
PAGE = "/admin/sessions/"


def browser(user: Any, agent: str, address: str) -> Client:
    client = Client(REMOTE_ADDR=address, headers={"User-Agent": agent})
    client.post("/accounts/login/", {"login": user.username, "password": PASSWORD})
    return client


def handle(client: Client) -> str:
    return handle_of(client.cookies[settings.SESSION_COOKIE_NAME].value)


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (FIREFOX, "Firefox on Linux"),
        (SAFARI, "Safari on iPhone"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36", "Chrome on Windows"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0", "Edge on Windows"),
        ("Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36", "Chrome on Android"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605 Version/18 Safari/605", "Safari on macOS"),
        ("curl/8", "another browser"),
        ("", "another browser"),
        ("<b>\u202e" * 10_000, "another browser"),
    ],
)
def test_browser_is_named_in_words_of_ours(agent: str, words: str) -> None:
    assert browser_of(agent) == words


def test_each_session_is_listed_with_what_is_known_of_it(superuser: Any, auditor: Any) -> None:
    began = int(time.time()) - 7200
    with time_machine.travel(began, tick=False):
        phone = browser(superuser, SAFARI, "192.0.2.7")
    desk = browser(superuser, FIREFOX, "198.51.100.3")
    browser(auditor, FIREFOX, "203.0.113.9")

    page = desk.get(PAGE)

    shown = text(page)
    assert "Firefox on Linux 198.51.100.3" in shown
    assert "Safari on iPhone 192.0.2.7" in shown
    assert "203.0.113.9" not in shown
    found = page.context["sessions"]
    assert [each.handle for each in found] == [handle(desk), handle(phone)]
    assert page.context["this_one"] == handle(desk)
    assert [int(at.timestamp()) for at in (found[1].began_at, found[1].seen_at)] == [began, began]
    source = page.content.decode()
    assert source.count("this one") == 1
    for row in Session.objects.all():
        assert row.pk not in source
    assert desk.cookies[settings.SESSION_COOKIE_NAME].value not in source


def test_last_use_is_noted_again_after_ten_minutes_and_not_before(superuser: Any) -> None:
    client = browser(superuser, FIREFOX, "192.0.2.7")
    began = open_sessions(superuser.pk)[0].began_at
    with CaptureQueriesContext(connection) as early:
        client.get(PAGE)
    with time_machine.travel(time.time() + 601):
        client.get(PAGE, REMOTE_ADDR="192.0.2.8")
        later = open_sessions(superuser.pk)[0]

    assert not any(query["sql"].startswith("UPDATE") for query in early)
    assert began is not None
    assert later.began_at == began
    assert later.seen_at is not None
    assert later.seen_at.timestamp() >= began.timestamp() + 600
    assert later.address == "192.0.2.8"


def test_one_session_is_ended_and_the_trail_tells(superuser: Any) -> None:
    here, there, third = (browser(superuser, FIREFOX, "192.0.2.7") for _ in range(3))

    done = here.post(PAGE, {"session": handle(there)}, follow=True)

    assert messages(done)[-1] == "The session ended."
    assert there.get(PAGE).status_code == 302
    assert third.get(PAGE).status_code == here.get(PAGE).status_code == 200
    event = last_event()
    assert (event.verb, event.actor_id, event.target_id) == (
        "operator.sessions_ended",
        str(superuser.pk),
        str(superuser.pk),
    )
    assert event.details == {"sessions": 1}
    again = here.post(PAGE, {"session": handle(there)}, follow=True)
    assert messages(again) == ["That session was over already."]
    assert recorded().count("operator.sessions_ended") == 1


def test_all_others_end_at_once_and_sign_ins_that_wait_with_them(superuser: Any, auditor: Any) -> None:
    here, there, other = signed_in(superuser), signed_in(superuser), signed_in(auditor)

    done = here.post(PAGE, {"session": "others"}, follow=True)

    assert messages(done) == ["1 session ended."]
    assert there.get(PAGE).status_code == 302
    assert other.get(PAGE).status_code == 200
    assert messages(here.post(PAGE, {"session": "others"}, follow=True)) == ["0 sessions ended."]
    assert recorded() == ["operator.sessions_ended"]


def test_nobody_ends_a_session_of_somebody_else(superuser: Any, auditor: Any) -> None:
    victim, thief = signed_in(auditor), signed_in(superuser)

    for given in (handle(victim), Session.objects.first().pk, "", "x" * 5000):  # type: ignore[union-attr]  # there are two
        assert messages(thief.post(PAGE, {"session": given}, follow=True)) == ["That session was over already."]

    assert victim.get(PAGE).status_code == 200
    assert recorded() == []


def test_own_session_is_ended_by_logging_out(superuser: Any) -> None:
    here = signed_in(superuser)

    assert "Log out to end it" in messages(here.post(PAGE, {"session": handle(here)}, follow=True))[0]
    assert here.get(PAGE).status_code == 200


def test_session_from_before_this_was_noted_is_listed_all_the_same(superuser: Any) -> None:
    here, older = signed_in(superuser), signed_in(superuser)
    session = older.session
    del session["operator_session"]
    session.save()

    page = here.get(PAGE)
    assert [each.began_at is None for each in page.context["sessions"]] == [False, True]
    here.post(PAGE, {"session": handle(older)})
    assert older.get(PAGE).status_code == 302


def test_page_of_an_operator_shows_sessions_to_who_may_manage_them(superuser: Any, auditor: Any) -> None:
    browser(auditor, SAFARI, "192.0.2.7")
    where = url("flowlu_admin_operator_change", auditor.pk)

    assert "Safari on iPhone 192.0.2.7" in text(signed_in(superuser).get(where))
    own = signed_in(auditor).get(where)
    assert "Safari on iPhone 192.0.2.7" in text(own)
    assert f'href="{PAGE}"' in own.content.decode()


def test_sign_in_that_waits_for_the_factor_is_no_open_session(superuser: Any) -> None:
    client = Client()
    log_in(client)
    assert len(open_sessions(superuser.pk)) == 1
    assert open_sessions(superuser.pk + 1) == []


def test_session_that_is_in_use_ends_half_a_day_after_its_sign_in(superuser: Any) -> None:
    """Whoever took a cookie would otherwise keep its session alive for good, by asking for a page now and then."""
    client = browser(superuser, FIREFOX, "192.0.2.7")
    now = time.time()
    for hours in (4, 8, 11.9):
        with time_machine.travel(now + hours * 3600):
            assert client.get(PAGE).status_code == 200
    with time_machine.travel(now + 12.1 * 3600):
        assert client.get(PAGE).status_code == 302


@pytest.mark.parametrize("ending", ["signs out", "is signed out"])
def test_what_an_operator_was_told_is_not_said_to_who_signs_in_next(superuser: Any, auditor: Any, ending: str) -> None:
    client = browser(superuser, FIREFOX, "192.0.2.7")
    told = {"list": "installations.portal", "filter": "q=acme", "name": "Customers who leave"}
    answer = client.post(reverse("admin:saved_filter_save"), told)
    assert answer.status_code == 302
    assert "messages" not in answer.cookies
    if ending == "signs out":
        client.post(reverse("account_logout"))
    else:
        Session.objects.all().delete()

    assert "Customers who leave" not in client.get(reverse("account_login")).content.decode()
    sign_in(client, auditor)
    assert "Customers who leave" not in client.get(reverse("admin:index")).content.decode()
