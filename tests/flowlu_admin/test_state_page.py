"""What the service stands on: every key with its standing, every periodic job with its last run, and never a value."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from flowlu_admin.state_page import ABOUT_JOBS
from installations.models import Application, Installation
from tests import factories
from tests.installations.admin.console import signed_in, text
from tests.tokens.keyring import A1, A2, F1, F2, K1, K2, WRONG_K1, fingerprint_of_key
from tokens.models import OAuthToken, SweepRun
from tokens.services.keys import record_keys
from tokens.sweeps import JOBS

pytestmark = pytest.mark.django_db

PAGE = "/admin/state/"


@pytest.fixture
def token(application: Application) -> OAuthToken:
    here: Installation = factories.installation(application, portal="acme.flowlu.com")
    stored = factories.token(here, here.portal.users.get())
    record_keys()
    return stored


def rows(user: Any, heading: str) -> dict[str, str]:
    """Return the rows of one of the tables as text, by the first word of the cell that names each."""
    page = signed_in(user).get(PAGE).content.decode()
    for section in page.split("<section")[1:]:
        if heading in section.partition("</h2>")[0]:
            cells = [
                [" ".join(re.sub(r"<[^>]+>", " ", cell).split()) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)]
                for row in re.findall(r"<tr>(.*?)</tr>", section, re.DOTALL)
            ]
            named = 1 if heading == "Keys" else 0
            return {f"{row[0].split()[0]} {row[named].split()[0]}": " | ".join(row) for row in cells if row}
    return {}


def keys(user: Any) -> dict[str, str]:
    return rows(user, "Keys")


def jobs(user: Any) -> dict[str, str]:
    return {name.split()[0]: row for name, row in rows(user, "Periodic jobs").items()}


def test_keys_in_order_are_the_newest(token: OAuthToken, auditor: Any) -> None:
    found = keys(auditor)

    assert set(found) == {"TOKEN_KEYS k1", "FINGERPRINT_KEY 1", "AUDIT_KEY 1"}
    for name, key in zip(found, (K1, F1, A1), strict=True):
        assert f"{fingerprint_of_key(key)} | newest" in found[name]


def test_old_key_is_kept_while_rows_need_it_and_then_is_not(token: OAuthToken, auditor: Any, settings: Any) -> None:
    settings.TOKEN_KEYS = f"{K2},{K1}"
    assert "| old, needed | Keep it." in keys(auditor)["TOKEN_KEYS k1"]

    OAuthToken.objects.update(state="stale", sealed_access_token=None, stale_at=timezone.now())
    assert "| not needed | Nothing is lost without it" in keys(auditor)["TOKEN_KEYS k1"]


def test_missing_key_and_one_in_place_of_another_say_what_to_do(token: OAuthToken, auditor: Any, settings: Any) -> None:
    settings.TOKEN_KEYS, settings.FINGERPRINT_KEY, settings.AUDIT_KEY = WRONG_K1, F2, f"{A2},{A1}"

    found = keys(auditor)

    assert f"Rows need the one with the fingerprint {fingerprint_of_key(K1)}." in found["TOKEN_KEYS k1"]
    assert f"1 {fingerprint_of_key(F1)} | missing" in found["FINGERPRINT_KEY 1"]
    assert "Put it back into FINGERPRINT_KEY" in found["FINGERPRINT_KEY 1"]


def test_ring_that_cannot_be_read_is_told(token: OAuthToken, auditor: Any, settings: Any) -> None:
    settings.FINGERPRINT_KEY = "no key"
    assert "A key ring cannot be read." in text(signed_in(auditor).get(PAGE))


def test_no_value_of_a_key_is_on_the_page(token: OAuthToken, auditor: Any) -> None:
    page = signed_in(auditor).get(PAGE).content.decode()
    for key in (K1, F1, A1):
        assert key.partition(":")[2] not in page


def test_every_job_says_what_it_is_for(auditor: Any) -> None:
    assert ABOUT_JOBS.keys() == {job.name for job in JOBS}
    found = jobs(auditor)
    assert set(found) == set(ABOUT_JOBS)
    assert all(f"{name} {words} | never ran | never" in found[name] for name, words in ABOUT_JOBS.items())


def test_job_that_fails_stands_first_then_what_is_late(auditor: Any) -> None:
    now = timezone.now()
    for job in JOBS:
        SweepRun.objects.create(name=job.name, started_at=now - timedelta(seconds=2), finished_at=now, done=1_234)
    of = SweepRun.objects.filter
    of(name="wipe_orphans").update(failing_since=now - timedelta(days=2))
    of(name="judge_liveness").update(started_at=now - timedelta(hours=1), finished_at=now - timedelta(hours=1))
    of(name="tell_upstream").update(finished_at=now - timedelta(minutes=1))

    found = jobs(auditor)

    assert list(found)[:2] == ["wipe_orphans", "judge_liveness"]
    assert "| fails since " in found["wipe_orphans"]
    assert "| late |" in found["judge_liveness"]
    assert "| under way |" in found["tell_upstream"]
    assert "| well |" in found["count_days"]
    assert "| 1,234 | 5 minutes" in found["count_days"]


def test_each_part_takes_its_right(outsider: Any, token: OAuthToken) -> None:
    outsider.is_staff = True
    outsider.save()
    assert signed_in(outsider).get(PAGE).status_code == 403
    assert "Keys and periodic jobs" not in signed_in(outsider).get("/admin/").content.decode()

    outsider.user_permissions.add(Permission.objects.get(codename="view_auditevent"))
    assert keys(outsider)
    assert not jobs(outsider)
    assert f'href="{PAGE}"' in signed_in(outsider).get("/admin/").content.decode()

    outsider.user_permissions.set([Permission.objects.get(codename="view_installation")])
    assert jobs(outsider)
    assert not keys(outsider)


def test_page_costs_the_same_however_many_rows_there_are(token: OAuthToken, auditor: Any) -> None:
    def statements() -> int:
        client = signed_in(auditor)
        client.get(PAGE)
        with CaptureQueriesContext(connection) as asked:
            client.get(PAGE)
        return len(asked)

    few = statements()
    for number in range(20):
        factories.token(token.installation, token.portal_user, f"another-token-{number}")
    assert statements() == few
    assert few < 40
