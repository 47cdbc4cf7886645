"""The tabs of an installation: one look each, for whom each is, and one timeline of what happened."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from installations.admin.activity import SHOWN, _read_mark
from installations.models import Application, AuditEvent, Evidence, Installation, PortalUser
from installations.pasted import looks_like_credential
from tests import factories
from tests.installations.admin.console import signed_in, text, url
from tokens.models import EmbedSession, OAuthToken, Revocation, ServiceCall
from tokens.services.revocation import revoke_tokens
from tokens.targets import RevocationTarget

pytestmark = pytest.mark.django_db

SLUGS = ("credentials", "people", "activity", "manifest")


def tab(installation: Installation, slug: str) -> str:
    return url(f"installations_installation_{slug}", object_id=installation.pk)


def links(page: Any) -> list[str]:
    """Return the labels of the tabs, the open one with a star."""
    nav = page.content.decode().partition('<nav class="tabs"')[2].partition("</nav>")[0]
    found = re.findall(r"<a href=\"[^\"]+\"( aria-current=\"page\")?>([^<]+)</a>", nav)
    return [f"*{label}" if current else label for current, label in found]


def titles(page: Any) -> list[str]:
    return [table.title for table in page.context["tables"]]


def allow(user: Any, *names: str) -> None:
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_installation", *names]))


def test_every_tab_leads_to_every_other(auditor: Any, active: Installation) -> None:
    client = signed_in(auditor)
    labels = ["Overview", "Permissions", "Credentials", "People", "Activity", "Manifest"]
    pages = [
        client.get(url("installations_installation_change", active.pk)),
        *(client.get(tab(active, slug)) for slug in ("permissions", *SLUGS)),
    ]
    for number, page in enumerate(pages):
        assert page.status_code == 200
        expected = [f"*{label}" if place == number else label for place, label in enumerate(labels)]
        assert links(page) == expected


@pytest.mark.parametrize(
    ("names", "labels", "open_to"),
    [
        ((), [], set()),
        (("view_apikey",), ["Credentials"], {"credentials"}),
        (("view_revocation", "view_portaluser"), ["Credentials", "People"], {"credentials", "people"}),
        (("view_embedsession",), ["People"], {"people"}),
        (("view_evidence",), ["Activity"], {"activity"}),
        (("view_manifest",), ["Manifest"], {"manifest"}),
    ],
)
def test_tab_is_for_those_who_may_see_something_in_it(
    outsider: Any, active: Installation, names: tuple[str, ...], labels: list[str], open_to: set[str]
) -> None:
    allow(outsider, *names)
    client = signed_in(outsider)
    page = client.get(url("installations_installation_change", active.pk))
    assert links(page) == ["*Overview", "Permissions", *labels]
    for slug in SLUGS:
        assert client.get(tab(active, slug)).status_code == (200 if slug in open_to else 403), slug


def test_parts_of_a_tab_need_their_own_permission(outsider: Any, token: OAuthToken) -> None:
    here, client = token.installation, signed_in(outsider)
    allow(outsider, "view_revocation", "view_embedsession", "view_evidence")
    assert titles(client.get(tab(here, "credentials"))) == ["Revocations"]
    assert titles(client.get(tab(here, "people"))) == ["Sessions"]
    shown = text(client.get(tab(here, "activity")))
    assert "launched" in shown
    assert "installation.registered" not in shown


def test_whoever_may_not_see_installations_sees_no_tab(outsider: Any, active: Installation) -> None:
    outsider.user_permissions.set(
        Permission.objects.filter(codename__startswith="view_").exclude(codename="view_installation")
    )
    for slug in SLUGS:
        assert signed_in(outsider).get(tab(active, slug)).status_code == 403


def test_there_is_no_tab_of_nothing(auditor: Any) -> None:
    for slug in SLUGS:
        assert signed_in(auditor).get(url(f"installations_installation_{slug}", object_id=99999)).status_code == 404


def cut_of(token: OAuthToken) -> Revocation:
    target = RevocationTarget.of_token(token.pk)
    found = revoke_tokens(target=target, actor=factories.superactor(), reason="A test.").revocation
    assert found is not None
    return found


def test_credentials_are_those_of_this_installation(
    responder: Any, token: OAuthToken, application: Application
) -> None:
    other = factories.installation(application, portal="other.flowlu.com")
    theirs = factories.token(other, other.portal.users.get(), "another-token")
    cut = revoke_tokens(
        target=RevocationTarget.of_token(theirs.pk), actor=factories.superactor(), reason="x"
    ).revocation
    mine = factories.token(token.installation, token.portal_user, "one-more")
    own = cut_of(mine)
    page = signed_in(responder).get(tab(token.installation, "credentials"))
    assert titles(page) == ["Tokens", "API keys", "Revocations"]
    shown = page.content.decode()
    for row, is_here in ((token, True), (mine, True), (theirs, False)):
        assert (f"/oauthtoken/{row.pk}/change/" in shown) is is_here
    assert f"/revocation/{own.pk}/change/" in shown
    assert f"/revocation/{cut.pk}/change/" not in shown
    assert f"/oauthtoken/{token.pk}/revoke/" in shown


def test_people_are_those_who_opened_it_with_their_sessions(auditor: Any, token: OAuthToken) -> None:
    here = token.installation
    PortalUser.objects.create(portal=here.portal, flowlu_user_id="777", name="Never here")
    PortalUser.objects.filter(pk=token.portal_user_id).update(name="Ana <b>", is_portal_admin=True)
    soon = timezone.now() + timedelta(hours=1)
    open_one = EmbedSession.objects.create(token_hash="1" * 64, oauth_token=token, expires_at=soon)
    EmbedSession.objects.create(token_hash="2" * 64, oauth_token=token, expires_at=soon, ended_at=timezone.now())
    EmbedSession.objects.create(token_hash="3" * 64, oauth_token=token, expires_at=timezone.now())
    page = signed_in(auditor).get(tab(here, "people"))
    people, sessions = page.context["tables"]
    assert [[str(cell) for cell in row][2] for row in people.rows] == ["1"]
    assert "Ana &lt;b&gt;" in page.content.decode()
    assert "Never here" not in text(page)
    assert "portal administrator" in text(page)
    states = [re.sub("<[^>]+>", "", str(row[2])) for row in sessions.rows]
    assert sorted(states) == ["ended", "open", "over"]
    assert f"/embedsession/{open_one.pk}/change/" in page.content.decode()


def test_state_locks_and_liveness_stand_above_every_tab(auditor: Any, active: Installation) -> None:
    factories.suspect(active)
    Installation.objects.update(locked_at=timezone.now())
    client = signed_in(auditor)
    for address in (
        url("installations_installation_change", active.pk),
        *(tab(active, slug) for slug in ("permissions", *SLUGS)),
    ):
        head = client.get(address).content.decode().partition('<p class="state">')[2].partition("</p>")[0]
        words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", head))
        assert "active" in words, address
        assert "installation locked since" in words, address
        assert "liveness: suspected" in words, address


def test_pages_cost_the_same_however_many_people_there_are(auditor: Any, token: OAuthToken) -> None:
    client, here = signed_in(auditor), token.installation

    def cost(slug: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert client.get(tab(here, slug)).status_code == 200
        return len(captured)

    def fill(start: int) -> None:
        for number in range(start, start + 6):
            user = PortalUser.objects.create(portal=here.portal, flowlu_user_id=str(1000 + number))
            stored = factories.token(here, user, f"a-token-{number}")
            later = timezone.now() + timedelta(hours=1)
            EmbedSession.objects.create(token_hash=f"{number:064x}", oauth_token=stored, expires_at=later)
            ServiceCall.objects.create(installation=here, acts_as="user", portal_user=user, call="a/b/c", outcome="ok")
            here.evidence.create(kind="launch", observed_at=timezone.now())

    fill(10)
    before = {slug: cost(slug) for slug in SLUGS}
    fill(20)
    assert {slug: cost(slug) for slug in SLUGS} == before


def test_manifest_tab_shows_what_is_asked_for_and_the_document(auditor: Any, active: Installation) -> None:
    page = signed_in(auditor).get(tab(active, "manifest"))
    assert titles(page) == ["Manifests of this installation", "Requested scopes"]
    assert "asked for now" in text(page)
    assert active.application.app_id in text(page)
    assert active.manifest.sha256[:8] in text(page)


# --- The timeline ----------------------------------------------------------------------------------------------


def timeline(user: Any, installation: Installation, **query: str) -> Any:
    return signed_in(user).get(tab(installation, "activity"), query)


def whats(page: Any) -> list[str]:
    return [re.sub("<[^>]+>", "", str(entry.what)) for entry in page.context["activity"].entries]


def test_timeline_has_everything_in_order_and_can_be_narrowed(auditor: Any, active: Installation) -> None:
    now = timezone.now()
    Evidence.objects.all().delete()
    active.evidence.create(kind="launch", observed_at=now + timedelta(minutes=2))
    ServiceCall.objects.create(
        installation=active, acts_as="system", call="crm/lead/list", outcome="ok", at=now + timedelta(minutes=1)
    )
    events = AuditEvent.objects.filter(installation_id=active.pk).count()
    page = timeline(auditor, active)
    assert whats(page)[:2] == ["launched", "crm/lead/list"]
    assert len(whats(page)) == events + 2
    assert whats(timeline(auditor, active, kind="called")) == ["crm/lead/list"]
    assert whats(timeline(auditor, active, kind="observed")) == ["launched"]
    assert len(whats(timeline(auditor, active, kind="recorded"))) == events
    assert len(whats(timeline(auditor, active, kind="nonsense"))) == events + 2


def test_timeline_of_another_installation_is_not_shown(
    auditor: Any, active: Installation, application: Application
) -> None:
    other = factories.installation(application, portal="other.flowlu.com")
    ServiceCall.objects.create(installation=other, acts_as="system", call="theirs/of/them", outcome="ok")
    assert "theirs/of/them" not in text(timeline(auditor, active))
    assert "theirs/of/them" in text(timeline(auditor, other))


@pytest.mark.parametrize("kind", ["", "called", "observed"])
def test_older_pieces_follow_without_gap_or_repetition_even_at_one_time(
    auditor: Any, active: Installation, kind: str
) -> None:
    moment = timezone.now() + timedelta(minutes=1)
    Evidence.objects.bulk_create(
        Evidence(installation=active, kind="launch", observed_at=moment, detail=str(number)) for number in range(70)
    )
    ServiceCall.objects.bulk_create(
        ServiceCall(installation=active, acts_as="system", call=f"a/b/c{number}", outcome="ok", at=moment)
        for number in range(80)
    )
    rows: list[tuple[str, int]] = []
    page = timeline(auditor, active, **({"kind": kind} if kind else {}))
    sizes = []
    while True:
        activity = page.context["activity"]
        sizes.append(len(activity.entries))
        rows += [(entry.kind.slug, entry.mark[2]) for entry in activity.entries]
        if not activity.older_url:
            break
        # What was written meanwhile moves nothing.
        active.evidence.create(kind="launch", observed_at=timezone.now() + timedelta(minutes=9))
        page = signed_in(auditor).get(tab(active, "activity") + activity.older_url)
    assert len(rows) == len(set(rows))
    called = [row for row in rows if row[0] == "called"]
    assert len(called) == (0 if kind == "observed" else 80)
    assert all(size == SHOWN for size in sizes[:-1])
    if kind != "called":
        assert len([row for row in rows if row[0] == "observed"]) >= 70


@given(st.one_of(st.text(max_size=60), st.from_regex(r"\A\d{0,40}-\d{0,3}-\d{0,40}\Z")))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_mark_that_is_none_is_no_mark(given_text: str) -> None:
    mark = _read_mark(given_text)
    assert mark is None or mark[2] < 10**18


@pytest.mark.parametrize(
    "mark",
    [
        "",
        "x",
        "-1-0-1",
        f"{'9' * 17}-0-1",
        f"{'9' * 18}-0-1",
        f"{'9' * 19}-0-1",
        f"{'9' * 20}-0-1",
        "99999999999999999-2-999999999999999999",
        "1-3-1",
        "١-0-1",
        "1-0-1\n",
    ],
)
def test_hostile_mark_shows_something(auditor: Any, active: Installation, mark: str) -> None:
    assert timeline(auditor, active, before=mark).status_code == 200


def test_mark_is_not_taken_for_a_credential() -> None:
    assert not looks_like_credential("1795953600123456-2-123456789012345678")
