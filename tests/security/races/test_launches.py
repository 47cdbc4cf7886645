"""Launches at once: one portal, one user, one installation, at most ten tokens."""

import pytest
from django.db import connection

from flowlu_admin.sandbox.server import SandboxServer
from installations.models import Application, AuditEvent, Installation, Portal, PortalUser
from tests.security.races.conftest import PORTAL, Page
from tests.security.races.invariants import everything_holds
from tests.security.races.workers import ROUNDS, Workers
from tokens.models import EmbedSession, OAuthToken
from tokens.services.storing import MAX_LIVE_TOKENS

pytestmark = [pytest.mark.postgresql, pytest.mark.xdist_group("races"), pytest.mark.django_db(transaction=True)]


def forget_everybody() -> None:
    """Empty the tables of launches: the next one is the first of all. The audit trail and applications stay."""
    tables = ("tokens_embedsession", "tokens_oauthtoken", "installations_portal")
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(tables)} CASCADE")


@pytest.mark.parametrize("tokens", ["one token", "a token each"])
@pytest.mark.parametrize("people", ["one user", "two users"])
def test_first_launches_at_once_make_one_of_each(
    workers: Workers, sandbox: SandboxServer, application: Application, tokens: str, people: str
) -> None:
    users = ("2", "3") if people == "two users" else ("2",)
    pages = [Page(sandbox, application, user_id=user) for user in users]

    def race(number: int) -> str:
        forget_everybody()
        orders = [
            page.handshake(page.another_pair() if tokens != "one token" else page.pair())
            for _ in range(4 // len(pages))
            for page in pages
        ]

        ended = workers.at_once(*orders)

        assert [one.status for one in ended] == [201] * 4
        assert (Portal.objects.count(), Installation.objects.count()) == (1, 1)
        assert PortalUser.objects.count() == len(users)
        assert OAuthToken.objects.count() == (len(users) if tokens == "one token" else 4)
        assert EmbedSession.objects.count() == 4
        return "done"

    workers.rounds(race)
    assert AuditEvent.objects.filter(verb="installation.first_seen").count() == ROUNDS
    everything_holds()


def test_ten_active_tokens_of_a_user_hold(workers: Workers, page: Page) -> None:
    here = page.installation

    def race(number: int) -> str:
        orders = [
            {"job": "many", "jobs": [page.handshake(page.another_pair()) for _ in range(2)]} for _ in workers.processes
        ]

        opened = [answer for one in workers.at_once(*orders) for answer in one.value]

        assert [status for status, *_rest in opened] == [201] * 2 * len(workers.processes)
        assert OAuthToken.objects.active().filter(installation=here).count() == MAX_LIVE_TOKENS
        sessions = [session for _status, _error, session in opened][: len(workers.processes)]
        handed = workers.at_once(
            *({"job": "hand_over", "session": session, "pair": page.another_pair()} for session in sessions)
        )
        assert {one.status for one in handed} == {204}
        assert OAuthToken.objects.active().filter(installation=here).count() == MAX_LIVE_TOKENS
        return "done"

    workers.rounds(race, rounds=max(2, ROUNDS // 4))
    stale = OAuthToken.objects.filter(state="stale")
    assert stale.exists()
    assert not stale.exclude(sealed_access_token=None).exists()
    everything_holds()


def test_first_launches_beside_the_end_of_the_installation_begin_the_next(workers: Workers, page: Page) -> None:
    def race(number: int) -> str:
        page.open()
        gone = page.installation

        one, other, cut = workers.at_once(
            page.handshake(page.another_pair()),
            page.handshake(page.another_pair()),
            {"job": "uninstall", "installation": gone.pk},
        )

        assert cut.value is True
        assert {one.status, other.status} <= {201, 401}
        began_anew = Installation.objects.live().filter(portal__domain=PORTAL).first()
        assert began_anew is None or (began_anew.generation, began_anew.status) == (
            gone.generation + 1,
            "pending_approval",
        )
        assert gone.liveness.state == "confirmed_removed"
        return "began anew" if began_anew else "all before the end"

    workers.rounds(race, expect=("began anew", "all before the end"))
    everything_holds()
