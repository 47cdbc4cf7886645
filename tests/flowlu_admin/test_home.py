"""The first page: what needs somebody, since when, for whom; and the last weeks in pictures."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from flowlu_admin.home.items import item
from installations.errors import InsufficientScope
from installations.four_columns import utc_today
from installations.models import Application, Installation, Liveness, Portal
from installations.selectors import Waiting
from tests import factories
from tests.installations.admin.console import signed_in, text
from tokens import day_counts
from tokens.errors import NoCredential
from tokens.models import DayCount, OAuthToken, Revocation, SweepRun, UpstreamRevocation

pytestmark = pytest.mark.django_db

Subject = DayCount.Subject


@pytest.fixture
def here(application: Application) -> Installation:
    return factories.installation(application, portal="acme.flowlu.com")


@pytest.fixture
def token(here: Installation) -> OAuthToken:
    return factories.token(here, here.portal.users.get())


def home(user: Any, query: str = "") -> str:
    return text(signed_in(user).get(reverse("admin:index") + query))


def ago(**span: float) -> Any:
    return timezone.now() - timedelta(**span)


def needs(user: Any) -> dict[str, str]:
    """Return what needs somebody: each headline with what is said of it."""
    page = signed_in(user).get(reverse("admin:index")).content.decode()
    found = re.findall(r'<p class="need [^"]*">(.*?)</p>', page, re.DOTALL)
    return {
        re.sub(r"<[^>]+>", "", head).strip(): re.sub(r"<[^>]+>", "", rest).strip()
        for head, rest in (one.split("<span>") for one in found)
    }


def test_system_with_nothing_in_it_says_what_to_do_next(reviewer: Any, auditor: Any) -> None:
    page = signed_in(reviewer).get(reverse("admin:index"))
    assert "The next step: register an application" in text(page)
    assert reverse("admin:installations_application_import") in page.content.decode()
    assert "Ask somebody in the group Reviewer" in home(auditor)
    assert "The last 30 days" not in text(page)


def test_every_need_says_how_many_and_since_when(here: Installation, token: OAuthToken, auditor: Any) -> None:
    Installation.objects.update(first_seen_at=ago(hours=5))
    factories.suspect(here)
    Liveness.objects.update(since=ago(days=2))
    OAuthToken.objects.update(state="stale", stale_at=ago(days=3))
    Portal.objects.update(locked_at=ago(days=9))
    cut = Revocation.objects.create(
        scope="token",
        actor_name="rita",
        reason="x",
        tokens_cut=1,
        cut_at=ago(days=4),
        probe="let_in",
        probed_at=ago(days=2),
    )
    UpstreamRevocation.objects.create(
        revocation=cut,
        oauth_token=token,
        sealed_access_token=b"sealed",
        state="irrevocable",
        next_try_at=None,
        created_at=ago(days=6),
    )
    SweepRun.objects.create(name="a_job", started_at=ago(minutes=1), failing_since=ago(hours=7))

    found = needs(auditor)

    assert found["1 installation waits for approval"].endswith("The oldest for 5 hours.")
    assert found["1 installation is suspected to be removed"].endswith("The oldest for 2 days.")
    assert "The first time 2 days ago" in found["1 revocation did not hold when tried, in the last 7 days"]
    assert found["1 revocation waits for a step at Flowlu"].endswith("The oldest for 4 days.")
    assert found["1 revocation is not confirmed by Flowlu"].endswith("The oldest for 6 days.")
    assert found["The periodic job a_job fails"].startswith("For 7 hours.")
    page = home(auditor)
    assert re.search(r"1 token is stale.*?The oldest for 3 days", page)
    assert re.search(r"1 portal is locked ?: The oldest lock is 9 days old", page)


def test_every_need_leads_to_where_it_is_seen(here: Installation, auditor: Any) -> None:
    SweepRun.objects.create(name="a_job", started_at=ago(hours=1), failing_since=ago(hours=7))
    factories.suspect(here)

    page = signed_in(auditor).get(reverse("admin:index")).content.decode()

    found = re.findall(r'<p class="need [^"]*"><a href="([^"]*)">(.*?)</a>', page)
    assert len(found) == page.count('<p class="need ')
    led = {words: url for url, words in found}
    assert led["The periodic job a_job fails"] == led["No periodic job ran for 1 hour"] == reverse("admin:state")
    assert all(signed_in(auditor).get(url.replace("&amp;", "&")).status_code == 200 for url in led.values())


def test_red_needs_come_first(here: Installation, auditor: Any) -> None:
    Revocation.objects.create(
        scope="token", actor_name="rita", reason="x", tokens_cut=1, probe="let_in", probed_at=ago(days=2)
    )
    factories.suspect(here)

    page = signed_in(auditor).get(reverse("admin:index")).content.decode()

    tones = re.findall(r'<p class="need need-(\w+)">', page)
    assert tones == sorted(tones, key=lambda tone: tone != "bad")
    assert set(tones) == {"bad", "wait"}


def test_right_is_asked_for_by_its_name_in_every_language(here: Installation, auditor: Any, monkeypatch: Any) -> None:
    Portal.objects.update(locked_at=ago(days=9))
    monkeypatch.setattr("flowlu_admin.home.notes.gettext", lambda text: f"¡{text}!")

    assert "1 portal is locked" in home(auditor)


def test_need_of_which_nobody_knows_since_when_says_nothing_of_it(here: Installation, auditor: Any) -> None:
    factories.suspect(here)
    Liveness.objects.update(since=None)
    assert needs(auditor)["1 installation is suspected to be removed"].endswith("whether they are gone.")


def test_jobs_that_nobody_runs_are_named(auditor: Any, here: Installation) -> None:
    assert not [words for words in needs(auditor) if "periodic" in words]
    SweepRun.objects.create(name="a_job", started_at=ago(minutes=40))
    assert "No periodic job ran for 40 minutes" in needs(auditor)
    SweepRun.objects.create(name="b_job", started_at=ago(minutes=1))
    assert not [words for words in needs(auditor) if "periodic" in words]


def test_anchoring_that_fails_says_what_it_may_mean(auditor: Any, here: Installation) -> None:
    SweepRun.objects.create(name="anchor_audit", started_at=ago(minutes=1), failing_since=ago(minutes=2))
    assert "the trail was shortened or rewritten" in needs(auditor)["The periodic job anchor_audit fails"]


def test_operator_without_rights_sees_no_tile_and_no_chart(
    outsider: Any, here: Installation, token: OAuthToken
) -> None:
    OAuthToken.objects.update(state="stale", stale_at=ago(days=3))
    SweepRun.objects.create(name="a_job", started_at=ago(hours=1), failing_since=ago(hours=7))
    outsider.is_staff = True
    outsider.save()
    page = home(outsider)
    assert needs(outsider) == {}
    assert "Your account may not see installations" in page
    for words in ("stale", "periodic", "The last 30 days", "Refused and failed", "Last events"):
        assert words not in page


def test_charts_are_for_those_who_may_see_their_rows(outsider: Any, here: Installation) -> None:
    outsider.is_staff = True
    outsider.save()
    outsider.user_permissions.add(Permission.objects.get(codename="view_revocation"))
    day_counts.put(utc_today(), Subject.CUT, {"token": 3})
    day_counts.put(utc_today(), Subject.CALL, {"ok": 12})
    page = home(outsider)
    assert "Tokens that were cut" in page
    assert "3 of one user or one token in 30 days." in page
    for words in ("Calls of embedded frontends", "Installations by status", "Refreshes", "Refused and failed"):
        assert words not in page


def test_charts_show_their_numbers_in_words_and_in_a_table(auditor: Any, here: Installation) -> None:
    today = utc_today()
    day_counts.put(today - timedelta(days=1), Subject.CALL, {"ok": 1200, "token_stale": 7, "flowlu_timeout": 2})
    day_counts.put(today, Subject.CALL, {"ok": 3})
    day_counts.put(today, Subject.HANDSHAKE, {"ok": 5, "token_revoked": 4})
    day_counts.put(today, Subject.INSTALLATION, {"active": 2, "pending_approval": 1})
    day_counts.put(today - timedelta(days=60), Subject.CUT, {"portal": 9})
    page = home(auditor)
    assert "1,203 answered, 7 refused, 2 failed in 30 days." in page
    assert "2 active, 1 pending approval; as the periodic jobs counted them last." in page
    assert "Tokens that were cut None in 30 days." in page
    assert f"Calls are counted here since {today - timedelta(days=1)}" in page
    assert re.search(rf"{today - timedelta(days=1)} 1,200 7 2", page)
    assert re.search(r"token_stale .*? call of a frontend 7", page)
    assert re.search(r"token_revoked .*? opening a session 4", page)
    assert "9 of a whole installation, portal or application in 90 days." in home(auditor, "?days=90")


@pytest.mark.parametrize("days", ["7", "-1", "90000000000000000000000", "30 ", "³", "", "\x00"])
def test_other_periods_than_those_on_offer_are_the_first_one(days: str, auditor: Any, here: Installation) -> None:
    page = signed_in(auditor).get(reverse("admin:index"), {"days": days})
    assert page.status_code == 200
    assert "The last 30 days" in text(page)


def test_reason_is_explained_as_its_caller_is_told(auditor: Any, here: Installation) -> None:
    day_counts.put(utc_today(), Subject.CALL, {"insufficient_scope": 2})
    day_counts.put(utc_today(), Subject.SERVICE_CALL, {"no_credential": 1, "no_longer_a_code": 1})
    page = home(auditor)
    for code, meaning in (
        ("insufficient_scope", InsufficientScope.public_message),
        ("no_credential", NoCredential.public_message),
        ("no_longer_a_code", "call of backend code"),
    ):
        assert re.search(rf"{code}\s+{re.escape(meaning)}", page), code


def test_page_costs_the_same_however_much_there_is(auditor: Any, here: Installation) -> None:
    client = signed_in(auditor)

    def statements() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert client.get(reverse("admin:index") + "?days=90").status_code == 200
        return len(captured)

    before = statements()
    for days in range(90):
        day = utc_today() - timedelta(days=days)
        day_counts.put(day, Subject.CALL, {"ok": 1, "token_stale": 1})
        day_counts.put(day, Subject.INSTALLATION, {"active": days})
    for number in range(5):
        SweepRun.objects.create(name=f"job_{number}", started_at=ago(minutes=1), failing_since=ago(hours=1))
    assert statements() == before


@pytest.mark.parametrize(
    ("count", "said"), [(1, "1 token is lost"), (1000, "1,000 tokens are lost"), (1001, "1,000+ tokens are lost")]
)
def test_words_follow_the_number(count: int, said: str) -> None:
    def words(number: int) -> str:
        return "%(count)s token is lost" if number == 1 else "%(count)s tokens are lost"

    [shown] = item(Waiting(count, None), words, "", OAuthToken, "", "plain")

    assert shown.words == said
